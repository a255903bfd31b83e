"""The run folder: Parquet tables, the resolved scenario and `run.json`, written all or nothing.

A run is written into a temporary sibling and renamed when complete, so a killed run or a full disk
leaves no half folder under the name asked for.
"""

import contextlib
import errno
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from marketsim.results.columns import describe_column
from marketsim.results.record import (
    FORMAT,
    FORMAT_VERSION,
    RECORD_FILE,
    SCENARIO_FILE,
    describe,
    listed_files,
    table_file,
)
from marketsim.results.summary import summarise
from marketsim.results.tables import build_tables
from marketsim.scenario.coercion import path_of
from marketsim.scenario.inputs import Input
from marketsim.tape.events import Table
from marketsim.tape.files import PARQUET, RunFolderError, hash_file, is_sealed, seal
from marketsim.tape.result import RunResult

#: Packages whose version can change a number.
PACKAGES = ("marketsim-perps", "numpy", "numba", "mesa", "pandas", "pyarrow", "pydantic")

#: Bytes on disk per step and market that a folder needs at the very least.
BYTES_PER_ROW = 20
#: Bytes of the smallest folder.
BYTES_OF_FOLDER = 50_000


def check_target(path: str | Path, force: bool = False, rows: int = 0) -> Path:
    """Make sure, before a long run, that its folder can be written.

    Parameters
    ----------
    path : str or Path
        The run folder to be; parents are made when it is written.
    force : bool
        Accept an existing run folder or empty folder, to be replaced; not one that holds anything
        that no run wrote.
    rows : int
        Steps times markets to come, for a lower bound of the space needed.

    Returns
    -------
    Path
        `path`, absolute and without symbolic links.

    Raises
    ------
    RunFolderError
        If it exists (and may not be replaced), or cannot be written.
    """
    target = _resolve(path, force)
    with _explained(target):
        _check_replaceable(target, force)
        parent = _existing_parent(target)
        with tempfile.TemporaryDirectory(prefix=".marketsim-", dir=parent):
            free = shutil.disk_usage(parent).free
    needed = BYTES_OF_FOLDER + BYTES_PER_ROW * rows
    if free < needed:
        msg = f"{target}: disk full: {free:,} bytes free, a run folder needs at least {needed:,}"
        raise RunFolderError(msg)
    return target


def free_path(parent: str | Path, stem: str) -> Path:
    """Return the first of ``stem``, ``stem-2``, ``stem-3`` ... that does not exist in `parent`."""
    path = Path(parent) / stem
    number = 2
    while os.path.lexists(path):
        path = Path(parent) / f"{stem}-{number}"
        number += 1
    return path


def write_run(
    result: RunResult,
    path: str | Path,
    force: bool = False,
    *,
    summary: dict[str, Any] | None = None,
) -> Path:
    """Write a finished run as a folder, completely or not at all.

    Parameters
    ----------
    result : RunResult
    path : str or Path
        The folder; missing parents are made.
    force : bool
        Replace an existing run folder (or an empty folder); a folder that holds anything that no
        run wrote is never replaced.
    summary : dict, optional
        What `summarise` returned for this result, if it is at hand.

    Returns
    -------
    Path
        The folder, absolute.

    Raises
    ------
    RunFolderError
        If the folder exists, cannot be written, or the disk is full.
    """
    summary = summary or summarise(result)
    target = _resolve(path, force)
    with _explained(target):
        _check_replaceable(target, force)
        _existing_parent(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        staging = Path(tempfile.mkdtemp(prefix=_staging_prefix(target), dir=target.parent))
        try:
            staging.chmod(0o777 & ~_umask())
            _fill(staging, result, summary)
            _rename(staging, target, force)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return target


def _fill(folder: Path, result: RunResult, summary: dict[str, Any]) -> None:
    tables = {}
    for name, columns in build_tables(result).items():
        with (folder / table_file(name)).open("w+b") as stream:
            pq.write_table(to_arrow(name, columns), stream, **PARQUET)
            facts = _finish(stream)
        tables[name] = {"rows": len(next(iter(columns.values()))), **facts}
    scenario_file = _write_text(folder / SCENARIO_FILE, result.scenario_text)
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "scenario": result.scenario,
        "seed": result.seed,
        "steps": result.num_steps,
        "step_minutes": result.step_minutes,
        "markets": list(result.market_names),
        "digest": summary["digest"],
        "notes": list(result.notes),
        "inputs": [Input(*each)._asdict() for each in result.inputs],
        "timings_s": result.timings,
        "versions": package_versions(),
        "tables": tables,
        "scenario_file": scenario_file,
        "summary": summary,
    }
    # Last, because a folder is a run folder when it has this file.
    text = json.dumps(seal(record), indent=2, allow_nan=False)
    _write_text(folder / RECORD_FILE, text + "\n")


def to_arrow(table: str, columns: Table) -> pa.Table:
    """Turn a table of `build_tables` into one of Arrow: text as dictionaries, columns described."""
    arrays = {}
    for name, column in columns.items():
        values = np.ascontiguousarray(column)
        if values.dtype.kind == "U":
            arrays[name] = pa.array(values.tolist(), pa.string()).dictionary_encode()
        elif values.dtype.kind == "M":
            arrays[name] = pa.array(values, pa.timestamp("us", tz="UTC"))
        else:
            arrays[name] = pa.array(values)
    fields = []
    for name, array in arrays.items():
        column = describe_column(table, name)
        metadata = {"unit": column.unit, "description": column.text}
        fields.append(pa.field(name, array.type, metadata=metadata))
    return pa.table(arrays, schema=pa.schema(fields))


def _write_text(file: Path, text: str) -> dict[str, Any]:
    with file.open("w+b") as stream:
        stream.write(text.encode())
        return _finish(stream)


def _finish(stream: IO[bytes]) -> dict[str, Any]:
    """Force a file out to the disk and return what the run's record states of it."""
    _flush(stream)
    return {"bytes": stream.tell(), "hash": hash_file(stream)}


def _flush(stream: IO[bytes]) -> None:
    """Force the bytes out now: some file systems report a full disk only then."""
    stream.flush()
    os.fsync(stream.fileno())


def _rename(staging: Path, target: Path, force: bool) -> None:
    if not os.path.lexists(target):
        staging.rename(target)
        return
    # Made or changed meanwhile; `rename` would replace an empty folder.
    names = _check_replaceable(target, force)
    aside = Path(tempfile.mkdtemp(prefix=_staging_prefix(target), dir=target.parent))
    old = aside / target.name
    target.rename(old)
    try:
        staging.rename(target)
    except BaseException:
        old.rename(target)
        aside.rmdir()
        raise
    with contextlib.suppress(OSError):  # the new run is in place, whatever stays of the old
        for name in names:
            (old / name).unlink()
        old.rmdir()
        aside.rmdir()


def _check_replaceable(target: Path, force: bool) -> list[str]:
    """Return the names of the files to be replaced: those a run wrote, and there are no others.

    Raises
    ------
    RunFolderError
        If there is anything else.
    """
    if not os.path.lexists(target):
        return []
    if not target.is_dir():
        msg = f"{target}: exists and is not a folder; choose another name"
        raise RunFolderError(msg)
    if not force:
        msg = f"{target}: already exists; choose another name or add --force to replace it"
        raise RunFolderError(msg)
    there = sorted(target.iterdir())
    if not there:
        return []
    try:
        record = describe(target)
    except RunFolderError as error:
        msg = f"{target}: --force replaces nothing but run folders: {error}"
        raise RunFolderError(msg) from error
    if not is_sealed(record):
        msg = f"{target / RECORD_FILE}: changed since the run was written: --force cannot trust it"
        raise RunFolderError(msg)
    written = {RECORD_FILE, *listed_files(record)}
    for entry in there:
        if entry.name not in written or entry.is_symlink() or not entry.is_file():
            msg = (
                f"{entry}: is not what the run wrote, so --force does not replace {target}: move "
                "it, or choose another name"
            )
            raise RunFolderError(msg)
    return [entry.name for entry in there]


def _resolve(path: str | Path, force: bool) -> Path:
    try:
        given = path_of("path", path)
        target = given.resolve()
        is_link = given.is_symlink()
    except (OSError, RuntimeError, ValueError) as error:
        msg = f"{path}: not a usable path: {error}"
        raise RunFolderError(msg) from error
    if force and is_link:
        msg = f"{given}: is a symbolic link, --force replaces only a folder itself: name {target}"
        raise RunFolderError(msg)
    return target


def _existing_parent(target: Path) -> Path:
    """Return the nearest folder above `target` that exists."""
    parent = target.parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        msg = f"{target}: {parent} is a file, not a folder"
        raise RunFolderError(msg)
    return parent


def _staging_prefix(target: Path) -> str:
    # Short names only: a name near the system's limit must stay writable.
    return f".{target.name[:100]}.partial-{platform.node()[:30]}-{os.getpid()}-"


def _remove_leftovers(target: Path) -> None:
    """Remove what killed runs of this machine left behind while writing this same folder."""
    mark = f".{target.name[:100]}.partial-{platform.node()[:30]}-"
    for folder in target.parent.glob(f"{_escaped(mark)}*"):
        process = folder.name[len(mark) :].partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _escaped(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere `os.kill` would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn what the operating system says into one sentence about the folder."""
    try:
        yield
    except RunFolderError:
        raise
    except OSError as error:
        number = error.errno
        if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            what = "disk full: the run folder was not written"
        elif number in {errno.EACCES, errno.EPERM, errno.EROFS}:
            what = "no permission to write there"
        elif number in {errno.ENOTEMPTY, errno.EEXIST}:
            what = "was made by someone else meanwhile; choose another name"
        else:
            what = f"cannot be written: {error}"
        msg = f"{target}: {what}"
        raise RunFolderError(msg) from error


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found

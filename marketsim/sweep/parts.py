"""The parts of a sweep's store as they are listed: which files count, and what each must hold.

Every driver keeps a list of its parts with the hash of each of their files. A list is replaced
whole, after new files were written and before old ones are removed: whenever a driver is killed,
all files that are listed are there, and a file that is not listed counts for nothing. No driver
writes another's list, and their names differ even where their locks do not reach each other.
"""

import contextlib
import json
from collections.abc import Container, Iterable
from pathlib import Path
from typing import IO, NamedTuple

from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import sweep_identity
from marketsim.tape.files import atomic, is_sealed, open_verified, read_record, seal

#: Folder of the runs' parts and of the lists; parts of what else was kept are in folders beside it.
RUNS = "runs"
#: What to do about a part that is not as it was written.
REMEDY = "`marketsim sweep` with --retry makes its runs again, other commands in a new folder"


class Part(NamedTuple):
    """A part of the store: flushes number first to last of one driver."""

    label: str  #: of the driver
    first: int
    last: int
    hashes: dict[str, str]  #: of its files, by the folder they are in: "runs", "series", "events"

    @property
    def file(self) -> str:
        """Name of its file, in whichever folder."""
        return f"{self.label}.{self.first:07d}-{self.last:07d}.parquet"


def list_file(folder: Path, label: str) -> Path:
    """Return the file with the list of a driver's parts."""
    return folder / RUNS / f"{label}.json"


def write_list(folder: Path, identity: str, label: str, parts: Iterable[Part]) -> None:
    """Replace the list of a driver's parts; the caller holds its lock.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    identity : str
        Of the sweep, as its manifest has it.
    label : str
        Of the driver.
    parts : iterable of Part
        All of their files are on disk.

    Raises
    ------
    FolderError
        If the disk is full; the list is as it was.
    """
    record = {
        "sweep": identity,
        "shard": label,
        "parts": [[part.first, part.last, part.hashes] for part in parts],
    }
    with atomic(list_file(folder, label)) as stream:
        stream.write(json.dumps(seal(record)).encode())


def read_list(folder: Path, identity: str, label: str) -> list[Part]:
    """Read the list of a driver's parts.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    identity : str
        Of the sweep, as its manifest has it.
    label : str
        Of the driver.

    Returns
    -------
    list of Part
        Empty if there is no list yet.

    Raises
    ------
    SweepFolderError
        If it is damaged, another sweep's or another driver's, or missing though there are parts.
    """
    file = list_file(folder, label)
    try:
        record = read_record(file, damaged)
    except FileNotFoundError:
        if label in _labels_of_parts(folder):
            raise damaged(f"{file}: missing, the list of this driver's parts") from None
        return []
    if not is_sealed(record):
        raise damaged(f"{file}: damaged, the list of this driver's parts")
    if (record["sweep"], record["shard"]) != (identity, label):
        raise damaged(f"{file}: not written here but by another sweep, and so are its parts")
    return [Part(label, first, last, hashes) for first, last, hashes in record["parts"]]


def list_labels(folder: Path) -> list[str]:
    """Name the drivers that have parts, or a list of them."""
    lists = (file.stem for file in (folder / RUNS).glob("[!.]*.json"))
    return sorted({*lists, *_labels_of_parts(folder)})


def label_of(name: str) -> str:
    """Return the label of the driver that wrote a part, by the name of its file."""
    return name.rsplit(".", 2)[0]


def _labels_of_parts(folder: Path) -> set[str]:
    return {label_of(file.name) for file in (folder / RUNS).glob("[!.]*.*-*.parquet")}


def live_parts(folder: Path) -> list[Part]:
    """List the parts that count, in order.

    Parameters
    ----------
    folder : Path
        Of the sweep.

    Returns
    -------
    list of Part

    Raises
    ------
    SweepFolderError
        If a list is damaged, missing or another sweep's.
    """
    labels = list_labels(folder)
    identity = sweep_identity(folder) if labels else ""
    return [part for label in labels for part in read_list(folder, identity, label)]


def open_part(folder: Path, name: str, part: Part) -> IO[bytes]:
    """Open a file of a part, verified.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    name : str
        "runs", "series" or "events".
    part : Part
        That has such a file.

    Returns
    -------
    file

    Raises
    ------
    SweepFolderError
        If it is missing, cannot be read, or does not hold what the sweep wrote.
    """
    return open_verified(folder / name / part.file, part.hashes[name], damaged)


def open_parts(
    folder: Path, stack: contextlib.ExitStack, name: str = RUNS, skip: Container[str] = ()
) -> list[IO[bytes]]:
    """Open all parts of one moment, verified; they stay readable when a driver merges them.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    stack : ExitStack
        Closes them.
    name : str, optional
        "runs", "series" or "events".
    skip : container of str, optional
        Names of files that are not wanted.

    Returns
    -------
    list of file

    Raises
    ------
    SweepFolderError
        If a part is missing, cannot be read, or does not hold what the sweep wrote.
    """
    parts = live_parts(folder)
    while True:
        with contextlib.ExitStack() as attempt:
            try:
                files = [
                    attempt.enter_context(open_part(folder, name, part))
                    for part in parts
                    if name in part.hashes and part.file not in skip
                ]
            except SweepFolderError:
                before, parts = parts, live_parts(folder)
                if parts == before:  # not merged into others meanwhile
                    raise
            else:
                stack.push(attempt.pop_all())
                return files


def damaged(sentence: str) -> SweepFolderError:
    """Say what is wrong with a part, and what to do about it."""
    return SweepFolderError(f"{sentence}; {REMEDY}")

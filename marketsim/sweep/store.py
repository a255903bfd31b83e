"""The store: a sweep's runs as parts of Parquet, each complete or not there.

A part covers flushes number first to last of one driver and is named after both; series and events
have parts of the same names. Small parts are merged. What counts is what the driver's list says
(`marketsim.sweep.parts`).
"""

import contextlib
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import (
    RESULT_FILE,
    Manifest,
    open_plan,
    parameter_column,
    sweep_identity,
)
from marketsim.sweep.parts import (
    RUNS,
    Part,
    label_of,
    list_file,
    list_labels,
    open_part,
    open_parts,
    read_list,
    write_list,
)
from marketsim.sweep.plan import KEY_DIGITS, PlannedRun
from marketsim.sweep.repeats import repeated_runs
from marketsim.sweep.worker import Outcome
from marketsim.tape.files import PARQUET, UNFINISHED, atomic, hash_file

#: Parts of one size that are merged into one.
PARTS_MERGED = 16
#: Bytes beyond which a part is not merged any more.
LARGE_PART = 2**28
#: Bytes of a row group in memory, and about what merging takes.
PIECE = 2**21
#: Runs read at a time.
ROWS_READ = 1024


class Store:
    """Writes the runs of one driver.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    manifest : Manifest
    label : str
        Of the driver; the caller holds its `marketsim.sweep.lock.Seat`.
    """

    def __init__(self, folder: Path, manifest: Manifest, label: str) -> None:
        self.folder = folder
        self.manifest = manifest
        self.label = label
        self._rows: list[tuple[PlannedRun, Outcome]] = []
        self.bytes_waiting = 0  #: of series and events that are not written yet
        self._schema = run_schema(folder, manifest)
        self._parts = read_list(folder, manifest.identity, self.label)
        self._list(self._parts)
        self._clear_leftovers()
        self._next = _next_number(self._parts)

    @property
    def num_waiting(self) -> int:
        """Runs that are not written yet."""
        return len(self._rows)

    def add(self, run: PlannedRun, outcome: Outcome) -> None:
        """Take a run in; it is on disk after the next `flush`."""
        self._rows.append((run, outcome))
        self.bytes_waiting += sum(map(len, outcome.kept.values()))

    def flush(self) -> None:
        """Write what waits, as one part.

        Raises
        ------
        FolderError
            If the disk is full; what waits goes on waiting.
        """
        if not self._rows:
            return
        part = Part(self.label, self._next, self._next, {})
        for name in self.manifest.design.keep:
            kept = (outcome.kept[name] for _, outcome in self._rows if name in outcome.kept)
            tables = [table for table in map(_unpack, kept) if table.num_rows]
            if tables:
                schema = pa.unify_schemas([table.schema for table in tables])
                _write(self.folder, name, part, _pieces(tables, schema), schema)
        _write(self.folder, RUNS, part, [self._table()], self._schema)
        self._list([*self._parts, part])
        self._rows.clear()
        self.bytes_waiting = 0
        self._next += 1
        self._merge_small()

    def close(self) -> None:
        """Write what waits and merge what is worth it."""
        self.flush()
        group: list[Part] = []
        size = 0
        for part in list(self._parts):
            more = self._size(part)
            if size + more > LARGE_PART:
                self._merge(group)
                group, size = [], 0
            group.append(part)
            size += more
        self._merge(group)

    def _table(self) -> pa.Table:
        rows, schema = self._rows, self._schema
        columns: dict[str, Any] = {
            "key": [run.key for run, _ in rows],
            "cell": [run.point.cell for run, _ in rows],
            "variant": [run.point.variant for run, _ in rows],
            "replicate": [run.replicate for run, _ in rows],
            "seed": [run.seed for run, _ in rows],
        }
        for place, name in enumerate(self.manifest.design.parameter_names):
            values = (run.point.values[place] for run, _ in rows)
            columns[name] = parameter_column(values, schema.field(name).type)
        figures = np.array([outcome.figures for _, outcome in rows], np.float64)
        figures = figures.reshape(len(rows), len(self.manifest.metrics))
        columns |= dict(zip(self.manifest.metrics, figures.T, strict=True))
        columns["digest"] = [outcome.digest for _, outcome in rows]
        columns["status"] = [outcome.status for _, outcome in rows]
        columns["error"] = [outcome.error for _, outcome in rows]
        columns["wall_s"] = [outcome.wall_s for _, outcome in rows]
        columns["scenario"] = [run.scenario for run, _ in rows]
        return pa.table(columns, schema=schema)

    def _merge_small(self) -> None:
        """Merge sixteen of a kind, and sixteen of those, as flushes pile up."""
        for power in (1, 2):
            length = PARTS_MERGED ** (power - 1)
            tail = self._parts[-PARTS_MERGED:]
            alike = [part for part in tail if part.last - part.first + 1 == length]
            if len(alike) == PARTS_MERGED and sum(map(self._size, tail)) <= LARGE_PART:
                self._merge(tail)

    def _merge(self, parts: Sequence[Part]) -> None:
        if len(parts) < 2:
            return
        merged = Part(self.label, parts[0].first, parts[-1].last, {})
        for name in (*self.manifest.design.keep, RUNS):
            with contextlib.ExitStack() as stack:
                sources = [
                    _parquet(stack.enter_context(open_part(self.folder, name, part)))
                    for part in parts
                    if name in part.hashes
                ]
                if sources:
                    schema = pa.unify_schemas([source.schema_arrow for source in sources])
                    _write(self.folder, name, merged, _pieces(_groups(sources), schema), schema)
        place = self._parts.index(parts[0])
        self._list([*self._parts[:place], merged, *self._parts[place + len(parts) :]])
        _remove(self.folder, parts)

    def _list(self, parts: list[Part]) -> None:
        """Make these the parts that count."""
        write_list(self.folder, self.manifest.identity, self.label, parts)
        self._parts = parts

    def _size(self, part: Part) -> int:
        files = [self.folder / name / part.file for name in part.hashes]
        return sum(file.stat().st_size for file in files if file.exists())  # `_merge` names others

    def _clear_leftovers(self) -> None:
        """Remove what an earlier driver of this label did not finish."""
        live = {part.file for part in self._parts} | {list_file(self.folder, self.label).name}
        for name in (RUNS, *self.manifest.design.keep):
            for file in (self.folder / name).glob(f"*{self.label}.*"):
                staging = file.name.startswith(f".{self.label}.") and file.suffix == UNFINISHED
                stale = file.name.startswith(f"{self.label}.") and file.name not in live
                if staging or stale:
                    file.unlink(missing_ok=True)


def run_schema(folder: Path, manifest: Manifest) -> pa.Schema:
    """Return the columns of a sweep's runs.

    Parameters
    ----------
    folder : Path
        Of the sweep: its plan has the types of the parameters.
    manifest : Manifest

    Returns
    -------
    pyarrow.Schema
    """
    with open_plan(folder, manifest) as stream:
        plan = pq.read_schema(stream)
    fields = [
        ("key", pa.string()),
        ("cell", pa.int64()),
        ("variant", pa.string()),
        ("replicate", pa.int64()),
        ("seed", pa.int64()),
        *((name, plan.field(name).type) for name in manifest.design.parameter_names),
        *((name, pa.float64()) for name in manifest.metrics),
        ("digest", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("wall_s", pa.float64()),
        ("scenario", pa.string()),
    ]
    return pa.schema(fields)


def drop_runs(folder: Path, is_kept: Callable[[pa.Table], pa.Array]) -> None:
    """Take runs out of the store, and all of the parts that are not as they were written.

    Only for who has the whole sweep to himself. A result that was recorded is forgotten with the
    runs it was of.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    is_kept : callable
        Says of a table of runs which of them stay.

    Raises
    ------
    FolderError
        If the disk is full; the store is as it was, or without some of these runs already.
    """
    identity = sweep_identity(folder)
    for label in list_labels(folder):
        try:
            parts = read_list(folder, identity, label)
        except SweepFolderError:  # without its list no part can be believed
            list_file(folder, label).unlink(missing_ok=True)
            for file in folder.glob(f"*/{label}.*.parquet"):
                if label_of(file.name) == label:
                    file.unlink()
            continue
        after: list[Part] = []
        for part in parts:
            found = _verified(folder, part)
            if found is None:
                continue
            good = found.filter(is_kept(found))
            if good.num_rows == found.num_rows:
                after.append(part)
                continue
            (folder / RESULT_FILE).unlink(missing_ok=True)
            if good.num_rows:
                after.append(_replace(folder, part, good, _next_number([*parts, *after])))
        if after != parts:
            after.sort(key=lambda part: part.first)
            write_list(folder, identity, label, after)
            _remove(folder, [part for part in parts if part not in after])


def _verified(folder: Path, part: Part) -> pa.Table | None:
    """Return the runs of a part; None if one of its files is not as it was written."""
    try:
        for name in part.hashes:
            open_part(folder, name, part).close()
        with open_part(folder, RUNS, part) as stream:
            return _parquet(stream).read()
    except SweepFolderError:
        return None


def _replace(folder: Path, part: Part, runs: pa.Table, number: int) -> Part:
    """Write other runs of a part under a new number, with all else that it has."""
    new = Part(part.label, number, number, {})
    for name in part.hashes.keys() - {RUNS}:
        with open_part(folder, name, part) as source, atomic(folder / name / new.file) as stream:
            shutil.copyfileobj(source, stream)
        new.hashes[name] = part.hashes[name]
    _write(folder, RUNS, new, [runs], runs.schema)
    return new


def _next_number(parts: Iterable[Part]) -> int:
    return max((part.last + 1 for part in parts), default=0)


def _remove(folder: Path, parts: Iterable[Part]) -> None:
    for part in parts:
        for name in part.hashes:
            (folder / name / part.file).unlink(missing_ok=True)


def read_runs(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read the runs that are stored, each once, some at a time, as they are at this moment.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    columns : sequence of str, optional
        All by default.

    Yields
    ------
    pyarrow.Table

    Raises
    ------
    SweepFolderError
        If a part is missing, or does not hold what the sweep wrote.
    """
    with contextlib.ExitStack() as stack:
        files = open_parts(folder, stack)
        repeated = repeated_runs(files)
        for file in files:
            source, again = _parquet(file), repeated.get(Path(file.name).name)
            names = source.schema_arrow.names if columns is None else list(columns)
            read = names if again is None else list({*names, "key"})
            for batch in source.iter_batches(ROWS_READ, columns=read, use_threads=False):
                table = pa.Table.from_batches([batch])
                if again is not None:
                    table = table.filter(pc.invert(pc.is_in(table["key"], again))).select(names)
                yield table


def stored_keys(folder: Path, known: dict[str, Any] | None = None) -> Any:
    """Return the keys of all runs that are stored.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    known : dict, optional
        Keys by the name of their part, as earlier calls have left it: what is there is not read
        again, and what is new is added.

    Returns
    -------
    ndarray
        (runs,) of ASCII; those of parts that were merged since come twice.
    """
    known = {} if known is None else known
    with contextlib.ExitStack() as stack:
        for file in open_parts(folder, stack, skip=known):
            keys = _parquet(file).read(["key"], use_threads=False)["key"].to_pylist()
            known[Path(file.name).name] = np.array(keys, f"S{KEY_DIGITS}")
    return np.concatenate([np.empty(0, f"S{KEY_DIGITS}"), *known.values()])


def _write(
    folder: Path, name: str, part: Part, tables: Iterable[pa.Table], schema: pa.Schema
) -> None:
    """Write a file of a part: its runs, series or events; the part notes its hash."""
    with atomic(folder / name / part.file) as stream:
        with pq.ParquetWriter(stream, schema, **PARQUET, **_encoding(schema)) as writer:
            for table in tables:
                writer.write_table(table)
        part.hashes[name] = hash_file(stream)


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Split the bytes of floats and list texts once: what packs best."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    texts = [field.name for field in schema if field.name not in floats]
    return {"use_byte_stream_split": floats, "use_dictionary": texts}


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a table the columns of a schema that it has not, empty."""
    if table.schema.equals(schema):
        return table
    both = pa.concat_tables([schema.empty_table(), table], promote_options="default")
    return both.select(schema.names)


def _parquet(stream: IO[bytes]) -> pq.ParquetFile:
    return pq.ParquetFile(stream, page_checksum_verification=True)


def _unpack(data: bytes) -> pa.Table:
    return _parquet(io.BytesIO(data)).read()


def _groups(sources: Iterable[pq.ParquetFile]) -> Iterator[pa.Table]:
    """Read files one after the other, a row group at a time."""
    for source in sources:
        for group in range(source.num_row_groups):
            yield source.read_row_group(group, use_threads=False)


def _pieces(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Put small tables together into pieces of a bounded size: the row groups of a file."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        waiting.append(_fit(table, schema))
        size += table.nbytes
        if size >= PIECE:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()

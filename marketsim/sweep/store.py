"""The store: a sweep's runs as parts of Parquet, each complete or not there.

A part covers flushes number first to last of one shard and is named after them. Small parts are
merged; a part whose numbers lie within another's has been merged into it and counts no more, so
that a driver killed between writing the one and removing the others leaves nothing twice. Series
and events have parts of the same names, written before those of the runs, which alone say what is
there.
"""

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from marketsim.results.files import atomic
from marketsim.sweep.lock import Shard, SweepFolderError
from marketsim.sweep.manifest import PLAN_FILE, Manifest, parameter_column
from marketsim.sweep.plan import KEY_DIGITS, PlannedRun
from marketsim.sweep.worker import OK, Outcome

#: Folder of the runs' parts; those of what else was kept are beside it.
RUNS = "runs"
#: Parts of one size that are merged into one.
PARTS_MERGED = 16
#: Bytes beyond which a part is not merged any more.
LARGE_PART = 2**28
#: Bytes of a row group in memory, and about what merging takes.
PIECE = 2**21
#: Runs read at a time.
ROWS_READ = 1024


class Part(NamedTuple):
    """A part by its name."""

    label: str  #: of the shard
    first: int
    last: int

    @property
    def file(self) -> str:
        """Name of its file, in whichever folder."""
        return f"{self.label}.{self.first:07d}-{self.last:07d}.parquet"


class Store:
    """Writes the runs of one shard; the caller holds its lock.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    manifest : Manifest
    shard : Shard
    """

    def __init__(self, folder: Path, manifest: Manifest, shard: Shard) -> None:
        self.folder = folder
        self.manifest = manifest
        self.label = shard.label
        self._rows: list[tuple[PlannedRun, Outcome]] = []
        self.bytes_waiting = 0  #: of series and events that are not written yet
        self._schema = run_schema(folder, manifest)
        self._clear_leftovers()
        own = [part for part in live_parts(folder) if part.label == self.label]
        self._parts = own
        self._next = max((part.last + 1 for part in own), default=0)

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
        SweepFolderError
            If the disk is full; what waits goes on waiting.
        """
        if not self._rows:
            return
        part = Part(self.label, self._next, self._next)
        for name in self.manifest.design.keep:
            kept = (outcome.kept[name] for _, outcome in self._rows if name in outcome.kept)
            tables = [table for table in map(_unpack, kept) if table.num_rows]
            if tables:
                schema = pa.unify_schemas([table.schema for table in tables])
                _write(self.folder, name, part, _pieces(tables, schema), schema)
        _write(self.folder, RUNS, part, [self._table()], self._schema)
        self._rows.clear()
        self.bytes_waiting = 0
        self._parts.append(part)
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
        merged = Part(self.label, parts[0].first, parts[-1].last)
        for name in (*self.manifest.design.keep, RUNS):
            files = [self.folder / name / part.file for part in parts]
            sources = [pq.ParquetFile(file) for file in files if file.exists()]
            if sources:
                schema = pa.unify_schemas([source.schema_arrow for source in sources])
                _write(self.folder, name, merged, _pieces(_groups(sources), schema), schema)
        place = self._parts.index(parts[0])
        self._parts[place : place + len(parts)] = [merged]
        self._remove(parts)

    def _remove(self, parts: Iterable[Part]) -> None:
        for part in parts:
            for name in (RUNS, *self.manifest.design.keep):
                (self.folder / name / part.file).unlink(missing_ok=True)

    def _size(self, part: Part) -> int:
        files = [self.folder / name / part.file for name in (RUNS, *self.manifest.design.keep)]
        return sum(file.stat().st_size for file in files if file.exists())

    def _clear_leftovers(self) -> None:
        """Remove what a killed driver of this shard did not finish."""
        live = {part.file for part in live_parts(self.folder)}
        for name in (RUNS, *self.manifest.design.keep):
            for file in (self.folder / name).glob(f"*{self.label}.*"):
                staging = file.name.startswith(f".{self.label}.") and file.suffix == ".tmp"
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
    plan = pq.read_schema(folder / PLAN_FILE)
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


def drop_failed(folder: Path) -> None:
    """Take the runs that failed out of all parts; only for who has the whole sweep to himself.

    Parameters
    ----------
    folder : Path
        Of the sweep.

    Raises
    ------
    SweepFolderError
    """
    for part in live_parts(folder):
        table = pq.read_table(folder / RUNS / part.file)
        good = table.filter(pc.equal(table["status"], OK))
        if good.num_rows < table.num_rows:
            _write(folder, RUNS, part, [good], good.schema)


def live_parts(folder: Path) -> list[Part]:
    """List the parts that count, in order.

    Parameters
    ----------
    folder : Path
        Of the sweep.

    Returns
    -------
    list of Part
    """
    pattern = re.compile(r"(\d+-of-\d+)\.(\d+)-(\d+)\.parquet")
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in (folder / RUNS).iterdir():
            name = pattern.fullmatch(entry.name)
            if name is not None:
                found.append(Part(name[1], int(name[2]), int(name[3])))
    found.sort(key=lambda part: (part.label, part.first, -part.last))
    live: list[Part] = []
    for part in found:
        above = live[-1] if live else None
        if above is None or above.label != part.label or part.last > above.last:
            live.append(part)
    return live


def read_runs(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read the runs that are stored, some at a time, as they are at this moment.

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
        If a part is damaged.
    """
    with contextlib.ExitStack() as stack:
        files = open_parts(folder, stack)
        for file in files:
            try:
                source = pq.ParquetFile(file)
                wanted = None if columns is None else list(columns)
                for batch in source.iter_batches(ROWS_READ, columns=wanted, use_threads=False):
                    yield pa.Table.from_batches([batch])
            except (OSError, pa.ArrowInvalid) as error:
                msg = f"{file.name}: cannot be read, the sweep's folder is damaged: {error}"
                raise SweepFolderError(msg) from error


def open_parts(folder: Path, stack: contextlib.ExitStack, name: str = RUNS) -> list[IO[bytes]]:
    """Open all parts of one moment; they stay readable when a driver merges them meanwhile.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    stack : ExitStack
        Closes them.
    name : str, optional
        "runs", "series" or "events".

    Returns
    -------
    list of file
    """
    while True:
        with contextlib.ExitStack() as attempt:
            files: list[IO[bytes]] = []
            for part in live_parts(folder):
                path = folder / name / part.file
                if name != RUNS and not path.exists() and (folder / RUNS / part.file).exists():
                    continue  # none of its runs has any
                try:
                    files.append(attempt.enter_context(path.open("rb")))
                except FileNotFoundError:  # merged into another since it was listed
                    break
            else:
                stack.push(attempt.pop_all())
                return files


def stored_keys(folder: Path) -> Any:
    """Return the keys of all runs that are stored.

    Parameters
    ----------
    folder : Path
        Of the sweep.

    Returns
    -------
    ndarray
        (runs,) of ASCII.
    """
    tables = read_runs(folder, ["key"])
    found = [np.array(table["key"].to_pylist(), f"S{KEY_DIGITS}") for table in tables]
    return np.concatenate(found) if found else np.empty(0, f"S{KEY_DIGITS}")


def _write(
    folder: Path, name: str, part: Part, tables: Iterable[pa.Table], schema: pa.Schema
) -> None:
    """Write a part of the runs, series or events."""
    options = {"compression": "zstd", **_encoding(schema)}
    with (
        atomic(folder / name / part.file) as stream,
        pq.ParquetWriter(stream, schema, **options) as writer,
    ):
        for table in tables:
            writer.write_table(table)


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


def _unpack(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def _groups(sources: Iterable[pq.ParquetFile]) -> Iterator[pa.Table]:
    """Read files one after the other, a row group at a time."""
    for source in sources:
        with source:
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

"""The one way into a file of prices or rates: whatever it is, out comes a `Table`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from marketsim.scenario.json_table import read_json
from marketsim.scenario.spot_model import Reading
from marketsim.scenario.table_file import SAMPLE_ROWS, Table, rows_as_lines
from marketsim.scenario.text_table import read_text
from marketsim.scenario.unpacking import (
    ARROW,
    ARROW_STREAM,
    FEATHER_1,
    PARQUET,
    Packed,
    open_packed,
)


@contextmanager
def open_table(
    path: Path, what: str, reading: Reading, option: str, named_by: str
) -> Iterator[Table]:
    """Open a file and understand it as a table; its rows are read while it is open.

    Parameters
    ----------
    path : Path
    what : str
        What it is as an input, see `marketsim.scenario.inputs`.
    reading : Reading
        What the user states of it.
    option : str
        Where that is stated, for errors: "spot.history".
    named_by : str
        The option that names the file, for errors.

    Yields
    ------
    Table

    Raises
    ------
    HistoryError
        If it is no table; the message says what it is and what to do.
    """
    with open_packed(path, what, named_by) as packed:
        head = packed.head()
        packing = "".join(f", {name}" for name in reversed(packed.packings))
        if head.startswith((PARQUET, ARROW, FEATHER_1, ARROW_STREAM)):
            yield _read_typed(packed, head, packing)
        elif head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{"):
            yield read_json(packed, packing, reading, option)
        else:
            yield read_text(packed, head, packing, reading, option)


def _read_typed(packed: Packed, head: bytes, packing: str) -> Table:
    """Open Parquet or Arrow, which say themselves what their columns are."""
    is_parquet = head.startswith(PARQUET)

    def batches(columns: Sequence[int] | None) -> Iterator[Any]:
        stream = packed.open()
        if is_parquet:
            file = pq.ParquetFile(pa.PythonFile(stream, "r"))
            names = None if columns is None else [file.schema_arrow.names[n] for n in columns]
            yield from file.iter_batches(SAMPLE_ROWS * 200, columns=names, use_threads=False)
        elif head.startswith(FEATHER_1):
            yield from pa.feather.read_table(pa.PythonFile(stream, "r")).to_batches()
        elif head.startswith(ARROW):
            file = pa.ipc.open_file(pa.PythonFile(stream, "r"))
            yield from (file.get_batch(n) for n in range(file.num_record_batches))
        else:
            yield from pa.ipc.open_stream(pa.PythonFile(stream, "r"))

    first = next(batches(None), None)
    names: list[str] = [] if first is None else list(first.schema.names)

    def read(places: Sequence[int], rows: int) -> Iterator[pd.DataFrame]:
        start = 0
        wanted = [names[n] for n in places]
        # columns of one name cannot be asked for one by one
        chosen = places if len(set(names)) == len(names) else None
        for batch in batches(chosen):
            for offset in range(0, max(batch.num_rows, 1), rows):
                part = batch.slice(offset, rows)
                at = [part.schema.names.index(name) for name in wanted]
                frame = pd.DataFrame(
                    {n: part.column(k).to_pandas() for n, k in zip(places, at, strict=True)}
                )
                frame.index = pd.RangeIndex(start, start + len(frame))
                start += len(frame)
                yield frame

    if first is None:
        sample = pd.DataFrame()
    else:
        sample = next(read(range(len(names)), SAMPLE_ROWS))
    return Table(
        path=packed.path,
        what=("Parquet" if is_parquet else "Arrow (feather)") + packing,
        columns=tuple(names),
        is_named=True,
        sample=sample,
        read=read,
        head=rows_as_lines(names, sample),
    )

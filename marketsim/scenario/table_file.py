"""A table from a file: its columns by place, read chunk by chunk, and how it was understood."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

#: Rows read at a time, and rows looked at before a file is read.
CHUNK_ROWS, SAMPLE_ROWS = 200_000, 1000
#: Cells and characters of a line that an error shows.
SHOWN_LINES, SHOWN_WIDTH = 4, 120

#: Given the places of some columns and a number of rows, goes through so many at a time; the index
#: counts rows from 0.
ReadColumns = Callable[[Sequence[int], int], Iterator[pd.DataFrame]]


@dataclass(frozen=True, eq=False)
class Table:
    """What a file holds, before it is known what its columns mean."""

    path: Path
    what: str  #: "CSV", "JSON", "Parquet" or "Arrow", and how it is packed and separated
    columns: tuple[str, ...]  #: their names; two may be alike
    is_named: bool  #: whether the names are the file's, not guessed or counted
    sample: Any  #: first rows, a DataFrame whose columns are places
    read: ReadColumns
    head: tuple[str, ...]  #: first lines of the file as they were read
    separator: str = ","
    skipped: int = 0  #: lines above the header or the first row
    asset: str | None = None  #: the one all columns are of, where the header says so
    marks: str | None = None  #: what its times mark, where the kind of file says so
    notes: tuple[str, ...] = ()  #: what was guessed

    def place(self, name: str) -> int | None:
        """Return the place of a column, None unless there is exactly one of this name."""
        places = self.places(name)
        return places[0] if len(places) == 1 else None

    def places(self, name: str) -> list[int]:
        """Return the places of all columns of a name."""
        return [n for n, column in enumerate(self.columns) if column == name]

    def texts(self, place: int) -> list[str]:
        """Return what a column holds in the first rows, as text, without what is missing."""
        return [str(value).strip() for value in self.sample[place].dropna().tolist()]


def show_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the first lines of a file, shortened for an error."""
    shown = [line for line in lines if line.strip()][:SHOWN_LINES]
    return tuple(
        line if len(line) <= SHOWN_WIDTH else f"{line[: SHOWN_WIDTH - 3]}..." for line in shown
    )


def rows_as_lines(columns: Sequence[str], rows: Any) -> tuple[str, ...]:
    """Write the header and the first rows of a typed table as lines."""
    lines = [", ".join(columns)]
    lines += [", ".join(map(str, row)) for row in rows.head(SHOWN_LINES).itertuples(index=False)]
    return show_lines(lines)

"""JSON of exchanges as a table: lists of lists or of objects, objects of lists."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from marketsim.scenario.row_names import guess_names
from marketsim.scenario.spot_model import Reading
from marketsim.scenario.table_file import SAMPLE_ROWS, Table, show_lines
from marketsim.scenario.timestamps import are_times
from marketsim.scenario.unpacking import HistoryError, Packed

#: Fields that hold the table where an answer has several lists, the likelier first.
LISTS = ("prices", "ohlc", "candles", "ohlcv", "result", "data", "list", "rows")


def read_json(packed: Packed, packing: str, reading: Reading, option: str) -> Table:
    """Understand a JSON file as a table; it is read whole.

    Parameters
    ----------
    packed : Packed
    packing : str
        How it is packed, in words.
    reading : Reading
        What the user states of it.
    option : str
        Where that is stated, for the error.

    Returns
    -------
    Table

    Raises
    ------
    HistoryError
        If it holds no list of rows.
    """
    content = packed.open().read().decode("utf-8-sig")
    head = show_lines([content[:120]])
    found = list(_tables(_parse(packed, content, head), ()))
    if not found:
        fix = "it must hold a list of rows, as [[time, open, high, low, close], ...]"
        raise HistoryError(f"{packed.path}: a JSON file without a table; {fix}", head)
    ranked = sorted(found, key=lambda each: _rank(each[0]))
    if len(ranked) > 1 and _rank(ranked[0][0]) == _rank(ranked[1][0]):
        places = ", ".join(".".join(path) or "the whole" for path, _ in ranked[:4])
        msg = f"{packed.path}: a JSON file with several tables ({places}); keep one of them"
        raise HistoryError(msg, head)
    path, rows = ranked[0]
    table, names = _columns(rows)
    notes = [f"the list '{'.'.join(path)}' of the file"] if path else []
    frame = _as_text(table)
    is_named = names is not None
    marks = None
    if path and path[-1] == "prices" and names is None and frame.shape[1] == 2:
        names, is_named, marks = ["time", "price"], True, "moment"  # as CoinGecko has them
    if reading.names is not None:
        if len(reading.names) != frame.shape[1]:
            held = f"the rows {frame.shape[1]}"
            msg = f"{packed.path}: {option}.names has {len(reading.names)} names, {held}"
            raise HistoryError(msg, head)
        names, is_named = list(reading.names), True
    elif names is None:
        guessed, guess = guess_names(frame.head(SAMPLE_ROWS))
        names = list(guessed)
        notes.append(f"rows without names{': ' + guess if guess else ''}")

    def read(places: Sequence[int], rows: int) -> Iterator[pd.DataFrame]:
        for start in range(0, max(len(frame), 1), rows):
            yield frame.iloc[start : start + rows][list(places)]

    return Table(
        path=packed.path,
        what=f"JSON{packing}",
        columns=tuple(names),
        is_named=is_named,
        sample=frame.head(SAMPLE_ROWS),
        read=read,
        head=head,
        marks=marks,
        notes=tuple(notes),
    )


def _parse(packed: Packed, content: str, head: Sequence[str]) -> Any:
    """Read one JSON value, or one on each line."""
    try:
        return json.loads(content)
    except (json.JSONDecodeError, RecursionError) as problem:
        try:
            return [json.loads(line) for line in content.splitlines() if line.strip()]
        except (json.JSONDecodeError, RecursionError):
            msg = f"{packed.path}: begins like a JSON file, but is none: {problem}; write it as CSV"
            raise HistoryError(msg, head) from None


def _rank(path: tuple[str, ...]) -> int:
    return next((n for n, name in enumerate(LISTS) if path and path[-1] == name), len(LISTS))


def _tables(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Go through everything in a JSON value that may be a table, with its path."""
    if isinstance(value, list):
        if value and all(isinstance(row, list) and len(row) > 1 for row in value):
            yield path, value
        elif value and all(isinstance(row, dict) for row in value):
            inner = [found for row in value[:1] for found in _tables(row, path)]
            yield from inner if inner and len(value) == 1 else [(path, value)]
    elif isinstance(value, dict) and value:
        cells = list(value.values())
        columns = {name: cell for name, cell in value.items() if _is_column(cell)}
        if len(columns) > 1 and len({len(cell) for cell in columns.values()}) == 1:
            yield path, columns
        elif len(value) > 1 and are_times(list(map(str, value))):
            yield path, [[time, cell] for time, cell in value.items()]
        elif all(isinstance(cell, dict) for cell in cells) and _is_by_row(cells):
            yield path, {name: list(cell.values()) for name, cell in value.items()}
        else:
            for name, cell in value.items():
                yield from _tables(cell, (*path, str(name)))


def _is_column(cell: Any) -> bool:
    return isinstance(cell, list) and bool(cell) and not isinstance(cell[0], list | dict)


def _is_by_row(cells: Sequence[dict[str, Any]]) -> bool:
    """Tell whether objects are columns, each with a value for every row: as pandas writes them."""
    keys = list(cells[0])
    return bool(keys) and all(key.isdigit() for key in keys) and all(list(c) == keys for c in cells)


def _columns(rows: Any) -> tuple[Any, list[str] | None]:
    """Return a table and the names of its columns, None where the rows are plain lists."""
    if isinstance(rows, dict):
        return pd.DataFrame(rows, dtype=object), list(rows)
    if isinstance(rows[0], dict):
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pd.DataFrame(
            [[row.get(name) for name in names] for row in rows], dtype=object
        ), names
    if isinstance(rows[0][1], dict):  # objects by their time
        inner = list(dict.fromkeys(name for _, row in rows for name in row))
        table = [[time, *(row.get(name) for name in inner)] for time, row in rows]
        return pd.DataFrame(table, dtype=object), ["time", *inner]
    return pd.DataFrame(rows, dtype=object), None


def _as_text(table: Any) -> Any:
    """Return cells as text, as those of a CSV are: the digits that the file has."""
    columns = {
        place: pd.Series(
            [None if pd.isna(cell) else str(cell) for cell in table[name]],
            dtype="str",
        )
        for place, name in enumerate(table.columns)
    }
    return pd.DataFrame(columns)

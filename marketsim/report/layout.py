"""Tables laid out: for a terminal, as Markdown, CSV and JSON."""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from marketsim.report.numbers import interval, number
from marketsim.tape.files import atomic

if TYPE_CHECKING:
    import pandas as pd


def new_table(*headers: str, left: int = 1) -> Table:
    """Open a table without lines; the first `left` columns are words, the rest numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for n, header in enumerate(headers):
        justify: Any = "left" if n < left else "right"
        table.add_column(header, justify=justify, no_wrap=True)
    return table


def titled_table(
    title: str, columns: Iterable[str], *, width: int = 14, is_dense: bool = True
) -> Table:
    """Open a table of numbers under a title, without lines.

    Parameters
    ----------
    title : str
    columns : iterable of str
        Headers of the numbers; the column before them holds names.
    width : int, optional
        Longest name that is written whole.
    is_dense : bool, optional
        One space between columns instead of two; else the table is as wide as its title.
    """
    table = Table(
        box=None,
        pad_edge=False,
        collapse_padding=is_dense,
        min_width=None if is_dense else len(title),
        title=title,
        title_justify="left",
    )
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=width)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def with_intervals(table: "pd.DataFrame") -> "pd.DataFrame":
    """Put a table's columns ``value`` (or ``difference``), ``low`` and ``high`` into one of text.

    Parameters
    ----------
    table : pandas.DataFrame

    Returns
    -------
    pandas.DataFrame
        Of text.
    """
    name = "difference" if "difference" in table else "value"
    is_difference = name == "difference"
    scale = table[["base", "twin"]].abs().max(axis=1) if is_difference else [0.0] * len(table)
    ends = zip(table[name], table["low"], table["high"], scale, strict=True)
    texts = [interval(*each, scale=beside) for *each, beside in ends]
    shown = table.drop(columns=["low", "high"]).astype(object)
    shown[name] = texts
    return shown.map(number)


class DottedName:
    """A name that folds at its dots where there is no room for the whole."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for part in re.findall(r"[^.]*\.?", self.name):
            if lines[-1] and len(lines[-1] + part) > options.max_width:
                lines.append("")
            lines[-1] += part
        yield Text("\n".join(lines), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(map(len, re.findall(r"[^.]*\.?", self.name)))
        return Measurement(longest, len(self.name)).with_maximum(options.max_width)


def to_rich(table: "pd.DataFrame", title: str, *, names: Sequence[str]) -> Table:
    """Lay a table out for a terminal.

    Parameters
    ----------
    table : pandas.DataFrame
        Of text.
    title : str
    names : sequence of str
        Columns that hold names: to the left, the others to the right.

    Returns
    -------
    rich.table.Table
    """
    shown = Table(
        box=None, pad_edge=False, collapse_padding=True, title=title, title_justify="left"
    )
    for column in table:
        is_name = column in names
        shown.add_column(
            str(column),
            justify="left" if is_name else "right",
            overflow="fold",
            no_wrap=not is_name,
        )
    for row in table.itertuples(index=False):
        shown.add_row(
            *(
                DottedName(str(value)) if column in names else Text(str(value))
                for column, value in zip(table, row, strict=True)
            )
        )
    return shown


def to_markdown(table: "pd.DataFrame") -> str:
    """Write a table of text as Markdown.

    Parameters
    ----------
    table : pandas.DataFrame

    Returns
    -------
    str
    """

    def line(cells: Iterable[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "---|" * len(table.columns)
    rows = (line(row) for row in table.itertuples(index=False))
    return "\n".join([line(table.columns), rule, *rows]) + "\n"


def aligned(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lay rows out as lines: numbers to six digits and to the right, texts to the left.

    Examples
    --------
    >>> aligned(["who", "usd"], [("crowd", 1234.5678), ("fund", None)])
    ['who        usd', 'crowd  1234.57', 'fund         -']
    """
    texts = [columns, *([_written(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    is_text = [any(isinstance(row[j], str) for row in rows) for j in range(len(columns))]
    return [
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, is_text, strict=True)
        ).rstrip()
        for line in texts
    ]


def _written(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def json_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Turn rows into objects that JSON can hold; NaN and infinity become None.

    Parameters
    ----------
    columns : sequence of str
    rows : iterable of sequence

    Returns
    -------
    list of dict
    """
    return [dict(zip(columns, map(_plain, row), strict=True)) for row in rows]


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Turn a table into objects that JSON can hold, as `json_rows` does."""
    rows = table.astype(object).itertuples(index=False, name=None)
    return json_rows([str(name) for name in table], rows)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value


def write_csv(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as CSV, every digit of it; the file appears complete or not at all.

    Parameters
    ----------
    table : pandas.DataFrame
    path : Path
    """
    write_text(table.to_csv(index=False), path)


def write_text(text: str, path: Path) -> None:
    """Write a text file that appears complete or not at all.

    Parameters
    ----------
    text : str
    path : Path
    """
    with atomic(path) as stream:
        stream.write(text.encode())

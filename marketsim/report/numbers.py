"""Tables of numbers as text: for a terminal, for Markdown and as CSV."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from marketsim.results.files import atomic

if TYPE_CHECKING:
    import pandas as pd


#: Units of large numbers.
UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
#: Tables of a scenario whose entries have names of their own.
CONTAINERS = ("populations", "parameters", "markets")


def number(value: Any, digits: int = 4) -> str:
    """Write a value in a few digits, a large one in thousands (k), millions (M), billions (B).

    What does not exist is "-".

    Examples
    --------
    >>> number(0.123456), number(1234567.8), number(float("nan")), number("cross")
    ('0.1235', '1.235M', '-', 'cross')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | np.bool) or not isinstance(value, int | float | np.number):
        return str(value)
    plain = float(value)
    for unit, name in UNITS:
        if unit <= abs(plain) < math.inf:
            return f"{plain / unit:.{digits}g}{name}"
    return f"{plain:.{digits}g}"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Shorten paths of a scenario: without the tables that all have, and to the last two parts.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    dict of str
        The short name of each; a path whose short name another has stays as it is.

    Examples
    --------
    >>> list(short_names(["populations.crowd.parameters.phi", "venue.funding.cap"]).values())
    ['crowd.phi', 'funding.cap']
    """
    short = {}
    for name in names:
        parts = [part for part in name.split(".") if part not in CONTAINERS]
        short[name] = ".".join(parts[-2:])
    found = list(short.values())
    return {name: each if found.count(each) == 1 else name for name, each in short.items()}


def interval(value: float, low: float, high: float, digits: int = 4) -> str:
    """Write an estimate with its interval.

    Examples
    --------
    >>> interval(0.25, 0.2, 0.3)
    '0.25 [0.2, 0.3]'
    """
    if math.isnan(low) or math.isnan(high):
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


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
    texts = [interval(*ends) for ends in zip(table[name], table["low"], table["high"], strict=True)]
    shown = table.drop(columns=["low", "high"]).astype(object)
    shown[name] = texts
    return shown.map(number)


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
        shown.add_row(*(Text(str(value)) for value in row))
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


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Turn a table into rows that JSON can hold; what does not exist is None, as is infinity.

    Parameters
    ----------
    table : pandas.DataFrame

    Returns
    -------
    list of dict
    """
    plain = table.astype(object).to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in plain]


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

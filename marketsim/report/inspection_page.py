"""How a file of prices or rates was understood, for a terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.report.layout import new_table
from marketsim.report.numbers import price
from marketsim.scenario.inspection import Inspection, Series
from marketsim.scenario.wording import shortened, visible

#: Longest cell.
WIDTH = 32


def render_inspection(found: Inspection) -> Group:
    """Lay out what was understood; the scenario to paste is not part of it.

    Parameters
    ----------
    found : Inspection

    Returns
    -------
    rich.console.Group
    """
    return Group(*_parts(found))


def _parts(found: Inspection) -> Iterator[RenderableType]:
    head = f"  {found.what}; {found.holds}, {found.rows:,} rows\n"
    yield Text.assemble((_cell(found.path, 200), "bold"), head)
    columns = new_table("column", "taken for", "first row says", left=3)
    for name, role, text in found.columns:
        style = "dim" if role == "not used" else ""
        columns.add_row(_cell(name) or "(no name)", role, _cell(text), style=style)
    yield columns
    yield Text.assemble("\n", ("times", "bold"), f"  {found.times}")
    for series in found.series:
        yield _series(found, series)
        yield _rows(found, series)
    if found.notes:
        yield Text("\nunderstood so (state it where it is wrong):", "bold")
        yield from (Text(f"  {visible(note)}") for note in found.notes)


def _series(found: Inspection, series: Series) -> Text:
    symbol = f" ({_cell(series.symbol)} in the file)" if series.symbol else ""
    gaps = "no gaps"
    if series.gaps:
        longest = f"the longest {series.longest_gap_hours:.4g} h"
        gaps = f"{series.gaps} gap{'s' * (series.gaps > 1)}, {longest}"
    held = f"{_value(found, series.low)} to {_value(found, series.high)}"
    about = f"{symbol}  {series.count:,} rows, {series.length}, {gaps}; {held}"
    return Text.assemble("\n", (series.market, "bold"), about)


def _rows(found: Inspection, series: Series) -> Table:
    if found.holds != "prices":
        headers = ["paid at", "rate"]
    elif all(row.time == row.until for row in series.rows):
        headers = ["at", "price"]
    else:
        headers = ["from", "to", "close"]
    rows = new_table("row", *headers, left=0)
    for n, row in enumerate(series.rows):
        if n == len(series.rows) // 2 and series.count > len(series.rows):
            rows.add_row("...")
        cells = [row.time, row.until][: len(headers) - 1]
        rows.add_row(str(row.number), *cells, _value(found, row.value))
    return rows


def _value(found: Inspection, value: float) -> str:
    return price(value) if found.holds == "prices" else f"{100 * value:.5g} %"


def _cell(text: str, width: int = WIDTH) -> str:
    return shortened(visible(text), width)

"""A run's figures beside their bands and real markets, for a terminal."""

import math
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketsim.report.numbers import fixed
from marketsim.study.observed import Observed
from marketsim.study.validation import Check

#: More markets than this get a column for the lowest and the highest instead of one each.
MAX_COLUMNS = 4


def render_validation(observed: Observed, checks: Sequence[Check]) -> Group:
    """Lay checks out, those without a band apart.

    Parameters
    ----------
    observed : Observed
    checks : sequence of Check

    Returns
    -------
    rich.console.Group
    """
    decided = sum(check.passed is not None for check in checks)
    failed = sum(check.passed is False for check in checks)
    head = Text.assemble(
        (observed.scenario, "bold"),
        f"  seed {observed.seed}, {observed.days:g} days\n"
        "r: hourly log return of the mark price; premium: mid over index, less one",
    )
    verdict = Text(
        f"{decided - failed} of {decided} bands hold; a band is for the mean of the markets",
        "bold red" if failed else "bold green",
    )
    return Group(head, _table(observed.market_names, checks), verdict)


def _table(names: Sequence[str], checks: Sequence[Check]) -> Table:
    columns = names if len(names) <= MAX_COLUMNS else ("lowest", "highest")
    has_real = any(check.real for check in checks)
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True, overflow="ellipsis", max_width=8)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("band", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    if has_real:
        table.add_column("real p10 / 50 / 90", justify="right", no_wrap=True)
    was_decided = True
    for check in checks:
        if was_decided and check.passed is None:
            table.add_section()
            table.add_row(Text("for information", style="dim"))
        was_decided = check.passed is not None
        cells = [_show(check, value) for value in _cells(check, columns)]
        verdict = {True: Text("ok", "green"), False: Text("FAIL", "bold red"), None: Text("")}
        row = [check.figure.title, *cells, _show(check, check.value), _band(check)]
        real = " / ".join(_show(check, value) for value in check.real) if check.real else ""
        table.add_row(*row, verdict[check.passed], *([real] if has_real else []))
    return table


def _cells(check: Check, columns: Sequence[str]) -> list[float | None]:
    values = check.markets
    if not values:
        return [None] * len(columns)
    if set(columns) == set(values):
        return [values[name] for name in columns]
    return [min(values.values()), max(values.values())]


def _show(check: Check, value: float | None) -> str:
    """Write a number as its figure wants it; a figure of all markets has none of its own."""
    if value is None:
        return ""
    return fixed(value * check.figure.scale, check.figure.digits)


def _band(check: Check) -> str:
    low, high = check.figure.low, check.figure.high
    scale = check.figure.scale
    if math.isfinite(low) and math.isfinite(high):
        return f"{low * scale:g}-{high * scale:g}"
    if math.isfinite(low):
        return f"> {low * scale:g}"
    return f"< {high * scale:g}" if math.isfinite(high) else ""

"""The summary of a run for a terminal of 80 columns."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketsim.tape.result import FUND_NAME


def render_summary(summary: dict[str, Any]) -> Group:
    """Lay a summary out for a terminal of 80 columns.

    Parameters
    ----------
    summary : dict
        As `summarise` returns it.

    Returns
    -------
    rich.console.Group
    """
    hours = summary["steps"] * summary["step_minutes"] / 60
    wall = summary["wall_s"]
    head = Text.assemble(
        (str(summary["scenario"]), "bold"),
        f"  seed {summary['seed']}, {summary['steps']:,} steps ({hours:,.0f} h)",
        "" if wall is None else f", {wall:.1f} s",
    )
    spread = ""
    if summary["cascades"]:
        spread = (
            f"largest of {_show(summary['cascades'])} cascades "
            f"{_short(summary['largest_cascade_usd'])} USD, "
            f"{_show(summary['largest_cascade_accounts'])} accounts; "
            f"forced {_short(summary['forced_usd'])}, spilled {_short(summary['spilled_usd'])}\n"
        )
    books = Text(
        f"{spread}insurance fund {_show(summary['insurance_fund_usd'])} USD, "
        f"deleveraged {_show(summary['adl_usd'])} USD, "
        f"socialised {_show(summary['socialised_usd'])} USD\n"
        f"books off by {summary['conservation_error_atoms']} atoms, "
        f"digest {summary['digest']}"
    )
    notes = [Text(f"note: {note}", style="dim") for note in summary["notes"]]
    tables = _market_table(summary), _population_table(summary), _risk_table(summary)
    return Group(head, *tables, books, *notes)


def _market_table(summary: dict[str, Any]) -> Table:
    columns = (
        "index\nmove %",
        "open int.\nUSD",
        "volume\nUSD",
        "liquid-\nations",
        "liquidated\nUSD",
        "premium bp\nmean / std",
        "funding\nbp per 8 h",
        "two-\nsided %",
    )
    table = _new_table("markets", 8, columns)
    for name, market in summary["markets"].items():
        start, end = market["index_start"], market["index_end"]
        table.add_row(
            Text(name),
            _show(100 * (end / start - 1), 1) if start and end else "-",
            _short(market["open_interest_usd"]),
            _short(market["volume_usd"]),
            _show(market["liquidations"]),
            _short(market["liquidated_usd"]),
            f"{_show(market['premium_mean_bp'], 1)} / {_show(market['premium_std_bp'], 1)}",
            _show(market["funding_mean_bp_8h"], 2),
            _show(_percent(market["two_sided_share"]), 1),
        )
    return table


def _population_table(summary: dict[str, Any]) -> Table:
    columns = {
        "price": ("price_usd", "spot_usd", "rounding_usd"),
        "funding": ("funding_usd",),
        "fees": ("fee_usd",),
        "slippage": ("slippage_usd",),
        "penalties": ("liquidation_fee_usd", "takeover_usd", "socialised_usd"),
        "ADL": ("adl_usd",),
        "total": ("profit_usd",),
    }
    table = _new_table("profit and loss, USD", 14, columns)
    for name, population in summary["populations"].items():
        cells = [sum(population[key] for key in keys) for keys in columns.values()]
        table.add_row(Text(name), *(_short(value) for value in cells))
    return table


def _risk_table(summary: dict[str, Any]) -> Table:
    columns = (
        "\naccounts",
        "return\n%",
        "drawdown\n%",
        "Sharpe\ngross",
        "Sharpe\nnet",
        "ruined\n%",
        "liqui-\ndated %",
    )
    table = _new_table("return and risk", 14, columns)
    for name, population in summary["populations"].items():
        if name == FUND_NAME:
            continue
        table.add_row(
            Text(name),
            _show(population["num_accounts"]),
            *(_show(_percent(population[key]), 1) for key in ("total_return", "max_drawdown")),
            *(_show(population[key], 2) for key in ("sharpe_gross", "sharpe_net")),
            *(_show(_percent(population[key]), 1) for key in ("ruined_share", "liquidated_share")),
        )
    return table


def _new_table(title: str, width: int, columns: Iterable[str]) -> Table:
    """Begin a table of numbers whose first column, `width` wide, holds names."""
    table = Table(
        box=None, pad_edge=False, collapse_padding=True, title=title, title_justify="left"
    )
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=width)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _show(value: float | None, digits: int = 0) -> str:
    """Print a number with thousands separators; "-" stands for "there is none"."""
    if value is None:
        return "-"
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def _short(value: float | None) -> str:
    """Print a large amount in thousands (k), millions (M) or billions (B)."""
    if value is None:
        return "-"
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:,.2f}{name}"
    return _show(value)

"""The summary of a run for a terminal of 80 columns."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketsim.report.layout import titled_table
from marketsim.report.numbers import counted, grouped, short
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
        f"  seed {summary['seed']}, {counted(summary['steps'], 'step')} ({hours:,.0f} h)",
        "" if wall is None else f", {wall:.1f} s",
    )
    spread = ""
    if summary["cascades"]:
        spread = (
            f"largest of {counted(summary['cascades'], 'cascade')} "
            f"{short(summary['largest_cascade_usd'])} USD, "
            f"{grouped(summary['largest_cascade_accounts'])} accounts; "
            f"forced {short(summary['forced_usd'])} USD, "
            f"spilled {short(summary['spilled_usd'])} USD\n"
        )
    books = Text(
        f"{spread}insurance fund {grouped(summary['insurance_fund_usd'])} USD, "
        f"deleveraged {grouped(summary['adl_usd'])} USD, "
        f"socialised {grouped(summary['socialised_usd'])} USD\n"
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
    table = titled_table("markets", columns, width=8)
    for name, market in summary["markets"].items():
        start, end = market["index_start"], market["index_end"]
        table.add_row(
            Text(name),
            grouped(100 * (end / start - 1), 1) if start and end else "-",
            short(market["open_interest_usd"]),
            short(market["volume_usd"]),
            grouped(market["liquidations"]),
            short(market["liquidated_usd"]),
            f"{grouped(market['premium_mean_bp'], 1)} / {grouped(market['premium_std_bp'], 1)}",
            grouped(market["funding_mean_bp_8h"], 2),
            _in_percent(market["two_sided_share"]),
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
    table = titled_table("profit and loss, USD", columns)
    for name, population in summary["populations"].items():
        cells = [sum(population[key] for key in keys) for keys in columns.values()]
        table.add_row(Text(name), *(short(value) for value in cells))
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
    table = titled_table("return and risk", columns)
    for name, population in summary["populations"].items():
        if name == FUND_NAME:
            continue
        table.add_row(
            Text(name),
            grouped(population["num_accounts"]),
            *(_in_percent(population[key]) for key in ("total_return", "max_drawdown")),
            *(grouped(population[key], 2) for key in ("sharpe_gross", "sharpe_net")),
            *(_in_percent(population[key]) for key in ("ruined_share", "liquidated_share")),
        )
    return table


def _in_percent(share: float | None) -> str:
    return grouped(None if share is None else 100 * share, 1)

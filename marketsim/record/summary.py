"""A finished run in a few numbers, for a terminal, a script and `run.json`."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketsim.engine.state import Outcome
from marketsim.record.cascades import cascade_figures
from marketsim.record.contagion import contagion_figures
from marketsim.record.digest import digest_result
from marketsim.record.figures import (
    Figures,
    account_figures,
    joint_figures,
    market_figures,
    usd,
)
from marketsim.record.result import FUND_NAME, RunResult
from marketsim.record.risk import population_risk
from marketsim.record.tables import populations


def summarise(result: RunResult) -> dict[str, Any]:
    """Sum up a run in plain numbers that JSON can hold; what does not exist is None.

    Which run it was: `scenario`, `seed`, `steps`, `step_minutes`, `digest` (see `digest_result`),
    `wall_s` (seconds of stepping, without compilation), `notes`; and its `run_figures`.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict
    """
    return {
        "scenario": result.scenario,
        "seed": result.seed,
        "steps": result.num_steps,
        "step_minutes": result.step_minutes,
        "digest": digest_result(result),
        "wall_s": result.timings.get("wall"),
        **run_figures(result),
        "notes": list(result.notes),
    }


def run_figures(result: RunResult) -> dict[str, Any]:
    """Measure a run: numbers, and tables of numbers; what does not exist is None.

    Shares and changes of prices are fractions. Where a row of the series covers several steps, its
    last step stands for them in the means.

    Of the whole venue: `conservation_error_atoms` (largest seen; 0), `insurance_fund_usd` (equity
    of the fund at the end), `adl_usd` (notional deleveraged, at mark), `socialised_usd`,
    `fees_usd`, `num_accounts` (the fund left out), `accounts_liquidated` (met a liquidation order),
    `accounts_ruined` (ended with less than a tenth of their deposit) and their shares; how
    liquidations spread, as `marketsim.record.cascades.cascade_figures` has it; and of its
    markets together, sums or means (each market counts the same) of the figures below, as
    `marketsim.record.figures` lists them. The same of the markets that no scheduled jump or crash
    moves, in `unshocked`; None if that is all of them, or none.

    Of each market, `markets[NAME]`:

    - `liquidated_usd` (notional at mark), `liquidated_share` (over mean open interest),
      `liquidations` (orders of the liquidation engine), `open_interest_usd` (one-sided, at mark,
      mean over steps) and `open_interest_max_usd`, `volume_usd` (at mark), `two_sided_share` (steps
      that ended with both a bid and an ask);
    - `index_start`, `index_end`, `index_min` (USD), `index_fall` and `mark_fall` (largest fall
      below the first price);
    - `premium_mean_bp`, `premium_std_bp`, `premium_kurtosis` (excess) and `premium_acf_1h`
      (autocorrelation at one hour) of the venue's samples, over steps;
    - over settlements: `settlements`, `funding_mean_bp_8h` and `funding_std_bp_8h` (rate per 8 h),
      `funding_at_interest_share` (exactly the venue's interest rate), `funding_negative_share`,
      `funding_at_cap_share`, `funding_paid_usd` (gross); `cap_steps_share` (steps at which the rate
      in force is at its cap);
    - means over steps of the crowd, as `marketsim.record.crowd` has it: `herd_index`,
      `herd_index_abs` (of the absolute value), `long_share`, `leverage`, `long_distance` and
      `short_distance` (to liquidation); `crowd_paid_share` (of the steps at which the herd has a
      side and funding is not zero, those at which the herd's side is paid).

    Of each population, `populations[NAME]`: accounts, capital, profit by cause, liquidations, and
    return and risk as `marketsim.record.risk.population_risk` gives them.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict
    """
    markets = {name: market_figures(result, m) for m, name in enumerate(result.market_names)}
    spared = [figures for name, figures in markets.items() if name not in result.struck]
    table = populations(result)
    in_usd = [key for key in table if key != "population" and not key.endswith("_atoms")]
    risk = population_risk(result)
    groups = {
        str(name): {key: table[key][row].item() for key in in_usd} | risk[row]
        for row, name in enumerate(table["population"])
    }
    return {
        "conservation_error_atoms": int(result.conservation_error),
        **_venue_figures(result),
        **account_figures(groups, FUND_NAME),
        **cascade_figures(result),
        **joint_figures(list(markets.values())),
        **contagion_figures(result.contagion_steps, result.contagion, result.strikes),
        "unshocked": joint_figures(spared if result.struck else []),
        "markets": markets,
        "populations": groups,
        "intents": {kind.name.lower(): int(result.outcome[kind]) for kind in Outcome},
    }


def _venue_figures(result: RunResult) -> Figures:
    columns = {
        "insurance_fund_usd": "fund_equity",
        "adl_usd": "adl_atoms",
        "socialised_usd": "socialised_atoms",
        "fees_usd": "fees",
    }
    if not len(result.steps):
        return dict.fromkeys(columns)
    return {name: usd(result.steps[-1][column]) for name, column in columns.items()}


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

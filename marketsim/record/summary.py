"""A finished run in a few numbers, for a terminal, a script and `run.json`."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketsim.engine.state import ATOMS, Outcome
from marketsim.record.digest import digest_result
from marketsim.record.result import FUND_NAME, RunResult
from marketsim.record.risk import population_risk
from marketsim.record.tables import populations

#: Two rates this close are the same rate.
SAME_RATE = 1e-12


def summarise(result: RunResult) -> dict[str, Any]:
    """Sum up a run in plain numbers that JSON can hold; what does not exist is None.

    Of the whole venue: `digest` (see `digest_result`), `wall_s` (seconds of stepping, without
    compilation), `conservation_error_atoms` (largest seen; 0), `insurance_fund_usd` (equity of the
    fund at the end), `adl_usd` (notional deleveraged, at mark), `socialised_usd`, `fees_usd`.

    Of each market, `markets[NAME]`: `liquidated_usd` (notional at mark), `liquidations` (orders of
    the liquidation engine), `open_interest_usd` (one-sided, at mark, mean over steps),
    `premium_mean_bp` and `premium_std_bp` (over steps), `funding_mean_bp_8h` (rate per 8 h, mean
    over settlements), `funding_at_interest_share` (settlements at exactly the venue's interest
    rate), `funding_negative_share` (settlements), `two_sided_share` (steps that ended with both a
    bid and an ask), `volume_usd` (at mark), and the index at its start, end and lowest.

    Where a row of the series covers several steps, its last step stands for them in the means.

    Of each population, `populations[NAME]`: accounts, capital, profit by cause, liquidations, and
    return and risk as `marketsim.record.risk.population_risk` gives them.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict
    """
    last = result.steps[-1] if len(result.steps) else None
    table = populations(result)
    in_usd = [key for key in table if key != "population" and not key.endswith("_atoms")]
    risk = population_risk(result)
    return {
        "scenario": result.scenario,
        "seed": result.seed,
        "steps": result.num_steps,
        "step_minutes": result.step_minutes,
        "digest": digest_result(result),
        "wall_s": result.timings.get("wall"),
        "conservation_error_atoms": int(result.conservation_error),
        "insurance_fund_usd": _usd(last["fund_equity"]) if last is not None else None,
        "adl_usd": _usd(last["adl_atoms"]) if last is not None else None,
        "socialised_usd": _usd(last["socialised_atoms"]) if last is not None else None,
        "fees_usd": _usd(last["fees"]) if last is not None else None,
        "markets": {
            name: _summarise_market(result, m) for m, name in enumerate(result.market_names)
        },
        "populations": {
            str(name): {key: table[key][row].item() for key in in_usd} | risk[row]
            for row, name in enumerate(table["population"])
        },
        "intents": {kind.name.lower(): int(result.outcome[kind]) for kind in Outcome},
        "notes": list(result.notes),
    }


def _summarise_market(result: RunResult, m: int) -> dict[str, Any]:
    series = result.series[:, m]
    funding = result.funding[result.funding["market"] == m]
    mark_usd = series["mark_ticks"] * result.tick_atoms[m] / ATOMS
    at_interest = np.abs(funding["rate"] - funding["interest_rate"]) <= SAME_RATE
    two_sided = (series["best_bid"] > 0) & (series["best_ask"] > 0)
    index = series["index_price"]
    return {
        "liquidated_usd": _usd(series["liquidated_atoms"].sum()),
        "liquidations": int(series["num_liquidations"].sum()),
        "open_interest_usd": _mean(series["open_interest"] * mark_usd),
        "premium_mean_bp": _mean(series["premium"] * 1e4),
        "premium_std_bp": _finite(np.std(series["premium"] * 1e4)) if len(series) else None,
        "funding_mean_bp_8h": _mean(funding["rate"] * 1e4),
        "funding_at_interest_share": _mean(at_interest),
        "funding_negative_share": _mean(funding["rate"] < 0),
        "two_sided_share": _mean(two_sided),
        "settlements": len(funding),
        "volume_usd": _finite(np.sum(series["volume"] * mark_usd)),
        "index_start": _finite(index[0]) if len(index) else None,
        "index_end": _finite(index[-1]) if len(index) else None,
        "index_min": _finite(index.min()) if len(index) else None,
    }


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
    books = Text(
        f"insurance fund {_show(summary['insurance_fund_usd'])} USD, "
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


def _usd(atoms: Any) -> float:
    return int(atoms) / ATOMS


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mean(values: Any) -> float | None:
    return _finite(np.mean(values)) if len(values) else None


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

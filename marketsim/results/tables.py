"""A run's tables as a user reads them: USD, coins, hours and names.

Prices are USD per coin, sizes coins (long > 0), rates per 8 h. `hours` is the time since the start
at which what a row says is true, the END of its step; where a run replays a calendar there is also
`time` (UTC), the same moment. `step` is the step's number, from 0, or of a moment the steps done:
tables are joined on `hours` or `time`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.recorder import SIDES, reproduction_number
from marketsim.engine.state import ATOMS, Cause
from marketsim.tape.depth import REACHES
from marketsim.tape.events import (
    Table,
    arrivals,
    clock,
    deleveragings,
    fills,
    funding,
    liquidations,
    named_markets,
    quotes,
    step_ends,
)
from marketsim.tape.result import FUND_NAME, RunResult

#: Profit and loss by cause, in the order of `Cause`, and their columns.
CAUSE_NAMES = tuple(cause.name.lower() for cause in Cause)
PROFIT_COLUMNS = tuple(f"{name}_usd" for name in CAUSE_NAMES)

#: Columns of the series that say what the traders are up to.
CROWD_COLUMNS = ("herd_index", "long_share", "leverage", "long_distance", "short_distance")


def build_tables(result: RunResult) -> dict[str, Table]:
    """Turn a result into all the tables of a run folder.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict of dict
        Columns by table name. `depth`, `book`, `fills` and `snapshots` are there only if they were
        recorded, `arrivals` only if traders come and go.
    """
    return {
        name: build(result)
        for name, build in BUILDERS.items()
        if name not in _IF_RECORDED or len(_IF_RECORDED[name](result))
    }


def markets(result: RunResult) -> Table:
    """Tabulate the series: one row per step (or several) and market, as it ended.

    `herd_index` to `short_distance` are those of `marketsim.tape.crowd`; `deviation_<venue>` is
    how far a spot venue prints off the index, as a fraction.
    """
    flat = result.series.reshape(-1)
    return {
        **quotes(result),
        **{
            f"deviation_{name}": result.deviation[:, :, n].reshape(-1)
            for n, name in enumerate(result.venue_names)
        },
        **{name: flat[name] for name in CROWD_COLUMNS},
    }


def steps(result: RunResult) -> Table:
    """Tabulate the whole venue: one row per step (or several); money sums since the start."""
    row = result.steps
    return {
        **step_ends(result, row["step"]),
        "insurance_fund_usd": row["fund_equity"] / ATOMS,
        "insurance_fund_cash_usd": row["fund_cash"] / ATOMS,
        "fees_usd": row["fees"] / ATOMS,
        "adl_usd": row["adl_atoms"] / ATOMS,
        "socialised_usd": row["socialised_atoms"] / ATOMS,
        "venue_loss_usd": row["venue_loss_atoms"] / ATOMS,
        "conservation_error_atoms": row["conservation_error"],
        "num_orders": row["num_orders"],
        "num_intents": row["num_intents"],
    }


def funding_heatmap(result: RunResult) -> Table:
    """Tabulate funding as a grid: a row per settlement time, columns for every market.

    `rate_<market>` is the settled rate per 8 h, `premium_<market>` the average premium behind it;
    NaN where a market did not settle.
    """
    row = result.funding
    times, place = np.unique(row["step"], return_inverse=True)
    grid = np.full((2, len(times), len(result.market_names)), np.nan)
    grid[0, place, row["market"]] = row["rate"]
    grid[1, place, row["market"]] = row["average_premium"]
    table = step_ends(result, times)
    for kind, values in zip(("rate", "premium"), grid, strict=True):
        table |= {f"{kind}_{name}": values[:, m] for m, name in enumerate(result.market_names)}
    return table


def populations(result: RunResult) -> Table:
    """Tabulate capital, profit by cause and liquidations of every population and the fund.

    Profit is there twice: in USD and, exactly, in atoms (1e-6 USD); the atoms by cause add up to
    `profit_atoms`, which is the change of equity, less what was paid in since the start, plus what
    was taken out. `deposit_usd` is what all traders paid in, at the start and since. Where traders
    come and go, `withdrawn_usd` is what those took out who left or took profit, and `num_traders`
    counts the accounts' first traders and the newcomers.
    """
    names = [*result.population_names, FUND_NAME]
    group = np.where(result.population < 0, len(names) - 1, result.population)

    def total(values: Any) -> Any:
        sums = np.zeros(len(names), np.int64)
        np.add.at(sums, group, values)
        return sums

    profit = result.profit
    turned: Table = {}
    if len(result.generation):
        turned["num_traders"] = total(result.generation + 1)
        turned["withdrawn_usd"] = total(result.withdrawn) / ATOMS
    liquidated = np.unique(result.liquidation["account"])
    row = result.liquidation
    notional = np.zeros(len(group), np.int64)
    closed = np.abs(row["size_before"] - row["size_after"])
    np.add.at(
        notional, row["account"], closed * row["mark_ticks"] * result.tick_atoms[row["market"]]
    )
    return {
        "population": np.array(names),
        "num_accounts": np.bincount(group, minlength=len(names)),
        "deposit_usd": total(result.deposit) / ATOMS,
        **turned,
        "equity_start_usd": total(result.start.equity) / ATOMS,
        "equity_end_usd": total(result.end.equity) / ATOMS,
        "profit_usd": total(profit.sum(axis=1)) / ATOMS,
        **{name: total(profit[:, c]) / ATOMS for c, name in enumerate(PROFIT_COLUMNS)},
        "profit_atoms": total(profit.sum(axis=1)),
        **{f"{name}_atoms": total(profit[:, c]) for c, name in enumerate(CAUSE_NAMES)},
        "accounts_liquidated": np.bincount(group[liquidated], minlength=len(names)),
        "liquidated_usd": total(notional) / ATOMS,
    }


def population_series(result: RunResult) -> Table:
    """Tabulate every population and the fund over time, start and end included.

    `step` counts the steps done. `equity_usd` is everything owned, nothing haircut, by whoever has
    the accounts by then: it moves with what newcomers bring and leavers take; `fees_usd` the
    trading fees paid so far, rebates off; `net_usd_<market>` and `gross_usd_<market>` signed and
    absolute size x mark.
    """
    names = [*result.population_names, FUND_NAME]
    row = result.wealth.reshape(-1)
    table: Table = {
        **clock(result, row["step"]),
        "population": np.tile(np.array(names), len(result.wealth)),
        "equity_usd": row["equity"] / ATOMS,
        "fees_usd": row["fees"] / ATOMS,
        "accounts_with_position": row["num_holders"],
    }
    for m, name in enumerate(result.market_names):
        table[f"net_usd_{name}"] = result.exposure["net"][:, :, m].reshape(-1) / ATOMS
        table[f"gross_usd_{name}"] = result.exposure["gross"][:, :, m].reshape(-1) / ATOMS
    return table


def accounts(result: RunResult) -> Table:
    """Tabulate every account at start and end, its profit by cause, and the fund (last row).

    Where traders come and go, `generation` counts those who had the account before the one who has
    it at the end (or had it last). Deposits, withdrawals and profit are those of all of them
    together: `equity_end_usd` is `equity_start_usd`, plus what was paid in since, less
    what was taken out, plus `profit_usd`. Who paid what when, `arrivals` says; what interventions
    took out is not part of `withdrawn_usd`, they stand in the scenario.
    """
    start, end, profit = result.start, result.end, result.profit
    turned: Table = {}
    if len(result.generation):
        turned["generation"] = result.generation
        turned["withdrawn_usd"] = result.withdrawn / ATOMS
    table: Table = {
        "account": np.arange(len(result.population)),
        "population": np.array(result.account_population()),
        "deposit_usd": result.deposit / ATOMS,
        **turned,
        "equity_start_usd": start.equity / ATOMS,
        "equity_end_usd": end.equity / ATOMS,
        "cash_end_usd": end.cash / ATOMS,
        "stable_end": end.stable / ATOMS,
        "profit_usd": profit.sum(axis=1) / ATOMS,
    }
    table |= {name: profit[:, c] / ATOMS for c, name in enumerate(PROFIT_COLUMNS)}
    for m, name in enumerate(result.market_names):
        lot = result.lot_size[m]
        table[f"size_start_{name}"] = start.size[:, m] * lot
        table[f"size_end_{name}"] = end.size[:, m] * lot
        table[f"spot_end_{name}"] = end.spot[:, m] * lot
        table[f"pool_{name}"] = result.pool[:, m]
    return table


def contagion(result: RunResult) -> Table:
    """Tabulate the contagion matrices: `m` is how far `market` follows a move of `cause`.

    Both are fractions of the price, so `m` has no unit; `side` says which way `cause` moves. `step`
    counts the steps done. `m` is of one liquidation more in books that refill as they have done so
    far, `recovery`; `m_on_paper` of a move of all that stands within it, in books that never do.
    """
    moments, sides, count, _ = result.contagion.shape
    each = sides * count * count
    cell = np.tile(np.arange(each), moments)
    return {
        **clock(result, np.repeat(result.contagion_steps, each)),
        "side": np.array(SIDES)[cell // (count * count)],
        "market": named_markets(result, cell // count % count),
        "cause": named_markets(result, cell % count),
        "m": result.contagion.reshape(-1),
        "m_on_paper": result.contagion_on_paper.reshape(-1),
        "recovery": result.recovery[np.repeat(np.arange(moments), each), cell // count % count],
    }


def reproduction(result: RunResult) -> Table:
    """Tabulate the reproduction number, the spectral radius of each contagion matrix."""
    moments = len(result.contagion_steps)
    return {
        **clock(result, np.repeat(result.contagion_steps, len(SIDES))),
        "side": np.tile(np.array(SIDES), moments),
        "reproduction_number": reproduction_number(result.contagion).reshape(-1),
        "reproduction_on_paper": reproduction_number(result.contagion_on_paper).reshape(-1),
    }


def liquidation_heatmap(result: RunResult) -> Table:
    """Tabulate what a move of the mark into each band would liquidate, empty bands left out.

    `size` is that of the positions whose pools first fall below maintenance in the band, with the
    other marks as they are, `notional_usd` its value at the mark of that time. `step` counts the
    steps done.
    """
    row = result.heat
    m = row["market"]
    tick, unit = result.tick_size[m], result.tick_atoms[m]
    return {
        **clock(result, row["step"]),
        "market": named_markets(result, m),
        "side": np.where(row["side"] > 0, "long", "short"),
        "band": row["band"],
        "low_price": row["low_ticks"] * tick,
        "high_price": row["high_ticks"] * tick,
        "mark_price": row["mark_ticks"] * tick,
        "size": row["size"] * result.lot_size[m],
        "notional_usd": row["size"] * row["mark_ticks"] * unit / ATOMS,
    }


def depth(result: RunResult) -> Table:
    """Tabulate what rested near the mid: one row per market and moment.

    `bid_usd_<n>bp` and `ask_usd_<n>bp` are the USD of each side within n basis points of
    `mid_price` (the mark where a side is empty), both ends included. `step` counts the steps done.
    """
    row = result.depth
    m = row["market"]
    table: Table = {
        **clock(result, row["step"]),
        "market": named_markets(result, m),
        "mid_price": 0.5 * row["mid2"] * result.tick_size[m],
    }
    for side in ("bid", "ask"):
        for n, reach in enumerate(REACHES):
            table[f"{side}_usd_{reach}bp"] = row[side][:, n] / ATOMS
    return table


def book(result: RunResult) -> Table:
    """Tabulate whole books: one row per market, moment, side and price, best prices first.

    `step` counts the steps done.
    """
    row = result.book
    m = row["market"]
    return {
        **clock(result, row["step"]),
        "market": named_markets(result, m),
        "side": np.where(row["side"] > 0, "bid", "ask"),
        "price": row["price"] * result.tick_size[m],
        "size": row["size"] * result.lot_size[m],
    }


def snapshots(result: RunResult) -> Table:
    """Tabulate all accounts at the moments the scenario asks for, start and end included."""
    moments = (
        (0, result.start),
        *result.snapshots,
        (result.num_steps, result.end),
    )
    num_accounts = len(result.population)
    table: Table = {
        **clock(result, np.repeat([step for step, _ in moments], num_accounts)),
        "account": np.tile(np.arange(num_accounts), len(moments)),
        "equity_usd": np.concatenate([moment.equity for _, moment in moments]) / ATOMS,
        "cash_usd": np.concatenate([moment.cash for _, moment in moments]) / ATOMS,
    }
    for m, name in enumerate(result.market_names):
        size = np.concatenate([moment.size[:, m] for _, moment in moments])
        table[f"size_{name}"] = size * result.lot_size[m]
    return table


#: Who builds each table of a run folder, in the folder's order.
BUILDERS: Mapping[str, Callable[[RunResult], Table]] = {
    "markets": markets,
    "steps": steps,
    "funding": funding,
    "funding_heatmap": funding_heatmap,
    "liquidations": liquidations,
    "causes": tabulate_causes,
    "deleveragings": deleveragings,
    "populations": populations,
    "population_series": population_series,
    "accounts": accounts,
    "contagion": contagion,
    "reproduction": reproduction,
    "liquidation_heatmap": liquidation_heatmap,
    "arrivals": arrivals,
    "depth": depth,
    "book": book,
    "snapshots": snapshots,
    "fills": fills,
}
#: Tables that are left out if nothing of them was recorded, and where it would be.
_IF_RECORDED: Mapping[str, Callable[[RunResult], Any]] = {
    "contagion": lambda result: result.contagion_steps,
    "reproduction": lambda result: result.contagion_steps,
    "liquidation_heatmap": lambda result: result.heat,
    "arrivals": lambda result: result.generation,
    "depth": lambda result: result.depth,
    "book": lambda result: result.book,
    "snapshots": lambda result: result.snapshots,
    "fills": lambda result: result.fill,
}

"""A run's tables as a user reads them: USD, coins, hours and names.

Prices are USD per coin, sizes coins (long > 0), rates per 8 h. `hours` is the time since the start
at which what a row says is true, the END of its step; where a run replays a calendar there is also
`time` (UTC), the same moment. `step` is the step's number, from 0, or of a moment the steps done:
tables are joined on `hours` or `time`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.recorder import SIDES, reproduction_number
from marketsim.engine.state import ATOMS, Cause, Stage
from marketsim.tape.result import FUND_NAME, RunResult

#: Columns by name; every column of a table is equally long.
Table = dict[str, Any]

#: What the columns of time mean, in every table.
TIME_COLUMNS = {
    "hours": "hours since the start at which the row is true: the END of its step",
    "time": "UTC at which the row is true: the END of its step",
}

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
        Columns by table name. `fills` and `snapshots` are there only if they were recorded.
    """
    builders: dict[str, Callable[[RunResult], Table]] = {
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
    }
    if len(result.contagion_steps):
        builders["contagion"] = contagion
        builders["reproduction"] = reproduction
    if len(result.heat):
        builders["liquidation_heatmap"] = liquidation_heatmap
    if result.snapshots:
        builders["snapshots"] = snapshots
    if len(result.fill):
        builders["fills"] = fills
    return {name: build(result) for name, build in builders.items()}


def markets(result: RunResult) -> Table:
    """Tabulate the series: one row per step (or several) and market, as it ended.

    `herd_index` to `short_distance` are those of `marketsim.tape.crowd`; `deviation_<venue>` is
    how far a spot venue prints off the index, as a fraction.
    """
    series = result.series
    num_steps, num_markets = series.shape
    m = np.tile(np.arange(num_markets), num_steps)
    flat = series.reshape(-1)
    tick, lot, unit = result.tick_size[m], result.lot_size[m], result.tick_atoms[m]
    mark_usd = flat["mark_ticks"] * unit / ATOMS
    return {
        **_step_ends(result, np.repeat(result.steps["step"], num_markets)),
        "market": _market(result, m),
        "index_price": flat["index_price"],
        "mark_price": flat["mark_ticks"] * tick,
        "last_price": _price(flat["last_ticks"], tick),
        "best_bid": _price(flat["best_bid"], tick),
        "best_ask": _price(flat["best_ask"], tick),
        "premium": flat["premium"],
        "funding_rate": flat["funding_rate"],
        "predicted_rate": flat["predicted_rate"],
        "open_interest": flat["open_interest"] * lot,
        "open_interest_usd": flat["open_interest"] * mark_usd,
        "volume": flat["volume"] * lot,
        "volume_usd": flat["volume"] * mark_usd,
        "num_fills": flat["num_fills"],
        "liquidated_usd": flat["liquidated_atoms"] / ATOMS,
        "num_liquidations": flat["num_liquidations"],
        "num_orders": flat["num_orders"],
        "spot_spread": flat["spot_spread"],
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
        **_step_ends(result, row["step"]),
        "insurance_fund_usd": row["fund_equity"] / ATOMS,
        "insurance_fund_cash_usd": row["fund_cash"] / ATOMS,
        "fees_usd": row["fees"] / ATOMS,
        "adl_usd": row["adl_atoms"] / ATOMS,
        "socialised_usd": row["socialised_atoms"] / ATOMS,
        "conservation_error_atoms": row["conservation_error"],
        "num_orders": row["num_orders"],
        "num_intents": row["num_intents"],
    }


def funding(result: RunResult) -> Table:
    """Tabulate the settlements: one row per market and interval."""
    row = result.funding
    m = row["market"]
    return {
        **_step_ends(result, row["step"]),
        "market": _market(result, m),
        "funding_rate": row["rate"],
        "interest_rate": row["interest_rate"],
        "average_premium": row["average_premium"],
        "index_price": row["index_price"],
        "settlement_price": row["settlement_ticks"] * result.tick_size[m],
        "paid_usd": row["paid_atoms"] / ATOMS,
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
    table = _step_ends(result, times)
    for kind, values in zip(("rate", "premium"), grid, strict=True):
        table |= {f"{kind}_{name}": values[:, m] for m, name in enumerate(result.market_names)}
    return table


def liquidations(result: RunResult) -> Table:
    """Tabulate the liquidations: who, why, what was sold where, and what it cost whom.

    `notional_usd` is what left the account, at mark; `book_cost_usd` what the book paid below mark
    (above it for a short). `rest_taken_by` says who took what the book did not: `none` (nothing
    was left), `fund`, `adl`, `fund+adl`, or `later` if the account still holds it.
    """
    row = result.liquidation
    m = row["market"]
    tick, lot, unit = result.tick_size[m], result.lot_size[m], result.tick_atoms[m]
    closed = row["size_before"] - row["size_after"]
    book_value = row["book_size"] * row["mark_ticks"] * unit
    fund, adl = row["takeover_size"] != 0, row["adl_size"] != 0
    rest = np.select(
        [fund & adl, fund, adl, row["size_after"] != 0],
        ["fund+adl", "fund", "adl", "later"],
        "none",
    )
    stage = np.array([member.name.lower() for member in Stage])
    return {
        **_step_ends(result, row["step"]),
        "round": row["round"],
        "account": row["account"],
        "population": _population(result, row["account"]),
        "pool": row["pool"],
        "market": _market(result, m),
        "stage": stage[row["stage"]],
        "side": np.where(row["size_before"] > 0, "long", "short"),
        "equity_usd": row["equity"] / ATOMS,
        "maintenance_usd": row["maintenance"] / ATOMS,
        "index_price": row["index_ticks"] * tick,
        "mark_price": row["mark_ticks"] * tick,
        "limit_price": _price(row["limit_ticks"], tick),
        "bankruptcy_price": row["bankruptcy_price"] * tick,
        "size_before": row["size_before"] * lot,
        "order_size": row["order_size"] * lot,
        "book_size": row["book_size"] * lot,
        "average_price": _average_price(row["book_cash"], row["book_size"], unit, tick),
        "takeover_size": row["takeover_size"] * lot,
        "adl_size": row["adl_size"] * lot,
        "size_after": row["size_after"] * lot,
        "rest_taken_by": rest,
        "notional_usd": np.abs(closed) * row["mark_ticks"] * unit / ATOMS,
        "book_cost_usd": (np.abs(book_value) - np.abs(row["book_cash"]))
        * np.sign(row["size_before"])
        / ATOMS,
        "fee_usd": row["fee"] / ATOMS,
        "fund_paid_usd": row["fund_paid"] / ATOMS,
        "takeover_cost_usd": row["takeover_cost"] / ATOMS,
        "adl_cost_usd": row["adl_cost"] / ATOMS,
        "socialised_usd": row["socialised"] / ATOMS,
    }


def deleveragings(result: RunResult) -> Table:
    """Tabulate the deleveragings: one row per account made to close against a liquidation."""
    row = result.deleverage
    m = row["market"]
    unit, tick = result.tick_atoms[m], result.tick_size[m]
    return {
        **_step_ends(result, row["step"]),
        "liquidation": row["liquidation"],
        "market": _market(result, m),
        "account": row["account"],
        "population": _population(result, row["account"]),
        "size": row["size"] * result.lot_size[m],
        "price": _average_price(row["cash"], row["size"], unit, tick),
        "cash_usd": row["cash"] / ATOMS,
        "cost_usd": row["cost"] / ATOMS,
    }


def populations(result: RunResult) -> Table:
    """Tabulate capital, profit by cause and liquidations of every population and the fund.

    Profit is there twice: in USD and, exactly, in atoms (1e-6 USD); the atoms by cause add up to
    `profit_atoms`, which is the change of equity.
    """
    names = [*result.population_names, FUND_NAME]
    group = np.where(result.population < 0, len(names) - 1, result.population)

    def total(values: Any) -> Any:
        sums = np.zeros(len(names), np.int64)
        np.add.at(sums, group, values)
        return sums

    profit = result.profit
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

    `step` counts the steps done. `equity_usd` is everything owned, nothing haircut; `fees_usd` the
    trading fees paid so far, rebates off; `net_usd_<market>` and `gross_usd_<market>` signed and
    absolute size x mark.
    """
    names = [*result.population_names, FUND_NAME]
    row = result.wealth.reshape(-1)
    table: Table = {
        **_clock(result, row["step"]),
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
    """Tabulate every account at start and end, its profit by cause, and the fund (last row)."""
    start, end, profit = result.start, result.end, result.profit
    table: Table = {
        "account": np.arange(len(result.population)),
        "population": np.array(result.account_population()),
        "deposit_usd": result.deposit / ATOMS,
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
    counts the steps done.
    """
    moments, sides, count, _ = result.contagion.shape
    each = sides * count * count
    cell = np.tile(np.arange(each), moments)
    return {
        **_clock(result, np.repeat(result.contagion_steps, each)),
        "side": np.array(SIDES)[cell // (count * count)],
        "market": _market(result, cell // count % count),
        "cause": _market(result, cell % count),
        "m": result.contagion.reshape(-1),
    }


def reproduction(result: RunResult) -> Table:
    """Tabulate the reproduction number, the spectral radius of each contagion matrix."""
    moments = len(result.contagion_steps)
    return {
        **_clock(result, np.repeat(result.contagion_steps, len(SIDES))),
        "side": np.tile(np.array(SIDES), moments),
        "reproduction_number": reproduction_number(result.contagion).reshape(-1),
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
        **_clock(result, row["step"]),
        "market": _market(result, m),
        "side": np.where(row["side"] > 0, "long", "short"),
        "band": row["band"],
        "low_price": row["low_ticks"] * tick,
        "high_price": row["high_ticks"] * tick,
        "mark_price": row["mark_ticks"] * tick,
        "size": row["size"] * result.lot_size[m],
        "notional_usd": row["size"] * row["mark_ticks"] * unit / ATOMS,
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
        **_clock(result, np.repeat([step for step, _ in moments], num_accounts)),
        "account": np.tile(np.arange(num_accounts), len(moments)),
        "equity_usd": np.concatenate([moment.equity for _, moment in moments]) / ATOMS,
        "cash_usd": np.concatenate([moment.cash for _, moment in moments]) / ATOMS,
    }
    for m, name in enumerate(result.market_names):
        size = np.concatenate([moment.size[:, m] for _, moment in moments])
        table[f"size_{name}"] = size * result.lot_size[m]
    return table


def fills(result: RunResult) -> Table:
    """Tabulate every fill of the order books; size is positive where the taker buys."""
    row = result.fill
    m = row["market"]
    return {
        **_step_ends(result, row["step"]),
        "market": _market(result, m),
        "taker": row["taker"],
        "maker": row["maker"],
        "size": row["size"] * result.lot_size[m],
        "price": row["price"] * result.tick_size[m],
    }


def _step_ends(result: RunResult, step: Any) -> Table:
    """Say when what a step leaves is true: at its end."""
    return _clock(result, np.asarray(step) + 1) | {"step": np.asarray(step)}


def _clock(result: RunResult, step: Any) -> Table:
    """Say when so many steps are done; the columns are described in `TIME_COLUMNS`."""
    minutes = np.asarray(step) * result.step_minutes
    clock: Table = {"step": np.asarray(step), "hours": minutes / 60}
    if result.start_time is not None:
        microseconds = np.rint(minutes * 60e6).astype("timedelta64[us]")
        clock["time"] = result.start_time.astype("datetime64[us]") + microseconds
    return clock


def _market(result: RunResult, m: Any) -> Any:
    return np.array(result.market_names)[m]


def _population(result: RunResult, account: Any) -> Any:
    return np.array([*result.population_names, FUND_NAME])[result.population[account]]


def _price(ticks: Any, tick_size: Any) -> Any:
    """Convert ticks to USD; 0 means "none" and becomes NaN."""
    return np.where(ticks > 0, ticks * tick_size, np.nan)


def _average_price(cash: Any, size: Any, unit: Any, tick_size: Any) -> Any:
    """Return USD per coin of `size` lots exchanged for `cash` atoms, NaN without size."""
    lots = np.abs(size) * unit
    price = np.full(len(lots), np.nan)
    np.divide(np.abs(cash) * tick_size, lots, out=price, where=lots > 0)
    return price

"""What happened, as a user reads it: quotes, fills, liquidations, settlements, arrivals, ...

Prices are USD per coin, sizes coins (long > 0), rates per 8 h. Tables of a run, and what hooks are
told of a step, are the same columns of more and of fewer rows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.engine.state import ATOMS, Stage
from marketsim.tape.arrivals import Turn
from marketsim.tape.result import FUND_NAME, RunResult

#: Columns by name; every column of a table is equally long.
Table = dict[str, Any]


def quotes(result: RunResult) -> Table:
    """Tabulate the series without its crowd: one row per step (or several) and market."""
    series = result.series
    num_steps, num_markets = series.shape
    m = np.tile(np.arange(num_markets), num_steps)
    flat = series.reshape(-1)
    tick, lot, unit = result.tick_size[m], result.lot_size[m], result.tick_atoms[m]
    mark_usd = flat["mark_ticks"] * unit / ATOMS
    return {
        **step_ends(result, np.repeat(result.steps["step"], num_markets)),
        "market": named_markets(result, m),
        "index_price": flat["index_price"],
        "mark_price": flat["mark_ticks"] * tick,
        "last_price": price(flat["last_ticks"], tick),
        "best_bid": price(flat["best_bid"], tick),
        "best_ask": price(flat["best_ask"], tick),
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
    }


def funding(result: RunResult) -> Table:
    """Tabulate the settlements: one row per market and interval."""
    row = result.funding
    m = row["market"]
    return {
        **step_ends(result, row["step"]),
        "market": named_markets(result, m),
        "funding_rate": row["rate"],
        "interest_rate": row["interest_rate"],
        "average_premium": row["average_premium"],
        "index_price": row["index_price"],
        "settlement_price": row["settlement_ticks"] * result.tick_size[m],
        "paid_usd": row["paid_atoms"] / ATOMS,
    }


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
        **step_ends(result, row["step"]),
        "round": row["round"],
        "account": row["account"],
        "population": named_populations(result, row["account"]),
        "pool": row["pool"],
        "market": named_markets(result, m),
        "stage": stage[row["stage"]],
        "side": np.where(row["size_before"] > 0, "long", "short"),
        "equity_usd": row["equity"] / ATOMS,
        "maintenance_usd": row["maintenance"] / ATOMS,
        "index_price": row["index_ticks"] * tick,
        "mark_price": row["mark_ticks"] * tick,
        "limit_price": price(row["limit_ticks"], tick),
        "bankruptcy_price": row["bankruptcy_price"] * tick,
        "size_before": row["size_before"] * lot,
        "order_size": row["order_size"] * lot,
        "book_size": row["book_size"] * lot,
        "average_price": average_price(row["book_cash"], row["book_size"], unit, tick),
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
        **step_ends(result, row["step"]),
        "liquidation": row["liquidation"],
        "market": named_markets(result, m),
        "account": row["account"],
        "population": named_populations(result, row["account"]),
        "size_before": row["size_before"] * result.lot_size[m],
        "profit_usd": row["profit"] / ATOMS,
        "size": row["size"] * result.lot_size[m],
        "price": average_price(row["cash"], row["size"], unit, tick),
        "cash_usd": row["cash"] / ATOMS,
        "cost_usd": row["cost"] / ATOMS,
    }


def fills(result: RunResult) -> Table:
    """Tabulate every fill of the order books; size is positive where the taker buys."""
    row = result.fill
    m = row["market"]
    return {
        **step_ends(result, row["step"]),
        "market": named_markets(result, m),
        "taker": row["taker"],
        "maker": row["maker"],
        "size": row["size"] * result.lot_size[m],
        "price": row["price"] * result.tick_size[m],
    }


def arrivals(result: RunResult) -> Table:
    """Tabulate who came and who left: one row per trader who comes, takes profit or leaves.

    `kind` is `arrival` (a newcomer has paid in), `withdrawal` (a trader who stays took profit out),
    or why a trader left with all it had: `ruined`, `finished` (its time was over), `idle` (it held
    nothing and would never have looked again) or `retired`. `usd` is what came into the account,
    negative what left; `generation` counts the traders who had the account before.
    """
    row = result.arrival
    kind = np.array([member.name.lower() for member in Turn])
    return {
        **step_ends(result, row["step"]),
        "account": row["account"],
        "generation": row["generation"],
        "population": named_populations(result, row["account"]),
        "kind": kind[row["kind"]],
        "usd": row["atoms"] / ATOMS,
    }


def step_ends(result: RunResult, step: Any) -> Table:
    """Say when what a step leaves is true: at its end."""
    return clock(result, np.asarray(step) + 1) | {"step": np.asarray(step)}


def clock(result: RunResult, step: Any) -> Table:
    """Say when so many steps are done; see `marketsim.results.columns`."""
    minutes = np.asarray(step) * result.step_minutes
    clock: Table = {"step": np.asarray(step), "hours": minutes / 60}
    if result.start_time is not None:
        microseconds = np.rint(minutes * 60e6).astype("timedelta64[us]")
        clock["time"] = result.start_time.astype("datetime64[us]") + microseconds
    return clock


def as_rows(table: Table) -> NDArray[Any]:
    """Turn a table into an array of rows that cannot be written to, nor be made so."""
    columns = {name: np.asarray(column) for name, column in table.items()}
    length = len(next(iter(columns.values())))
    rows = np.empty(length, [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column
    rows.setflags(write=False)
    return rows.view()  # an array that owns its memory could be unlocked again


def named_markets(result: RunResult, m: Any) -> Any:
    """Name markets by their numbers."""
    return np.array(result.market_names)[m]


def named_populations(result: RunResult, account: Any) -> Any:
    """Name the populations of accounts."""
    return np.array([*result.population_names, FUND_NAME])[result.population[account]]


def price(ticks: Any, tick_size: Any) -> Any:
    """Convert ticks to USD; 0 means "none" and becomes NaN."""
    return np.where(ticks > 0, ticks * tick_size, np.nan)


def average_price(cash: Any, size: Any, unit: Any, tick_size: Any) -> Any:
    """Return USD per coin of `size` lots exchanged for `cash` atoms, NaN without size."""
    lots = np.abs(size) * unit
    price = np.full(len(lots), np.nan)
    np.divide(np.abs(cash) * tick_size, lots, out=price, where=lots > 0)
    return price

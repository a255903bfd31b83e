"""Constructed markets for the contagion cards: linear books, many small pools, known densities.

The mark is the last price, and every leg of a seized pool is sold whole, as in the cards' closed
form. One rich account is short whatever the pools are long and owns the books.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from marketsim.engine import book
from marketsim.engine.allocation import grow
from marketsim.engine.state import ATOMS, ONE, LegRule, LimitRule, MarkRule, SizeRule, State
from tests.engine.small import open_venue, set_price

#: Of every market, in ticks of one atom a lot: a lot is worth one USD.
MARK = 1_000_000
#: Of the notional.
MAINTENANCE = 0.01

RULES: dict[str, float] = {
    "mark_rule": MarkRule.LAST,
    "legs": LegRule.ALL,
    "size_rule": SizeRule.WHOLE,
    "limit_rule": LimitRule.MARKET,
    "market_bound": ONE // 10,
    "max_rounds": 1000,
}


def open_books(
    exposure: Any,
    buffer: Any,
    *,
    isolated: Any = None,
    groups: Iterable[tuple[int, float, Sequence[int]]] = (),
    num_orders: int = 1000,
    **rules: float,
) -> State:
    """Open a venue whose pools hold `exposure` and stand `buffer` above maintenance; no orders.

    Parameters
    ----------
    exposure : ndarray, (N, M)
        Notional of every account in every market, whole USD, long > 0.
    buffer : ndarray, (N,) or (N, M)
        Equity less maintenance margin of an account's pool, USD; of each position's pool where
        positions do not share one.
    isolated : ndarray of bool, (N,), optional
    groups : iterable of (account, draw limit in USD, markets)
        Side pools besides the isolated ones.
    """
    num_accounts, num_markets = exposure.shape
    alone = np.zeros(num_accounts, bool) if isolated is None else isolated
    side = [(i, 0.0, [m]) for i in np.flatnonzero(alone).tolist() for m in range(num_markets)]
    state = open_venue(
        [0.0] * num_accounts + [1e12],
        num_markets=num_markets,
        fund=1e9,
        side_pools=[*side, *groups],
        tiers=((0, 2 * MAINTENANCE, MAINTENANCE, 0),),
        market={"tick_atoms": 1, "tick_size": 1e-6, "max_position_lots": 10**12},
        **{**RULES, **rules},
    )
    state = grow(state, num_orders=num_orders, num_nodes=6 * num_orders)
    for m in range(num_markets):
        set_price(state, MARK, m)
        state.market[m].last_ticks = MARK
    lots = np.rint(exposure).astype(np.int64)
    hold_all(state, lots)
    spread = buffer if buffer.ndim == 2 else np.column_stack([buffer, *[0 * buffer] * num_markets])
    for i in range(num_accounts):
        for m in range(num_markets):
            need = abs(int(lots[i, m])) * MARK * MAINTENANCE + float(spread[i, m]) * ATOMS
            state.pool[state.position[i, m].pool].cash += round(need)
    state.totals[0].deposits = state.pool["cash"].sum()
    return state


def hold_all(state: State, lots: Any) -> None:
    """Give every account its positions, bought at MARK, and the last one the other side."""
    num_accounts, num_markets = lots.shape
    state.position["size"][:num_accounts] = lots
    state.position["size"][num_accounts] = -lots.sum(axis=0)
    state.position["entry_cost"][:] = state.position["size"] * MARK
    cost = state.position["size"] * MARK
    for m in range(num_markets):
        np.subtract.at(state.pool["cash"], state.position["pool"][:, m], cost[:, m])
        state.market[m].open_interest = np.maximum(state.position["size"][:, m], 0).sum()


def fill_book(
    state: State, m: int, side: int, size: int, *, start: int, spacing: int, count: int
) -> None:
    """Rest `count` orders of `size` lots, the first at `start`, bids downwards, asks upwards."""
    owner = len(state.account) - 2
    for n in range(count):
        book.add_order(state, owner, m, side, size, start - side * n * spacing, 2 * MARK, 0, 0)

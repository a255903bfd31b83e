"""Constructed markets for the contagion cards: linear books, many small pools, known densities.

The mark is the last price, and every leg of a seized pool is sold whole, as in the cards' closed
form. One rich account is short whatever the pools are long and owns the books.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from marketsim.engine import book
from marketsim.engine.state import ONE, LegRule, LimitRule, MarkRule, SizeRule, State
from tests.engine.small import open_venue, set_price

#: Of every market, in ticks of one atom a lot.
MARK = 1_000_000
#: Of the notional.
MAINTENANCE = 0.01


def open_books(
    exposure: Any,
    buffer: Any,
    depth: Sequence[float],
    *,
    isolated: Any = None,
    reach: int = 20_000,
    spacing: int = 20,
    **rules: float,
) -> State:
    """Open a venue whose pools hold `exposure` and stand `buffer` above maintenance.

    Parameters
    ----------
    exposure : ndarray, (N, M)
        Notional of every account in every market, USD, long > 0.
    buffer : ndarray, (N,) or (N, M)
        Equity less maintenance margin of an account's pool, USD; of each position's pool where
        the account is isolated.
    depth : sequence of float
        USD per unit of relative move, on both sides of each book.
    isolated : ndarray of bool, (N,), optional
    reach, spacing : int
        Ticks: how far the books go, and between two of their levels.
    """
    num_accounts, num_markets = exposure.shape
    isolated = np.zeros(num_accounts, bool) if isolated is None else isolated
    alone = [(i, 0.0, [m]) for i in np.flatnonzero(isolated) for m in range(num_markets)]
    venue: dict[str, float] = {
        "mark_rule": MarkRule.LAST,
        "legs": LegRule.ALL,
        "size_rule": SizeRule.WHOLE,
        "limit_rule": LimitRule.MARKET,
        "market_bound": ONE // 10,
        "max_rounds": 1000,
    }
    state = open_venue(
        [0.0] * num_accounts + [1e12],
        num_markets=num_markets,
        fund=1e9,
        side_pools=alone,
        tiers=((0, 0.02, MAINTENANCE, 0),),
        market={"tick_atoms": 1, "tick_size": 1e-6, "max_position_lots": 10**12},
        **{**venue, **rules},
    )
    rows = 2 * num_markets * (reach // spacing + 2)
    from marketsim.engine.allocation import grow

    state = grow(state, num_orders=rows, num_nodes=6 * rows)
    lots = np.rint(exposure).astype(np.int64)  # a lot is worth one USD at MARK
    for m in range(num_markets):
        set_price(state, MARK, m)
        state.market[m].last_ticks = MARK
    hold_all(state, lots)
    unit = MARK  # atoms a lot
    for i in range(num_accounts):
        if isolated[i]:
            for m in range(num_markets):
                p = state.position[i, m].pool
                need = abs(lots[i, m]) * unit * MAINTENANCE + buffer[i, m] * 1e6
                pay_in(state, p, -lots[i, m] * unit + round(need))
        else:
            need = np.abs(lots[i]).sum() * unit * MAINTENANCE + buffer[i] * 1e6
            pay_in(state, i, -int(lots[i].sum()) * unit + round(need))
    for m in range(num_markets):
        fill_book(state, m, depth[m], MARK, MARK, reach=reach, spacing=spacing)
    return state


def hold_all(state: State, lots: Any) -> None:
    """Give every account its positions and the last one the other side."""
    num_accounts = len(lots)
    state.position["size"][:num_accounts] = lots
    state.position["size"][num_accounts] = -lots.sum(axis=0)
    state.position["entry_cost"][:] = state.position["size"] * MARK
    state.pool[num_accounts].cash += int(lots.sum()) * MARK
    for m in range(lots.shape[1]):
        held = state.position["size"][:, m]
        state.market[m].open_interest = held[held > 0].sum()
    # what `open_venue` deposited is `deposits`; positions were exchanged at MARK
    state.totals[0].deposits += int(lots.sum()) * MARK


def pay_in(state: State, p: int, atoms: int) -> None:
    """Put cash into a pool; the venue's deposits follow."""
    state.pool[p].cash += atoms
    state.totals[0].deposits += atoms


def fill_book(
    state: State, m: int, depth: float, bid: int, ask: int, *, reach: int, spacing: int
) -> None:
    """Rest `depth` USD per unit of relative move on both sides, bids at and below `bid`."""
    owner = len(state.account) - 2
    level = round(depth * spacing / MARK)
    assert level > 0, "too thin for whole lots"
    for n in range(1, reach // spacing + 1):
        for side, price in ((1, bid - n * spacing), (-1, ask + n * spacing)):
            book.add_order(state, owner, m, side, level, price, 2 * MARK, 0, 0)

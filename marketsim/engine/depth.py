"""The book as others see it: its ladder, what lies near the mid, what a market order would pay.

Sides are those of the resting orders: +1 bids, -1 asks.
"""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.book import find_level, next_price
from marketsim.engine.state import NONE, Flag, State, widen

#: One basis point is this part of a price.
BASIS_POINTS = 10_000


@kernel
def book_mid2(state: State, m: int) -> int:
    """Return twice the mid of a book as it stands, ticks; twice the mark where a side is empty."""
    market = state.market[m]
    if market.best_bid == 0 or market.best_ask == 0:
        return 2 * market.mark_ticks
    return market.best_bid + market.best_ask


@kernel
def count_levels(state: State, m: int, side: int) -> int:
    """Count the occupied prices of a side."""
    market = state.market[m]
    price = market.best_bid if side > 0 else market.best_ask
    count = 0
    while price != 0:
        count += 1
        price = next_price(state, m, price, -side)
    return count


@kernel
def read_ladder(
    state: State, m: int, side: int, price: NDArray[np.int64], size: NDArray[np.int64]
) -> int:
    """Overwrite `price` (ticks) and `size` (lots) with the best levels; return how many there are.

    Best first, no more than the arrays hold.
    """
    market = state.market[m]
    here = market.best_bid if side > 0 else market.best_ask
    count = 0
    while here != 0 and count < len(price):
        price[count] = here
        size[count] = state.level[find_level(state, m, here)].volume
        count += 1
        here = next_price(state, m, here, -side)
    return count


@kernel
def measure_depth(
    state: State, m: int, side: int, reach: NDArray[np.float64], depth: NDArray[np.int64]
) -> None:
    """Overwrite `depth` with the notional (atoms) that rests within each `reach` of the mid.

    `reach` is in basis points of the mid, both ends included, and rises.
    """
    market = state.market[m]
    mid2 = book_mid2(state, m)
    total = 0
    price = market.best_bid if side > 0 else market.best_ask
    for n in range(len(reach)):
        while price != 0 and abs(2 * price - mid2) * BASIS_POINTS <= reach[n] * mid2:
            volume = state.level[find_level(state, m, price)].volume
            total += volume * price * market.tick_atoms
            price = next_price(state, m, price, -side)
        depth[n] = total


@kernel
def walk_book(state: State, m: int, side: int, size: int) -> tuple[int, int, int, int]:
    """Find what a market order of `size` lots would take from a side of the book as it stands.

    The order is somebody's who has none resting there. Reduce-only orders give no more than they
    may close, as they would when met.

    Returns
    -------
    filled, cash, levels, last : int
        Lots; ticks times lots; prices met; the worst of them in ticks, 0 if the side is empty.
    """
    market = state.market[m]
    maker = np.empty(market.num_orders, np.int64)
    taken = np.empty(market.num_orders, np.int64)
    count = 0
    filled = 0
    cash = 0
    levels = 0
    last = 0
    price = market.best_bid if side > 0 else market.best_ask
    while price != 0 and filled < size:
        before = filled
        k = widen(state.level[find_level(state, m, price)].head)
        while k != NONE and filled < size:
            order = state.order[k]
            most = order.size
            if order.flags & Flag.REDUCE_ONLY != 0:
                held = widen(state.position[order.account, m].size)
                for n in range(count):
                    if maker[n] == order.account:
                        held += side * taken[n]
                most = min(most, max(-side * held, 0))
            maker[count] = order.account
            taken[count] = min(most, size - filled)
            filled += taken[count]
            cash += taken[count] * price
            count += 1
            k = widen(order.next)
        if filled > before:
            levels += 1
            last = price
        price = next_price(state, m, price, -side)
    return filled, cash, levels, last

"""The book as others see it: its ladder, and what lies near the mid.

Sides are those of the resting orders: +1 bids, -1 asks.
"""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.book import find_level, next_price
from marketsim.engine.state import State

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

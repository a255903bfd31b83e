"""Square-root impact: where depth grows in proportion to the distance from the touch (B1).

If the size that rests at a distance is in proportion to the distance, what lies within grows with
its square, and an order moves the price by the square root of its size.
"""

import numpy as np
import pytest

from marketsim.engine.allocation import grow
from tests.engine.small import PRICE, open_venue, send
from tests.run.test_depth import Book

pytestmark = pytest.mark.slow

#: Prices of a side, ticks; the last of them has as many lots.
LEVELS = 400


def growing_book() -> Book:
    """A book whose size at a price is its distance from the mid in ticks."""
    state = grow(open_venue([1e9, 1e9]), num_orders=2 * LEVELS + 10, num_nodes=20 * LEVELS)
    state.market[0].max_position_lots = 10**9
    for distance in range(1, LEVELS + 1):
        send(state, 0, distance, PRICE - distance)
        send(state, 1, -distance, PRICE + distance)
    return Book(state)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_impact_grows_with_the_square_root_of_size(side: str) -> None:
    book = growing_book()
    total = LEVELS * (LEVELS + 1) // 2
    share = np.geomspace(1e-3, 0.3, 30)
    found = [book.impact("ONE", each * total * PRICE * 0.01, side) for each in share]
    moves = np.array([abs(each.last_price / (PRICE * 0.01) - 1.0) for each in found])
    slope, _ = np.polyfit(np.log(share), np.log(moves), 1)
    assert slope == pytest.approx(0.5, abs=0.02)
    paid = np.array([abs(each.average_price / (PRICE * 0.01) - 1.0) for each in found])
    slope, _ = np.polyfit(np.log(share), np.log(paid), 1)
    assert slope == pytest.approx(0.5, abs=0.02)
    # The mean distance of what lies within, weighted by a size in proportion to it, is 2/3 of it.
    assert paid[-1] / moves[-1] == pytest.approx(2 / 3, abs=0.01)

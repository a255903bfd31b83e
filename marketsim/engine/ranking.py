"""The order in which accounts come up for liquidation and for deleveraging."""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.records import Indices


@kernel
def order_by(score: NDArray[np.float64], tie: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the scores from the lowest to the highest.

    Equal scores go by `tie`, and what is equal there too by its place. A merge sort: NumPy's takes
    a tenth of all the time the engine takes to compile.
    """
    count = len(score)
    order = np.empty(count, np.int64)
    merged = np.empty(count, np.int64)
    for n in range(count):
        order[n] = n
    width = 1
    while width < count:
        for start in range(0, count, 2 * width):
            middle = min(start + width, count)
            stop = min(middle + width, count)
            left, right = start, middle
            for n in range(start, stop):
                if right == stop or (left < middle and _is_first(score, tie, order, left, right)):
                    merged[n] = order[left]
                    left += 1
                else:
                    merged[n] = order[right]
                    right += 1
        order, merged = merged, order
        width *= 2
    return order


@kernel
def _is_first(
    score: NDArray[np.float64], tie: NDArray[np.int64], order: Indices, left: int, right: int
) -> bool:
    """Tell whether what stands at `left`, the earlier place, comes before what is at `right`."""
    a, b = order[left], order[right]
    return bool(score[a] < score[b] or (score[a] == score[b] and tie[a] <= tie[b]))

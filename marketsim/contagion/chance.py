r"""How likely a pool is liquidated soon, and how much likelier after a mark was pushed.

What a pool has beyond its maintenance margin walks with the marks. With :math:`W_u` the walk after
u steps, in units of what it moves by in one, a pool that stands x of them above maintenance is
liquidated within N steps with the chance :math:`P(\max_u W_u > x)`; after a push of the marks that
costs it :math:`d_u` by then, :math:`P(\max_u (W_u + d_u) > x)`. The difference is what the push
adds: pools that ordinary movement would have taken anyway do not count twice.

All walks share their first step, so given the others the chance is a normal law, and what is
averaged over a few walks is smooth and exact.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.streams import Stream, fill_normal

#: Hours after a liquidation within which another one is put down to it: six times the memory of an
#: average of two and a half minutes.
HORIZON_HOURS = 0.25
#: Walks that chances are averaged over; half of them mirror the others.
_NUM_WALKS = 64
#: Standard deviations beyond which a normal law has nothing.
_FAR = 6.0


class Walks(NamedTuple):
    """Ordinary movement from the first step on."""

    path: NDArray[np.float64]  #: (walks, steps) after each step, less the first
    highest: NDArray[np.float64]  #: (walks,)
    reach: float  #: further than this nothing walks


@lru_cache(maxsize=8)
def walks(num_steps: int) -> Walks:
    """Make the walks of so many steps, the same ones always."""
    drawn = np.zeros((_NUM_WALKS // 2, num_steps))
    for n, row in enumerate(drawn):
        fill_normal(0, Stream.PROBE.value, n, 1, row)
    drawn[:, 0] = 0.0
    path = np.cumsum(np.concatenate([drawn, -drawn]), axis=1)
    highest = path.max(axis=1)
    return Walks(path, highest, float(highest.max()) + _FAR)


def horizon_steps(step_hours: float) -> int:
    """Return the steps of `HORIZON_HOURS`, one at least."""
    return max(round(HORIZON_HOURS / step_hours), 1)


@kernel
def chance(spare: float, walk: Walks) -> float:
    """Return the chance to be liquidated of a pool that stands so far above maintenance.

    Parameters
    ----------
    spare : float
        x, not negative, in what it moves by in a step.
    walk : Walks
    """
    if spare > walk.reach:
        return 0.0
    total = 0.0
    for n in range(len(walk.highest)):
        total += _above(spare - walk.highest[n])
    return total / len(walk.highest)


@kernel
def added_chance(spare: float, cost: float, path: Any, walk: Walks) -> float:
    """Return what a push of the marks adds to the chance to be liquidated.

    Parameters
    ----------
    spare : float
        x, not negative.
    cost : float
        Of a move of 1, in the unit of `spare`.
    path : ndarray, (steps + 1,)
        How far the marks are pushed, at once and after each step; `cost` times it is d.
    walk : Walks
    """
    if cost * path[0] > spare:
        return 1.0 - chance(spare, walk)
    count, num_steps = walk.path.shape
    total = 0.0
    for n in range(count):
        highest = -math.inf
        for u in range(num_steps):
            highest = max(highest, walk.path[n, u] + cost * path[u + 1])
        total += _above(spare - highest) - _above(spare - walk.highest[n])
    added: float = total / count
    return added


@kernel
def _above(z: float) -> float:
    """Chance that a standard normal draw lies above z."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))

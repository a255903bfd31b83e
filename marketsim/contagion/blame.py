"""Which liquidations are to blame for the forced losses of pools, reckoned after a run.

What the impacts of earlier liquidations took from a position is shared among those of its market
that moved the price against it since its pool was last safe, in proportion to what is left of
their impacts (see `marketsim.engine.causes`).
"""

import math

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.cause_records import Blame, Impact, Loss
from marketsim.engine.records import Indices, Rows
from marketsim.engine.state import NONE

#: A liquidation that bears less than this share of a forced loss is not named for it.
MIN_SHARE = 0.01


@kernel
def blame_impacts(
    loss: Rows[Loss],
    row: Indices,
    impact: Rows[Impact],
    start: Indices,
    stop: Indices,
    blame: Rows[Blame],
) -> int:
    """Share each forced loss; overwrites `blame` as far as it reaches.

    `row` lists the liquidations by market, and `row[start[n]:stop[n]]` are those that may have
    caused loss n, oldest first. What no liquidation is named for has the parent `NONE`.

    Returns
    -------
    int
        The entries needed.
    """
    count = 0
    share = np.empty(len(row))
    for n in range(len(loss)):
        forced = loss[n].forced
        if forced == 0:
            continue
        total = _shares(loss[n], row, impact, start[n], stop[n], share) if forced > 0 else 0.0
        left = forced
        unnamed = 0
        first = count
        for k in range(start[n], stop[n]) if total > 0.0 else range(0):
            if share[k] == 0.0:
                continue
            if share[k] < MIN_SHARE * total:
                unnamed += 1
                continue
            amount = int(math.floor(forced * (share[k] / total)))
            count = _note(blame, count, n, row[k], amount)
            left -= amount
        if unnamed == 0 and count > first:
            if first < len(blame):
                blame[first].loss += left  # no more than rounding
        elif left != 0:
            count = _note(blame, count, n, NONE, left)
    return count


@kernel
def _shares(
    loss: Loss,
    row: Indices,
    impact: Rows[Impact],
    start: int,
    stop: int,
    share: NDArray[np.float64],
) -> float:
    """Set what is left, by the last of them, of every impact that hurt the position; add up."""
    total = 0.0
    left = 1.0
    fading = impact[row[stop - 1]].fading if stop > start else 0.0
    latest = fading
    for k in range(stop - 1, start - 1, -1):
        each = impact[row[k]]
        if each.fading != fading:
            fading = each.fading
            left = math.exp(latest - fading)
        size = each.last if loss.by_last != 0 else each.mid
        hurts = size * loss.size < 0.0
        share[k] = abs(size) * left if hurts else 0.0
        total += share[k]
    return total


@kernel
def _note(blame: Rows[Blame], count: int, n: int, parent: int, amount: int) -> int:
    if count < len(blame):
        entry = blame[count]
        entry.row = n
        entry.parent = parent
        entry.loss = amount
    return count + 1

"""Stage 9 where no queue is kept: all on the other side of a bankrupt leg bear their part of it.

By contracts, or by unrealised profit; who has no profit then bears what profits do not. Whoever the
bankruptcy price would leave below margin bears nothing at it, the others more; what nobody is left
to bear is closed at the mark, by the same parts.
"""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine import adl
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.formulas.integers import divide_product
from marketsim.engine.ranking import order_by
from marketsim.engine.records import Indices
from marketsim.engine.state import RankRule, State, widen


@kernel
def deleverage(state: State, number: int, holders: Indices, at_mark: bool) -> None:
    """Close what is left of a liquidated leg against its other side, each for its part.

    `holders` come by priority, which settles who gives an odd lot.
    """
    has_refused = np.zeros(len(holders), np.bool_)
    if state.venue[0].rank_rule == RankRule.PRO_RATA_PROFIT:
        _close_parts(state, number, holders, has_refused, at_mark, True)
    _close_parts(state, number, holders, has_refused, at_mark, False)


@kernel
def _close_parts(
    state: State,
    number: int,
    holders: Indices,
    has_refused: NDArray[np.bool_],
    at_mark: bool,
    by_profit: bool,
) -> None:
    """Close parts until the leg is gone or nobody is left; overwrites `has_refused`.

    A round that leaves something has closed somebody's position whole or met a refusal, so there
    are no more rounds than holders.
    """
    record = state.liquidation[number]
    i = widen(record.account)
    m = widen(record.market)
    weight = np.zeros(len(holders), np.int64)
    while True:
        total = 0
        for n in range(len(holders)):
            weight[n] = 0 if has_refused[n] else _weight(state, holders[n], m, by_profit)
            total += weight[n]
        left = abs(state.position[i, m].size)
        if left == 0 or total == 0:
            return
        part = apportion(left, weight)
        for n in range(len(holders)):
            lots = min(part[n], abs(state.position[holders[n], m].size))
            if lots != 0:
                closed = adl.close_against(state, number, holders[n], lots, at_mark)
                has_refused[n] = closed == 0


@inlined
def _weight(state: State, i: int, m: int, by_profit: bool) -> int:
    """Weigh a position by its unrealised profit, atoms, or by its lots."""
    position = state.position[i, m]
    if by_profit:
        market = state.market[m]
        return max(position.size * market.mark_ticks * market.tick_atoms - position.entry_cost, 0)
    return abs(position.size)


@kernel
def apportion(lots: int, weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `lots` in proportion to weights that do not add up to nothing, in whole lots.

    By largest remainder: what rounding down leaves goes, a lot each, to those who lost most by it;
    of equals, to the first.
    """
    count = len(weight)
    total = 0
    for n in range(count):
        total += int(weight[n])
    part = np.empty(count, np.int64)
    lost = np.empty(count, np.float64)
    place = np.empty(count, np.int64)
    left = int(lots)
    for n in range(count):
        whole, remainder = divide_product(int(lots), int(weight[n]), total)
        part[n] = whole
        lost[n] = -float(remainder) / float(total)
        place[n] = n
        left -= whole
    for n in order_by(lost, place)[:left]:
        part[n] += 1
    return part

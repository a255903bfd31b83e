"""At which mark every position's pool falls below maintenance, to the tick."""

import math
from typing import Any

import numpy as np

from marketsim.engine import margin
from marketsim.engine._jit import kernel
from marketsim.engine.formulas.closing import liquidation_price
from marketsim.engine.paper import with_own_pools
from marketsim.engine.pools import bracket, drawable, maintenance_of
from marketsim.engine.state import MAX_ATOMS, MAX_PRICE_TICKS, ONE, State, widen


def find_triggers(state: State) -> Any:
    """Find the first mark at which each position would be liquidated, other marks as they are.

    Coming from the present mark: for a long the highest mark at which its pool is short, for a
    short the lowest, after what a side pool may draw from its main pool. The present mark itself if
    it is short already; 0 without a position, or where no mark within the range liquidates it. A
    jump to any mark beyond it liquidates it too. The insurance fund is never liquidated.

    Parameters
    ----------
    state : State
        Left as it is.

    Returns
    -------
    array of int64, shape (N, M)
        Ticks.
    """
    return _find_triggers(with_own_pools(state))


@kernel
def _find_triggers(state: State) -> Any:
    """Find the triggers of a venue whose pools may be assessed."""
    margin.value_pools(state)
    found = np.zeros((len(state.account) - 1, len(state.market)), np.int64)
    for i in range(len(found)):
        for m in range(len(state.market)):
            if state.position[i, m].size != 0 and state.market[m].liquidates != 0:
                found[i, m] = find_trigger(state, i, m)
    return found


@kernel
def is_seized_at(state: State, i: int, m: int, ticks: int) -> bool:
    """Tell whether the pool of a position is short with this mark at `ticks`, others as they are.

    After what it may draw from its main pool; reads the assessments of both.
    """
    value = state.position[i, m].size * state.market[m].tick_atoms
    return _is_short(state, m, value, _rest(state, i, m), ticks)


@kernel
def sum_bands(state: State, trigger: Any, edge: Any, reach: float, total: Any) -> None:
    """Add up the lots of the positions by the band of the mark their trigger lies in.

    Parameters
    ----------
    state : State
    trigger : ndarray, (N, M)
        As `find_triggers` returns them.
    edge : ndarray of int64, (M, bands + 1)
        Ticks, rising: band b is from edge b up to, but without, edge b + 1.
    reach : float
        Triggers further from the mark, a fraction, are left out.
    total : ndarray of int64, (M, 2, bands)
        Of longs and of shorts; added to.
    """
    for i in range(len(trigger)):
        for m in range(len(state.market)):
            ticks = trigger[i, m]
            mark = state.market[m].mark_ticks
            if ticks > 0 and abs(ticks - mark) <= reach * mark:
                size = state.position[i, m].size
                total[m, 0 if size > 0 else 1, _band(edge, m, ticks)] += abs(size)


@kernel
def _band(edge: Any, m: int, ticks: int) -> int:
    """Return the last edge at or below a mark: by halves, as NumPy's search is long to compile."""
    low = 0
    high = edge.shape[1]
    while low < high:
        middle = (low + high) // 2
        if edge[m, middle] <= ticks:
            low = middle + 1
        else:
            high = middle
    return low - 1


@kernel
def find_trigger(state: State, i: int, m: int) -> int:
    """Find the mark at which one position would be liquidated; its pools must be valued."""
    market = state.market[m]
    size = widen(state.position[i, m].size)
    mark = widen(market.mark_ticks)
    value = size * market.tick_atoms
    notional = abs(value) * mark
    rest = _rest(state, i, m)
    if _is_short(state, m, value, rest, mark):
        return mark
    side = 1 if size > 0 else -1
    tier = state.tier[m, bracket(state, m, notional)]
    fraction = tier.maintenance_fraction / ONE
    guess = liquidation_price(float(rest), float(value), fraction, float(tier.maintenance_amount))
    # No deposit holds a short of twice the largest notional.
    far = widen(1 if size > 0 else min(MAX_PRICE_TICKS, 2 * MAX_ATOMS // abs(value)))
    if not _is_short(state, m, value, rest, far):
        return 0
    # Exact where the tier stays the same and the guess is off by rounding alone.
    if guess >= 2.0 and guess <= MAX_PRICE_TICKS - 2.0:
        near = int(math.floor(guess + 0.5)) + side
        for _ in range(3):
            beyond = near - side
            if (mark - near) * side >= 0 and not _is_short(state, m, value, rest, near):
                if _is_short(state, m, value, rest, beyond):
                    return beyond
            near = beyond
    safe = mark
    while abs(safe - far) > 1:
        middle = (safe + far) // 2
        if _is_short(state, m, value, rest, middle):
            far = middle
        else:
            safe = middle
    return far


@kernel
def _rest(state: State, i: int, m: int) -> int:
    """Return what a position's pool has, and may draw, apart from its value and requirement."""
    market = state.market[m]
    p = widen(state.position[i, m].pool)
    pool = state.pool[p]
    value = state.position[i, m].size * market.tick_atoms * market.mark_ticks
    room = pool.equity - pool.maintenance + drawable(state, p)
    return room - value + maintenance_of(state, m, abs(value))


@kernel
def _is_short(state: State, m: int, value: int, rest: int, ticks: int) -> bool:
    """Tell whether a pool is below maintenance with this mark at `ticks`.

    `value` is the position's, atoms a tick, `rest` all else the pool has for it.
    """
    return rest + value * ticks < maintenance_of(state, m, abs(value) * ticks)

"""Who stands where: the crowd's opinion, sides, leverage and distance to liquidation by market."""

import math

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.pools import bracket
from marketsim.engine.records import Grid
from marketsim.engine.state import ONE, UNLIMITED, State
from marketsim.tape.series import Series

#: Columns of the sums of a market: of its longs, of its shorts from `_SHORT` on, of both.
_COUNT, _NOTIONAL, _ROOM, _SHORT, _GROSS, _EQUITY, _COLUMNS = 0, 1, 2, 3, 6, 7, 8


@kernel
def record_crowd(
    state: State,
    crowd: NDArray[np.float64],
    herd_size: NDArray[np.float64],
    series: Grid[Series],
    row: int,
) -> None:
    r"""Write what the traders of each market are up to; overwrites its columns of ``series[row]``.

    All accounts but the insurance fund count, makers included. Per market:

    - `herd_index`: 2 X / N - 1, X of the N herd traders who trade the market being long at heart.
    - `long_share`: accounts that are long, of those with a position.
    - `leverage`: gross notional in all markets of the accounts with a position in this one, over
      their equity as margin counts it, so that large accounts weigh more and one without equity
      does no harm.
    - `long_distance`, `short_distance`: relative move of this mark alone that takes a position's
      pool to maintenance, at most 1, at least 0, weighted by notional:

    .. math:: d = \min\left(\frac{E - M}{n (1 \mp f)}, 1\right)

    of a pool with equity E and maintenance margin M, a long (-) or short (+) of notional n and its
    tier's maintenance fraction f, as if the tier did not change on the way. E and M are those of
    the step's last margin pass. What does not exist is nan.

    Parameters
    ----------
    state : State
    crowd : ndarray, (G, M)
        Optimists of each population.
    herd_size : ndarray, (M,)
        Herd traders who trade each market.
    series : recarray, (T, M)
    row : int
    """
    total = _sum_up(state)
    for m in range(len(state.market)):
        long = 0.0
        for g in range(len(crowd)):
            long += crowd[g, m]
        out = series[row, m]
        out.herd_index = 2.0 * _ratio(long, herd_size[m]) - 1.0
        sums = total[m]
        out.long_share = _ratio(sums[_COUNT], sums[_COUNT] + sums[_SHORT + _COUNT])
        out.leverage = _ratio(sums[_GROSS], sums[_EQUITY])
        out.long_distance = _ratio(sums[_ROOM], sums[_NOTIONAL])
        out.short_distance = _ratio(sums[_SHORT + _ROOM], sums[_SHORT + _NOTIONAL])


@kernel
def _sum_up(state: State) -> NDArray[np.float64]:
    """Sum over all accounts but the fund, in one pass over the positions; (M, columns) atoms."""
    num_markets = len(state.market)
    equity = np.zeros(len(state.account), np.int64)
    for p in range(len(state.pool)):
        equity[state.pool[p].owner] += state.pool[p].equity
    unit = np.empty(num_markets, np.int64)
    second_tier = np.empty(num_markets, np.int64)
    for m in range(num_markets):
        market = state.market[m]
        unit[m] = market.mark_ticks * market.tick_atoms
        second_tier[m] = state.tier[m, 1].floor_atoms if market.num_tiers > 1 else UNLIMITED
    # One over 1 - f and over 1 + f in the first tier: a division per position would show.
    stretch = np.empty((num_markets, 2))
    for m in range(num_markets):
        fraction = state.tier[m, 0].maintenance_fraction / ONE
        stretch[m, 0] = 1.0 / (1.0 - fraction)
        stretch[m, 1] = 1.0 / (1.0 + fraction)
    total = np.zeros((num_markets, _COLUMNS))
    is_held = np.empty(num_markets)
    for i in range(len(state.account) - 1):
        gross = 0
        for m in range(num_markets):
            position = state.position[i, m]
            size = position.size
            is_held[m] = 0.0 if size == 0 else 1.0
            notional = abs(size) * unit[m]
            gross += notional
            # No branch by side or size: half of the guesses would be wrong.
            side = 1 if size < 0 else 0
            pool = state.pool[position.pool]
            room = (pool.equity - pool.maintenance) * stretch[m, side]
            if notional >= second_tier[m]:
                tier = state.tier[m, bracket(state, m, notional)]
                room = (pool.equity - pool.maintenance) / (
                    1.0 - (1 - 2 * side) * (tier.maintenance_fraction / ONE)
                )
            first = side * _SHORT
            total[m, first + _COUNT] += is_held[m]
            total[m, first + _NOTIONAL] += notional
            total[m, first + _ROOM] += min(max(room, 0.0), float(notional))
        for m in range(num_markets):
            total[m, _GROSS] += is_held[m] * gross
            total[m, _EQUITY] += is_held[m] * equity[i]
    return total


@kernel
def _ratio(part: float, whole: float) -> float:
    """Return part / whole, nan where there is no whole."""
    return part / whole if whole > 0.0 else math.nan

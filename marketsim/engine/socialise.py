"""The end of the waterfall: who bears a loss that no collateral, book, fund or winner has covered.

The holders of the market it was made in, by size. Where nobody holds that any more, or the loss has
no market (a pool without positions owes it), the holders of all markets, by value. Where nobody
holds anything, the venue itself, out of the fees it collected. Never the insurance fund: it has
paid all it may by then.
"""

from marketsim.engine import ledger
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.formulas.integers import mul_div_up
from marketsim.engine.state import NONE, Cause, State, widen

#: Atoms: positions of several markets are weighed in units of about a dollar, lest their sum
#: overflow.
VALUE_UNIT = 2**20


@kernel
def share_loss(state: State, p: int, m: int, loss: int) -> int:
    """Share the loss left in pool `p` among the holders of market `m` (NONE: of all markets).

    Shares are rounded up and the surplus goes to the insurance fund. Returns what was shared: all
    of it, or nothing if the venue bears it.
    """
    fund = len(state.account) - 1
    collected = widen(0)
    if m != NONE:
        collected = _charge_holders(state, m, m + 1, loss)
    if collected == 0:
        collected = _charge_holders(state, widen(0), len(state.market), loss)
    if collected == 0:
        ledger.charge_venue(state, p, loss)
        return 0
    ledger.post(state, p, Cause.SOCIALISED, loss)
    ledger.post(state, fund, Cause.SOCIALISED, collected - loss)
    state.totals[0].socialised_atoms += loss
    return loss


@kernel
def _charge_holders(state: State, first: int, stop: int, loss: int) -> int:
    """Charge a loss to whoever holds markets `first` to `stop`, but the fund; return the sum."""
    fund = len(state.account) - 1
    by_value = stop - first > 1
    total = 0
    for i in range(fund):
        for m in range(first, stop):
            total += _weight(state, i, m, by_value)
    collected = 0
    if total > 0:
        for i in range(fund):
            for m in range(first, stop):
                weight = _weight(state, i, m, by_value)
                if weight != 0:
                    share = mul_div_up(loss, weight, total)
                    ledger.post(state, widen(state.position[i, m].pool), Cause.SOCIALISED, -share)
                    collected += share
    return collected


@inlined
def _weight(state: State, i: int, m: int, by_value: bool) -> int:
    """Weigh a position by its size, or by its value at the mark in whole units, rounded up."""
    size = abs(state.position[i, m].size)
    if by_value and size != 0:
        market = state.market[m]
        return (size * market.mark_ticks * market.tick_atoms - 1) // VALUE_UNIT + 1
    return size

"""Open positions move to other pools of their account: a change of margin mode, or of groups.

The venue's rule: every side pool receives the initial margin of its positions, no more and no less;
the rest stays in the main pool, which must then hold its own. So who has less equity in all pools
than the initial margin of all positions may not change.
"""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine import causes, ledger
from marketsim.engine._jit import kernel
from marketsim.engine.pools import (
    assess_pool,
    haircut_holdings,
    initial_margin,
    initial_requirement,
    opens_side_pool,
)
from marketsim.engine.state import State, widen


@kernel
def may_regroup(state: State, account: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell of accounts whether their equity in all pools covers the initial margin of all."""
    found = np.zeros(len(account), np.bool_)
    for n in range(len(account)):
        found[n] = _covers_all(state, account[n])
    return found


@kernel
def _covers_all(state: State, i: int) -> bool:
    equity = state.pool[i].cash + haircut_holdings(state, i)
    initial = 0
    for m in range(len(state.market)):
        position = state.position[i, m]
        if opens_side_pool(state, i, m):
            equity += state.pool[position.pool].cash
        market = state.market[m]
        equity += position.size * market.mark_ticks * market.tick_atoms
        initial += initial_requirement(state, i, m, widen(position.size))
    return bool(equity >= initial)


@kernel
def regroup(state: State, account: NDArray[np.int64], pool: NDArray[np.int64]) -> None:
    """Put the positions of accounts into other pools of theirs, ``pool[n, m]``.

    Overwrites the positions' pools, the cash of all of them and what was drawn.
    """
    for n in range(len(account)):
        i = account[n]
        for m in range(len(state.market)):
            p = widen(state.position[i, m].pool)
            if p != i:
                ledger.move_cash(state, p, i, widen(state.pool[p].cash))
                state.draw[p].drawn = 0
        for m in range(len(state.market)):
            state.position[i, m].pool = pool[n, m]
        for m in range(len(state.market)):
            p = pool[n, m]
            if p != i:  # a pool of several markets is whole after its first
                assess_pool(state, p)
                short = initial_margin(state, p) - widen(state.pool[p].equity)
                ledger.move_cash(state, i, p, short)
        causes.begin_anew(state, i)

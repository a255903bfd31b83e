"""What the accounts of users' own traders are worth in the step in which they decide."""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.pools import assess_pool, initial_margin, opens_side_pool
from marketsim.engine.records import Indices
from marketsim.engine.state import ATOMS, State, widen


@kernel
def assess_account(state: State, i: int) -> tuple[int, int, int]:
    """Add up the pools of an account: its main pool, and those its positions lie in.

    Returns
    -------
    equity, maintenance, free : int
        Atoms; free is the main pool's equity beyond its initial margin.
    """
    assess_pool(state, i)
    equity: int = state.pool[i].equity
    maintenance: int = state.pool[i].maintenance
    free = max(equity - initial_margin(state, i), 0)
    for m in range(len(state.market)):
        if opens_side_pool(state, i, m):
            p = widen(state.position[i, m].pool)
            assess_pool(state, p)
            equity += state.pool[p].equity
            maintenance += state.pool[p].maintenance
    return equity, maintenance, free


@kernel
def assess_accounts(
    state: State, account: Indices, count: int, margin: NDArray[np.float64]
) -> None:
    """Overwrite the rows of `margin` with equity, maintenance and free margin, USD, of accounts.

    They are the first `count` of those listed.
    """
    for n in range(count):
        equity, maintenance, free = assess_account(state, account[n])
        margin[n, 0] = equity / ATOMS
        margin[n, 1] = maintenance / ATOMS
        margin[n, 2] = free / ATOMS

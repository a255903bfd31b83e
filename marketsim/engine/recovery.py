r"""How much a book takes back of what liquidations moved its price by.

The orders of liquidations press on the mid; afterwards arbitrageurs, makers and others bring it
back. With :math:`F_t` the pressure of a market after step t, :math:`a_t` what liquidations moved
its mid by in step t and :math:`r_t` what the mid moved by before them, less what the index did,

.. math:: r_t = -\rho F_{t-1} + \epsilon_t, \qquad F_t = (1 - \rho) F_{t-1} + a_t

where :math:`\rho`, the share taken back in a step, is what least squares over the steps under
pressure say so far (those long past count less), within 0 and 1. A mid that goes on of its own
accord counts against it as much as one that comes back counts for it.

What the marks move by in a step is kept beside it: how far they go anyway, whatever is liquidated.

Nothing here changes what is simulated.
"""

from marketsim.engine._jit import kernel
from marketsim.engine.causes import middle
from marketsim.engine.state import State

#: What a step under pressure still counts for after another one: half after about 700 of them.
KEPT = 0.999
#: What a move of the marks still counts for after another step: half after half an hour of minutes.
KEPT_MOVES = 0.977
#: Ticks below which nothing is left of a pressure.
MIN_PRESSURE = 0.01


@kernel
def measure_recovery(state: State) -> None:
    """Hold what each mid did of its own accord against the pressure it was under.

    Comes when the step's orders have met the books, before its liquidations.
    """
    for m in range(len(state.market)):
        recovery = state.recovery[m]
        pressure = recovery.pressure
        if pressure != 0.0:
            index = state.market[m].index_price / state.market[m].tick_size
            moved = middle(state, m) - recovery.seen_mid - (index - recovery.seen_index)
            recovery.taken_back = KEPT * recovery.taken_back - pressure * moved
            recovery.pressed = KEPT * recovery.pressed + pressure * pressure
            recovery.share = min(max(recovery.taken_back / recovery.pressed, 0.0), 1.0)
            left = (1.0 - recovery.share) * pressure
            recovery.pressure = left if abs(left) >= MIN_PRESSURE else 0.0


@kernel
def note_impact(state: State, m: int, mid: float) -> None:
    """Add what a liquidation order has moved the mid by; `mid` is that before it."""
    state.recovery[m].pressure += middle(state, m) - mid


@kernel
def note_prices(state: State) -> None:
    """Keep mid, index and mark as a step leaves them, and what the marks moved by in it."""
    for m in range(len(state.market)):
        recovery = state.recovery[m]
        recovery.moves = KEPT_MOVES * recovery.moves + (1.0 if recovery.seen_mark != 0 else 0.0)
        for k in range(m + 1):
            product = _mark_move(state, m) * _mark_move(state, k)
            state.movement[m, k] = KEPT_MOVES * state.movement[m, k] + product
            state.movement[k, m] = state.movement[m, k]
    for m in range(len(state.market)):
        market = state.market[m]
        state.recovery[m].seen_mark = market.mark_ticks
        state.recovery[m].seen_mid = middle(state, m)
        state.recovery[m].seen_index = market.index_price / market.tick_size


@kernel
def _mark_move(state: State, m: int) -> float:
    """Return what a mark has moved by since the last step ended, relative."""
    seen = state.recovery[m].seen_mark
    return state.market[m].mark_ticks / seen - 1.0 if seen != 0 else 0.0


@kernel
def mark_covariance(state: State, m: int, k: int) -> float:
    """Return the mean product of two marks' moves in a step, relative; 0 before any step."""
    moves = state.recovery[m].moves
    return state.movement[m, k] / moves if moves > 0.0 else 0.0

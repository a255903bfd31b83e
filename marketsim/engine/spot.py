"""Stage 1: spot prices move.

By news, a replayed history or not at all; then scheduled shocks strike; then reflexivity lets
spot follow the perp. The price is ``base * shocks * exp(displacement)``: ``base`` is news alone, so
two runs that differ in a rule of the venue have the same ``base`` to the last bit.
"""

import math

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.state import MAX_PRICE_TICKS, NONE, ONE, State
from marketsim.engine.world import (
    Asset,
    JumpLaw,
    News,
    Returns,
    Shock,
    ShockKind,
    SpotKind,
    World,
)

#: exp of more does not fit a number; no price stays in its book by far.
MAX_LOG_RETURN = 700.0


@kernel
def move_spot(world: World, state: State, t: int) -> int:
    """Move every spot price through step `t` (from 0): history row t to row t + 1.

    Overwrites the factor, the assets and the faults of the sources; scheduled shocks overwrite
    `market.depth_factor` and `totals.stable_price` (only if the scenario has shocks).

    Returns
    -------
    int
        `NONE`, or the first market whose price left the range of 1 to `MAX_PRICE_TICKS` ticks.
        Nothing is clamped: the run has to stop there.
    """
    factor = world.factor[0]
    if len(world.shock) > 0:
        strike_shocks(world, state, t)
    if factor.kind == SpotKind.FACTOR:
        _move_factor(world)
    outside = NONE
    for m in range(len(world.asset)):
        asset = world.asset[m]
        market = state.market[m]
        # the perp's departure is read against the fundamental it was traded at
        if factor.reflexivity > 0.0 and market.best_bid > 0 and market.best_ask > 0:
            mid = 0.5 * float(market.best_bid + market.best_ask) * market.tick_size
            asset.displacement = factor.reflexivity * math.log(mid / asset.fundamental)
        if factor.kind == SpotKind.FACTOR:
            asset.base *= _growth(_news(world, m))
        elif factor.kind == SpotKind.HISTORY:
            _replay(world.history, asset, m, t)
        asset.fundamental = asset.base * asset.shock_factor
        asset.price = asset.fundamental * math.exp(asset.displacement)
        ticks = asset.price / market.tick_size
        # written so that a price that is not a number is outside, too
        if not (ticks >= 1.0 and ticks <= MAX_PRICE_TICKS) and outside == NONE:
            outside = m
    return outside


@kernel
def _growth(log_return: float) -> float:
    """Return the factor of a log return; one that no price survives ends as the largest of them."""
    return math.exp(min(log_return, MAX_LOG_RETURN))


@kernel
def _move_factor(world: World) -> None:
    """Move the regime, then the factor; correlation rises in stress because its variance does."""
    factor = world.factor[0]
    draw = world.common_draw[0]
    if factor.stress == 0:
        if draw.regime < factor.enter_probability:
            factor.stress = 1
    elif draw.regime < factor.leave_probability:
        factor.stress = 0
    multiplier = factor.stress_multiplier if factor.stress == 1 else 1.0
    factor.log_volatility = _log_volatility(world, 0)
    clustered = math.exp(factor.log_sd * factor.log_volatility - factor.centre)
    sd = multiplier * clustered * factor.sd
    factor.shock = sd * draw.gauss
    factor.shock_variance = sd * sd
    factor.jump_return = _jump(factor, draw)


@kernel
def _news(world: World, m: int) -> float:
    """Return the step's log return of one asset.

    Half the variance is taken off, so without jumps the expected price grows by the drift.
    """
    factor = world.factor[0]
    asset = world.asset[m]
    draw = world.own_draw[m]
    own = asset.log_sd * _log_volatility(world, m + 1)
    sd = math.exp(asset.common_log_sd * factor.log_volatility + own - asset.centre) * asset.sd
    variance = asset.loading * asset.loading * factor.shock_variance + sd * sd
    burst = asset.burst_factor
    gaussian = burst * (asset.loading * factor.shock + sd * draw.gauss)
    jumps = asset.loading * factor.jump_return + _jump(asset, draw)
    return asset.drift - 0.5 * burst * burst * variance + gaussian + jumps


@kernel
def _log_volatility(world: World, row: int) -> float:
    r"""Move the time scales of one log-volatility; return it in the middle of the step.

    .. math::
        x_k' = a_k x_k + \sqrt{1 - a_k^2} \, z_k, \quad
        \sum_k \sqrt{w_k} \, (x_k + x_k') / 2

    with memory :math:`a_k = 2^{-\Delta / h_k}` for a half-life :math:`h_k`: what it is at the ends
    of steps has the same law whatever their length.
    """
    middle = 0.0
    for k in range(world.scale.shape[1]):
        scale = world.scale[row, k]
        if scale.weight > 0.0:  # what nothing reads is not drawn either, and stands still
            before = scale.value
            scale.value = scale.memory * before + scale.innovation * scale.gauss
            middle += scale.weight * 0.5 * (before + scale.value)
    return middle


@kernel
def _jump(series: Returns, draw: News) -> float:
    """Return the log return of a jump, 0 in a step without one."""
    if draw.jump >= series.jump_probability:
        return 0.0
    if series.jump_law == JumpLaw.NORMAL:
        return series.jump_mean + series.jump_sd * draw.jump_gauss
    if draw.jump_side < series.jump_up_share:
        return series.jump_up_mean * draw.jump_size
    return -series.jump_down_mean * draw.jump_size


@kernel
def _replay(history: NDArray[np.float64], asset: Asset, m: int, t: int) -> None:
    """Set the base to the next row of the history; a volatility burst stretches its returns."""
    price = history[t + 1, m]
    if asset.burst_factor != 1.0:
        asset.burst_return += (asset.burst_factor - 1.0) * math.log(price / history[t, m])
    asset.base = price
    if asset.burst_return != 0.0:
        asset.base = price * _growth(asset.burst_return)


@kernel
def strike_shocks(world: World, state: State, t: int) -> None:
    """Set what the schedule says about step `t`, from the schedule alone: nothing accumulates."""
    for m in range(len(world.asset)):
        world.asset[m].shock_factor = 1.0
        world.asset[m].burst_factor = 1.0
        state.market[m].depth_factor = 1.0
    for k in range(len(world.source)):
        world.source[k].fault_factor = 1.0
        world.source[k].is_stale = 0
    stable_price = 1.0
    for j in range(len(world.shock)):
        shock = world.shock[j]
        share = shock_share(shock, t)
        if share > 0.0:
            if shock.kind == ShockKind.PRICE:
                world.asset[shock.market].shock_factor *= math.exp(share * math.log1p(shock.size))
            elif shock.kind == ShockKind.VOLATILITY:
                world.asset[shock.market].burst_factor *= 1.0 + share * (shock.size - 1.0)
            elif shock.kind == ShockKind.DEPTH:
                state.market[shock.market].depth_factor *= 1.0 + share * (shock.size - 1.0)
            elif shock.kind == ShockKind.SOURCE_FACTOR:
                world.source[shock.source].fault_factor *= shock.size
            elif shock.kind == ShockKind.SOURCE_STALE:
                world.source[shock.source].is_stale = 1
            else:
                stable_price *= 1.0 + share * shock.size
    state.totals[0].stable_price = math.floor(stable_price * ONE + 0.5)


@kernel
def shock_share(shock: Shock, t: int) -> float:
    """Return how much of a shock acts in step `t`: rises, holds, fades to what remains.

    A crash is straight in log price because this share multiplies its log return.
    """
    elapsed = t - shock.start + 1
    if elapsed <= 0:
        return 0.0
    if elapsed < shock.rise:
        return elapsed / shock.rise
    fading = elapsed - shock.rise - shock.hold
    if fading <= 0:
        return 1.0
    if fading >= shock.recovery:
        return shock.remainder
    return 1.0 - (1.0 - shock.remainder) * fading / shock.recovery

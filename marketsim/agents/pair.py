"""The pair trader: long one perp, short another, until they come together again."""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marketsim.agents.base import STOPPED, BuiltIn, Traders, position_coins, wealth_usd
from marketsim.agents.habits import (
    affordable_notional,
    close_position,
    draw_of_market,
    move_position,
)
from marketsim.engine._jit import kernel
from marketsim.engine.state import State


class Pair(BuiltIn):
    """Sells what has become dear beside another market and buys the other, dollar for dollar.

    Believes that the ratio of two prices returns to its average of late. Watches one pair of its
    markets; its two legs offset each other's risk in a cross pool and are each on their own in
    isolated ones. Leaves when the ratio is back, and gives up when it has gone too far.

    References
    ----------
    E. Gatev, W. Goetzmann and K. G. Rouwenhorst, "Pairs trading: performance of a relative-value
    arbitrage rule", Review of Financial Studies 19 (2006).
    """

    MIN_MARKETS = 2

    window_hours: float = Field(72.0, ge=1e-3, le=1e9)
    """Time constant of the average of the log ratio and of its variance."""
    entry: float = Field(2.0, gt=0, le=1e9)
    """Standard deviations from the average at which it enters."""
    leave: float = Field(0.5, ge=0, le=1e9)
    """Standard deviations at which it takes its profit."""
    give_up: float = Field(4.0, gt=0, le=1e9)
    """Standard deviations at which it takes its loss."""
    rebalance: float = Field(0.25, ge=0, le=1e9)
    """A leg is left alone while it is off by less than this share."""

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Pair", g: int, count: int, t: int, seed: int
    ) -> None:
        """Let the pair traders who wake look at their ratio and enter, leave or give up."""
        window = p.window_hours / state.venue[0].step_hours
        for n in range(count):
            i = traders.awake[n]
            one, other = choose_pair(traders, g, i, seed)
            ratio = math.log(traders.public[one].mid / traders.public[other].mid)
            elapsed = float(traders.trader[i].elapsed)
            score = watch(traders.memory[i, one], ratio, elapsed, window)
            before = traders.memory[i, other, SIDE]
            side = next_side(before, score, p.entry, p.leave, p.give_up)
            traders.memory[i, other, SIDE] = side
            has_stopped = (
                traders.memory[i, one, STOPPED] != 0.0 or traders.memory[i, other, STOPPED] != 0.0
            )
            if side in (1.0, -1.0) and not has_stopped:
                _hold(state, traders, i, one, side, p.rebalance)
                _hold(state, traders, i, other, -side, p.rebalance)
            else:
                if position_coins(state, i, one) != 0.0:
                    close_position(state, traders, i, one, 1.0)
                if position_coins(state, i, other) != 0.0:
                    close_position(state, traders, i, other, 1.0)
                if side == 0.0:
                    traders.memory[i, one, STOPPED] = 0.0
                    traders.memory[i, other, STOPPED] = 0.0


#: What a pair trader remembers: the average of the log ratio, its variance and the steps it has
#: watched with its first market; its side (+1: long the first market) with the second.
MEAN = 0
VARIANCE = 1
WATCHED = 2
SIDE = 0


@kernel
def choose_pair(traders: Traders, g: int, i: int, seed: int) -> tuple[int, int]:
    """Return the two markets a trader watches, the same at every look: those with least draws."""
    one = other = -1
    least = less = 1.0
    for m in range(traders.weight.shape[1]):
        if traders.weight[g, m] > 0.0:
            drawn = draw_of_market(traders, i, m, 0, seed)
            if drawn < least:
                one, other = m, one
                least, less = drawn, least
            elif drawn < less:
                other = m
                less = drawn
    return one, other


@kernel
def watch(memory: NDArray[np.float64], ratio: float, elapsed: float, window: float) -> float:
    """Update average and variance of the log ratio; return how many deviations it is off.

    0 until the pair has been watched for a window. Overwrites the trader's `memory` of its first
    market.
    """
    if memory[WATCHED] == 0.0:
        memory[MEAN] = ratio
        memory[WATCHED] = 1.0
        return 0.0
    off: float = ratio - memory[MEAN]
    deviation = math.sqrt(memory[VARIANCE])
    weight = -math.expm1(-elapsed / window)
    memory[MEAN] += weight * off
    memory[VARIANCE] = (1.0 - weight) * (memory[VARIANCE] + weight * off * off)
    memory[WATCHED] += elapsed
    if memory[WATCHED] < window or deviation <= 0.0:
        return 0.0
    return off / deviation


@kernel
def next_side(side: float, score: float, entry: float, leave: float, give_up: float) -> float:
    """Return the side to take: +1 is long the first market, 2 stands for waiting after a loss.

    Examples
    --------
    >>> next_side(0.0, 2.5, 2.0, 0.5, 4.0), next_side(-1.0, 0.4, 2.0, 0.5, 4.0)
    (-1.0, 0.0)
    """
    if abs(score) <= leave or (side in (1.0, -1.0) and side * score >= -leave):
        return 0.0
    if side in (1.0, -1.0):
        return 2.0 if -side * score >= give_up else side
    if side == 0.0 and abs(score) >= entry:
        return -1.0 if score > 0.0 else 1.0
    return side


@kernel
def _hold(state: State, traders: Traders, i: int, m: int, side: float, tolerance: float) -> None:
    """Move one leg to its half of the account, if it is not nearly there."""
    equity = 0.5 * wealth_usd(state, i)
    target = side * affordable_notional(state, traders, i, m, equity) / traders.public[m].mid
    if abs(target - position_coins(state, i, m)) > tolerance * abs(target):
        move_position(state, traders, i, m, target)

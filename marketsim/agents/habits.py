"""Habits all strategies share: waking, choosing a market, stop-loss, buffer."""

import math
from typing import Any

from marketsim.agents.base import market_order, position_coins, submit
from marketsim.engine._jit import kernel
from marketsim.engine.pools import assess_pool, free_margin
from marketsim.engine.state import UNLIMITED, Flag, IntentKind, State, wide
from marketsim.streams import Stream, exponential, uniform


@kernel
def wake(traders: Any, g: int, t: int, seed: int) -> int:
    """List the traders of population `g` who look at the market in step `t`; return how many.

    Waiting times are exponential around the trader's attention, at least one step. Overwrites
    `traders.awake` and the next waking of those listed.
    """
    population = traders.population[g]
    count = 0
    for i in range(population.start, population.stop):
        trader = traders.trader[i]
        if trader.next_wake <= t:
            traders.awake[count] = i
            count += 1
            wait = trader.attention * exponential(seed, Stream.WAKE.value, trader.key, t, 0)
            trader.next_wake = UNLIMITED if wait >= 1e15 else t + max(int(math.ceil(wait)), 1)
    return count


@kernel
def pick_market(traders: Any, g: int, u: float) -> int:
    """Choose a market by the population's weights with a uniform draw."""
    num_markets = traders.weight.shape[1]
    total = 0.0
    for m in range(num_markets):
        total += traders.weight[g, m]
        if u < total:
            return m
    return num_markets - 1


@kernel
def draw(traders: Any, i: int, t: int, k: int, seed: int) -> float:
    """Draw the `k`-th uniform number of a trader's action in step `t`."""
    return uniform(seed, Stream.ACTION.value, traders.trader[i].key, t, k)


@kernel
def has_lost(state: State, traders: Any, i: int, m: int) -> bool:
    """Tell whether a position's loss has reached the trader's stop, as a share of its entry."""
    position = state.position[i, m]
    market = state.market[m]
    value = float(position.size * market.mark_ticks * market.tick_atoms)
    loss = float(position.entry_cost) - value
    return loss > traders.trader[i].stop_loss * abs(float(position.entry_cost))


@kernel
def close_position(state: State, traders: Any, i: int, m: int, share: float) -> None:
    """Close a share of a position at the market, within the trader's slippage bound."""
    size = position_coins(state, i, m) * share
    flags = Flag.REDUCE_ONLY.value
    market_order(state, traders, i, m, -size, traders.trader[i].slippage, flags)


@kernel
def keep_buffer(state: State, traders: Any, i: int, m: int) -> bool:
    """Restore a pool whose equity is below (1 + buffer) x maintenance; tell if it acted.

    A side pool is topped up from the main pool as far as that has free margin; otherwise the
    position is cut to the size its equity supports.
    """
    buffer = traders.trader[i].buffer
    p = wide(state.position[i, m].pool)
    assess_pool(state, p)
    equity = float(state.pool[p].equity)
    wanted = (1.0 + buffer) * float(state.pool[p].maintenance)
    if buffer <= 0.0 or equity >= wanted:
        return False
    short = int(math.ceil(wanted - equity))
    if p != i and free_margin(state, i) >= short:
        submit(state, i, m, IntentKind.TRANSFER.value, short, 0, 0, 0)
    else:
        close_position(state, traders, i, m, min(1.0 - max(equity, 0.0) / wanted, 1.0))
    return True

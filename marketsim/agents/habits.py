"""Habits all strategies share: waking, stop-loss, buffer, spot hedge, tranches, slippage."""

import math

from marketsim.agents.base import (
    STOPPED,
    Traders,
    market_order,
    position_coins,
    submit,
    withdraw,
)
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.near import prefetch_trader
from marketsim.engine.pools import assess_pool, free_margin
from marketsim.engine.state import (
    ATOMS,
    NONE,
    ONE,
    UNLIMITED,
    Flag,
    IntentKind,
    State,
    widen,
)
from marketsim.streams import Stream, exponential, uniform

#: A spot hedge is left alone while it is off by less than this share.
HEDGE_BAND = 0.02
#: Who leaves the market goes at least so far from mid to close a position, as a share.
LEAVING_SLIPPAGE = 0.01
#: Traders of a population who decide before the next are listed: what they look at is fetched
#: together, and stays near until they are done.
AT_ONCE = 32
#: Fractions of brackets are rounded: leverage may exceed theirs by so much.
LEVERAGE_TOLERANCE = 1.0 + 1e-6


@kernel
def wake(state: State, traders: Traders, g: int, first: int, t: int, seed: int) -> tuple[int, int]:
    """List who of population `g`, from account `first` on, looks at the market in step `t`.

    Returns how many, at most `AT_ONCE`, and the account to go on from. Waiting times are
    exponential around the trader's attention, at least one step. Overwrites `traders.awake` and the
    last and next waking of those listed.
    """
    count = 0
    i = first
    while i < traders.population[g].stop and count < AT_ONCE:
        if traders.next_wake[i] <= t:
            prefetch_trader(state, traders, i)
            traders.awake[count] = i
            count += 1
        i += 1
    for n in range(count):
        _look(traders, traders.awake[n], t, seed)
    return count, i


@inlined
def _look(traders: Traders, i: int, t: int, seed: int) -> None:
    """Note that a trader looks now, and draw when it looks again."""
    trader = traders.trader[i]
    trader.elapsed = t - trader.last_wake
    trader.last_wake = t
    wait = trader.attention * exponential(seed, Stream.WAKE.value, trader.key, t, 0)
    traders.next_wake[i] = UNLIMITED if wait >= 1e15 else t + max(int(math.ceil(wait)), 1)


@kernel
def mean_wait(attention: float) -> float:
    """Return the mean steps between two looks, waits being rounded up; 0 for who looks once."""
    return 0.0 if math.isinf(attention) else -1.0 / math.expm1(-1.0 / attention)


@kernel
def pick_market(traders: Traders, g: int, i: int, t: int, seed: int) -> int:
    """Choose a market by the population's weights, each having a draw of its own.

    The first of exponential waits with the weights as rates: who would choose another market keeps
    to it whatever the place of this one in the list.
    """
    chosen = 0
    first = math.inf
    for m in range(traders.weight.shape[1]):
        weight = traders.weight[g, m]
        if weight > 0.0:
            wait = -math.log(draw_of_market(traders, i, m, t, seed)) / weight
            if wait < first:
                first = wait
                chosen = m
    return chosen


@kernel
def draw(traders: Traders, i: int, t: int, k: int, seed: int) -> float:
    """Draw the `k`-th uniform number of a trader's action in step `t`."""
    return uniform(seed, Stream.ACTION.value, traders.trader[i].key, t, k)


@kernel
def draw_of_market(traders: Traders, i: int, m: int, t: int, seed: int) -> float:
    """Draw a uniform number that a trader has for one market in step `t`."""
    key = traders.trader[i].key ^ traders.public[m].key
    return uniform(seed, Stream.ACTION.value, key, t, 0)


@kernel
def has_lost(state: State, traders: Traders, i: int, m: int) -> bool:
    """Tell whether a position's loss has reached the trader's stop, as a share of its entry."""
    position = state.position[i, m]
    market = state.market[m]
    value = float(position.size * market.mark_ticks * market.tick_atoms)
    loss = float(position.entry_cost) - value
    return loss > traders.trader[i].stop_loss * abs(float(position.entry_cost))


@kernel
def close_position(state: State, traders: Traders, i: int, m: int, share: float) -> None:
    """Close a share of a position at the market, within the trader's slippage bound."""
    size = position_coins(state, i, m) * share
    flags = Flag.REDUCE_ONLY.value
    market_order(state, traders, i, m, -size, traders.trader[i].slippage, flags)


@kernel
def keep_buffer(state: State, traders: Traders, i: int, m: int) -> bool:
    """Restore a pool whose equity is below (1 + buffer) x maintenance; tell if it acted.

    A side pool is topped up from the main pool as far as that has free margin; otherwise the
    position is cut to the size its equity supports.
    """
    buffer = traders.trader[i].buffer
    if buffer <= 0.0:
        return False
    p = widen(state.position[i, m].pool)
    assess_pool(state, p)
    equity = float(state.pool[p].equity)
    wanted = (1.0 + buffer) * float(state.pool[p].maintenance)
    if equity >= wanted:
        return False
    short = int(math.ceil(wanted - equity))
    if p != i and free_margin(state, i) >= short:
        submit(state, i, m, IntentKind.TRANSFER.value, short, 0, 0, 0)
    else:
        close_position(state, traders, i, m, min(1.0 - max(equity, 0.0) / wanted, 1.0))
    return True


@kernel
def check_positions(state: State, traders: Traders, g: int, count: int) -> int:
    """Let the habits act for the traders who wake, before their strategy does.

    The stop-loss closes a position, the buffer tops a pool up or cuts a position, spot is bought
    against a short. For whom stop-loss or buffer acted, the strategy does not decide in this step,
    and for who is retired it never does again. Overwrites ``traders.awake[:count]`` with those it
    does decide for and returns how many; also overwrites what `STOPPED` remembers.
    """
    hedges = traders.population[g].plans_hedge == 0
    left = 0
    for n in range(count):
        i = traders.awake[n]
        trader = traders.trader[i]
        if trader.is_retired != 0:
            leave_market(state, traders, i)
            continue
        has_acted = False
        for m in range(len(state.market)):
            size = state.position[i, m].size
            acts = False
            if size != 0 and has_lost(state, traders, i, m):
                close_position(state, traders, i, m, 1.0)
                acts = True
            elif size != 0:
                acts = keep_buffer(state, traders, i, m)
            if acts:
                traders.memory[i, m, STOPPED] = 1.0 if size > 0 else -1.0
                has_acted = True
            if trader.spot_hedge > 0.0 and hedges:
                hedge_with_spot(state, traders, i, m, position_coins(state, i, m))
        if not has_acted:
            traders.awake[left] = i
            left += 1
    return left


@kernel
def leave_market(state: State, traders: Traders, i: int) -> None:
    """Withdraw a retired trader's orders and close its positions, then sell the coins it holds.

    What the book does not take waits for the next step. Overwrites the trader's next waking: every
    step until nothing is left, and never from then on.
    """
    slippage = max(traders.trader[i].slippage, LEAVING_SLIPPAGE)
    flags = Flag.REDUCE_ONLY.value
    is_out = True
    for m in range(len(state.market)):
        if state.position[i, m].first_order != NONE:
            withdraw(state, i, m)
            is_out = False
        size = position_coins(state, i, m)
        coins = min(state.spot[i, m], state.market[m].max_position_lots)
        if size != 0.0:
            market_order(state, traders, i, m, -size, slippage, flags)
            is_out = False
        elif coins > 0:
            submit(state, i, m, IntentKind.SPOT.value, -coins, 0, 0, 0)
            is_out = False
    traders.next_wake[i] = UNLIMITED if is_out else 0


@kernel
def hedge_with_spot(state: State, traders: Traders, i: int, m: int, position: float) -> None:
    """Hold coins against a short position of so many coins; coins cannot be sold short.

    Nothing is traded within a band of 2 %, so that funding does not cause a trade at every look.
    """
    lot = state.market[m].lot_size
    held = state.spot[i, m] * lot
    wanted = traders.trader[i].spot_hedge * max(-position, 0.0)
    if abs(wanted - held) > HEDGE_BAND * max(wanted, held):
        lots = int(math.floor(wanted / lot + 1e-6)) - state.spot[i, m]
        if lots != 0:
            submit(state, i, m, IntentKind.SPOT.value, lots, 0, 0, 0)


@kernel
def move_position(state: State, traders: Traders, i: int, m: int, target: float) -> None:
    """Trade toward a target in coins at the market, within the trader's slippage bound.

    What points the other way is closed at once; what is added comes in `tranches`, one a look.
    """
    trader = traders.trader[i]
    held = position_coins(state, i, m)
    if held * target < 0.0:
        change = target / trader.tranches - held
    elif abs(target) > abs(held):
        side = 1.0 if target > 0.0 else -1.0
        change = side * min(abs(target - held), abs(target) / trader.tranches)
    else:
        change = target - held
    flags = Flag.REDUCE_ONLY.value if abs(target) < abs(held) and held * target >= 0.0 else 0
    market_order(state, traders, i, m, change, trader.slippage, flags)


@kernel
def affordable_notional(state: State, traders: Traders, i: int, m: int, equity: float) -> float:
    """Return the notional, USD, that an order may reach with `equity` at the trader's leverage.

    Margin is asked for the worst price and the fee: with all of the equity it would be refused.
    """
    leverage = usable_leverage(state, traders, i, m, equity)
    worst = traders.trader[i].slippage + max(state.market[m].taker_fee, 0) / ONE
    return 0.99 * max(equity, 0.0) * leverage / (1.0 + leverage * worst)


@kernel
def usable_leverage(state: State, traders: Traders, i: int, m: int, equity: float) -> float:
    """Return the leverage a trader may use in a market with all of `equity`, USD.

    It is the trader's own, unless a position of that size lies in a margin bracket that allows
    less: then it is what that bracket allows, or what leads to its floor if it allows less still.
    """
    leverage = traders.trader[i].leverage
    if equity <= 0.0:
        return leverage
    for n in range(state.market[m].num_tiers - 1, -1, -1):
        tier = state.tier[m, n]
        floor = tier.floor_atoms / (equity * ATOMS)
        if leverage >= floor:
            allowed = ONE / tier.initial_fraction
            if leverage <= allowed * LEVERAGE_TOLERANCE:
                return leverage
            if allowed >= floor:
                return allowed
            leverage = floor
    return leverage

"""Stage 4: intents become admissible orders: whole ticks and lots, reduce-only, post-only."""

import math

from marketsim.engine._jit import kernel
from marketsim.engine.state import MAX_PRICE_TICKS, Flag, Outcome, State


@kernel
def round_price(state: State, m: int, price: float, side: int) -> int:
    """Round a USD price to whole ticks: down to buy, up to sell, so never worse than asked."""
    market = state.market[m]
    ticks = price / market.tick_size
    if not ticks > 0.0:
        return 0
    if ticks >= MAX_PRICE_TICKS:
        return MAX_PRICE_TICKS
    nearest = math.floor(ticks + 0.5)
    if abs(ticks - nearest) < 1e-6:  # 0.1 + 0.2 is a whole number of ticks of 0.1
        return int(nearest)
    return int(math.floor(ticks)) if side > 0 else int(math.ceil(ticks))


@kernel
def round_size(state: State, m: int, size: float) -> int:
    """Round a size in coins to whole lots, toward zero, within the market's position limit."""
    market = state.market[m]
    lots = abs(size) / market.lot_size
    if not lots > 0.0:
        return 0
    if lots >= market.max_position_lots:
        whole = market.max_position_lots
    else:
        whole = int(math.floor(lots + 1e-6))
    return whole if size > 0 else -whole


@kernel
def admissible_size(state: State, i: int, m: int, size: int, flags: int) -> int:
    """Clip a reduce-only order to the position it may close; 0 if nothing is left of it."""
    if flags & Flag.REDUCE_ONLY == 0:
        return size
    position = state.position[i, m].size
    if size > 0:
        return min(size, max(-position, 0))
    return max(size, min(-position, 0))


@kernel
def check_order(state: State, i: int, m: int, size: int, price: int, flags: int) -> Outcome:
    """Return the `Outcome` of an order's own terms; margin is the next check."""
    market = state.market[m]
    if size == 0:
        return Outcome.NOTHING_TO_REDUCE if flags & Flag.REDUCE_ONLY != 0 else Outcome.ZERO_SIZE
    if price < 1 or price > MAX_PRICE_TICKS:
        return Outcome.BAD_PRICE
    if flags & Flag.POST_ONLY != 0:
        if size > 0 and market.best_ask != 0 and price >= market.best_ask:
            return Outcome.POST_ONLY_CROSSES
        if size < 0 and market.best_bid != 0 and price <= market.best_bid:
            return Outcome.POST_ONLY_CROSSES
    if abs(state.position[i, m].size + size) > market.max_position_lots:
        return Outcome.POSITION_LIMIT
    return Outcome.ACCEPTED

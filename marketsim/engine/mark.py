"""Stage 6: the mark price, by which margin and liquidation value every position."""

from typing import TypeVar

from marketsim.engine._jit import inlined, kernel
from marketsim.engine.pools import nearest_tick, with_basis
from marketsim.engine.state import MarkRule, State

#: Whole ticks, or parts of them.
Ticks = TypeVar("Ticks", int, float)


@kernel
def snapshot_mid(state: State) -> None:
    """Note each market's mid before the step's orders; an empty side falls back on the mark."""
    for m in range(len(state.market)):
        market = state.market[m]
        if market.best_bid != 0 and market.best_ask != 0:
            market.mid2 = market.best_bid + market.best_ask
        else:
            market.mid2 = 2 * market.mark_ticks


@kernel
def update_basis(state: State) -> None:
    """Move each market's average of mid - index, once a step; a one-sided book leaves it."""
    weight = state.venue[0].basis_weight
    for m in range(len(state.market)):
        market = state.market[m]
        if market.best_bid != 0 and market.best_ask != 0:
            mid = 0.5 * (market.best_bid + market.best_ask) * market.tick_size
            market.basis += weight * (mid - market.index_price - market.basis)


@kernel
def update_marks(state: State) -> bool:
    """Set every market's mark price by the venue's rule; tell whether any moved.

    Overwrites `mark_ticks`.

    `MEDIAN` is the median of three of Binance (FAQ "Mark Price and Price Index"): the index
    carried forward by the last funding rate over the time left, the index plus the average basis,
    and the last price.
    """
    venue = state.venue[0]
    has_moved = False
    for m in range(len(state.market)):
        market = state.market[m]
        before = market.mark_ticks
        last = market.last_ticks if market.last_ticks != 0 else market.index_ticks
        based = with_basis(state, m)
        if venue.mark_rule == MarkRule.INDEX:
            market.mark_ticks = market.index_ticks
        elif venue.mark_rule == MarkRule.LAST:
            market.mark_ticks = last
        elif venue.mark_rule == MarkRule.INDEX_PLUS_BASIS:
            market.mark_ticks = based
        else:
            first = carried_index(state, m)
            market.mark_ticks = middle_of(first, based, last)
        has_moved = has_moved or market.mark_ticks != before
    return has_moved


@inlined
def middle_of(one: Ticks, two: Ticks, three: Ticks) -> Ticks:
    """Return the median of three prices."""
    return max(min(one, two), min(max(one, two), three))


@kernel
def carried_index(state: State, m: int) -> int:
    """Return the index carried forward by the last funding rate over the time left, ticks."""
    venue, market = state.venue[0], state.market[m]
    into = (state.totals[0].step + venue.funding_phase) % venue.funding_interval
    left = (venue.funding_interval - into) / venue.funding_interval * venue.funding_share
    return nearest_tick(market.index_price * (1.0 + market.funding_rate * left) / market.tick_size)

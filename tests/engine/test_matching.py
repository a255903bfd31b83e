"""Who an order meets, and what a fill writes, by hand; a lot is worth 100 USD."""

import random

import pytest

from marketsim.engine import ledger, matching
from marketsim.engine.allocation import grow
from marketsim.engine.state import NONE, ONE, Cause, Flag, Outcome
from tests.engine.small import PRICE, hold, open_venue, send, sizes, usd


def fills(state):
    """(taker, maker, lots signed for the taker, price) of all fills."""
    rows = state.fill[: int(state.totals[0].num_fills)]
    return [(int(r.taker), int(r.maker), int(r.size), int(r.price)) for r in rows]


def depth(state, m=0):
    """(account, lots signed by side, price) of all resting orders, by account and price."""
    return sorted(
        (int(order.account), int(order.side * order.size), int(order.price))
        for order in state.order
        if order.size > 0 and order.market == m
    )


@pytest.fixture
def state():
    state = grow(open_venue((10_000,) * 5), num_fills=64)
    state.totals[0].record_fills = 1
    return state


def test_better_price_goes_first_then_the_older_order(state):
    send(state, 0, -2, 10_020)
    send(state, 1, -2, 10_010)
    send(state, 2, -2, 10_010)
    send(state, 3, -2, 10_000)
    send(state, 4, 7, 10_020)
    assert fills(state) == [
        (4, 3, 2, 10_000),
        (4, 1, 2, 10_010),
        (4, 2, 2, 10_010),
        (4, 0, 1, 10_020),
    ]
    assert depth(state) == [(0, -1, 10_020)]


def test_bids_are_met_from_the_highest_down(state):
    send(state, 0, 2, 9_980)
    send(state, 1, 2, 9_990)
    send(state, 2, 2, 9_990)
    send(state, 4, -5, 9_980)
    assert fills(state) == [(4, 1, -2, 9_990), (4, 2, -2, 9_990), (4, 0, -1, 9_980)]
    assert depth(state) == [(0, 1, 9_980)]


def test_partly_filled_maker_stays_first_in_its_queue(state):
    send(state, 0, -5, PRICE)
    send(state, 1, -5, PRICE)
    send(state, 2, 3, PRICE)
    send(state, 3, 3, PRICE)
    assert fills(state) == [(2, 0, 3, PRICE), (3, 0, 2, PRICE), (3, 1, 1, PRICE)]


def test_taker_trades_at_the_price_of_the_resting_order(state):
    send(state, 0, -1, 9_900)
    send(state, 1, 1, 10_100)
    assert fills(state) == [(1, 0, 1, 9_900)]
    assert state.market[0].last_ticks == 9_900
    assert (state.pool[0].cash, state.pool[1].cash) == (usd(10_099), usd(9_901))


def test_market_order_stops_at_its_bound_and_leaves_nothing(state):
    for i, price in enumerate((10_000, 10_010, 10_020)):
        send(state, i, -1, price)
    send(state, 4, 9, 10_010, flags=Flag.IMMEDIATE)
    assert [price for *_, price in fills(state)] == [10_000, 10_010]
    assert depth(state) == [(2, -1, 10_020)]
    assert send(state, 4, 9, 10_019, flags=Flag.IMMEDIATE) == Outcome.ACCEPTED
    assert depth(state) == [(2, -1, 10_020)]


def test_own_resting_orders_are_cancelled_when_reached_and_the_order_goes_on(state):
    send(state, 0, -2, 10_000)
    send(state, 1, -2, 10_010)
    send(state, 0, -2, 10_020)
    send(state, 0, -2, 10_030)
    send(state, 0, 5, 10_020)
    assert fills(state) == [(0, 1, 2, 10_010)]
    # what lies beyond the limit was not reached
    assert depth(state) == [(0, -2, 10_030), (0, 3, 10_020)]


def test_own_orders_behind_the_last_fill_are_left_alone(state):
    send(state, 1, -2, 10_000)
    send(state, 0, -2, 10_000)
    send(state, 0, 2, 10_000)
    assert fills(state) == [(0, 1, 2, 10_000)]
    assert depth(state) == [(0, -2, 10_000)]


def test_reduce_only_maker_is_clipped_to_what_it_may_close(state):
    hold(state, 0, 5)
    hold(state, 1, -5)
    send(state, 0, -5, 10_010, flags=Flag.REDUCE_ONLY)
    send(state, 2, 3, 10_000)
    send(state, 0, -3, 10_000)  # two are left to close
    send(state, 3, -4, 10_010)
    send(state, 4, 5, 10_010)
    assert fills(state)[1:] == [(4, 0, 2, 10_010), (4, 3, 3, 10_010)]
    assert depth(state) == [(3, -1, 10_010)]
    assert sizes(state)[0] == 0


def test_maker_size_of_a_reduce_only_order_by_hand(state):
    hold(state, 0, 5)
    hold(state, 1, -5)
    send(state, 0, -4, 10_010, flags=Flag.REDUCE_ONLY)
    k = int(state.position[0, 0].first_order)
    found = []
    for size in (5, 3, 0, -2):
        state.position[0, 0].size = size
        found.append(matching.maker_size(state, k))
    assert found == [4, 3, 0, 0]


def test_nobody_is_met_beyond_the_limit_or_in_an_empty_book(state):
    assert matching.next_maker(state, 1, 0, 1, 10_000) == NONE
    send(state, 0, -1, 10_000)
    assert matching.next_maker(state, 1, 0, 1, 9_999) == NONE
    assert state.order[matching.next_maker(state, 1, 0, 1, 10_000)].account == 0
    assert matching.next_maker(state, 1, 0, -1, 1) == NONE


def test_post_only_order_rests_or_is_refused(state):
    send(state, 0, -1, 10_000)
    assert send(state, 1, 1, 10_000, flags=Flag.POST_ONLY) == Outcome.POST_ONLY_CROSSES
    assert send(state, 1, 1, 9_999, flags=Flag.POST_ONLY) == Outcome.ACCEPTED
    assert send(state, 2, -1, 9_999, flags=Flag.POST_ONLY) == Outcome.POST_ONLY_CROSSES
    assert fills(state) == []
    assert depth(state) == [(0, -1, 10_000), (1, 1, 9_999)]


def test_fill_books_both_sides_and_their_fees():
    state = open_venue((10_000, 10_000), market={"maker_fee": 100_000, "taker_fee": 300_000})
    send(state, 0, 10, 9_990)
    send(state, 1, -4, 9_990)
    # 4 lots at 99.90 USD: 399.60 USD; 1 bp and 3 bp of it
    assert sizes(state) == [4, -4, 0]
    assert (state.flow[0, Cause.FEE], state.flow[1, Cause.FEE]) == (-usd(0.03996), -usd(0.11988))
    assert state.pool[0].cash == usd(10_000 - 399.6 - 0.03996)
    assert state.pool[1].cash == usd(10_000 + 399.6 - 0.11988)
    assert state.totals[0].fees == usd(0.15984)
    assert (state.position[0, 0].entry_cost, state.position[1, 0].entry_cost) == (
        usd(399.6),
        -usd(399.6),
    )


@pytest.mark.parametrize("seed", range(3))
def test_book_is_never_crossed_and_volume_is_what_changed_hands(seed):
    rng = random.Random(seed)
    state = grow(open_venue((100_000,) * 6, market={"taker_fee": ONE // 2000}), num_fills=4000)
    state.totals[0].record_fills = 1
    for _ in range(600):
        i = rng.randrange(6)
        size = rng.choice((-1, 1)) * rng.randrange(1, 9)
        flags = rng.choice((0, 0, 0, Flag.IMMEDIATE, Flag.POST_ONLY, Flag.REDUCE_ONLY))
        send(state, i, size, PRICE + rng.randrange(-12, 13), flags=flags)
        market = state.market[0]
        assert market.best_bid == 0 or market.best_ask == 0 or market.best_bid < market.best_ask
    orders = depth(state)
    assert market.best_bid == max((price for _, size, price in orders if size > 0), default=0)
    assert market.best_ask == min((price for _, size, price in orders if size < 0), default=0)
    rows = fills(state)
    assert all(taker != maker for taker, maker, *_ in rows)
    assert market.volume == sum(abs(size) for _, _, size, _ in rows) > 0
    held = [0] * 7
    for taker, maker, size, _ in rows:
        held[taker] += size
        held[maker] -= size
    assert sizes(state) == held
    assert ledger.conservation_error(state) == 0

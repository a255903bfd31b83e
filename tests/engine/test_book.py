"""The price tree, the queues and the expiry wheel, by hand and against sorted lists."""

import bisect
import itertools
import random

import numpy as np
import pytest

from marketsim.engine import book
from marketsim.engine.allocation import allocate
from marketsim.engine.state import MAX_PRICE_TICKS, NONE, TREE_LEVELS, WHEEL_SLOTS

NUM_ACCOUNTS = 4


@pytest.fixture
def state():
    state = allocate(NUM_ACCOUNTS, 2, NUM_ACCOUNTS + 1, num_orders=256, num_nodes=4096)
    state.market["tick_atoms"] = 10
    return state


def rest(state, i, size, price, m=0, *, expiry=0):
    """Rest an order of `size` lots, negative to sell; return its slot."""
    side = 1 if size > 0 else -1
    return book.add_order(state, i, m, side, abs(size), price, 2 * price, expiry, 0)


def queue(state, price, m=0):
    """(account, lots) of the orders at a price, oldest first; also checks the level's sum."""
    found = book.find_level(state, m, price)
    if found == NONE:
        return []
    orders = []
    k = int(state.level[found].head)
    last = NONE
    while k != NONE:
        order = state.order[k]
        assert (order.prev, order.level, order.price) == (last, found, price)
        orders.append((int(order.account), int(order.size)))
        last, k = k, int(order.next)
    assert state.level[found].tail == last
    assert state.level[found].volume == sum(size for _, size in orders)
    return orders


def own_orders(state, i, m=0):
    """Prices of an account's orders in a market, newest first."""
    prices = []
    k = int(state.position[i, m].first_order)
    while k != NONE:
        prices.append(int(state.order[k].price))
        k = int(state.order[k].own_next)
    return prices


def best(state, m=0):
    return int(state.market[m].best_bid), int(state.market[m].best_ask)


def free_slots(state):
    """Order slots that hold no order."""
    return int((state.order["size"] == 0).sum())


# The price tree

ENDS = [1, 2, 31, 32, 33, 1023, 1024, 2**25 - 1, 2**25, 2**29 + 7, MAX_PRICE_TICKS]


def test_tree_finds_opened_prices_and_no_others(state):
    levels = [book.open_level(state, 0, price) for price in ENDS]
    assert len(set(levels)) == len(ENDS)
    assert [book.find_level(state, 0, price) for price in ENDS] == levels
    assert [book.open_level(state, 0, price) for price in ENDS] == levels
    for price in ENDS:
        for beside in {price - 1, price + 1} - set(ENDS) - {0, 2**30}:
            assert book.find_level(state, 0, beside) == NONE


def test_next_price_crosses_any_gap(state):
    for price in ENDS:
        book.open_level(state, 0, price)
    for below, above in itertools.pairwise(ENDS):
        assert book.next_price(state, 0, below, 1) == above
        assert book.next_price(state, 0, above, -1) == below
    assert book.next_price(state, 0, MAX_PRICE_TICKS, 1) == 0
    assert book.next_price(state, 0, 1, -1) == 0


def test_next_price_may_start_where_nothing_is(state):
    book.open_level(state, 0, 100)
    book.open_level(state, 0, 2**29)
    assert [book.next_price(state, 0, start, 1) for start in (1, 99, 101, 2**28)] == [
        100,
        100,
        2**29,
        2**29,
    ]
    assert [book.next_price(state, 0, start, -1) for start in (99, 101, 2**28, 2**30 - 1)] == [
        0,
        100,
        100,
        2**29,
    ]


def test_markets_have_trees_of_their_own(state):
    book.open_level(state, 0, 100)
    assert book.find_level(state, 1, 100) == NONE
    assert book.next_price(state, 1, 1, 1) == 0
    book.open_level(state, 1, 200)
    book.close_level(state, 0, 100)
    assert book.next_price(state, 1, 1, 1) == 200


def test_closing_keeps_the_nodes_other_prices_need(state):
    first, second, third = 100, 101, 2**29
    for price in (first, second, third):
        book.open_level(state, 0, price)
    # Two roots; 100 and 101 share their five nodes below the root, 2**29 has five of its own.
    assert (state.totals[0].num_nodes, state.totals[0].num_levels) == (2 + 10, 3)
    book.close_level(state, 0, first)
    assert (state.totals[0].num_nodes, state.totals[0].num_levels) == (2 + 10, 2)
    book.close_level(state, 0, second)
    assert (state.totals[0].num_nodes, state.totals[0].num_levels) == (2 + 5, 1)
    assert book.next_price(state, 0, 1, 1) == third
    book.close_level(state, 0, third)
    assert (state.totals[0].num_nodes, state.totals[0].num_levels) == (2, 0)
    assert book.next_price(state, 0, 1, 1) == 0


@pytest.mark.parametrize("seed", range(3))
def test_tree_agrees_with_a_sorted_list(state, seed):
    rng = random.Random(seed)
    near = rng.randrange(1000, 2**29)
    prices: list[int] = []
    for _ in range(1500):
        spread = rng.choice((8, 200, 2**20, 2**30))
        price = min(max(near + rng.randrange(-spread, spread), 1), MAX_PRICE_TICKS)
        place = bisect.bisect_left(prices, price)
        is_open = place < len(prices) and prices[place] == price
        assert (book.find_level(state, 0, price) != NONE) == is_open
        assert book.next_price(state, 0, price, -1) == (prices[place - 1] if place else 0)
        above = prices[place + is_open :]
        assert book.next_price(state, 0, price, 1) == (above[0] if above else 0)
        if len(prices) > 60 and not is_open:
            price = prices[rng.randrange(len(prices))]
            is_open = True
        if is_open:
            book.close_level(state, 0, price)
            prices.remove(price)
        else:
            book.open_level(state, 0, price)
            prices.insert(place, price)
        assert state.totals[0].num_levels == len(prices)
    for price in prices:
        book.close_level(state, 0, price)
    assert (state.totals[0].num_nodes, state.totals[0].num_levels) == (2, 0)


def test_memory_does_not_grow_with_the_distance_a_price_travels(state):
    price = 1_000
    free = free_slots(state)
    most = 0
    while price <= 100_000:
        book.withdraw_orders(state, 0, 0, 0)
        for d in range(1, 6):
            rest(state, 0, 1, price - d)
            rest(state, 0, -1, price + d)
        most = max(most, int(state.totals[0].num_nodes))
        assert state.totals[0].num_levels == 10
        price += 61
    # ten prices side by side cross at most one boundary of each generation below the root
    assert most <= 2 + 2 * (TREE_LEVELS - 1)
    book.withdraw_orders(state, 0, 0, 0)
    assert (state.totals[0].num_nodes, state.totals[0].num_levels) == (2, 0)
    assert free_slots(state) == free


# Queues


def test_orders_queue_by_arrival_and_best_prices_follow(state):
    rest(state, 0, 3, 100)
    rest(state, 1, 4, 100)
    rest(state, 2, 5, 99)
    rest(state, 3, -6, 103)
    rest(state, 0, -7, 102)
    assert best(state) == (100, 102)
    assert queue(state, 100) == [(0, 3), (1, 4)]
    assert queue(state, 99) == [(2, 5)]
    assert own_orders(state, 0) == [102, 100]
    assert (state.market[0].num_orders, state.totals[0].num_orders) == (5, 5)
    assert best(state, 1) == (0, 0)


@pytest.mark.parametrize(
    ("removed", "left"), [(0, [1, 2, 3]), (1, [0, 2, 3]), (2, [0, 1, 3]), (3, [0, 1, 2])]
)
def test_removing_keeps_the_queue_in_order(state, removed, left):
    slots = [rest(state, i, 10 + i, 100) for i in range(4)]
    book.remove_order(state, slots[removed])
    assert queue(state, 100) == [(i, 10 + i) for i in left]
    assert own_orders(state, removed) == []
    assert state.market[0].num_orders == 3


def test_best_price_moves_to_the_next_one_when_its_level_empties(state):
    bids = [rest(state, 0, 1, price) for price in (50, 2**20, 7)]
    asks = [rest(state, 1, -1, price) for price in (2**29, 2**20 + 1, 2**21)]
    assert best(state) == (2**20, 2**20 + 1)
    book.remove_order(state, bids[1])
    book.remove_order(state, asks[1])
    assert best(state) == (50, 2**21)
    book.remove_order(state, bids[2])
    book.remove_order(state, asks[0])
    assert best(state) == (50, 2**21)
    book.remove_order(state, bids[0])
    book.remove_order(state, asks[2])
    assert best(state) == (0, 0)


def test_partly_filled_order_keeps_its_place(state):
    first = rest(state, 0, 10, 100)
    rest(state, 1, 5, 100)
    book.reduce_order(state, first, 4)
    assert queue(state, 100) == [(0, 6), (1, 5)]
    book.reduce_order(state, first, 6)
    assert queue(state, 100) == [(1, 5)]
    assert own_orders(state, 0) == []


def test_withdrawing_takes_one_price_or_all_of_one_account_and_market(state):
    for price in (100, 101, 100):
        rest(state, 0, 1, price)
    rest(state, 1, 1, 100)
    rest(state, 0, 1, 100, m=1)
    assert book.withdraw_orders(state, 0, 0, 100) == 2
    assert queue(state, 100) == [(1, 1)]
    assert own_orders(state, 0) == [101]
    assert book.withdraw_orders(state, 0, 0, 99) == 0
    assert book.withdraw_orders(state, 0, 0, 0) == 1
    assert book.withdraw_orders(state, 0, 0, 0) == 0
    assert best(state) == (100, 0)
    assert best(state, 1) == (100, 0)


def test_freed_slots_are_used_again(state):
    free = free_slots(state)
    slot = rest(state, 0, 1, 100)
    book.remove_order(state, slot)
    assert rest(state, 1, -1, 500) == slot
    assert free_slots(state) == free - 1


def test_no_more_slots_are_touched_than_twice_the_most_orders_resting(state):
    touched = set()
    for turn in range(200):
        book.withdraw_orders(state, turn % 2, 0, 0)
        touched |= {rest(state, turn % 2, 1, 100 + n) for n in range(10)}
    assert len(touched) <= 2 * 20


def test_what_an_account_orders_in_one_go_lies_side_by_side(state):
    luck = random.Random(1)
    for turn in range(200):
        i = turn % 4
        book.withdraw_orders(state, i, 0, 0)
        ladder = [rest(state, i, 1, 100 + n) for n in range(8)]
        # a fill gives a slot in the middle of it to whoever comes
        book.remove_order(state, luck.choice(ladder))
    found = [
        np.flatnonzero((state.order["account"] == i) & (state.order["size"] > 0)) for i in range(4)
    ]
    steps = np.concatenate([np.diff(slots) for slots in found])
    # taking the slot freed last instead would leave most neighbours apart
    assert (steps <= 2).mean() > 0.9


def test_the_last_free_slots_are_found(state):
    slots = [rest(state, 0, 1, 1 + n) for n in range(256)]
    assert sorted(slots) == list(range(256))
    assert book.is_full(state)
    for k in (255, 0, 17):
        book.remove_order(state, k)
        assert not book.is_full(state)
        assert rest(state, 1, 1, 300) == k


# Expiry


@pytest.mark.parametrize("expiry", [1, WHEEL_SLOTS - 1, WHEEL_SLOTS, WHEEL_SLOTS + 1])
def test_order_leaves_at_the_start_of_its_expiry_step(state, expiry):
    rest(state, 0, 1, 100, expiry=expiry)
    for step in range(expiry):
        book.expire_orders(state, step)
    assert best(state) == (100, 0)
    book.expire_orders(state, expiry)
    assert best(state) == (0, 0)


def test_orders_of_one_slot_leave_lap_by_lap(state):
    for lap in (2, 0, 1):
        rest(state, lap, 1, 100 + lap, expiry=5 + lap * WHEEL_SLOTS)
    rest(state, 3, 1, 90)
    for lap in range(3):
        book.expire_orders(state, 4 + lap * WHEEL_SLOTS)
        assert own_orders(state, lap) == [100 + lap]
        book.expire_orders(state, 5 + lap * WHEEL_SLOTS)
        assert own_orders(state, lap) == []
    assert queue(state, 90) == [(3, 1)]
    assert state.wheel[5] == NONE


@pytest.mark.parametrize("withdrawn", range(3))
def test_withdrawn_order_leaves_the_wheel_too(state, withdrawn):
    for i in range(3):
        rest(state, i, 1, 100 + i, expiry=5)
    book.withdraw_orders(state, withdrawn, 0, 0)
    rest(state, 3, 1, 50)  # takes the freed slot, and never expires
    book.expire_orders(state, 5)
    assert best(state) == (50, 0)
    assert state.totals[0].num_orders == 1


# Impact price


def test_impact_price_averages_over_the_depth_by_hand(state):
    # 10 atoms a tick and lot: 4 lots at 100 are worth 4,000 atoms, 5 at 50 are 2,500.
    rest(state, 0, 4, 100)
    rest(state, 1, 5, 50)
    assert book.impact_price(state, 0, 1, 0) == 100.0
    assert book.impact_price(state, 0, 1, 4_000) == pytest.approx(100.0, rel=1e-15)
    # 1,000 more buy 2 lots at 50: 5,000 atoms over 6 lots of 10 atoms a tick
    assert book.impact_price(state, 0, 1, 5_000) == pytest.approx(5_000 / 60, rel=1e-15)
    assert book.impact_price(state, 0, 1, 6_500) == pytest.approx(6_500 / 90, rel=1e-15)
    assert book.impact_price(state, 0, 1, 6_501) == 0.0


def test_impact_price_of_the_asks_looks_upward(state):
    rest(state, 0, -1, 200)
    rest(state, 0, -1, 100)
    rest(state, 1, 9, 99)
    assert book.impact_price(state, 0, -1, 0) == 100.0
    assert book.impact_price(state, 0, -1, 3_000) == pytest.approx(150.0, rel=1e-15)
    assert book.impact_price(state, 0, -1, 3_001) == 0.0


def test_impact_price_of_an_empty_side_is_zero(state):
    rest(state, 0, 4, 100)
    assert book.impact_price(state, 0, -1, 0) == 0.0
    assert book.impact_price(state, 0, -1, 1) == 0.0

"""Admission of an order by its own terms."""

import math

import pytest

from marketsim.engine import orders
from marketsim.engine.state import MAX_PRICE_TICKS, Flag, Outcome
from tests.engine.small import PRICE, hold, open_venue


@pytest.mark.parametrize(
    ("price", "side", "ticks"),
    [
        (100.004, 1, 10_000),
        (100.004, -1, 10_001),
        (100.0, 1, 10_000),
        (0.1 + 0.2, 1, 30),
        (0.1 + 0.2, -1, 30),
        (0.004, 1, 0),
        (0.004, -1, 1),
        (0.0, 1, 0),
        (-5.0, -1, 0),
        (math.nan, 1, 0),
        (math.inf, -1, MAX_PRICE_TICKS),
        (1e12, 1, MAX_PRICE_TICKS),
    ],
)
def test_price_is_rounded_to_ticks_and_never_worse_than_asked(price, side, ticks):
    assert orders.round_price(open_venue(), 0, price, side) == ticks


@pytest.mark.parametrize(
    ("size", "lots"),
    [
        (1.25, 12),
        (-1.25, -12),
        (0.3, 3),
        (0.09, 0),
        (-0.09, 0),
        (0.0, 0),
        (math.nan, 0),
        (1e9, 500),
        (-math.inf, -500),
    ],
)
def test_size_is_rounded_to_lots_toward_zero_within_the_position_limit(size, lots):
    state = open_venue(market={"lot_size": 0.1, "max_position_lots": 500})
    assert orders.round_size(state, 0, size) == lots


@pytest.mark.parametrize(
    ("position", "size", "admitted"),
    [(5, -3, -3), (5, -8, -5), (5, 2, 0), (-5, 8, 5), (-5, -1, 0), (0, 4, 0)],
)
def test_reduce_only_order_is_clipped_to_what_it_may_close(position, size, admitted):
    state = open_venue()
    hold(state, 0, position)
    assert orders.admissible_size(state, 0, 0, size, Flag.REDUCE_ONLY) == admitted
    assert orders.admissible_size(state, 0, 0, size, 0) == size


@pytest.mark.parametrize(
    ("size", "price", "flags", "outcome"),
    [
        (1, PRICE, 0, Outcome.ACCEPTED),
        (0, PRICE, 0, Outcome.ZERO_SIZE),
        (0, PRICE, Flag.REDUCE_ONLY, Outcome.NOTHING_TO_REDUCE),
        (1, 0, 0, Outcome.BAD_PRICE),
        (1, -1, 0, Outcome.BAD_PRICE),
        (1, MAX_PRICE_TICKS, 0, Outcome.ACCEPTED),
        (1, MAX_PRICE_TICKS + 1, 0, Outcome.BAD_PRICE),
        (1, 10_009, Flag.POST_ONLY, Outcome.ACCEPTED),
        (1, 10_010, Flag.POST_ONLY, Outcome.POST_ONLY_CROSSES),
        (-1, 9_991, Flag.POST_ONLY, Outcome.ACCEPTED),
        (-1, 9_990, Flag.POST_ONLY, Outcome.POST_ONLY_CROSSES),
        (40, PRICE, 0, Outcome.ACCEPTED),
        (41, PRICE, 0, Outcome.POSITION_LIMIT),
        (-160, PRICE, 0, Outcome.ACCEPTED),
        (-161, PRICE, 0, Outcome.POSITION_LIMIT),
    ],
)
def test_order_is_checked_against_book_and_limits(size, price, flags, outcome):
    state = open_venue(market={"best_bid": 9_990, "best_ask": 10_010, "max_position_lots": 100})
    hold(state, 0, 60)
    assert orders.check_order(state, 0, 0, size, price, flags) == outcome


@pytest.mark.parametrize("size", [1, -1])
def test_post_only_order_joins_an_empty_book(size):
    state = open_venue()
    assert orders.check_order(state, 0, 0, size, PRICE, Flag.POST_ONLY) == Outcome.ACCEPTED

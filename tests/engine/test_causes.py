"""What liquidation orders moved, how it fades, and how a mark splits into its parts; by hand."""

import math

import pytest

from marketsim.engine import causes, mark
from marketsim.engine.state import MarkRule
from tests.engine.small import PRICE, open_venue, set_price


def quote(state, mid, half_spread=5):
    state.market[0].best_bid = mid - half_spread
    state.market[0].best_ask = mid + half_spread


def impacted(mid=-100.0, last=-120.0, **venue):
    """A venue whose mid a liquidation has just moved by `mid` to 100 below the index."""
    state = open_venue((1_000.0,), causes=True, **venue)
    causes.begin(state)
    quote(state, PRICE - 100)
    state.split[0].impact_mid = mid
    state.split[0].impact_last = last
    causes.note_prices(state)
    return state


def left(state):
    return state.split[0].impact_mid, state.split[0].impact_last


@pytest.mark.parametrize("impact", [-100.0, 100.0])
def test_what_the_mid_recovers_is_taken_off_in_proportion(impact):
    state = impacted(impact, 1.2 * impact)
    quote(state, PRICE - 100 - round(impact / 4))
    causes.fade_impacts(state)
    assert left(state) == pytest.approx((0.75 * impact, 0.9 * impact))
    assert state.split[0].fading == pytest.approx(math.log(0.75))


def test_a_mid_that_follows_the_index_recovers_nothing():
    state = impacted()
    set_price(state, PRICE + 30)
    quote(state, PRICE - 100 + 30)
    causes.fade_impacts(state)
    assert left(state) == (-100.0, -120.0)


def test_a_mid_that_stands_while_the_index_falls_recovers_nothing():
    state = impacted()
    set_price(state, PRICE - 50)
    causes.fade_impacts(state)
    assert left(state) == (-100.0, -120.0)


def test_a_mid_that_goes_on_falling_recovers_nothing():
    state = impacted()
    quote(state, PRICE - 160)
    causes.fade_impacts(state)
    assert left(state) == (-100.0, -120.0)


def test_a_push_that_is_made_good_leaves_nobody_to_blame():
    state = impacted()
    state.totals[0].num_liquidations = 7
    quote(state, PRICE + 3)
    causes.fade_impacts(state)
    assert left(state) == (0.0, 0.0)
    assert (state.split[0].fading, state.split[0].faded_row) == (0.0, 7)


def test_the_average_basis_takes_in_a_push_by_its_own_recursion():
    state = impacted(mark_rule=MarkRule.INDEX_PLUS_BASIS, basis_weight=0.2)
    for _ in range(6):
        causes.fade_impacts(state)
    expected = -100.0 * (1.0 - 0.8**6)
    assert state.split[0].forced_basis == pytest.approx(expected)
    causes.split_marks(state)
    assert state.split[0].forced == pytest.approx(expected)
    assert state.split[0].index == PRICE


def test_the_last_price_takes_a_push_in_full_and_the_index_none():
    for rule, forced in ((MarkRule.LAST, -120.0), (MarkRule.INDEX, 0.0)):
        state = impacted(mark_rule=rule)
        causes.split_marks(state)
        assert state.split[0].forced == forced


@pytest.mark.parametrize(
    ("mark", "forced", "by_last"),
    [(PRICE - 100, -120.0, 1), (PRICE - 40, -30.0, 0), (PRICE, 0.0, 0)],
    ids=["last", "index plus basis", "index"],
)
def test_the_median_takes_the_part_of_the_price_it_is(mark, forced, by_last):
    state = impacted(mark_rule=MarkRule.MEDIAN)
    market, split = state.market[0], state.split[0]
    market.last_ticks = PRICE - 100
    market.basis = -40 * market.tick_size
    split.forced_basis = -30.0
    market.mark_ticks = mark
    causes.split_marks(state)
    assert (split.forced, split.by_last) == (forced, by_last)


def test_a_median_halfway_between_two_ticks_is_still_the_index_plus_basis():
    state = impacted(mark_rule=MarkRule.MEDIAN)
    market, split = state.market[0], state.split[0]
    # basis and index are 9,989.5 ticks together, and a hair less if either is divided by itself
    market.index_price, market.basis = 100.002, 99.895 - 100.002
    market.last_ticks = PRICE - 100
    split.forced_basis = -30.0
    mark.update_marks(state)
    assert market.mark_ticks == PRICE - 10
    causes.split_marks(state)
    assert (split.forced, split.by_last) == (-30.0, 0)


def test_nothing_is_done_unless_causes_are_recorded():
    state = open_venue((1_000.0,))
    state.split[0].impact_mid = -100.0
    quote(state, PRICE)
    causes.fade_impacts(state)
    causes.split_marks(state)
    causes.note_pass(state)
    assert state.split[0].impact_mid == -100.0
    assert state.split[0].index == state.totals[0].num_passes == 0

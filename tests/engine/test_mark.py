"""The four mark rules, by hand: prices are in ticks of a cent."""

import pytest

from marketsim.engine import mark
from marketsim.engine.state import MAX_PRICE_TICKS, MarkRule
from tests.engine.small import open_venue, set_price


def quoted(bid, ask, **venue):
    state = open_venue(**venue)
    state.market[0].best_bid = bid
    state.market[0].best_ask = ask
    return state


def marked(state, rule):
    state.venue[0].mark_rule = rule
    mark.update_marks(state)
    return state.market[0].mark_ticks


@pytest.mark.parametrize(
    ("bid", "ask", "mid2"),
    [(9_990, 10_011, 20_001), (0, 10_011, 20_400), (9_990, 0, 20_400), (0, 0, 20_400)],
)
def test_mid_of_a_one_sided_book_is_the_mark(bid, ask, mid2):
    state = quoted(bid, ask)
    set_price(state, 10_000, mark=10_200)
    mark.snapshot_mid(state)
    assert state.market[0].mid2 == mid2


def test_basis_is_a_moving_average_of_mid_over_index_in_usd():
    state = quoted(10_080, 10_120, basis_weight=0.25)
    mark.update_basis(state)
    assert state.market[0].basis == pytest.approx(0.25)
    mark.update_basis(state)
    assert state.market[0].basis == pytest.approx(0.25 + 0.25 * 0.75)


@pytest.mark.parametrize(("bid", "ask"), [(0, 10_120), (10_080, 0), (0, 0)])
def test_one_sided_book_leaves_the_basis(bid, ask):
    state = quoted(bid, ask)
    state.market[0].basis = -0.3
    mark.update_basis(state)
    assert state.market[0].basis == -0.3


def test_mark_is_the_index():
    state = quoted(10_080, 10_120)
    state.market[0].last_ticks = 10_110
    set_price(state, 10_007, mark=1)
    assert marked(state, MarkRule.INDEX) == 10_007


def test_mark_is_the_last_price_or_before_the_first_fill_the_index():
    state = quoted(10_080, 10_120)
    assert marked(state, MarkRule.LAST) == 10_000
    state.market[0].last_ticks = 10_110
    assert marked(state, MarkRule.LAST) == 10_110


@pytest.mark.parametrize(
    ("basis", "expected"), [(0.0, 10_000), (0.304, 10_030), (0.306, 10_031), (-0.3, 9_970)]
)
def test_mark_is_index_plus_basis_to_the_nearest_tick(basis, expected):
    state = quoted(0, 0)
    state.market[0].basis = basis
    state.market[0].last_ticks = 9_000
    assert marked(state, MarkRule.INDEX_PLUS_BASIS) == expected


@pytest.mark.parametrize(("basis", "expected"), [(-500.0, 1), (1e12, MAX_PRICE_TICKS)])
def test_mark_stays_within_the_price_tree(basis, expected):
    state = quoted(0, 0)
    state.market[0].basis = basis
    assert marked(state, MarkRule.INDEX_PLUS_BASIS) == expected


@pytest.mark.parametrize(
    ("basis", "last", "expected"),
    [
        (0.5, 10_020, 10_020),  # carried index 10,010 < last < index + basis 10,050
        (0.5, 10_090, 10_050),
        (0.5, 9_000, 10_010),
        (-0.5, 9_960, 9_960),
        (-0.5, 9_900, 9_950),
        (-0.5, 10_500, 10_010),
        (0.5, 0, 10_010),  # no fill yet: the index stands for the last price
    ],
)
def test_mark_is_the_median_of_carried_index_basis_and_last_price(basis, last, expected):
    state = quoted(0, 0)
    state.market[0].basis = basis
    state.market[0].last_ticks = last
    state.market[0].funding_rate = 0.001
    assert marked(state, MarkRule.MEDIAN) == expected


@pytest.mark.parametrize(("step", "left"), [(0, 1.0), (1, 0.75), (3, 0.25), (4, 1.0), (6, 0.5)])
@pytest.mark.parametrize("share", [1.0, 0.125])
def test_index_is_carried_over_the_time_left_until_funding(step, left, share):
    state = quoted(0, 0, funding_interval=4, funding_share=share)
    state.totals[0].step = step
    state.market[0].funding_rate = 0.08
    state.market[0].basis = 50.0  # the highest of the three
    assert marked(state, MarkRule.MEDIAN) == round(10_000 * (1 + 0.08 * left * share))


@pytest.mark.parametrize(("step", "left"), [(0, 0.25), (1, 1.0), (4, 0.25), (6, 0.75)])
def test_the_time_left_until_funding_is_the_calendar_s(step, left):
    state = quoted(0, 0, funding_interval=4, funding_phase=7)
    state.totals[0].step = step
    state.market[0].funding_rate = 0.08
    state.market[0].basis = 50.0
    assert marked(state, MarkRule.MEDIAN) == round(10_000 * (1 + 0.08 * left))


def test_every_market_has_its_own_mark():
    state = open_venue(num_markets=2)
    set_price(state, 7_000, 1, mark=1)
    assert marked(state, MarkRule.INDEX) == 10_000
    assert state.market[1].mark_ticks == 7_000

"""What a book takes back of what liquidations moved its price by, by hand."""

from typing import Any

import numpy as np
import pytest

from marketsim.contagion.response import share_in_time, shares_in_time
from marketsim.engine import recovery
from marketsim.engine.state import MarkRule, State
from tests.engine.small import PRICE, open_venue, set_price


def venue_at(mid: float, index: int = PRICE, state: State | None = None) -> State:
    """A venue, a new one unless given, whose best prices lie around a mid."""
    found = open_venue() if state is None else state
    set_price(found, index)
    found.market[0].best_bid, found.market[0].best_ask = round(mid - 5), round(mid + 5)
    return found


def play(mids: Any, pressure: float, indices: Any = None) -> Any:
    """Let the mid go on from the price after an impact of `pressure`, and measure."""
    state = venue_at(PRICE)
    recovery.note_prices(state)
    state.recovery[0].pressure = pressure
    for mid, index in zip(mids, indices or [PRICE] * len(mids), strict=True):
        venue_at(mid, index, state)
        recovery.measure_recovery(state)
        recovery.note_prices(state)
    return state.recovery[0]


def test_an_impact_counts_by_what_it_moves_the_mid() -> None:
    state = venue_at(PRICE)
    venue_at(PRICE - 40, state=state)
    recovery.note_impact(state, 0, float(PRICE))
    assert state.recovery[0].pressure == -40.0


def test_a_book_that_takes_back_a_quarter_in_each_step_says_so() -> None:
    found = play([PRICE + 40, PRICE + 70], -160.0)
    assert found.share == pytest.approx(0.25)
    assert found.pressure == pytest.approx(-90.0)


def test_what_the_index_does_is_not_the_book_s() -> None:
    found = play([PRICE + 40], -160.0, [PRICE + 40])
    assert (found.share, found.pressure) == (0.0, -160.0)


def test_a_mid_that_goes_on_counts_against_it() -> None:
    there = play([PRICE + 80, PRICE + 80], -160.0).share
    and_back = play([PRICE + 80, PRICE + 40], -160.0).share
    assert and_back < there
    assert play([PRICE - 80], -160.0).share == 0.0
    assert play([PRICE + 400], -160.0).share == 1.0


def test_noise_has_no_recovery() -> None:
    luck = np.random.default_rng(1)
    mids = PRICE + np.cumsum(luck.normal(0.0, 30.0, 3000))
    found = play(mids.tolist(), -4000.0)
    assert found.share < 0.01


def test_a_book_without_liquidations_is_as_on_paper() -> None:
    state = venue_at(PRICE)
    for mid in (PRICE + 10, PRICE - 50):
        venue_at(mid, state=state)
        recovery.measure_recovery(state)
        recovery.note_prices(state)
    assert state.recovery[0].share == 0.0
    state.venue[0].mark_rule = MarkRule.LAST
    assert shares_in_time(state, 0.0).tolist() == [1.0]


@pytest.mark.parametrize("rule", [MarkRule.INDEX_PLUS_BASIS, MarkRule.MEDIAN])
def test_an_average_sees_the_most_of_an_impact_that_fades_at_its_peak(rule: MarkRule) -> None:
    # 1/2, 1/4, ... left; an average of weight 1/2: 1/4, 1/8 + 1/8, 1/8 + 1/16
    assert share_in_time(rule, 0.5, 0.0, 0.5, 16, 60) == pytest.approx(0.25)
    # all of a lasting one, in the time there is
    assert share_in_time(rule, 0.5, 0.0, 0.0, 16, 2) == pytest.approx(0.75)
    assert share_in_time(rule, 0.5, 0.0, 0.0, 16, 60) == pytest.approx(1.0)
    # spot leans on the whole impact before the book takes it back
    assert share_in_time(rule, 0.5, 0.4, 1.0, 16, 60) == pytest.approx(0.4 - 0.5 * 0.4)


def test_the_last_price_waits_for_no_book_within_a_step() -> None:
    assert share_in_time(MarkRule.LAST, 0.5, 0.0, 0.7, 16, 60) == 1.0
    assert share_in_time(MarkRule.LAST, 0.5, 0.0, 0.7, 1, 60) == pytest.approx(0.3)
    assert share_in_time(MarkRule.INDEX, 0.5, 0.2, 0.7, 16, 60) == 1.0

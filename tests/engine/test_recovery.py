"""What a book takes back of what liquidations moved its price by, by hand."""

from typing import Any

import numpy as np
import pytest

from marketsim.engine import recovery
from marketsim.engine.state import State
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


def test_a_book_without_liquidations_has_no_recovery() -> None:
    state = venue_at(PRICE)
    for mid in (PRICE + 10, PRICE - 50):
        venue_at(mid, state=state)
        recovery.measure_recovery(state)
        recovery.note_prices(state)
    assert state.recovery[0].share == 0.0


def test_marks_move_by_the_mean_product_of_their_moves() -> None:
    state = open_venue(num_markets=2)
    luck = np.random.default_rng(3)
    marks = PRICE + np.cumsum(luck.integers(-50, 51, (400, 2)), axis=0)
    for pair in marks:
        state.market["mark_ticks"] = pair
        recovery.note_prices(state)
    moves = marks[1:] / marks[:-1] - 1.0
    weight = recovery.KEPT_MOVES ** np.arange(len(moves))[::-1]
    expected = (moves * weight[:, None]).T @ moves / weight.sum()
    found = [[recovery.mark_covariance(state, m, k) for k in range(2)] for m in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_marks_that_have_not_moved_yet_have_no_movement() -> None:
    state = open_venue()
    recovery.note_prices(state)
    assert recovery.mark_covariance(state, 0, 0) == 0.0

"""Card H6: funding that pulls the perp back overshoots when traders answer too strongly.

The premium b follows b' = b - g F + e, F the funding rate settled last. The quotes stand at b, the
engine's step samples them, averages an interval of M steps and settles; only the answer is made
here.
"""

import math

import numpy as np
import pytest

from marketsim.engine import step
from marketsim.engine.state import IntentKind, Outcome, State
from tests.engine.small import open_venue, set_price, write_intent

pytestmark = pytest.mark.slow

#: Index in ticks: one tick is 2e-9 of it.
INDEX = 5 * 10**8
#: First premium, and where growth or decay is beyond doubt.
START, LARGE, SMALL = 1e-3, 1e-1, 1e-5
MAX_INTERVALS = 400

#: In this order: both quotes are withdrawn, then renewed.
SEQUENCE = np.arange(4)


def quote(state: State, premium: float) -> None:
    """Clear a step of the venue that moves both quotes to where it measures `premium`."""
    price = INDEX + round(premium * INDEX)
    # The bid counts above the index, the ask below it.
    bid = price if premium > 0.0 else price - 1
    for account, side, ticks in ((0, 1, bid), (1, -1, bid + 1)):
        write_intent(state, account, account, 0, kind=IntentKind.CANCEL)
        write_intent(state, 2 + account, account, side, ticks)
    step.clear_step(state, SEQUENCE)
    assert (state.intent["outcome"][:4] == Outcome.ACCEPTED).all()


def venue(steps: int) -> State:
    """An empty venue that pays the average premium of so many steps, and nothing else."""
    state = open_venue((1e9, 1e9), funding_interval=steps, interest_rate=0.0, dead_band=-1.0)
    set_price(state, INDEX)
    return state


def premia(
    steps: int, gain: float, num_intervals: int, *, answer_first: bool = True, noise: float = 0.0
) -> np.ndarray:
    """(intervals, M) premium of every step; ends early once it has clearly grown or decayed.

    Traders answer with their orders of the step, after which our step samples: `answer_first`.
    Otherwise the venue samples first, and what it sees is the answer of the step before.
    """
    state = venue(steps)
    shocks = noise * np.random.default_rng(5).standard_normal((num_intervals, steps))
    path = np.zeros((num_intervals, steps))
    b = 0.0 if noise else START
    for n in range(num_intervals):
        for k in range(steps):
            state.totals[0].step = n * steps + k
            seen = b
            b += shocks[n, k] - gain * state.market[0].funding_rate
            quote(state, b if answer_first else seen)
            step.settle_step(state)
            path[n, k] = b
        assert state.market[0].num_samples == 0
        size = np.abs(path[max(n - 7, 0) : n + 1]).max()
        if noise == 0.0 and n > 7 and not SMALL < size < LARGE:
            return path[: n + 1]
    return path


def grows(steps: int, gain: float, answer_first: bool) -> bool:
    path = np.abs(premia(steps, gain, MAX_INTERVALS, answer_first=answer_first))
    if len(path) < MAX_INTERVALS:
        return bool(path[-8:].max() > START)
    quarter = MAX_INTERVALS // 4
    return bool(path[-quarter:].max() > path[-2 * quarter : -quarter].max())


def boundary(steps: int, expected: float, answer_first: bool) -> float:
    """Bisect for the gain at which oscillations neither grow nor decay."""
    low, high = 0.8 * expected, 1.25 * expected
    assert not grows(steps, low, answer_first)
    assert grows(steps, high, answer_first)
    while high - low > 0.01 * expected:
        middle = 0.5 * (low + high)
        if grows(steps, middle, answer_first):
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


@pytest.mark.parametrize(("steps", "published"), [(2, 2.0), (4, 0.6667), (8, 0.2857), (24, 0.0870)])
def test_answering_before_the_sample_is_stable_up_to_the_published_gain(steps, published):
    assert published == pytest.approx(min(2.0, 2.0 / (steps - 1)), abs=1e-4)
    assert boundary(steps, published, True) == pytest.approx(published, rel=0.015)


@pytest.mark.parametrize(("steps", "published"), [(2, 0.6667), (4, 0.4), (8, 0.2222), (24, 0.0800)])
def test_answering_after_the_sample_is_stable_up_to_a_lower_gain(steps, published):
    assert published == pytest.approx(2.0 / (steps + 1), abs=1e-4)
    assert boundary(steps, published, False) == pytest.approx(published, rel=0.015)


def test_a_moderate_answer_holds_the_premium_closest():
    sigma, steps, num_intervals = 1e-5, 8, 4000
    spread, error = {}, {}
    for gain in (0.03, 0.12, 0.25):
        # The first intervals start from zero; batches of 100 are as good as independent.
        path = premia(steps, gain, num_intervals, noise=sigma)[100:].reshape(39, -1) / sigma
        squares = (path**2).mean(axis=1)
        spread[gain] = math.sqrt(squares.mean())
        error[gain] = squares.std(ddof=1) / math.sqrt(len(squares)) / (2.0 * spread[gain])
    assert error[0.12] < 0.05
    assert abs(spread[0.12] - 3.21) < 4.0 * error[0.12] + 0.005
    for gain in (0.03, 0.25):
        assert spread[gain] - spread[0.12] > 4.0 * math.hypot(error[gain], error[0.12])

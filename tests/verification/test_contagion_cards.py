"""Cards C1 and C2: small shocks end where the contagion matrix says; cascades are Borel.

Both run the engine's own steps: margin passes, the liquidation waterfall and the order book.
"""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from marketsim.contagion.matrix import ContagionMatrix
from marketsim.contagion.response import measure_response
from marketsim.engine import step
from marketsim.engine.book import withdraw_orders
from marketsim.engine.paper import paper_venue
from marketsim.engine.state import State
from tests.contagion.books import MARK, fill_book, open_books
from tests.engine.small import write_intent

NUM_MARKETS, HELD = 5, 4
NOTIONAL = 1000.0
NO_ORDERS = np.empty(0, np.int64)


def diversified(luck: Any, num_accounts: int, cross: float, n: float) -> tuple[State, int]:
    """Aligned long books of four of five markets each, and the lots a level has for gain `n`."""
    exposure = np.zeros((num_accounts, NUM_MARKETS))
    for i in range(num_accounts):
        exposure[i, luck.permutation(NUM_MARKETS)[:HELD]] = NOTIONAL
    isolated = luck.random(num_accounts) >= cross
    buffer = luck.uniform(0.0, BUFFER, (num_accounts, NUM_MARKETS))
    # A cross pool's buffer is one; the rest of its row would add to it.
    buffer[~isolated, 1:] = 0.0
    state = open_books(exposure, buffer, isolated=isolated, num_orders=26_000)
    gain = num_accounts * HELD / NUM_MARKETS * HELD * NOTIONAL**2 / BUFFER
    share = 1.0 if cross == 1.0 else (cross * HELD + 1.0 - cross) / HELD
    return state, round(gain * share / n * SPACING / MARK)


SHOCK, SPACING, BUFFER = 0.002, 5, 60.0


def respond(state: State, level: int, reach: int) -> Any:
    """Shock the first market, let the engine run to rest, and return how far each mark fell."""
    for m in range(NUM_MARKETS):
        struck = round(MARK * (1.0 - SHOCK)) if m == 0 else MARK
        count = reach // SPACING
        fill_book(state, m, 1, level, start=struck - SPACING, spacing=SPACING, count=count)
        state.market[m].last_ticks = struck
    for t in range(1, 50):
        step.begin_counts(state, t)
        step.clear_step(state, NO_ORDERS)
        if state.totals[0].num_liquidations == state.totals[0].step_liquidations:
            break
    return 1.0 - np.array(state.market["mark_ticks"]) / MARK


def measured(state: State, level: int) -> Any:
    """Measure the matrices on a book as the shock will meet it, then take that book away."""
    reach = 5_000
    for m in range(NUM_MARKETS):
        fill_book(state, m, 1, level, start=MARK - 1, spacing=SPACING, count=reach // SPACING)
    response = np.zeros((2, NUM_MARKETS, NUM_MARKETS))
    measure_response(state, paper_venue(state), 0.0, 0.004, response)
    for m in range(NUM_MARKETS):
        withdraw_orders(state, len(state.account) - 2, m, 0)
    return response


@pytest.mark.slow
@pytest.mark.parametrize(("n", "tolerance"), [(0.3, 0.05), (0.8, 0.10)])
@pytest.mark.parametrize("cross", [0.0, 0.5, 1.0])
def test_small_shocks_end_where_the_matrix_says(cross: float, n: float, tolerance: float) -> None:
    found, matrices = [], []
    for seed in range(12):
        luck = np.random.default_rng((seed, round(10 * cross), round(10 * n)))
        state, level = diversified(luck, 3000, cross, n)
        matrices.append(measured(state, level))
        found.append(respond(state, level, reach=25_000))
    # One prediction of the mean matrix: 1 / (1 - R) of a noisy R is not 1 / (1 - its mean).
    falls, rises = np.mean(matrices, axis=0)
    matrix = ContagionMatrix(tuple(f"M{m}" for m in range(NUM_MARKETS)), falls, rises, 0)
    assert matrix.reproduction_number("falls") == pytest.approx(n, rel=0.05)
    theory = -np.array([*matrix.response({"M0": -SHOCK}).values()])
    simulated = np.mean(found, axis=0)
    assert simulated[0] == pytest.approx(theory[0], rel=tolerance)
    assert simulated.sum() == pytest.approx(theory.sum(), rel=tolerance)
    assert simulated[1:].mean() == pytest.approx(theory[1:].mean(), rel=tolerance, abs=1e-5)


def borel(s: int, n: float) -> float:
    return math.exp(-n * s + (s - 1) * math.log(n * s) - math.lgamma(s + 1))


def cascade_sizes(seed: int, n: float, count: int) -> list[int]:
    """Let somebody sell a lot, again and again, into a book of a lot a level.

    Every lot sold takes the price down one level; the pools' triggers are a Poisson process of `n`
    a level. So a sale, and every liquidation after it, sets off a Poisson number of others.
    """
    luck = np.random.default_rng(seed)
    spacing = 20
    levels = luck.poisson(n * count)
    triggers = np.sort(luck.uniform(MARK - count * spacing, MARK, levels))
    exposure = np.append(0.0, np.ones(levels))[:, None]
    # Equity falls by .99 of the price: the requirement falls with it.
    buffer = np.append(1e6, (MARK - triggers) / MARK * 0.99)
    state = open_books(exposure, buffer, num_orders=count + 100)
    fill_book(state, 0, 1, 1, start=MARK - spacing, spacing=spacing, count=count)
    sizes: list[int] = []
    while sum(sizes) < count - 200:
        step.begin_counts(state, len(sizes) + 1)
        write_intent(state, 0, 0, -1, 1)
        step.clear_step(state, np.zeros(1, np.int64))
        totals = state.totals[0]
        sizes.append(1 + int(totals.num_liquidations - totals.step_liquidations))
    return sizes


@pytest.mark.parametrize(("seed", "n"), [(1, 0.4), (2, 0.7)])
def test_cascade_sizes_follow_the_borel_law(seed: int, n: float) -> None:
    sizes = np.array(cascade_sizes(seed, n, 5000))
    largest = 8
    law = np.array([borel(s, n) for s in range(1, largest)])
    expected = len(sizes) * np.append(law, 1.0 - law.sum())
    counted = np.bincount(np.minimum(sizes, largest), minlength=largest + 1)[1:]
    assert stats.chisquare(counted, expected).pvalue > 0.01
    # The law of another gain does not fit.
    other = np.array([borel(s, 0.85 * n) for s in range(1, largest)])
    wrong = len(sizes) * np.append(other, 1.0 - other.sum())
    assert stats.chisquare(counted, wrong).pvalue < 1e-4

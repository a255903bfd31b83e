"""The contagion matrix against its closed form, and its paper waterfall against the real one."""

import itertools
from typing import Any

import numpy as np
import pytest

from marketsim.contagion.response import depth, measure_response
from marketsim.engine import step
from marketsim.engine.paper import paper_venue
from marketsim.engine.state import ATOMS, ONE, LegRule, LimitRule, MarkRule, SizeRule, State
from tests.contagion.books import MAINTENANCE, MARK, fill_book, open_books

NUM_ACCOUNTS = 8000
NOTIONAL = 1000
#: USD: buffers are spread evenly up to here.
BUFFER = 50.0
#: Lots per level, and ticks between two levels.
LEVEL, SPACING = 320, 2
#: USD per unit of relative move.
DEPTH = LEVEL * MARK / SPACING


def even_buffers(count: int = NUM_ACCOUNTS) -> Any:
    return (np.arange(count) + 0.5) * BUFFER / count


def with_books(state: State, reach: int = 5_000) -> State:
    for m in range(len(state.market)):
        for side in (1, -1):
            start = MARK - side * SPACING
            fill_book(
                state, m, side, LEVEL, start=start, spacing=SPACING, count=reach // SPACING + 1
            )
    return state


def measured(state: State, delta: float, reflexivity: float = 0.0) -> Any:
    response = np.full((2, len(state.market), len(state.market)), np.nan)
    measure_response(state, paper_venue(state), reflexivity, delta, response)
    return response


def closed_form(exposure: Any, isolated: Any) -> Any:
    """Card C1, by side; a fall takes a long's requirement with it, a rise adds to a short's."""
    found = []
    for sign, factor in ((1.0, 1 - MAINTENANCE), (-1.0, 1 + MAINTENANCE)):
        struck = np.where(sign * exposure > 0, exposure, 0.0)
        cross = exposure[~isolated].T @ struck[~isolated]
        alone = np.diag((exposure[isolated] * struck[isolated]).sum(axis=0))
        found.append(factor / BUFFER * (cross + alone) / DEPTH)
    return np.array(found)


LONG = np.full((NUM_ACCOUNTS, 2), float(NOTIONAL))
PAIRS = np.where(np.arange(NUM_ACCOUNTS)[:, None] % 2 == 0, [1.0, -1.0], [-1.0, 1.0]) * NOTIONAL
EVERY_THIRD = np.arange(NUM_ACCOUNTS) % 3 == 0
NONE_ALONE = np.zeros(NUM_ACCOUNTS, bool)

BOOKS = {
    "aligned longs": (LONG, NONE_ALONE),
    "pairs": (PAIRS, NONE_ALONE),
    "isolated": (LONG, ~NONE_ALONE),
    "mixed modes": (LONG, EVERY_THIRD),
    "mixed pairs": (PAIRS, EVERY_THIRD),
}


@pytest.mark.parametrize("name", BOOKS)
def test_the_matrix_tends_to_its_closed_form(name: str) -> None:
    exposure, alone = BOOKS[name]
    buffer = even_buffers()
    spread = np.where(alone[:, None], buffer[:, None], np.column_stack([buffer, 0 * buffer]))
    state = with_books(open_books(exposure, spread, isolated=alone, num_orders=12_000))
    exact = closed_form(exposure, alone)
    errors = [np.abs(measured(state, delta) - exact).max() for delta in (0.005, 0.0025)]
    assert errors[1] < 0.01 * np.abs(exact).max()
    assert errors[1] < errors[0]


def test_measuring_leaves_the_state_as_it_was() -> None:
    state = with_books(open_books(LONG, even_buffers(), num_orders=12_000))
    before = [array.tobytes() for array in state]
    assert measured(state, 0.01)[0].min() > 0
    assert [array.tobytes() for array in state] == before


def test_a_pool_below_maintenance_already_does_not_count() -> None:
    state = with_books(open_books(LONG, even_buffers() - 2 * BUFFER, num_orders=12_000))
    assert not measured(state, 0.01).any()


@pytest.mark.parametrize(("limit", "rich", "sells"), [(0, 1e4, 1), (1e4, 1e4, 0), (1e4, 0, 1)])
def test_a_side_pool_that_can_draw_is_not_sold(limit: float, rich: float, sells: int) -> None:
    count = 20
    groups = [(i, limit, [0]) for i in range(count)]
    exposure = np.column_stack([np.full(count, 1000.0), np.zeros(count)])
    buffer = np.column_stack([np.full(count, 3.0), np.full(count, rich)])
    state = with_books(open_books(exposure, buffer, groups=groups, num_orders=12_000))
    expected = 20_000 * (1 - 0.005) / (DEPTH * 0.005)
    found = measured(state, 0.005)[0, 0, 0]
    assert found == pytest.approx(sells * expected, rel=0.01)


@pytest.mark.parametrize(("rule", "share"), [(MarkRule.INDEX, 0.3), (MarkRule.INDEX_PLUS_BASIS, 1)])
def test_the_mark_passes_on_what_its_rule_says(rule: MarkRule, share: float) -> None:
    full = with_books(open_books(LONG, even_buffers(), num_orders=12_000))
    other = with_books(open_books(LONG, even_buffers(), num_orders=12_000, mark_rule=rule))
    found, whole = measured(other, 0.005, 0.3), measured(full, 0.005)
    np.testing.assert_allclose(found, share * whole, rtol=1e-12)


def test_an_empty_side_leaves_no_number() -> None:
    state = open_books(LONG, even_buffers())
    found = measured(state, 0.005)
    assert np.isnan(found[0]).all()
    assert not found[1].any()


def test_depth_counts_the_notional_within_reach_of_the_best() -> None:
    state = open_books(LONG[:10], even_buffers(10))
    for price, size in ((999_000, 3), (998_000, 5), (900_000, 100)):
        fill_book(state, 0, 1, size, start=price, spacing=1, count=1)
    held = 3 * 999_000 + 5 * 998_000
    assert depth(state, 0, 1, 0.01) == pytest.approx(held / 0.01)
    assert np.isnan(depth(state, 0, -1, 0.01))


RULES = [
    {"size_rule": size, "legs": legs, "limit_rule": limit, "backstop_ratio": backstop}
    for size, legs, limit, backstop in itertools.product(
        SizeRule, LegRule, LimitRule, (0, 2 * ONE // 3)
    )
]


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_what_is_sold_on_paper_is_what_the_waterfall_sells(rules: dict[str, int]) -> None:
    """Against the engine, into books so deep that prices stay, until nobody is short."""
    luck = np.random.default_rng(5)
    delta, k = 0.008, 1
    exposure = luck.integers(0, 3000, (40, 3)).astype(float)
    state = open_books(
        exposure,
        luck.uniform(0.0, 30.0, 40),
        **rules,
        mark_rule=MarkRule.INDEX,
        portion=ONE // 4,
        min_notional_atoms=200 * ATOMS,
        chunk_threshold_atoms=1000 * ATOMS,
        liquidation_fee=ONE // 500,
        max_account_notional_atoms=1500 * ATOMS,
        max_rounds=3,
    )
    marks = [MARK, round(MARK * (1 - delta)), MARK]
    for m, price in enumerate(marks):
        fill_book(state, m, 1, 10**9, start=price, spacing=1, count=1)
    found = measured(state, delta, reflexivity=1.0)[0, :, k]
    paper = [found[j] * depth(state, j, 1, delta) * delta for j in range(3)]

    state.market[k].index_ticks = marks[k]
    for t in range(1, 100):
        step.begin_counts(state, t)
        step.clear_step(state, np.empty(0, np.int64))
        if state.totals[0].num_liquidations == state.totals[0].step_liquidations:
            break
    rows = state.liquidation[: state.totals[0].num_liquidations]
    sold = [float((rows["book_size"] * marks[j])[rows["market"] == j].sum()) for j in range(3)]
    assert sum(sold) > 0
    assert paper == pytest.approx(sold, rel=1e-9)

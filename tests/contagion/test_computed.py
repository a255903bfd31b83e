"""R as computed: its parts by hand, and the closed form of even thresholds and an even book."""

from typing import Any

import numpy as np
import pytest

from marketsim import Simulation
from marketsim.contagion.chance import added_chance, chance, walks
from marketsim.contagion.computed import Computed, compute_contagion, edge_weights
from marketsim.contagion.recorder import reproduction_number
from marketsim.contagion.sale import Taken, mark_path, walk_book
from marketsim.engine.paper import paper_venue
from marketsim.engine.state import ATOMS, MarkRule, State
from marketsim.scenario.loader import load_scenario
from tests.contagion.books import MAINTENANCE, MARK, fill_book, open_books

COUNT, NOTIONAL = 400, 1000
#: USD: buffers are spread evenly up to here.
BUFFER = 50.0
#: Lots per level, and ticks between two levels: a pool's sale takes many.
LEVEL, SPACING = 16, 2
#: Dollars liquidated for each dollar, by card C2: density of thresholds over depth. It is 1: a push
#: reaches as many pools wherever it starts.
GAIN = (COUNT * NOTIONAL / (BUFFER / NOTIONAL)) / (LEVEL * MARK / SPACING)


def even_market(exposure: Any = None, *, movement: float = 0.004, **rules: Any) -> State:
    """Even thresholds, an even book, and marks that move by themselves, so much in a step."""
    held = np.full((COUNT, 1), float(NOTIONAL)) if exposure is None else exposure
    buffer = (np.arange(len(held)) + 0.5) * BUFFER / len(held)
    state = open_books(held, buffer, num_orders=12_000, **rules)
    for m in range(held.shape[1]):
        for side in (1, -1):
            start = MARK - side * SPACING
            fill_book(state, m, side, LEVEL, start=start, spacing=SPACING, count=2000)
    state.movement[:] = movement**2 * np.eye(held.shape[1])
    state.recovery["moves"] = 1.0
    return state


def computed(state: State, reflexivity: float = 0.0) -> Computed:
    return compute_contagion(state, paper_venue(state), reflexivity)


@pytest.mark.parametrize("movement", [0.003, 0.005])
def test_even_thresholds_have_the_gain_of_the_closed_form(movement: float) -> None:
    found = computed(even_market(movement=movement))
    # at its trigger a long's requirement has fallen with the mark
    expected = GAIN * (1.0 - MAINTENANCE)
    assert found.response[0, 0, 0] == pytest.approx(expected, rel=0.05)
    assert found.response[1, 0, 0] == 0.0


def test_pools_of_two_markets_pass_on_from_one_to_the_other() -> None:
    found = computed(even_market(np.full((COUNT, 2), float(NOTIONAL))))
    expected = np.full((2, 2), GAIN * (1.0 - MAINTENANCE))
    np.testing.assert_allclose(found.response[0], expected, rtol=0.05)


def test_what_would_be_liquidated_anyway_does_not_count() -> None:
    state = even_market()
    numbers = []
    for share in (0.0, 0.3, 0.9):
        state.recovery["share"] = share
        numbers.append(computed(state).response[0, 0, 0])
    assert numbers[0] > 1.5 * numbers[1] > 1.5 * numbers[2] > 0.0


def test_a_mark_that_is_the_index_passes_on_what_spot_follows() -> None:
    state = even_market(mark_rule=MarkRule.INDEX)
    assert not computed(state).response.any()
    # the mid goes half as far as the bids
    found = computed(state, reflexivity=0.5).response[0, 0, 0]
    assert 0.0 < found < 0.5 * 0.5 * GAIN


def test_computing_leaves_the_state_as_it_was() -> None:
    state = even_market()
    before = [np.asarray(array).tobytes() for array in state]
    assert computed(state).response.any()
    assert [np.asarray(array).tobytes() for array in state] == before


def test_marks_that_never_moved_take_nobody_to_the_edge() -> None:
    found = computed(even_market(movement=0.0))
    assert not found.likely.any()
    assert not found.response.any()


def test_an_empty_side_moves_no_mark() -> None:
    state = open_books(np.full((20, 1), 1000.0), np.full(20, 1.0))
    state.movement[:] = 1e-6
    state.recovery["moves"] = 1.0
    found = computed(state)
    assert found.likely.any()
    assert not found.response.any()
    assert not edge_weights(found, 0).any()


def test_weights_spread_dollars_as_the_mode_that_lasts_does() -> None:
    matrix = np.array([[[0.2, 0.0], [0.0, 0.6]], np.zeros((2, 2))])
    likely, filled = np.array([0.5, 0.2, 0.1]), np.array([[10.0, 0.0], [0.0, 20.0], [0.0, 0.0]])
    forced = np.array([[5.0, 4.0], [0.0, 0.0]])
    found = Computed(matrix, forced, np.ones((2, 2)), likely, filled)
    weight = edge_weights(found, 0)
    assert weight[0] == weight[2] == 0.0
    assert weight[1] > 0.0
    calm = found._replace(response=1e-6 * matrix)
    assert edge_weights(calm, 0).tolist() == [0.5, 0.2, 0.0]
    assert not edge_weights(found, 1).any()


def test_chances_are_those_of_a_walk() -> None:
    walk = walks(15)
    luck = np.random.default_rng(1)
    path = np.cumsum(luck.normal(size=(200_000, 15)), axis=1)
    push = np.array([2.0, *(1.5 * 0.7 ** np.arange(15))])
    pushed = np.maximum((path + push[1:]).max(axis=1), push[0])
    for spare in (0.5, 2.5, 5.0):
        alone = (path.max(axis=1) > spare).mean()
        assert chance(spare, walk) == pytest.approx(alone, abs=0.05)
        more = (pushed > spare).mean() - alone
        assert added_chance(spare, 1.0, push, walk) == pytest.approx(more, abs=0.05)
    assert chance(1e3, walk) == 0.0


def test_a_push_that_lasts_is_a_threshold_that_is_nearer() -> None:
    walk = walks(15)
    found = added_chance(4.0, 2.0, np.full(16, 0.5), walk)
    assert found == pytest.approx(chance(3.0, walk) - chance(4.0, walk), rel=1e-9)


PATHS = {
    MarkRule.INDEX: [0.0, 0.2, 0.1, 0.05],
    MarkRule.LAST: [3.0, 1.5, 0.75, 0.375],
    # half of what is left, less what the index has of it: .5 (.5 - .2), ...
    MarkRule.INDEX_PLUS_BASIS: [0.0, 0.35, 0.25, 0.1625],
}


@pytest.mark.parametrize("rule", PATHS)
def test_a_mark_goes_with_a_sale_as_its_rule_says(rule: MarkRule) -> None:
    state = even_market(mark_rule=rule, basis_weight=0.5)
    taken = Taken(10, MARK - 3_000, 1_000.0)
    path = np.zeros(4)
    mark_path(state, 0, 1, taken, 0.5, 0.2, path)
    np.testing.assert_allclose(path * MARK / 1_000.0, PATHS[rule], atol=1e-9)


def median_path(basis: int, sold: float, follows: float, funding_rate: float = 0.0) -> np.ndarray:
    """Return where a median goes, ticks, whose average lies so many of them off the index."""
    state = even_market(mark_rule=MarkRule.MEDIAN, basis_weight=0.5)
    state.market[0].funding_rate = funding_rate
    state.market[0].basis = basis * float(state.market[0].tick_size)
    path = np.zeros(3)
    mark_path(state, 0, 1, Taken(10, MARK - 3_000, sold), 0.5, follows, path)
    return path * MARK


def test_a_median_sees_no_further_than_its_second_price() -> None:
    # between the index and 1,000 ticks below it; later that average has moved by 100 and by 100
    np.testing.assert_allclose(median_path(-1_000, 400.0, 0.0), [1_000.0, 1_100.0, 750.0])


def test_a_median_that_is_the_last_price_goes_no_further_than_that_where_spot_follows() -> None:
    path = median_path(-10_000, 1_000.0, 0.4, funding_rate=0.01)
    np.testing.assert_allclose(path, [3_000.0, 1_500.0, 750.0])


def test_a_median_that_is_the_index_goes_where_spot_goes() -> None:
    # the mid is where the index is, and so the last price would be; after the sale it lies lower
    np.testing.assert_allclose(median_path(10_000, 1_000.0, 0.4), [0.0, 400.0, 200.0])


def test_a_sale_takes_the_book_down_to_its_limit_and_the_fund_s_money() -> None:
    state = even_market()
    best = MARK - SPACING
    whole = walk_book(state, 0, 1, 40, 0.0, 0.0, 0.0)
    assert whole == Taken(40, best - 2 * SPACING, 0.5 * 2 * SPACING)
    limited = walk_book(state, 0, 1, 40, float(best - SPACING), 0.0, 0.0)
    assert (limited.lots, limited.worst) == (32, best - SPACING)
    # 16 lots at a loss of one spacing each are covered, the next at two are not
    spared = walk_book(state, 0, 1, 40, 0.0, float(best), 16.0 * SPACING)
    assert (spared.lots, spared.worst) == (32, best - SPACING)
    bought = walk_book(state, 0, -1, 40, 2.0 * MARK, 2.0 * MARK, 0.0)
    assert bought == Taken(40, MARK + 3 * SPACING, 0.5 * 2 * SPACING)
    nobody = walk_book(state, 0, 1, 40, float(MARK), 0.0, 0.0)
    assert nobody == Taken(0, 0, 0.0)


def test_a_sale_meets_what_the_impact_of_an_order_says() -> None:
    run = Simulation(load_scenario("quickstart", [("days", "0.2")]), 3)
    run.run(120)
    market = run.state.market[0]
    impact = run.impact(run.market_names[0], 50_000.0, "sell")
    lots = round(impact.filled / float(market.lot_size))
    taken = walk_book(run.state, 0, 1, lots, 0.0, 0.0, float(ATOMS))
    assert taken.lots == lots
    assert taken.worst * float(market.tick_size) == pytest.approx(impact.last_price)


def test_r_of_a_crash_is_recorded_where_the_book_takes_what_is_sold() -> None:
    run = Simulation(load_scenario("contagion", [("days", "0.65")]), 1)
    run.run(round(14.5 * 60))
    found = compute_contagion(run.state, paper_venue(run.state), 0.0)
    assert reproduction_number(found.response).max() > 0.0

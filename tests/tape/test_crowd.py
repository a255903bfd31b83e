import math

import numpy as np
import pytest

from marketsim.engine.allocation import allocate
from marketsim.engine.margin import assess_pools
from marketsim.engine.pools import liquidation_price
from marketsim.engine.records import records
from marketsim.engine.state import ONE, State
from marketsim.tape.crowd import record_crowd
from marketsim.tape.series import Series


def venue_of(sizes: list[list[int]], cash: list[int]) -> State:
    """Accounts with these positions, and the fund, at a mark of 100,000 atoms; f = 5 %."""
    state = allocate(len(sizes), len(sizes[0]), len(sizes) + 1)
    for m in range(len(sizes[0])):
        state.market[m].tick_atoms = 1_000
        state.market[m].mark_ticks = state.market[m].index_ticks = 100
        state.market[m].num_tiers = 1
        state.tier[m, 0].maintenance_fraction = ONE // 20
    for i, row in enumerate(sizes):
        state.position["size"][i] = row
        state.pool[i].cash = cash[i]
    assess_pools(state)
    return state


def recorded(state: State, crowd: object = None, herd_size: object = None) -> np.recarray:
    num_markets = len(state.market)
    series = records(Series, 1, num_markets)
    none = np.zeros((1, num_markets)), np.zeros(num_markets)
    if crowd is None or herd_size is None:
        crowd, herd_size = none
    record_crowd(state, crowd, herd_size, series, 0)
    return series[0]


def test_the_herd_index_is_the_mean_opinion_of_all_herds() -> None:
    crowd = np.array([[30.0, 0.0], [0.0, 0.0], [15.0, 0.0]])
    row = recorded(venue_of([[0, 0]], [0]), crowd, np.array([60.0, 0.0]))
    assert row[0].herd_index == pytest.approx(2 * 45 / 60 - 1)
    assert math.isnan(row[1].herd_index)


def test_a_market_without_positions_has_no_crowd_figures() -> None:
    row = recorded(venue_of([[0]], [5]))[0]
    for name in ("long_share", "leverage", "long_distance", "short_distance"):
        assert math.isnan(row[name]), name


def test_the_long_share_counts_accounts_but_not_the_fund() -> None:
    state = venue_of([[1], [2], [0], [-9]], [10**9] * 4)
    state.position["size"][4, 0] = 6
    assert recorded(state)[0].long_share == pytest.approx(2 / 3)


def test_leverage_is_all_a_holder_has_open_over_its_equity() -> None:
    # 3 lots in the first market and 2 in the second are 500,000 atoms on an equity of 250,000
    state = venue_of([[3, -2], [0, 4]], [250_000 - 100_000, 800_000 - 400_000])
    row = recorded(state)
    assert row[0].leverage == pytest.approx(500_000 / 250_000)
    assert row[1].leverage == pytest.approx(900_000 / 1_050_000)


def test_leverage_counts_side_pools_of_an_account_once() -> None:
    state = allocate(1, 2, 3)
    for m in range(2):
        state.market[m].tick_atoms, state.market[m].mark_ticks = 1_000, 100
        state.market[m].num_tiers = 1
        state.position[0, m].pool = 2
        state.position[0, m].size = 1
    state.pool[2].owner = 0
    state.pool[0].cash, state.pool[2].cash = 30_000, 20_000 - 200_000
    assess_pools(state)
    assert recorded(state)["leverage"].tolist() == pytest.approx([4.0, 4.0])


@pytest.mark.parametrize(("size", "name"), [(10, "long_distance"), (-10, "short_distance")])
def test_the_distance_is_that_to_the_liquidation_price(size: int, name: str) -> None:
    state = venue_of([[size, 3]], [150_000 - 100_000 * (size + 3)])
    price = liquidation_price(state, 0, 0)
    assert 0.0 < price < 200.0
    assert recorded(state)[0][name] == pytest.approx(abs(price / 100.0 - 1.0))


def test_distances_are_weighted_by_open_interest() -> None:
    # leverage 10 and 1: (E - M) / (n (1 - f)) with E = n / 10 and E = n
    state = venue_of([[30], [10]], [-3_000_000 + 300_000, -1_000_000 + 1_000_000])
    far, near = 1.0, (0.1 - 0.05) / 0.95
    assert recorded(state)[0].long_distance == pytest.approx((30 * near + 10 * far) / 40)


def test_a_distance_is_at_most_one_and_never_negative() -> None:
    state = venue_of([[1], [-1]], [10**9, 100_000 - 1])
    row = recorded(state)[0]
    assert row.long_distance == 1.0
    assert row.short_distance == 0.0


def test_a_large_position_uses_its_own_tier() -> None:
    state = allocate(1, 1, 2, num_tiers=2)
    market = state.market[0]
    market.tick_atoms, market.mark_ticks, market.num_tiers = 1_000, 100, 2
    state.tier[0, 0].maintenance_fraction = ONE // 20
    state.tier[0, 1].floor_atoms = 500_000
    state.tier[0, 1].maintenance_fraction = ONE // 10
    state.tier[0, 1].maintenance_amount = 25_000
    state.position[0, 0].size = 10
    state.pool[0].cash = 200_000 - 1_000_000
    assess_pools(state)
    price = liquidation_price(state, 0, 0)
    assert recorded(state)[0].long_distance == pytest.approx(1.0 - price / 100.0)

"""Positions that move to other pools: who may, and what each pool holds then."""

import numpy as np

from marketsim.engine.allocation import add_pools
from marketsim.engine.ledger import conservation_error
from marketsim.engine.pools import assess_pool, initial_margin
from marketsim.engine.regrouping import may_regroup, regroup
from tests.engine.small import PRICE, hold, open_venue, usd

FIRST = np.array([0])


def venue(cash: float, *, lots: int = 10):
    """Two accounts opposite each other in two markets; account 0 has side pools 3 and 4."""
    state = open_venue((cash, 10_000.0), num_markets=2, side_pools=((0, 0.0, ()), (0, 0.0, ())))
    for m in range(2):
        hold(state, 0, lots, PRICE, m)
        hold(state, 1, -lots, PRICE, m)
    return state


def equities(state, *pools: int) -> list[int]:
    for p in pools:
        assess_pool(state, p)
    return [int(state.pool[p].equity) for p in pools]


def test_a_side_pool_receives_the_initial_margin_of_its_positions_and_the_main_pool_the_rest():
    state = venue(1000.0)
    assert may_regroup(state, FIRST).tolist() == [True]
    regroup(state, FIRST, np.array([[3, 4]]))
    needed = initial_margin(state, 3)
    assert needed > 0
    assert equities(state, 0, 3, 4) == [usd(1000) - 2 * needed, needed, needed]
    assert conservation_error(state) == 0


def test_markets_of_one_group_share_its_pool():
    state = venue(1000.0)
    regroup(state, FIRST, np.array([[3, 3]]))
    needed = initial_margin(state, 3)
    assert equities(state, 0, 3, 4) == [usd(1000) - needed, needed, 0]


def test_back_in_the_main_pool_all_is_as_it_was():
    state = venue(1000.0)
    state.draw[3].drawn = 7
    regroup(state, FIRST, np.array([[3, 4]]))
    state.draw[3].drawn = 7
    regroup(state, FIRST, np.array([[0, 0]]))
    assert equities(state, 0, 3, 4) == [usd(1000), 0, 0]
    assert state.position["pool"][0].tolist() == [0, 0]
    assert state.draw[3].drawn == 0


def test_who_has_less_than_the_initial_margin_of_all_positions_may_not():
    needed = venue(1000.0)
    both = initial_margin(needed, 0)
    exactly = venue(both / 1e6)
    short = venue((both - 1) / 1e6)
    assert [may_regroup(state, FIRST)[0] for state in (exactly, short)] == [True, False]


def test_a_loss_in_one_pool_counts_against_all():
    state = venue(1000.0)
    regroup(state, FIRST, np.array([[3, 4]]))
    main = equities(state, 0)[0]
    state.pool[0].cash -= main
    assert may_regroup(state, FIRST)[0]
    state.pool[4].cash -= 1
    assert not may_regroup(state, FIRST)[0]


def test_pools_are_added_at_the_end_for_the_accounts_named():
    state = venue(1000.0)
    before = len(state.pool)
    state = add_pools(state, np.array([1, 1]))
    assert state.pool["owner"][before:].tolist() == [1, 1]
    arrays = (state.draw, state.touched, state.short)
    assert [len(array) for array in arrays] == [before + 2] * 3
    regroup(state, np.array([1]), np.array([[before, before + 1]]))
    assert conservation_error(state) == 0

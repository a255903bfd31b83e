"""Venues on paper: copies that hold all there is, and nothing of whom they held before."""

import numpy as np
import pytest

from marketsim.engine import book
from marketsim.engine.allocation import allocate
from marketsim.engine.paper import (
    FUND,
    NEUTRAL,
    TRADER,
    follow,
    move_in,
    offer_marks,
    paper_venue,
    withdraw_offers,
)
from marketsim.engine.state import (
    ACCOUNT_ARRAYS,
    MARKET_ARRAYS,
    NONE,
    POOL_ARRAYS,
)
from tests.engine.small import PRICE, give_holdings, hold, open_venue, set_price, usd

#: The first trader has a pool for two markets, the second all in one, the third each alone.
POOLS = ((0, 300.0, (0, 2)), (2, 0.0, (0,)), (2, 0.0, (1,)), (2, 50.0, (2,)))


@pytest.fixture
def state():
    state = open_venue(num_markets=3, fund=500.0, side_pools=POOLS)
    for m in range(3):
        for i, size in enumerate((10, -7, -3)):
            hold(state, i, size * (m + 1), m=m)
        set_price(state, PRICE + 100 * m, m)
    for p in range(5, 9):
        state.pool[p].cash += usd(100 * p)
        state.draw[p].drawn = usd(1)
    give_holdings(state, 0, stable=50.0, coins=2, m=1)
    book.add_order(state, 0, 1, 1, 5, PRICE, 2 * PRICE, 0, 0)
    state.totals[0].step = 9
    return state


@pytest.mark.parametrize(
    ("length", "listed"),
    [
        (
            17,
            {*MARKET_ARRAYS, "split", "recovery", "movement"},
        ),  # what is noted of causes and of markets
        (101, {*ACCOUNT_ARRAYS}),
        (211, {*POOL_ARRAYS, "short"}),  # the pools found short, not a record of each
    ],
)
def test_all_arrays_of_markets_accounts_and_pools_are_listed(length, listed):
    state = allocate(100, 17, 211)
    assert {name for name in state._fields if len(getattr(state, name)) == length} == listed


def contents(paper):
    """What decides what a paper venue does: all but what was counted so far."""
    held = [
        name
        for name in (*ACCOUNT_ARRAYS, *POOL_ARRAYS, *MARKET_ARRAYS)
        if name not in ("flow", "touched")
    ]
    return {name: getattr(paper, name).tolist() for name in held}


def test_the_trader_has_all_that_the_account_has(state):
    luck = np.random.default_rng(1)
    for name in ("account", "spot", "stable", "own_fraction", "chunk_step", "flow"):
        array = getattr(state, name)
        noise = luck.integers(0, 100, array.nbytes // 8)
        array[:] = noise.view(array.dtype).reshape(array.shape)
    paper = paper_venue(state)
    for i in range(3):
        move_in(state, i, paper)
        for j, account in ((TRADER, i), (FUND, 4)):
            for name in ACCOUNT_ARRAYS:
                found, expected = getattr(paper, name)[j], getattr(state, name)[account].copy()
                if name == "position":
                    expected["pool"] = found["pool"]
                    expected["first_order"] = NONE
                assert found.tolist() == expected.tolist()
            places = [j, *paper.position["pool"][j].tolist()]
            pools = [account, *state.position["pool"][account].tolist()]
            for place, p in zip(places, pools, strict=True):
                assert paper.pool[place].owner == j
                assert paper.pool[place].cash == state.pool[p].cash
                assert paper.draw[place].tolist() == state.draw[p].tolist()
        assert (paper.position["size"][NEUTRAL] == -state.position["size"][i]).all()
    assert paper.totals[0].step == 9


def test_a_paper_venue_follows_its_venue(state):
    paper = paper_venue(state)
    move_in(state, 1, paper)
    offer_marks(paper, TRADER, NEUTRAL)
    withdraw_offers(paper, NEUTRAL)
    state.market["mark_ticks"] += 7
    state.market["best_bid"] = 5
    state.tier["maintenance_fraction"] += 11
    state.totals[0].stable_price *= 0.9
    state.venue[0].max_rounds = 2
    assert follow(state, paper) is paper
    fresh = paper_venue(state)
    for name in ("venue", *MARKET_ARRAYS):
        assert getattr(paper, name).tolist() == getattr(fresh, name).tolist()
    assert paper.totals[0].stable_price == fresh.totals[0].stable_price
    state.venue[0].max_rounds = 50
    assert len(follow(state, paper).liquidation) > len(paper.liquidation)


def test_positions_share_a_pool_on_paper_as_they_do_in_the_venue(state):
    paper = paper_venue(state)
    shared = []
    for i in range(4):
        move_in(state, i, paper)
        shared.append(paper.position["pool"][TRADER].tolist())
    assert shared == [[3, 0, 3], [0, 0, 0], [3, 4, 5], [0, 0, 0]]


def test_nothing_is_left_of_the_account_before(state):
    paper = paper_venue(state)
    for i in (2, 0, 1, 3):
        move_in(state, i, paper)
        fresh = paper_venue(state)
        move_in(state, i, fresh)
        owned = paper.pool["owner"] == TRADER
        assert owned.tolist() == [True, False, False, True, True, True]
        alone = ~np.isin(np.arange(6), [TRADER, NEUTRAL, FUND, *paper.position["pool"][TRADER]])
        assert not paper.pool["cash"][alone].any()
        assert not paper.draw["limit"][alone].any()
        assert paper.pool["cash"].tolist() == fresh.pool["cash"].tolist()


def test_all_a_trader_holds_is_wanted_at_the_mark_until_the_offers_are_withdrawn(state):
    paper = paper_venue(state)
    move_in(state, 1, paper)
    before = contents(paper)
    offer_marks(paper, TRADER, NEUTRAL)
    assert paper.market["best_ask"].tolist() == [PRICE, PRICE + 100, PRICE + 200]
    assert not paper.market["best_bid"].any()
    orders = paper.order[paper.order["size"] > 0]
    assert sorted(orders["size"].tolist()) == [7, 14, 21]
    withdraw_offers(paper, NEUTRAL)
    assert contents(paper) == before
    assert paper.totals[0].num_orders == paper.totals[0].num_levels == 0
    assert paper.totals[0].num_nodes == 3


def test_a_venue_is_left_as_it_is(state):
    before = [array.tobytes() for array in state]
    paper = paper_venue(state)
    move_in(state, 0, paper)
    offer_marks(paper, TRADER, NEUTRAL)
    paper.market["mark_ticks"] += 1
    assert [array.tobytes() for array in state] == before

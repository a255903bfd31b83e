"""The order of the stages of a step, each seen by what it leaves the next."""

import numpy as np
import pytest

from marketsim.engine import step
from marketsim.engine.state import ATOMS, NONE, ONE, Cause, IntentKind, MarkRule, Outcome
from marketsim.engine.world import allocate_world
from tests.engine.small import PRICE, hold, open_venue, send, set_price, sizes, usd, write_intent

NOBODY = np.empty(0, np.int64)


def world_of(state, *prices):
    """One source per market that prints these prices in USD."""
    world = allocate_world(len(state.market), 1)
    world.asset["base"] = prices
    return world


def clear(state, *intents):
    """Send intents of (account, size, ticks) in this order through one step's clearing."""
    for n, (i, size, price) in enumerate(intents):
        write_intent(state, n, i, size, price)
    step.clear_step(state, np.arange(len(intents)))


# Opening


def test_spot_moves_before_the_index_and_both_before_the_step_is_decided():
    state = open_venue()
    world = world_of(state, 123.456)
    assert step.open_step(state, world, 0) == NONE
    assert world.asset[0].price == 123.456
    assert (state.market[0].index_price, state.market[0].index_ticks) == (123.456, 12_346)


@pytest.mark.parametrize("m", [0, 1])
def test_opening_reports_the_market_that_left_the_price_range(m):
    state = open_venue(num_markets=2)
    prices = [100.0, 100.0]
    prices[m] = 0.001
    assert step.open_step(state, world_of(state, *prices), 0) == m


def test_orders_expire_before_the_mid_is_noted():
    state = open_venue()
    send(state, 0, 1, 9_900, expiry=1)
    send(state, 0, 1, 9_800)
    send(state, 1, -1, 10_000)
    step.open_step(state, world_of(state, 100.0), 1)
    assert state.market[0].mid2 == 9_800 + 10_000


def test_opening_clears_what_is_counted_per_step():
    state = open_venue()
    send(state, 0, 5, PRICE)
    send(state, 1, -5, PRICE)
    state.market[0].liquidated_atoms = state.market[0].num_liquidations = 3
    totals = state.totals[0]
    totals.num_liquidations = totals.num_deleverages = totals.num_intents = 7
    step.open_step(state, world_of(state, 100.0), 4)
    market = state.market[0]
    assert (market.volume, market.num_fills) == (0, 0)
    assert (market.liquidated_atoms, market.num_liquidations) == (0, 0)
    assert (totals.step, totals.num_intents) == (4, 0)
    assert (totals.step_liquidations, totals.step_deleverages) == (7, 7)
    assert market.open_interest == 5


# Clearing


@pytest.mark.parametrize(("sequence", "buyer"), [([0, 1, 2], 1), ([0, 2, 1], 2), ([2, 1, 0], 2)])
def test_intents_are_carried_out_in_the_order_of_the_sequence(sequence, buyer):
    state = open_venue()
    for n, (i, size) in enumerate([(0, -5), (1, 5), (2, 5)]):
        write_intent(state, n, i, size, PRICE)
    step.clear_step(state, np.array(sequence))
    assert sizes(state)[buyer] == 5
    assert state.totals[0].outcome[Outcome.ACCEPTED] == 3


def test_intents_are_margined_at_the_mark_of_the_step_before():
    state = open_venue((1000, 50_000))
    set_price(state, 20_000, mark=10_000)
    clear(state, (1, -100, 10_000), (0, 100, 10_000))
    assert sizes(state)[0] == 100
    assert state.market[0].mark_ticks == 20_000


def test_a_fill_marks_and_liquidates_in_the_same_step():
    state = open_venue((1000, 50_000, 50_000, 50_000), mark_rule=MarkRule.LAST)
    hold(state, 0, 100)
    hold(state, 1, -100)
    clear(state, (2, 200, 9_450), (3, -1, 9_450))
    assert state.market[0].mark_ticks == 9_450
    assert sizes(state)[0] == 0
    assert state.market[0].num_liquidations == 1


def test_basis_moves_once_a_step_on_the_book_the_intents_leave():
    state = open_venue(basis_weight=0.5, mark_rule=MarkRule.INDEX_PLUS_BASIS)
    clear(state, (0, 1, 10_010), (1, -1, 10_030))
    assert state.market[0].basis == pytest.approx(0.1)
    assert state.market[0].mark_ticks == 10_010


def test_open_interest_raises_the_initial_margin_of_the_next_step():
    state = open_venue(market={"oi_lower_atoms": usd(100), "oi_upper_atoms": usd(300)})
    clear(state, (0, 2, PRICE), (1, -2, PRICE))
    assert state.market[0].oi_ratio == ONE // 2


def test_fund_unwinds_after_the_intents_and_before_the_margin_pass():
    state = open_venue((50_000, 50_000), fund=5000, fund_unwind=ONE, mark_rule=MarkRule.LAST)
    hold(state, 2, 3)
    hold(state, 0, -3)
    clear(state, (1, 3, 9_900))
    assert sizes(state) == [-3, 3, 0]
    assert state.market[0].mark_ticks == 9_900


def test_premium_is_sampled_after_the_liquidations():
    state = open_venue((1000, 50_000, 50_000))
    hold(state, 0, 100)
    hold(state, 1, -100)
    set_price(state, 9_400)
    clear(state, (2, 100, 9_494))
    # the only bid, 1 % over the index, is gone when the sample is taken
    assert sizes(state)[0] == 0
    assert state.market[0].num_samples == 1
    assert state.market[0].premium == 0.0


def test_step_without_a_liquidation_runs_one_round():
    state = open_venue(max_rounds=10**9)
    clear(state, (0, 1, PRICE))
    assert state.totals[0].num_liquidations == 0
    assert state.market[0].mark_ticks == PRICE


# Settling


def test_liquidated_position_pays_no_funding_of_the_step():
    state = open_venue((1000, 50_000, 50_000), funding_interval=1, interest_rate=0.01)
    hold(state, 0, 100)
    hold(state, 1, -100)
    set_price(state, 9_400)
    clear(state, (2, 100, 9_400))
    step.settle_step(state)
    assert state.flow[:, Cause.FUNDING].tolist() == [0, usd(94), -usd(94), 0]


def test_funding_is_settled_at_interval_ends_only():
    state = open_venue(funding_interval=3, interest_rate=0.01)
    hold(state, 0, 1)
    hold(state, 1, -1)
    paid = []
    for t in range(7):
        step.open_step(state, world_of(state, 100.0), t)
        step.clear_step(state, NOBODY)
        step.settle_step(state)
        paid.append(int(state.flow[1, Cause.FUNDING]) // ATOMS)
    assert paid == [0, 0, 1, 1, 1, 2, 2]


def test_largest_error_of_the_books_is_kept():
    state = open_venue()
    step.settle_step(state)
    assert state.totals[0].conservation_error == 0
    state.pool[0].cash += 5
    step.settle_step(state)
    state.pool[0].cash -= 3
    step.settle_step(state)
    assert state.totals[0].conservation_error == 5


def test_cancel_and_new_order_of_one_trader_work_in_one_step():
    state = open_venue()
    send(state, 0, 1, 9_900)
    write_intent(state, 0, 0, 0, kind=IntentKind.CANCEL)
    write_intent(state, 1, 0, 1, 9_950)
    step.clear_step(state, np.arange(2))
    assert (state.market[0].best_bid, state.totals[0].num_orders) == (9_950, 1)

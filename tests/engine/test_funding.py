"""Premium samples, rates and payments, by hand; a lot is worth 100 USD."""

import math

import pytest

from marketsim.engine import funding
from marketsim.engine.state import ATOMS, AverageRule, Cause, IntentKind, SettlementPrice
from marketsim.engine.world import allocate_world
from tests.engine.small import PRICE, hold, open_venue, send, set_price, settle_interval, usd


def sample(state):
    funding.sample_premium(state)
    return state.market[0].premium


def averaged(*samples, **venue):
    """A venue whose interval so far saw these premia."""
    state = open_venue(**venue)
    for premium in samples:
        rest_premium(state, premium)
        funding.sample_premium(state)
    return state


def rest_premium(state, premium):
    send(state, 0, 0, kind=IntentKind.CANCEL)
    if premium != 0:
        price = round(PRICE * (1 + premium))
        send(state, 0, 1 if premium > 0 else -1, price)


@pytest.mark.parametrize(
    ("orders", "premium"),
    [
        ([(1, 10_100), (-1, 10_200)], 0.01),
        ([(1, 9_800), (-1, 9_900)], -0.01),
        ([(1, 9_900), (-1, 10_100)], 0.0),
        ([(1, 10_100)], 0.01),
        ([(-1, 9_900)], -0.01),
        ([(1, 9_900)], 0.0),
        ([], 0.0),
    ],
)
def test_premium_is_how_far_the_book_stands_beyond_the_index(orders, premium):
    state = open_venue()
    for i, (size, price) in enumerate(orders):
        send(state, i, size, price)
    assert sample(state) == pytest.approx(premium, abs=1e-15)


def test_impact_price_averages_the_fill_of_the_impact_notional():
    state = open_venue(market={"impact_atoms": usd(1000)})
    send(state, 0, 5, 10_200)
    send(state, 1, 9, 10_100)
    # 5 lots at 102 USD give 510, the other 490 take 490 / 101 lots
    assert sample(state) == pytest.approx(1000 / (5 + 490 / 101) / 100 - 1, rel=1e-12)


def test_too_thin_a_book_gives_no_premium():
    state = open_venue(market={"impact_atoms": usd(1000)})
    send(state, 0, 9, 10_200)
    assert sample(state) == 0.0


def test_sample_is_capped():
    state = open_venue(premium_cap=0.005)
    send(state, 0, 1, 10_100)
    assert sample(state) == 0.005


def test_plain_average_weighs_all_samples_alike():
    state = averaged(0.01, 0.0, 0.02, average_rule=AverageRule.PLAIN)
    assert funding.average_premium(state, 0) == pytest.approx(0.01)


def test_weighted_average_weighs_the_newest_most():
    state = averaged(0.01, 0.0, 0.02, average_rule=AverageRule.WEIGHTED)
    assert funding.average_premium(state, 0) == pytest.approx((1 * 0.01 + 3 * 0.02) / 6)


@pytest.mark.parametrize(
    ("rule", "least", "expected"),
    [
        (AverageRule.PLAIN, 2, 0.015),
        (AverageRule.PLAIN, 4, 0.03 / 4),
        (AverageRule.WEIGHTED, 2, 0.05 / 3),
        (AverageRule.WEIGHTED, 4, 0.05 / 10),
    ],
)
def test_missing_samples_count_as_zero(rule, least, expected):
    state = averaged(0.01, 0.02, average_rule=rule, min_samples=least)
    assert funding.average_premium(state, 0) == pytest.approx(expected)


def test_no_samples_give_no_premium():
    assert funding.average_premium(open_venue(), 0) == 0.0


@pytest.mark.parametrize(
    ("average", "rate"),
    [(0.0, 1e-4), (6e-4, 1e-4), (-4e-4, 1e-4), (10e-4, 5e-4), (-10e-4, -5e-4)],
)
def test_rate_within_the_dead_band_is_exactly_the_interest(average, rate):
    state = open_venue(interest_rate=1e-4, dead_band=5e-4)
    state.market[0].premium_sum = average
    state.market[0].premium_weight = 1.0
    inside = abs(average - 1e-4) <= 5e-4
    assert funding.current_rate(state, 0) == (rate if inside else pytest.approx(rate))


def test_rate_without_dead_band_is_premium_plus_interest():
    state = averaged(0.001, interest_rate=1e-4, dead_band=-1.0)
    assert funding.current_rate(state, 0) == pytest.approx(0.0011)


@pytest.mark.parametrize(("premium", "rate"), [(0.01, 0.004), (-0.01, -0.004), (0.003, 0.003)])
def test_rate_is_capped_by_the_market(premium, rate):
    state = averaged(premium, market={"funding_cap": 0.004})
    assert funding.current_rate(state, 0) == pytest.approx(rate)


def test_a_given_rate_stands_in_for_that_of_the_premia():
    world = allocate_world(1, 1, num_given=3)
    world.given_rate[:, 0] = [0.02, math.nan, -0.01]
    state = averaged(0.003, market={"funding_cap": 0.004})
    found = []
    for t in range(4):
        funding.take_given_rates(world, state, t)
        found.append(funding.current_rate(state, 0))
    assert found[0] == 0.02  # and no cap of the venue's
    assert found[1] == pytest.approx(0.003)
    assert found[2:] == [-0.01, -0.01]


def test_without_given_rates_nothing_is_given():
    state = averaged(0.003)
    funding.take_given_rates(allocate_world(1, 1), state, 0)
    assert funding.current_rate(state, 0) == pytest.approx(0.003)


@pytest.mark.parametrize("step", range(9))
def test_funding_is_due_at_the_last_step_of_an_interval(step):
    state = open_venue(funding_interval=4)
    state.totals[0].step = step
    assert funding.is_due(state) == (step in (3, 7))


@pytest.mark.parametrize(("phase", "due"), [(0, [3, 7]), (1, [2, 6]), (3, [0, 4]), (480, [3, 7])])
def test_intervals_are_counted_on_the_calendar_s_clock(phase, due):
    state = open_venue(funding_interval=4, funding_phase=phase)
    found = []
    for step in range(8):
        state.totals[0].step = step
        found += [step] * funding.is_due(state)
    assert found == due


@pytest.mark.parametrize(
    ("changes", "charged"),
    [
        # an interval of 8 steps all along; one that begins 3 steps before its end
        ({}, [(7, 8), (15, 8), (23, 8)]),
        ({0: (8, 5)}, [(2, 3), (10, 8), (18, 8)]),
        # changed from 8 to 4, from 1 to 8, from 2 to 8, from 4 to 1 on the way
        ({13: (4, 0)}, [(7, 8), (15, 8), (19, 4), (23, 4)]),
        ({0: (1, 0), 3: (8, 0)}, [(0, 1), (1, 1), (2, 1), (7, 5), (15, 8), (23, 8)]),
        ({0: (2, 0), 6: (8, 0)}, [(1, 2), (3, 2), (5, 2), (7, 2), (15, 8), (23, 8)]),
        ({0: (4, 0), 10: (1, 0), 12: (8, 0)}, [(3, 4), (7, 4), (10, 3), (11, 1), (15, 4), (23, 8)]),
    ],
)
def test_every_settlement_charges_the_steps_since_the_last(changes, charged):
    state = open_venue(funding_interval=8)
    venue = state.venue[0]
    found = []
    for step in range(24):
        if step in changes:
            venue.funding_interval, venue.funding_phase = changes[step]
        venue.funding_share = venue.funding_interval / 8
        state.totals[0].step = step
        if funding.is_due(state):
            found.append((step, round(8 * funding.charged_share(state), 9)))
            funding.settle_funding(state)
    assert found == charged


def test_the_samples_needed_fit_an_interval_that_the_start_cuts_short():
    state = averaged(0.02, average_rule=AverageRule.PLAIN, min_samples=4, funding_phase=3)
    assert funding.average_premium(state, 0) == pytest.approx(0.02)
    funding.settle_funding(state)
    assert state.market[0].funding_rate == pytest.approx(0.02)
    # the next interval is a whole one: of four samples three are missing
    state.totals[0].step = 4
    funding.add_sample(state, 0, 0.02)
    assert funding.average_premium(state, 0) == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("settlement", "price"), [(SettlementPrice.INDEX, 100), (SettlementPrice.MARK, 110)]
)
@pytest.mark.parametrize("premium", [0.01, -0.01])
def test_longs_pay_shorts_on_index_or_mark(settlement, price, premium):
    state = averaged(premium, settlement_price=settlement, funding_share=0.5)
    for i, size in enumerate((10, -4, -6)):
        hold(state, i, size)
    set_price(state, PRICE, mark=11_000)
    before = state.pool["cash"].copy()
    settle_interval(state)
    paid = (state.pool["cash"] - before) / ATOMS
    unit = price * premium * 0.5
    assert paid.tolist() == pytest.approx([-10 * unit, 4 * unit, 6 * unit, 0, 0])
    assert state.market[0].funding_rate == pytest.approx(premium)
    assert state.flow[:, Cause.FUNDING].tolist() == (state.pool["cash"] - before).tolist()


def test_funding_moves_cash_only():
    state = averaged(0.01)
    for i, size in enumerate((10, -10)):
        hold(state, i, size)
    position = state.position.copy()
    total = state.pool["cash"].sum()
    settle_interval(state)
    assert (state.position == position).all()
    assert state.pool["cash"].sum() == total
    assert state.totals[0].fees == 0


def test_rounding_of_payments_goes_to_the_insurance_fund_in_the_open():
    state = open_venue((0.001,) * 3, market={"tick_atoms": 1})
    set_price(state, 1)
    for i, size in enumerate((1, 1, -2)):
        hold(state, i, size, 1)
    state.market[0].premium_sum = 0.75
    state.market[0].premium_weight = 1.0
    cash = state.pool["cash"].copy()
    settle_interval(state)
    # the longs pay .75 each, rounded to 1; the short receives 1.5, rounded to 2
    assert (state.pool["cash"] - cash).tolist() == [-1, -1, 2, 0]
    state.market[0].premium_sum = 0.5
    state.market[0].premium_weight = 1.0
    cash = state.pool["cash"].copy()
    settle_interval(state)
    # now .5 each, rounded to 0, and 1
    assert (state.pool["cash"] - cash).tolist() == [0, 0, 1, -1]
    assert state.flow[3, Cause.ROUNDING] == -1
    assert state.flow[3, Cause.FUNDING] == 0


def test_insurance_fund_pays_on_what_it_holds():
    state = averaged(0.01, fund=100)
    hold(state, 0, -3)
    hold(state, 4, 3)
    settle_interval(state)
    assert state.flow[4, Cause.FUNDING] == -usd(3)
    assert state.flow[4, Cause.ROUNDING] == 0


def test_side_pool_pays_for_its_position():
    state = averaged(0.01, side_pools=[(1, 0, [0])])
    hold(state, 0, -3)
    hold(state, 1, 3)
    before = state.pool["cash"].copy()
    settle_interval(state)
    assert (state.pool["cash"] - before).tolist() == [usd(3), 0, 0, 0, 0, -usd(3)]


def test_settlement_begins_a_new_interval():
    state = averaged(0.01, 0.01, average_rule=AverageRule.WEIGHTED)
    settle_interval(state)
    market = state.market[0]
    assert (market.premium_sum, market.premium_weight, market.num_samples) == (0.0, 0.0, 0)
    rest_premium(state, 0.02)
    sample(state)
    assert funding.average_premium(state, 0) == pytest.approx(0.02)
    assert math.isclose(market.funding_rate, 0.01)

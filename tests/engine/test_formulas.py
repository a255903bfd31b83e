import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketsim.engine.formulas import closing, ranks, rates, requirements
from marketsim.engine.state import ONE, Stage

#: The first example of a kernel waits for its compilation.
compiles = settings(deadline=None)

money = st.integers(-(10**15), 10**15)
amount = st.integers(0, 10**15)
fraction = st.integers(0, ONE)


@compiles
@given(st.integers(1, 10**15), st.lists(st.integers(1, ONE), min_size=2, max_size=5))
def test_tiered_requirement_is_continuous_at_every_floor(floor: int, shares: list[int]):
    fractions = sorted(shares)
    owed = 0
    for below, above in pairwise(fractions):
        added = requirements.maintenance_amount(owed, floor, above, below)
        upper = requirements.bracket_requirement(floor, above, added)
        lower = requirements.bracket_requirement(floor, below, owed)
        assert abs(upper - lower) <= 1
        owed, floor = added, 2 * floor


@compiles
@given(amount, fraction)
def test_requirement_is_never_below_the_exact_one(notional: int, share: int):
    required = requirements.bracket_requirement(notional, share, 0)
    assert 0 <= required * ONE - notional * share < ONE


def test_open_interest_raises_only_the_initial_fraction_between_its_caps():
    at = [requirements.open_interest_ratio(oi, 10, 20) for oi in (0, 10, 15, 20, 99)]
    assert at == [0, 0, ONE // 2, ONE, ONE]
    assert requirements.open_interest_ratio(99, 0, 0) == 0
    scaled = [requirements.scaled_initial_fraction(ONE // 5, ratio) for ratio in at]
    assert scaled == [ONE // 5, ONE // 5, 3 * ONE // 5, ONE, ONE]


@compiles
@given(money, amount, money, amount)
def test_risk_order_is_antisymmetric(
    equity_a: int, maintenance_a: int, equity_b: int, maintenance_b: int
):
    forth = requirements.compare_risk(equity_a, maintenance_a, equity_b, maintenance_b)
    back = requirements.compare_risk(equity_b, maintenance_b, equity_a, maintenance_a)
    assert forth == -back


@compiles
@given(money, amount, money, amount, amount)
def test_more_equity_never_turns_an_accepted_change_down(
    before: int, maintenance_before: int, after: int, initial: int, maintenance_after: int
):
    terms = (initial, maintenance_after)
    if requirements.change_is_accepted(before, maintenance_before, after, *terms):
        assert requirements.change_is_accepted(before, maintenance_before, after + 1, *terms)


def test_without_positions_only_rising_equity_is_accepted_below_zero():
    assert requirements.change_is_accepted(-10, 0, -9, 0, 0)
    assert not requirements.change_is_accepted(-10, 0, -10, 0, 0)
    assert requirements.change_is_accepted(-10, 0, 0, 0, 0)


def test_backstop_begins_strictly_below_its_share_of_maintenance():
    half = ONE // 2
    stages = [requirements.waterfall_stage(equity, 100, half) for equity in (100, 99, 50, 49)]
    assert stages == [Stage.NONE, Stage.MARKET, Stage.MARKET, Stage.BACKSTOP]
    assert requirements.waterfall_stage(-5, 100, 0) == Stage.MARKET


@compiles
@given(st.floats(0.5, 1e5), st.floats(1.1, 100), st.floats(0.0, 0.009), st.sampled_from([1, -1]))
def test_equity_equals_the_requirement_at_the_liquidation_price(
    entry: float, leverage: float, share: float, side: int
):
    cash = entry / leverage - side * entry
    price = closing.liquidation_price(cash, float(side), share, 0.0)
    assert cash + side * price == pytest.approx(price * share, abs=1e-9 * entry)
    bankrupt = closing.liquidation_price(cash, float(side), 0.0, 0.0)
    assert bankrupt == pytest.approx(entry * (1 - side / leverage), rel=1e-9)
    assert side * (price - bankrupt) >= -1e-9 * entry


def test_a_position_no_price_can_liquidate_has_no_liquidation_price():
    assert math.isnan(closing.liquidation_price(1.0, 1.0, 0.1, 0.0))
    assert math.isnan(closing.liquidation_price(1.0, 0.0, 0.1, 0.0))


@compiles
@given(money, money, amount, st.integers(1, 10**15))
def test_bankruptcy_cash_uses_up_the_share_of_equity_rounded_up(
    value: int, equity: int, freed: int, more: int
):
    total = freed + more
    cash = closing.bankruptcy_cash(1, value, equity, freed, total)
    exact = -value * total - equity * freed
    assert 0 <= cash * total - exact < total


def test_closing_nothing_is_worth_nothing():
    assert closing.bankruptcy_cash(0, 0, -50, 0, 100) == 0


@compiles
@given(
    st.integers(1, 10**9),
    st.integers(1, 10**6),
    amount,
    fraction,
    amount,
    st.integers(1, 1000),
)
def test_block_size_stays_within_its_limit_or_is_one_step(
    lots: int, lot_value: int, least: int, portion: int, limit: int, step: int
):
    notional = lots * lot_value
    close = closing.block_size(lots, notional, least, portion, limit, step)
    most = min(closing.notional_limits(notional, least, portion)[1], limit)
    assert 0 < close <= lots
    assert close == lots or close % step == 0
    assert close * lot_value <= most or close <= step


def test_fillable_price_moves_from_the_mark_to_the_full_spread_as_equity_vanishes():
    prices = [
        closing.fillable_price(100.0, 1, equity, 10, 0.1, 2.0, 0.5) for equity in (10, 7, 5, 0, -9)
    ]
    assert prices == pytest.approx([100.0, 97.0, 95.0, 95.0, 95.0])
    assert closing.fillable_price(100.0, -1, 0, 10, 0.1, 2.0, 0.5) == pytest.approx(105.0)


@compiles
@given(money, money, fraction)
def test_fund_takes_at_most_the_fee_and_pays_the_whole_shortfall(
    fill: int, bankrupt: int, fee: int
):
    delta = closing.liquidation_delta(fill, bankrupt, fee)
    if fill < bankrupt:
        assert delta == fill - bankrupt
    else:
        assert 0 <= delta <= fill - bankrupt
        assert delta * ONE <= abs(fill) * fee


def test_fund_covers_down_to_its_last_atom():
    assert closing.fund_covers(10, -10)
    assert not closing.fund_covers(10, -11)
    assert closing.fund_covers(-3, 0)


def test_a_large_position_goes_in_parts():
    assert closing.chunk_portion(11, 10, ONE // 5, False) == ONE // 5
    assert closing.chunk_portion(11, 10, ONE // 5, True) == ONE
    assert closing.chunk_portion(10, 10, ONE // 5, False) == ONE


def test_shortage_that_closing_cannot_free_asks_for_everything():
    assert math.isinf(closing.cover_margin_shortage(1.0, 100.0, 1.0, 0.01, 0.01, 0.0))


def test_furthest_limit_then_largest_size_goes_first():
    assert closing.precedes(90.0, 1, 109.0, 9, 100.0)
    assert not closing.precedes(109.0, 9, 90.0, 1, 100.0)
    assert closing.precedes(90.0, -3, 110.0, 2, 100.0)
    assert not closing.precedes(90.0, 2, 110.0, -2, 100.0)


def test_scores_rank_profit_and_leverage_high():
    more_profit = ranks.score_bitmex(130.0, 95.0, 100.0)
    assert more_profit > ranks.score_bitmex(120.0, 95.0, 100.0) > 0.0
    assert ranks.score_binance(20.0, 100.0, 5.0) > ranks.score_binance(20.0, 100.0, 50.0)
    assert ranks.score_binance(-20.0, 100.0, 25.0) < 0.0
    assert ranks.score_hyperliquid(2.0, 1.0, 10.0, 5.0) == 4.0


def test_scores_have_an_answer_at_the_edges():
    assert math.isinf(ranks.score_bitmex(120.0, 120.0, 100.0))
    assert math.isinf(ranks.score_binance(5.0, 100.0, -5.0))
    assert math.isinf(ranks.score_hyperliquid(1.0, 1.0, 1.0, 0.0))
    assert ranks.score_bitmex(100.0, 0.0, 0.0) == 0.0
    assert ranks.score_binance(0.0, 0.0, 1.0) == 0.0


def test_premium_is_zero_within_the_impact_prices_and_without_a_side():
    assert rates.premium(99.0, 101.0, 100.0, 1.0) == 0.0
    assert rates.premium(0.0, 0.0, 100.0, 1.0) == 0.0
    assert rates.premium(102.0, 103.0, 100.0, 1.0) == pytest.approx(0.02)
    assert rates.premium(97.0, 98.0, 100.0, 1.0) == pytest.approx(-0.02)
    assert rates.premium(200.0, 201.0, 100.0, 0.1) == 0.1


@compiles
@given(st.floats(-0.0004, 0.0006))
def test_inside_the_dead_band_the_rate_is_the_interest_to_the_last_bit(average: float):
    assert rates.dead_band_rate(average, 0.0001, 0.0005) == 0.0001


@compiles
@given(st.floats(-0.1, 0.1), st.floats(0.0, 0.01))
def test_outside_the_dead_band_the_rate_is_the_premium_moved_by_the_band(
    average: float, band: float
):
    rate = rates.dead_band_rate(average, 0.0001, band)
    assert abs(rate - average) <= band * (1 + 1e-9) + 1e-15
    assert rates.dead_band_rate(average, 0.0001, -1.0) == average + 0.0001


@compiles
@given(st.integers(-(10**15), 10**15), st.floats(-0.1, 0.1), st.sampled_from([1.0, 0.125]))
def test_what_a_long_pays_a_short_receives(notional: int, rate: float, share: float):
    long = rates.funding_payment(notional, rate, share)
    assert long == -rates.funding_payment(-notional, rate, share)
    assert isinstance(long, int)
    assert abs(long + notional * rate * share) <= 0.5 + abs(long) * 1e-15


@compiles
@given(st.lists(st.floats(-1, 1), max_size=9), st.integers(0, 12))
def test_missing_samples_count_as_zero(samples: list[float], least: int):
    padded = samples + [0.0] * (least - len(samples))
    average = rates.padded_average(math.fsum(samples), float(len(samples)), float(least))
    assert average == pytest.approx(np.mean(padded) if padded else 0.0, abs=1e-12)

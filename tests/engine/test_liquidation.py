"""Size, limit and order of liquidation, and what the insurance fund bears, by hand."""

import numpy as np
import pytest

from marketsim.engine import liquidation, pools
from marketsim.engine.state import NONE, ONE, Cause, LimitRule, SizeRule, Stage
from tests.engine.small import PRICE, give_holdings, hold, open_venue, send, set_price, sizes, usd

TIERS = ((0, 0.1, 0.05, 0), (1000, 0.2, 0.1, 50), (5000, 0.5, 0.25, 800))


def seized(size, equity, *, price=PRICE, m=0, **venue):
    """Account 0 with one leg and this much equity in USD, assessed."""
    state = open_venue(**venue)
    set_price(state, price, m)
    hold(state, 0, size, price, m)
    state.pool[0].cash = usd(equity) - size * price * 10_000
    pools.assess_pool(state, 0)
    assert state.pool[0].equity == usd(equity)
    return state


def order_size(state):
    return liquidation.order_size(state, 0, 0)


# How much


@pytest.mark.parametrize("size", [100, -100, 1])
def test_whole_closes_the_leg(size):
    assert order_size(seized(size, 1, size_rule=SizeRule.WHOLE)) == abs(size)


@pytest.mark.parametrize(
    ("size", "least", "expected"),
    [(100, 1000, 20), (100, 3000, 30), (20, 1000, 10), (-20, 0, 4), (5, 1000, 5), (1, 0, 1)],
)
def test_portion_closes_a_share_but_no_less_than_the_least_notional(size, least, expected):
    state = seized(
        size,
        1,
        size_rule=SizeRule.PORTION,
        portion=ONE // 5,
        min_notional_atoms=usd(least),
    )
    assert order_size(state) == expected


@pytest.mark.parametrize(
    ("equity", "fee", "expected"),
    [
        (400, 0.0, 20),  # 100 USD short, 5 USD of maintenance a lot
        (400, 0.015, 29),  # less 1.50 of fee: 28.6
        (499, 0.0, 1),
        (-200, 0.0, 100),  # 140 would be needed
        (400, 0.05, 100),  # closing frees nothing
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_just_enough_closes_what_restores_the_margin(side, equity, fee, expected):
    state = seized(
        side * 100, equity, size_rule=SizeRule.JUST_ENOUGH, liquidation_fee=round(fee * ONE)
    )
    assert order_size(state) == expected


@pytest.mark.parametrize(("size", "left"), [(60, 49), (50, 49), (-30, 9), (10, 9), (9, 0)])
def test_tier_closes_down_to_the_tier_below(size, left):
    assert abs(size) - order_size(seized(size, 1, tiers=TIERS, size_rule=SizeRule.TIER)) == left


def test_chunk_goes_first_and_within_the_cooldown_the_whole_leg():
    state = seized(
        100,
        1,
        size_rule=SizeRule.CHUNK,
        portion=ONE // 5,
        chunk_threshold_atoms=usd(5000),
        chunk_cooldown=2,
    )
    closed = []
    for step in range(10, 16):
        state.totals[0].step = step
        closed.append(order_size(state))
        if closed[-1] == 20:  # the chunk fills, so the cooldown begins
            state.chunk_step[0, 0] = step
    assert closed == [20, 100, 100, 20, 100, 100]


def test_small_leg_is_closed_in_one_chunk():
    state = seized(
        50, 1, size_rule=SizeRule.CHUNK, portion=ONE // 5, chunk_threshold_atoms=usd(5000)
    )
    assert [order_size(state), order_size(state)] == [50, 50]


def test_account_limit_counts_what_was_liquidated_this_step():
    state = seized(100, 1, max_account_notional_atoms=usd(2550))
    assert order_size(state) == 25
    liquidation.count_use(state, 0, usd(2000), 0)
    assert order_size(state) == 5
    liquidation.count_use(state, 0, usd(500), usd(3))
    assert order_size(state) == 1
    liquidation.count_use(state, 0, usd(50), usd(4))
    assert order_size(state) == 0
    assert liquidation.used_loss(state, 0) == usd(7)
    state.totals[0].step += 1
    assert order_size(state) == 25
    assert liquidation.used_loss(state, 0) == 0


# At what limit


@pytest.mark.parametrize("side", [1, -1])
def test_market_limit_stands_off_the_mark(side):
    state = seized(side * 100, 200, limit_rule=LimitRule.MARKET, market_bound=ONE // 20)
    assert liquidation.limit_price(state, 0, 0) == PRICE - side * 500


@pytest.mark.parametrize(
    ("lots", "equity", "off"), [(100, 200, 200), (100, -200, -200), (3, 10, 333), (3, -10, -334)]
)
@pytest.mark.parametrize("side", [1, -1])
def test_bankruptcy_limit_uses_up_the_equity_and_is_rounded_in_its_favour(side, lots, equity, off):
    state = seized(side * lots, equity, limit_rule=LimitRule.BANKRUPTCY)
    assert liquidation.limit_price(state, 0, 0) == PRICE - side * off


@pytest.mark.parametrize(
    ("equity", "adjustment", "spread", "off"),
    [
        (200, 1, 1.0, 300),  # three fifths of the maintenance are gone
        (200, 1, 0.5, 150),
        (200, 2, 1.0, 500),  # no further than all of it
        (450, 2, 1.0, 100),
        (-50, 1, 1.0, 500),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_fillable_limit_worsens_as_equity_vanishes(side, equity, adjustment, spread, off):
    state = seized(
        side * 100,
        equity,
        limit_rule=LimitRule.FILLABLE,
        bankruptcy_adjustment=adjustment * ONE,
        spread_ratio=round(spread * ONE),
    )
    assert liquidation.limit_price(state, 0, 0) == PRICE - side * off


def test_limit_stays_a_price():
    state = seized(100, 9_999.999, limit_rule=LimitRule.BANKRUPTCY)
    assert liquidation.limit_price(state, 0, 0) == 1


# Which leg


def cross_pool(equity=300):
    """Account 0 long 100 lots in market 0 and short 100 at half the price in market 1."""
    state = open_venue(num_markets=3, side_pools=[(0, 0, [2])])
    set_price(state, 5_000, 1)
    hold(state, 0, 100)
    hold(state, 0, -100, 5_000, 1)
    hold(state, 0, 999, m=2)
    state.pool[0].cash = usd(equity - 10_000 + 5_000)
    pools.assess_pool(state, 0)
    return state


def test_each_leg_bears_equity_by_its_share_of_maintenance():
    state = cross_pool()
    # 500 and 250 of maintenance: 200 and 100 of equity, 2 and 1 USD a lot
    assert liquidation.closing_cash(state, 0, 0, -100) == usd(9_800)
    assert liquidation.closing_cash(state, 0, 1, 100) == -usd(5_100)
    assert liquidation.closing_cash(state, 0, 0, -25) == usd(2_450)
    assert [liquidation.limit_price(state, 0, m) for m in (0, 1)] == [9_800, 5_100]


def test_leg_with_the_furthest_limit_goes_first_then_the_largest():
    state = cross_pool()
    tried = np.zeros(3, np.bool_)
    assert liquidation.next_leg(state, 0, tried) == 0  # both limits 2 % off: the larger
    state.venue[0].limit_rule = LimitRule.FILLABLE
    state.tier[1, 0].maintenance_fraction = round(0.06 * ONE)
    pools.assess_pool(state, 0)
    assert liquidation.next_leg(state, 0, tried) == 1
    tried[1] = True
    assert liquidation.next_leg(state, 0, tried) == 0
    tried[0] = True
    assert liquidation.next_leg(state, 0, tried) == NONE


def test_cancelling_withdraws_the_orders_of_the_pools_markets_only():
    state = open_venue(num_markets=2, side_pools=[(0, 0, [1])])
    for m in (0, 1):
        send(state, 0, 1, 9_900, m)
        send(state, 0, 1, 9_800, m)
        send(state, 1, 1, 9_700, m)
    liquidation.cancel_orders(state, 0)
    assert state.market["num_orders"].tolist() == [1, 3]
    liquidation.cancel_orders(state, 5)
    assert state.market["num_orders"].tolist() == [1, 1]


# Who pays


@pytest.mark.parametrize(("price", "delta"), [(9_900, 10), (10_000, 15), (9_800, 0), (9_700, -10)])
def test_fill_pays_the_fund_down_to_bankruptcy_at_most_the_fee(price, delta):
    state = seized(100, 200, liquidation_fee=round(0.015 * ONE))
    assert liquidation.fund_delta(state, 0, 0, -10, price) == usd(delta)


@pytest.mark.parametrize(
    ("available", "delta", "is_covered"),
    [(10, -10, True), (9, -10, False), (-5, 0, True), (100, -31, False), (100, -30, True)],
)
def test_fill_is_covered_by_the_fund_and_the_accounts_limit(available, delta, is_covered):
    state = open_venue(max_account_loss_atoms=usd(50))
    liquidation.count_use(state, 0, 0, usd(20))
    assert liquidation.fill_is_covered(state, 0, usd(delta), usd(available)) == is_covered


def taken_over(state):
    number = liquidation.open_liquidation(state, 0, 0, Stage.MARKET, 0)
    return liquidation.take_over(state, number, liquidation.fund_available(state))


@pytest.mark.parametrize(("fund", "accepted"), [(1200, True), (1199.999, False)])
def test_fund_takes_over_if_it_can_pay_and_carry_the_leg(fund, accepted):
    state = seized(100, -200, fund=fund)  # 200 to pay, 1,000 of initial margin
    assert taken_over(state) == accepted
    assert sizes(state)[-1] == (100 if accepted else 0)
    if accepted:
        assert state.pool[0].cash == 0
        assert state.pool[4].cash == usd(fund - 10_200)
        assert state.flow[0, Cause.TAKEOVER] == usd(200)
        assert state.flow[4, Cause.TAKEOVER] == -usd(200)
        row = state.liquidation[0]
        assert (row.takeover_size, row.takeover_cost, row.size_after) == (100, usd(200), 0)
        assert state.market[0].liquidated_atoms == usd(10_000)


@pytest.mark.parametrize(("fund", "accepted"), [(200, True), (199.999, False)])
def test_leg_that_closes_the_funds_own_position_frees_its_margin(fund, accepted):
    state = seized(100, -200, fund=fund)
    hold(state, 4, -100)
    set_price(state, 10_000)
    state.pool[4].cash = usd(10_000 + fund)
    assert liquidation.fund_available(state) == usd(fund - 1000)
    assert taken_over(state) == accepted
    assert sizes(state)[-1] == (0 if accepted else -100)


def test_fund_keeps_its_position_limit():
    state = seized(100, 1, fund=10_000, market={"max_position_lots": 150})
    hold(state, 4, 51)
    assert not taken_over(state)
    hold(state, 4, -1)
    assert taken_over(state)


def test_idle_row_is_taken_back():
    state = seized(100, 1)
    liquidation.open_liquidation(state, 0, 0, Stage.MARKET, 0)
    assert (state.totals[0].num_liquidations, state.market[0].num_liquidations) == (1, 1)
    liquidation.drop_idle_row(state, 0)
    assert (state.totals[0].num_liquidations, state.market[0].num_liquidations) == (0, 0)


# Deficits


@pytest.mark.parametrize(
    ("draw_limit", "main", "available", "from_main", "from_fund", "left"),
    [
        (0, 500, 0, 0, 0, 100),
        (0, 500, 70, 0, 70, 30),
        (60, 500, 70, 60, 40, 0),
        (200, 30, 50, 30, 50, 20),
        (200, 500, 50, 100, 0, 0),
    ],
)
def test_deficit_of_a_side_pool_is_drawn_then_paid_by_the_fund(
    draw_limit, main, available, from_main, from_fund, left
):
    state = open_venue((main,), fund=1000, side_pools=[(0, draw_limit, [0])])
    state.pool[2].cash = -usd(100)
    assert liquidation.settle_deficit(state, 2, usd(available)) == usd(left)
    assert state.pool["cash"].tolist() == [
        usd(main - from_main),
        usd(1000 - from_fund),
        -usd(left),
    ]
    assert state.flow[0, Cause.TAKEOVER] == usd(from_fund)


def test_pool_with_positions_left_has_no_deficit_yet():
    state = seized(100, -200, fund=1000)
    assert liquidation.settle_deficit(state, 0, usd(1000)) == 0
    assert state.pool[0].equity == -usd(200)


def test_stablecoins_are_seized_before_coins():
    state = open_venue((1000,), spot_haircut=ONE // 10)
    give_holdings(state, 0, stable=300, coins=5)
    state.pool[0].cash = -usd(400)
    state.totals[0].stable_price = ONE // 2
    assert liquidation.settle_deficit(state, 0, 0) == 0
    # 300 stablecoins bring 150; 3 coins at 90 USD the other 250
    assert state.stable[0] == 0
    assert state.spot[0, 0] == 2
    assert state.pool[0].cash == usd(20)


def test_holdings_that_are_no_collateral_are_not_seized():
    state = open_venue((1000,), spot_haircut=ONE, stable_haircut=ONE)
    give_holdings(state, 0, stable=300, coins=5)
    state.pool[0].cash = -usd(400)
    assert liquidation.settle_deficit(state, 0, 0) == usd(400)
    assert (state.stable[0], state.spot[0, 0]) == (usd(300), 5)


@pytest.mark.parametrize("amount", [1e3, 2e4, 1e6, 1e9])
def test_seizing_stablecoins_does_not_overflow(amount):
    state = open_venue((3 * amount,))
    give_holdings(state, 0, stable=2 * amount)
    state.pool[0].cash = -usd(amount)
    assert liquidation.settle_deficit(state, 0, 0) == 0
    assert usd(amount) - 1 <= state.stable[0] <= usd(amount)


# The fund's own position


@pytest.mark.parametrize(
    ("held", "share", "expected"),
    [(100, 0.1, -10), (-100, 0.1, 10), (5, 0.1, -1), (1, 1.0, -1), (0, 0.5, 0), (100, 0.0, 0)],
)
def test_fund_unwinds_a_share_of_its_position_at_least_one_lot(held, share, expected):
    state = open_venue(fund_unwind=round(share * ONE))
    hold(state, 4, held)
    assert liquidation.unwind_fund(state, 0) == expected

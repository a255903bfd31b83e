"""The waterfall by hand: book, insurance fund, deleveraging at bankruptcy, at mark, shared loss.

Unless stated, account 0 is long 100 lots from 100 USD on 1,000 USD of its own, so it is bankrupt at
90 USD and below its maintenance margin under 94.74 USD; account 1 is short and account 2 may bid.
"""

import numpy as np
import pytest

from marketsim.engine import ledger, step, waterfall
from marketsim.engine.state import (
    ATOMS,
    ONE,
    Cause,
    IntentKind,
    LimitRule,
    MarkRule,
    SizeRule,
    Stage,
)
from tests.engine.small import (
    cash,
    give_holdings,
    hold,
    open_venue,
    send,
    set_price,
    sizes,
    usd,
)

NOBODY = np.empty(0, np.int64)


def crowded(ticks, *, bids=(), cash=(1000.0, 1000.0, 50_000.0), side=1, **venue):
    """Bids of account 2 as (lots, ticks), then the price moves; mirrored for a short."""
    state = open_venue(cash, **venue)
    hold(state, 0, side * 100)
    hold(state, 1, -side * 100)
    for lots, price in bids:
        send(state, 2, side * lots, mirrored(price, side))
    set_price(state, mirrored(ticks, side))
    return state


def mirrored(ticks, side):
    return ticks if side > 0 else 20_000 - ticks


def clear(state):
    step.clear_step(state, NOBODY)
    step.settle_step(state)
    assert state.totals[0].conservation_error == 0
    assert state.totals[0].num_shortfalls == 0
    return state.liquidation[: state.totals[0].num_liquidations]


def equity(state):
    return (ledger.account_equity(state) / ATOMS).tolist()


# Book


def test_pool_at_its_maintenance_margin_is_left_alone():
    state = crowded(9_474, bids=[(100, 9_470)])
    assert len(clear(state)) == 0
    set_price(state, 9_473)
    assert len(clear(state)) == 1


def test_orders_of_a_seized_pool_are_withdrawn():
    state = crowded(9_450)
    send(state, 0, -1, 9_990)
    assert len(clear(state)) == 0
    assert state.totals[0].num_orders == 0


@pytest.mark.parametrize("side", [1, -1])
def test_leg_is_sold_into_the_book_and_the_fee_goes_to_the_fund(side):
    state = crowded(9_450, bids=[(60, 9_440), (60, 9_400)], side=side, liquidation_fee=ONE // 100)
    (row,) = clear(state)
    paid = 60 * mirrored(9_440, side) + 40 * mirrored(9_400, side)  # ticks
    loss = 60 * 5.6 + 40 * 6.0
    fee = paid / 100 / 100
    assert sizes(state) == [0, -side * 100, side * 100, 0]
    assert equity(state)[0] == pytest.approx(1000 - loss - fee, rel=1e-15)
    assert equity(state)[3] == pytest.approx(fee, rel=1e-15)
    assert (row.account, row.pool, row.market, row.stage) == (0, 0, 0, Stage.MARKET)
    assert (row.size_before, row.order_size, row.book_size, row.size_after) == (
        side * 100,
        100,
        100,
        0,
    )
    assert (row.mark_ticks, row.limit_ticks) == (mirrored(9_450, side), mirrored(9_000, side))
    assert row.bankruptcy_price == pytest.approx(mirrored(9_000, side))
    assert (row.equity, row.maintenance) == (usd(450), usd(mirrored(9_450, side) / 20))
    assert row.book_cash == side * usd(paid / 100)
    assert row.fee == usd(fee)
    assert (row.fund_paid, row.takeover_size, row.adl_size, row.socialised) == (0, 0, 0, 0)
    assert state.market[0].liquidated_atoms == usd(mirrored(9_450, side))
    assert state.market[0].num_liquidations == 1
    assert state.flow[0, Cause.LIQUIDATION_FEE] == -usd(fee)
    assert state.flow[0, Cause.FEE] == 0


def test_bids_beyond_the_limit_are_not_met_while_equity_is_left():
    state = crowded(9_450, bids=[(100, 8_999)], fund=1000)
    assert len(clear(state)) == 0
    assert sizes(state)[0] == 100


def test_fill_below_bankruptcy_is_paid_by_the_fund():
    state = crowded(
        9_450, bids=[(100, 8_950)], fund=50, limit_rule=LimitRule.MARKET, market_bound=ONE // 10
    )
    (row,) = clear(state)
    assert equity(state)[0] == 0
    assert equity(state)[3] == 0
    assert row.fund_paid == usd(50)
    assert state.flow[0, Cause.TAKEOVER] == usd(50)


@pytest.mark.parametrize(
    ("fund", "limit", "filled"), [(50, 1e9, 40), (19.999, 1e9, 20), (50, 19.999, 20), (0, 1e9, 0)]
)
def test_fill_the_fund_or_the_accounts_limit_cannot_cover_ends_the_attempt(fund, limit, filled):
    # at a bankruptcy price of 90 USD these cost the fund 10, 10 and 60 USD
    bids = [(20, 8_950), (20, 8_950), (60, 8_900)]
    state = crowded(
        9_450,
        bids=bids,
        fund=fund,
        limit_rule=LimitRule.MARKET,
        market_bound=ONE // 10,
        max_account_loss_atoms=usd(limit),
        max_rounds=1,
    )
    clear(state)
    assert 100 - sizes(state)[0] == filled


def test_maker_without_margin_is_passed_over():
    state = crowded(9_450, bids=[(100, 9_430)], cash=(1000.0, 1000.0, 50_000.0, 10.0))
    for lots, price in [(1, 9_450), (1, 9_445), (1, 9_440)]:
        set_price(state, 10_000)
        send(state, 3, lots, price)
    set_price(state, 9_450)
    clear(state)
    # 10 USD carry one lot, not three
    assert sizes(state) == [0, -100, 99, 1, 0]


def test_pool_is_closed_leg_by_leg_until_it_is_safe():
    state = open_venue((1000, 50_000, 50_000), num_markets=2, limit_rule=LimitRule.FILLABLE)
    state.tier[1, 0].maintenance_fraction = 60_000_000
    for m, size in ((0, 60), (1, 100)):
        hold(state, 0, size, m=m)
        hold(state, 1, -size, m=m)
        send(state, 2, 100, (9_400, 9_500)[m], m)
    set_price(state, 9_400, 0)
    set_price(state, 9_600, 1)
    # 1000 - 360 - 400 = 240 against 282 + 576; market 1 has the wider limit, its sale costs 100
    rows = clear(state)
    assert rows["market"].tolist() == [1, 0]
    assert sizes(state, 1)[0] == 0
    assert equity(state)[0] == 140


def test_pool_that_one_leg_makes_safe_keeps_the_other():
    state = open_venue((1000, 50_000, 50_000), num_markets=2)
    for m, size in ((0, 60), (1, 100)):
        hold(state, 0, size, m=m)
        hold(state, 1, -size, m=m)
        send(state, 2, 100, 9_590, m)
    set_price(state, 9_600, 0)
    set_price(state, 9_600, 1)
    rows = clear(state)  # 1000 - 640 - 100 = 260 against 288
    assert rows["market"].tolist() == [1]
    set_price(state, 9_650, 0)
    assert sizes(state)[0] == 60


def test_portions_are_closed_round_after_round():
    state = crowded(9_450, bids=[(100, 9_450)], size_rule=SizeRule.PORTION, portion=ONE // 50)
    rows = clear(state)
    # 450 against 472.50: five lots free 23.63; 2 % are two lots of 100, one of 98
    assert rows["round"].tolist() == [0, 1, 2, 3]
    assert rows["book_size"].tolist() == [2, 1, 1, 1]


def test_rounds_are_limited_and_what_is_left_goes_on_in_the_next_step():
    state = crowded(
        9_450, bids=[(100, 9_450)], size_rule=SizeRule.PORTION, portion=ONE // 100, max_rounds=2
    )
    clear(state)
    assert sizes(state)[0] == 98
    step.begin_counts(state, 1)
    assert len(clear(state)) == 4
    assert sizes(state)[0] == 96


def test_forced_sales_move_a_last_price_mark_and_reach_the_next_pool_in_the_same_step():
    state = open_venue((1000, 50_000, 50_000, 1100), mark_rule=MarkRule.LAST)
    for i, size in ((0, 100), (1, -200), (3, 100)):
        hold(state, i, size)
    state.market[0].last_ticks = 9_450
    for lots, price in ((100, 9_300), (100, 9_250)):
        send(state, 2, lots, price)
    rows = clear(state)
    # at 94.50 only account 0 is short; its sale at 93.00 leaves account 3 with 400 against 465
    assert rows["account"].tolist() == [0, 3]
    assert rows["round"].tolist() == [0, 1]
    assert sizes(state)[0] == sizes(state)[3] == 0


def test_isolated_pool_goes_alone_and_what_is_left_returns_to_the_main_pool():
    state = open_venue((2000, 50_000, 50_000), num_markets=2, side_pools=[(0, 0, [0])])
    for m in (0, 1):
        hold(state, 0, 100, m=m)
        hold(state, 1, -100, m=m)
        send(state, 2, 100, 9_400, m)
    ledger.move_cash(state, 0, 4, usd(1000))
    set_price(state, 9_450, 0)
    (row,) = clear(state)
    assert (row.pool, row.market) == (4, 0)
    assert sizes(state, 1)[0] == 100
    assert state.pool[4].cash == 0
    assert equity(state)[0] == 1400


# Insurance fund


@pytest.mark.parametrize("side", [1, -1])
def test_bankrupt_leg_is_taken_over_by_the_fund(side):
    state = crowded(8_900, fund=1500, side=side)
    (row,) = clear(state)
    assert sizes(state) == [0, -side * 100, 0, side * 100]
    assert equity(state)[0] == 0
    assert equity(state)[3] == 1400
    assert (row.takeover_size, row.takeover_cost) == (100, usd(100))
    assert row.size_after == 0
    assert state.flow[0, Cause.TAKEOVER] == usd(100)


def test_book_comes_before_the_fund():
    state = crowded(8_900, bids=[(30, 9_000)], fund=1000)
    rows = clear(state)
    assert rows["book_size"].tolist() == [30, 0]
    assert rows["takeover_size"].tolist() == [0, 70]


@pytest.mark.parametrize("has_backstop", [True, False])
def test_backstop_takes_over_before_the_book_is_asked(has_backstop):
    ratio = 666_666_667 if has_backstop else 0
    state = crowded(9_300, bids=[(100, 9_290)], fund=1000, backstop_ratio=ratio)
    (row,) = clear(state)
    if has_backstop:  # 300 is below two thirds of 465, and stays with the fund
        assert row.stage == Stage.BACKSTOP
        assert (row.book_size, row.takeover_size, row.takeover_cost) == (0, 100, -usd(300))
        assert equity(state)[0] == 0
        assert equity(state)[3] == 1300
    else:
        assert row.stage == Stage.MARKET
        assert (row.book_size, row.takeover_size) == (100, 0)


def test_backstop_that_cannot_carry_the_leg_leaves_it_to_the_book():
    state = crowded(9_300, bids=[(100, 9_290)], fund=100, backstop_ratio=666_666_667)
    (row,) = clear(state)
    assert row.book_size == 100


def test_fund_sells_what_it_took_over_within_the_market_bound():
    state = open_venue((50_000, 50_000), fund=10_000, fund_unwind=ONE // 5)
    hold(state, 0, -100)
    hold(state, 2, 100)
    send(state, 1, 15, 9_600)
    send(state, 1, 15, 9_499)
    waterfall.unwind_fund(state)
    assert sizes(state) == [-100, 15, 85]
    send(state, 1, 30, 9_500)
    waterfall.unwind_fund(state)
    assert sizes(state)[2] == 85 - 17


# Deleveraging


@pytest.mark.parametrize("takes_over", [0, 1])
def test_what_the_fund_cannot_take_is_deleveraged_at_the_bankruptcy_price(takes_over):
    state = crowded(8_900, fund=500 if takes_over else 10_000, fund_takeover=takes_over)
    (row,) = clear(state)
    assert sizes(state) == [0, 0, 0, 0]
    assert equity(state)[:2] == [0, 2000]
    assert (row.adl_size, row.adl_cost, row.size_after) == (100, usd(100), 0)
    (entry,) = state.deleverage[: state.totals[0].num_deleverages]
    assert (entry.account, entry.size, entry.liquidation) == (1, 100, 0)
    assert (entry.cash, entry.cost) == (-usd(9_000), usd(100))
    assert state.totals[0].adl_atoms == usd(8_900)
    assert state.flow[1, Cause.ADL] == -usd(100)
    assert state.flow[0, Cause.ADL] == usd(100)


def two_pairs(fund=0.0):
    """Accounts 0 and 1 hold ten lots against each other, 2 and 3 five; account 0 goes bankrupt.

    Account 1 has another market on its hands: closing at account 0's bankruptcy price of 90 USD,
    with the mark at 80, would take it from 600 / 540 to 500 / 500.
    """
    state = open_venue((100, 5400, 20_000, 20_000), num_markets=2, fund=fund)
    for i, size in enumerate((10, -10, 5, -5)):
        hold(state, i, size)
    hold(state, 1, 100, m=1)
    hold(state, 3, -100, m=1)
    state.pool[1].cash = usd(600 + 800 - 10_000)
    state.totals[0].deposits = int(state.pool["cash"].sum())
    set_price(state, 8_000)
    return state


def test_refused_deleveraging_is_closed_at_the_mark_and_the_loss_is_shared():
    state = two_pairs()
    (row,) = clear(state)
    # account 3 takes five lots at 90 USD; account 1 refuses, so five go at the mark and the
    # missing 50 USD are borne by the ten lots still held by accounts 1 and 2
    assert sizes(state) == [0, -5, 5, 0, 0]
    assert (row.adl_size, row.adl_cost, row.socialised) == (10, usd(50), usd(50))
    assert state.flow[:, Cause.SOCIALISED].tolist() == [usd(50), -usd(25), -usd(25), 0, 0]
    assert state.flow[:, Cause.ADL].tolist() == [usd(50), 0, 0, -usd(50), 0]
    assert state.pool[0].cash == 0
    assert state.totals[0].socialised_atoms == usd(50)


def test_fund_pays_a_deficit_before_it_is_shared():
    state = two_pairs(fund=30)
    (row,) = clear(state)
    assert row.socialised == usd(20)
    assert state.flow[:, Cause.SOCIALISED].tolist() == [usd(20), -usd(10), -usd(10), 0, 0]
    assert state.flow[4, Cause.TAKEOVER] == -usd(30)
    assert state.pool[4].cash == 0


def test_loss_without_holders_in_its_market_is_shared_by_those_of_the_others():
    state = two_pairs()
    for i in (2, 3):
        hold(state, i, -int(state.position[i, 0].size))
    (row,) = clear(state)
    # 100 lots of market 1 on either side: accounts 1 and 3
    assert row.socialised == usd(100)
    assert state.flow[:, Cause.SOCIALISED].tolist() == [usd(100), -usd(50), 0, -usd(50), 0]
    assert equity(state)[0] == 0


def test_deleveraging_never_crosses_markets():
    state = open_venue((1000, 9000, 9000), num_markets=2)
    for m, price in ((0, 8_900), (1, 9_990)):
        hold(state, 0, 100 if m == 0 else 10, m=m)
        hold(state, 1 + m, -100 if m == 0 else -10, m=m)
        set_price(state, price, m)
    clear(state)
    entries = state.deleverage[: state.totals[0].num_deleverages]
    assert dict(zip(entries["market"].tolist(), entries["account"].tolist(), strict=True)) == {
        0: 1,
        1: 2,
    }


def test_two_bankrupt_sides_of_one_market_end_flat():
    state = open_venue((100, 100, 50_000), num_markets=2)
    hold(state, 0, 50)
    hold(state, 1, -50)
    for i in (0, 1):
        hold(state, i, 20, m=1)
    hold(state, 2, -40, m=1)
    set_price(state, 7_000, 1)
    clear(state)
    assert not state.position["size"][:, 0].any()
    assert not state.position["size"][:2, 1].any()
    assert state.pool["cash"][:2].tolist() == [0, 0]


# Collateral and side pools


def test_bankrupt_account_pays_with_its_stablecoins():
    state = open_venue((30_000, 90_000, 9000))
    give_holdings(state, 0, stable=29_000)
    hold(state, 0, 1000)
    hold(state, 1, -1000)
    set_price(state, 6_500)
    (row,) = clear(state)
    # equity -5,000: deleveraged at 70 USD, which leaves a debt of 29,000
    assert row.adl_size == 1000
    assert state.stable[0] <= 1
    assert abs(equity(state)[0]) < 1e-5
    assert row.socialised == 0


def test_debt_of_a_pool_without_positions_is_called_in():
    state = open_venue((400, 1000), fund=10, spot_haircut=0)
    ledger.trade_spot(state, 0, 0, 10, 10_000)  # 600 USD of it on credit
    clear(state)
    assert cash(state) == [-600, 1000, 10]
    set_price(state, 1_000)
    clear(state)
    # the coins bring 100 USD and the fund had 10; nobody holds anything, so the rest is the venue's
    assert cash(state) == [0, 1000, 0]
    assert state.spot[0, 0] == 0
    assert state.totals[0].socialised_atoms == 0
    assert state.totals[0].venue_loss_atoms == usd(490)
    assert state.totals[0].fees == -usd(490)
    assert ledger.conservation_error(state) == 0


def test_chunk_nobody_buys_starts_no_cooldown():
    state = open_venue(
        (1000, 50_000, 50_000),
        size_rule=SizeRule.CHUNK,
        portion=ONE // 5,
        chunk_threshold_atoms=usd(1000),
        chunk_cooldown=5,
    )
    hold(state, 0, 100)
    hold(state, 1, -100)
    set_price(state, 9_300)
    clear(state)
    assert sizes(state)[0] == 100
    send(state, 2, 100, 9_300)
    rows = clear(state)
    assert rows["order_size"][0] == 20
    assert state.chunk_step[0, 0] == state.totals[0].step


def test_bankrupt_side_pool_leaves_the_main_pool_alone():
    state = open_venue((5000, 50_000), side_pools=[(0, 0, [0])])
    hold(state, 0, 100)
    hold(state, 1, -100)
    ledger.move_cash(state, 0, 3, usd(1000))
    set_price(state, 8_900)
    clear(state)
    assert cash(state) == [4000, 51_000, 0, 0]


@pytest.mark.parametrize(("draw_limit", "drawn"), [(500, 100), (100, 100), (60, 60), (0, 0)])
def test_bankrupt_side_pool_draws_its_loss_before_others_bear_it(draw_limit, drawn):
    state = open_venue((5000, 50_000), side_pools=[(0, draw_limit, [0])])
    hold(state, 0, 100)
    hold(state, 1, -100)
    ledger.move_cash(state, 0, 3, usd(1000))
    set_price(state, 8_900)
    rows = clear(state)
    assert state.pool[0].cash == usd(4000 - drawn)
    if drawn == 100:
        assert len(rows) == 0
        assert state.pool[3].equity == 0
    else:
        assert rows["adl_cost"].tolist() == [usd(100 - drawn)]
        assert sizes(state) == [0, 0, 0]


# No retrying


@pytest.mark.parametrize("limit_rule", list(LimitRule))
@pytest.mark.parametrize("size_rule", list(SizeRule))
def test_nothing_is_retried_where_nothing_can_be_done(limit_rule, size_rule):
    state = crowded(
        9_450,
        limit_rule=limit_rule,
        size_rule=size_rule,
        portion=ONE // 2,
        max_rounds=10**6,
    )
    assert len(clear(state)) == 0
    set_price(state, 8_900)
    state.account[0].liquidated_step = 0
    state.venue[0].max_account_notional_atoms = 0
    rows = clear(state)
    assert len(rows) == 1
    assert sizes(state) == [0, 0, 0, 0]


def test_account_limit_ends_the_step_and_the_next_step_goes_on():
    state = crowded(9_450, bids=[(100, 9_450)], max_account_notional_atoms=usd(94.5))
    for t in range(3):
        step.begin_counts(state, t)
        clear(state)
        assert sizes(state)[0] == 100 - (t + 1)
    send(state, 2, 0, kind=IntentKind.CANCEL)
    step.begin_counts(state, 3)
    clear(state)
    assert sizes(state)[0] == 97

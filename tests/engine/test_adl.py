"""Deleveraging ranks and closes, by hand; a lot is worth 100 USD at the open."""

import pytest

from marketsim.engine import adl, liquidation, pools
from marketsim.engine.state import MAX_ROWS_PER_STEP, Cause, RankRule, Stage
from tests.engine.small import cash, hold, open_venue, set_price, sizes, usd


def holder(entry, size, equity, mark, **venue):
    """Account 1 with this position and equity in USD at the mark, against account 0."""
    state = open_venue((10_000, 10_000), **venue)
    hold(state, 0, -size)
    hold(state, 1, size, entry)
    set_price(state, mark)
    state.pool[1].cash = usd(equity - size * mark / 100)
    pools.assess_pool(state, 1)
    return state


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # long 10 from 100 to 120 USD on an equity of 300: profit 20 %, leverage 4
        (RankRule.BITMEX, 0.2 * 4),
        (RankRule.BINANCE, 200 / 300),
        (RankRule.HYPERLIQUID, 1.2 * 4),
    ],
)
def test_score_of_a_winning_long(rule, expected):
    state = holder(10_000, 10, 300, 12_000, rank_rule=rule)
    assert adl.score(state, 1, 0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # short 10 from 100 to 80 USD on an equity of 400: profit 20 %, leverage 2
        (RankRule.BITMEX, 0.2 * 2),
        (RankRule.BINANCE, 200 / 400),
        (RankRule.HYPERLIQUID, 1.25 * 2),
    ],
)
def test_score_of_a_winning_short(rule, expected):
    state = holder(10_000, -10, 400, 8_000, rank_rule=rule)
    assert adl.score(state, 1, 0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # long 10 from 100 to 80 USD on an equity of 400: loss 20 % (25 % of the value), leverage 2
        (RankRule.BITMEX, -0.2 / 2),
        (RankRule.BINANCE, -0.25 / 2),
        (RankRule.HYPERLIQUID, 0.8 * 2),
    ],
)
def test_score_of_a_losing_long(rule, expected):
    state = holder(10_000, 10, 400, 8_000, rank_rule=rule)
    assert adl.score(state, 1, 0) == pytest.approx(expected)


def test_bitmex_counts_the_share_of_equity_the_position_bears():
    state = open_venue(num_markets=2, rank_rule=RankRule.BITMEX)
    hold(state, 1, 10)
    hold(state, 1, 20, m=1)
    set_price(state, 12_000)
    # equity 1,200; 60 of 160 USD of maintenance: 450 behind 1,200 of value
    pools.assess_pool(state, 1)
    assert adl.score(state, 1, 0) == pytest.approx(0.2 * 1200 / 450)


def crowd(rule, shorts):
    """Account 0 long against shorts of (lots, entry ticks, equity at the mark of 80 USD)."""
    state = open_venue((1000, *[1000] * len(shorts)), rank_rule=rule)
    hold(state, 0, -sum(size for size, _, _ in shorts))
    for i, (size, entry, equity) in enumerate(shorts, 1):
        hold(state, i, size, entry)
        state.pool[i].cash = usd(equity - size * 80)
    set_price(state, 8_000)
    return state


SHORTS = [
    (-10, 8_800, 100),  # profit 9 %, leverage 8
    (-10, 10_000, 200),  # profit 20 %, leverage 4
    (-10, 16_000, 1600),  # profit 50 %, leverage .5
    (-10, 7_000, 80),  # loss 14 %, leverage 10
]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # profit on entry x leverage: .727, .8, .25; a loss over it -.014
        (RankRule.BITMEX, [2, 1, 3, 4]),
        # profit over equity: .8, 1, .5
        (RankRule.BINANCE, [2, 1, 3, 4]),
        # entry over mark x leverage: 8.8, 5, 1, 8.75
        (RankRule.HYPERLIQUID, [1, 4, 2, 3]),
        (RankRule.RANDOM, [4, 3, 2, 1]),
    ],
)
def test_queue_ranks_by_the_venues_rule(rule, expected):
    state = crowd(rule, SHORTS)
    assert adl.queue(state, 0, 0).tolist() == expected


@pytest.mark.parametrize("rule", [RankRule.BITMEX, RankRule.BINANCE, RankRule.HYPERLIQUID])
def test_ties_go_by_priority(rule):
    state = crowd(rule, [(-10, 10_000, 200)] * 4)
    state.account["priority"][:5] = [9, 2, 7, 1, 8]
    assert adl.queue(state, 0, 0).tolist() == [4, 2, 1, 3]


def test_queue_holds_the_other_side_only_and_the_fund_with_it():
    state = open_venue((1000,) * 4, fund=1000)
    for i, size in enumerate((10, 5, -6, 0, -9)):
        hold(state, i, size)
    assert set(adl.queue(state, 0, 0).tolist()) == {2, 4}
    assert set(adl.queue(state, 2, 0).tolist()) == {0, 1}
    assert adl.queue(state, 3, 0).tolist() == []


def pair(ticks=8_900, other=10_000.0):
    """Account 0 long 100 lots from 100 USD on 1,000 USD against account 1."""
    state = open_venue((1000, other))
    hold(state, 0, 100)
    hold(state, 1, -100)
    set_price(state, ticks)
    return state


@pytest.mark.parametrize("lots", [100, 40])
def test_pair_is_closed_at_the_bankruptcy_price(lots):
    state = pair()
    assert adl.close_pair(state, 0, 1, 0, lots, False) == lots
    assert sizes(state) == [100 - lots, lots - 100, 0]
    assert cash(state) == [1000 - 10_000 + 90 * lots, 20_000 - 90 * lots, 0]
    assert state.flow[:, Cause.ADL].tolist() == [usd(lots), -usd(lots), 0]


def test_pair_is_closed_at_the_mark():
    state = pair()
    assert adl.close_pair(state, 0, 1, 0, 100, True) == 100
    assert cash(state) == [-100, 11_100, 0]
    assert not state.flow[:, Cause.ADL].any()


@pytest.mark.parametrize("lots", [0, -1, 101])
def test_pair_must_fit_in_size(lots):
    state = pair()
    assert adl.close_pair(state, 0, 1, 0, lots, True) == 0


def test_pair_must_stand_on_opposite_sides():
    state = open_venue()
    hold(state, 0, 5)
    hold(state, 1, 5)
    hold(state, 2, -10)
    assert adl.close_pair(state, 0, 1, 0, 5, True) == 0
    assert adl.close_pair(state, 0, 3, 0, 5, True) == 0


def burdened(equity, *, lots=10):
    """Account 0, long at 90 USD of bankruptcy price, against accounts 1 and 2; the mark is 80.

    Closing ten lots would cost account 1, whose equity is given, 100 USD and free 40 of its 540 USD
    of maintenance, as it also holds another market.
    """
    state = open_venue((10 * lots, 10_000, 10_000), num_markets=2, rank_rule=RankRule.RANDOM)
    state.account["priority"][:3] = [0, 9, 1]
    hold(state, 0, lots)
    hold(state, 1, -10)
    hold(state, 2, 10 - lots)
    hold(state, 1, 100, m=1)
    hold(state, 2, -100, m=1)
    set_price(state, 8_000)
    state.pool[1].cash = usd(equity + 800 - 10_000)
    return state


@pytest.mark.parametrize(("equity", "closed"), [(600, 0), (1099, 0), (1100, 10)])
def test_counterparty_that_would_be_worse_off_is_refused_at_the_bankruptcy_price(equity, closed):
    # (E - 100) / 500 is below E / 540 for any E < 1,350, but 1,000 meet the initial margin
    state = burdened(equity)
    assert adl.close_pair(state, 0, 1, 0, 10, False) == closed


def opened_row(state, i=0):
    pools.assess_pool(state, i)
    return liquidation.open_liquidation(state, i, 0, Stage.MARKET, 0)


def test_leg_is_closed_down_the_queue_and_everyone_who_took_it_has_a_row():
    state = open_venue((1000, 5000, 5000, 5000))
    for i, size in enumerate((100, -30, -50, -20)):
        hold(state, i, size)
    set_price(state, 8_900)
    number = opened_row(state)
    adl.deleverage(state, number, adl.queue(state, 0, 0)[:2], False)
    rows = state.deleverage[: state.totals[0].num_deleverages]
    taken = dict(zip(rows["account"].tolist(), rows["size"].tolist(), strict=True))
    row = state.liquidation[number]
    assert sum(taken.values()) == row.adl_size == 100 - row.size_after
    assert row.adl_cost == rows["cost"].sum() == usd(row.adl_size)
    assert all(sizes(state)[i] == (100, -30, -50, -20)[i] + size for i, size in taken.items())
    adl.deleverage(state, number, adl.queue(state, 0, 0), False)
    assert sizes(state) == [0] * 5
    assert state.totals[0].adl_atoms == usd(8_900) == state.market[0].liquidated_atoms


def test_refused_counterparty_is_skipped_until_the_rest_is_closed_at_the_mark():
    state = burdened(600, lots=20)
    number = opened_row(state)
    ranked = adl.queue(state, 0, 0)
    assert ranked.tolist() == [1, 2]
    adl.deleverage(state, number, ranked, False)
    assert sizes(state) == [10, -10, 0, 0]
    adl.deleverage(state, number, ranked, True)
    assert sizes(state) == [0] * 4
    assert state.deleverage[:2]["account"].tolist() == [2, 1]
    assert state.deleverage[:2]["cost"].tolist() == [usd(100), 0]
    assert state.liquidation[number].adl_cost == usd(100)


def test_deleveraging_stops_at_the_rows_a_step_may_write():
    state = pair()
    number = opened_row(state)
    state.totals[0].num_deleverages = MAX_ROWS_PER_STEP
    adl.deleverage(state, number, adl.queue(state, 0, 0), False)
    assert sizes(state)[0] == 100


def test_closed_side_pool_of_a_counterparty_returns_its_cash():
    state = open_venue((1000, 10_000), side_pools=[(1, 0, [0])])
    hold(state, 0, 100)
    hold(state, 1, -100)
    state.pool[1].cash -= usd(2000)
    state.pool[3].cash += usd(2000)
    set_price(state, 8_900)
    assert adl.close_pair(state, 0, 1, 0, 100, False) == 100
    assert cash(state) == [0, 11_000, 0, 0]

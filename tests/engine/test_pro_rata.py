"""Deleveraging without a queue: all on the other side bear their part, by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketsim.engine import liquidation, pro_rata, step
from marketsim.engine.state import Cause, RankRule, Stage
from tests.engine.small import hold, open_venue, set_price, sizes, usd

BOTH = pytest.mark.parametrize("rule", [RankRule.PRO_RATA, RankRule.PRO_RATA_PROFIT])


@pytest.mark.parametrize(
    ("lots", "weights", "parts"),
    [
        (6, [1, 2, 3], [1, 2, 3]),
        (7, [5, 3, 2], [4, 2, 1]),  # 3.5, 2.1, 1.4: the odd lot goes where most was cut off
        (8, [1, 1, 1], [3, 3, 2]),  # equals: to the first
        (5, [0, 4, 1], [0, 4, 1]),
        (20, [1, 3], [5, 15]),  # more than the weights: what a position has not is seen to later
    ],
)
def test_lots_are_apportioned_by_largest_remainder(lots, weights, parts):
    assert pro_rata.apportion(lots, np.array(weights)).tolist() == parts


@settings(deadline=None)
@given(
    st.integers(0, 2**55),
    st.lists(st.integers(0, 2**58), min_size=1, max_size=8).filter(any),
)
def test_parts_add_up_and_are_less_than_a_lot_off(lots: int, weights: list[int]):
    parts = pro_rata.apportion(lots, np.array(weights)).tolist()
    total = sum(weights)
    assert sum(parts) == lots
    assert all(
        abs(part * total - lots * weight) < total
        for part, weight in zip(parts, weights, strict=True)
    )


def bankrupt(rule, shorts, *, long=60, ticks=8_000, priority=None):
    """Account 0, long and bankrupt at 90 USD, against shorts of (lots, entry ticks).

    What they hold beyond that is the last account's. All but account 0 are rich.
    """
    others = sum(size for size, _ in shorts) - long
    state = open_venue((long * 10, *[10**5] * len(shorts), 10**5), rank_rule=rule)
    hold(state, 0, long)
    for i, (size, entry) in enumerate(shorts, 1):
        hold(state, i, -size, entry)
    hold(state, len(shorts) + 1, others)
    if priority is not None:
        state.account["priority"][1 : len(shorts) + 1] = priority
    set_price(state, ticks)
    liquidation.open_liquidation(state, 0, 0, Stage.MARKET, 0)
    return state


def close(state, holders, at_mark=False):
    """Deleverage account 0's leg; return the lots each holder has closed."""
    before = np.array(sizes(state))
    pro_rata.deleverage(state, 0, np.array(holders), at_mark)
    return (np.array(sizes(state)) - before)[holders].tolist()


def test_by_contracts_everybody_closes_the_same_share():
    state = bankrupt(RankRule.PRO_RATA, [(20, 10_000), (40, 7_000), (60, 16_000)])
    assert close(state, [1, 2, 3]) == [10, 20, 30]
    row = state.liquidation[0]
    # each lot at 90 USD where the mark is 80
    assert (row.adl_size, row.adl_cost, row.size_after) == (60, usd(600), 0)
    assert state.flow[1:4, Cause.ADL].tolist() == [-usd(100), -usd(200), -usd(300)]


def test_by_profit_everybody_closes_in_proportion_to_it():
    # profits of 200, 400 and none: 6 lots go 2 : 4
    state = bankrupt(RankRule.PRO_RATA_PROFIT, [(20, 9_000), (20, 10_000), (20, 7_000)], long=6)
    assert close(state, [1, 2, 3]) == [2, 4, 0]


def test_who_has_no_profit_bears_what_profits_cannot():
    # profits of 200 and 400, but 2 and 20 lots: 2, 20 and the 8 left of 30 by contracts
    state = bankrupt(RankRule.PRO_RATA_PROFIT, [(2, 18_000), (20, 10_000), (30, 7_000)], long=30)
    assert close(state, [1, 2, 3]) == [2, 20, 8]


def test_odd_lots_go_by_the_order_of_the_holders():
    state = bankrupt(RankRule.PRO_RATA, [(20, 10_000)] * 3, long=4)
    assert close(state, [3, 1, 2]) == [2, 1, 1]


@BOTH
def test_whoever_the_price_would_leave_below_margin_bears_nothing_at_it(rule):
    """Account 1 may not close at 90 USD: the others bear all they can, it the rest at the mark."""
    state = open_venue((100, 5400, 20_000, 20_000), num_markets=2, rank_rule=rule)
    for i, size in enumerate((10, -10, 5, -5)):
        hold(state, i, size)
    hold(state, 1, 100, m=1)
    hold(state, 3, -100, m=1)
    state.pool[1].cash = usd(600 + 800 - 10_000)
    state.totals[0].deposits = int(state.pool["cash"].sum())
    set_price(state, 8_000)
    step.clear_step(state, np.empty(0, np.int64))
    assert sizes(state) == [0, -5, 5, 0, 0]
    entries = state.deleverage[: state.totals[0].num_deleverages]
    assert entries["account"].tolist() == [3, 3, 1]
    assert entries["size"].tolist() == [3, 2, 5]
    assert entries["cost"].tolist() == [usd(30), usd(20), 0]
    assert state.flow[:, Cause.SOCIALISED].tolist() == [usd(50), -usd(25), -usd(25), 0, 0]


@BOTH
def test_queue_lists_holders_by_priority(rule):
    state = bankrupt(rule, [(20, 10_000)] * 3, long=4, priority=[3, 9, 6])
    step.clear_step(state, np.empty(0, np.int64))
    entries = state.deleverage[: state.totals[0].num_deleverages]
    assert dict(zip(entries["account"].tolist(), entries["size"].tolist(), strict=True)) == {
        2: 2,
        3: 1,
        1: 1,
    }

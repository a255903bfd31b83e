"""What holds after every step of any market, whatever its traders, prices and rules do."""

import numpy as np
import pytest
from hypothesis import given

from marketsim.engine import ledger
from marketsim.engine.state import MAX_PRICE_TICKS, UNLIMITED
from tests.properties.plans import open_plan, plans, play
from tests.properties.profile import tried


def check_money(state):
    """Nothing is lost, and every account's profit is what its causes add up to, to the atom."""
    assert ledger.conservation_error(state) == 0
    assert state.totals[0].conservation_error == 0
    market = state.market
    marked = state.position["size"] * market["mark_ticks"] * market["tick_atoms"]
    holdings = [ledger.holdings_value(state, i) for i in range(len(state.account))]
    explained = state.flow.sum(axis=1) + marked.sum(axis=1) + np.array(holdings)
    profit = ledger.account_equity(state) - state.account["deposit"]
    assert profit.tolist() == explained.tolist()


def check_positions(state):
    """Sizes cancel, open interest is the longs, entry cost stands on the side of the size."""
    size = state.position["size"]
    assert not size.sum(axis=0).any()
    assert state.market["open_interest"].tolist() == np.maximum(size, 0).sum(axis=0).tolist()
    assert (np.sign(state.position["entry_cost"]) == np.sign(size)).all()
    assert (state.spot >= 0).all()
    assert (state.stable >= 0).all()


def check_book(state):
    """The book is not crossed and its best prices are those of the orders in it."""
    orders = state.order[state.order["size"] > 0]
    assert len(orders) == state.totals[0].num_orders
    for m, market in enumerate(state.market):
        own = orders[orders["market"] == m]
        bids = own["price"][own["side"] > 0].tolist()
        asks = own["price"][own["side"] < 0].tolist()
        assert market.best_bid == max(bids, default=0)
        assert market.best_ask == min(asks, default=0)
        assert not bids or not asks or max(bids) < min(asks)
        assert market.num_orders == len(own)
        assert 1 <= market.mark_ticks <= MAX_PRICE_TICKS


def check_volume(state, open_interest, num_fills):
    """Volume is all lots that changed hands, and bounds the change of open interest (B3)."""
    totals = state.totals[0]
    fills = state.fill[num_fills : totals.num_fills]
    rows = state.liquidation[totals.step_liquidations : totals.num_liquidations]
    for m, market in enumerate(state.market):
        own = rows[rows["market"] == m]
        outside = (own["takeover_size"] + own["adl_size"]).sum()
        assert market.volume == np.abs(fills["size"][fills["market"] == m]).sum() + outside
        assert market.volume >= abs(market.open_interest - open_interest[m])


def check_liquidations(state):
    """Rows are bounded and account for every lot they closed; nothing is left half done."""
    totals = state.totals[0]
    rows = state.liquidation[totals.step_liquidations : totals.num_liquidations]
    legs = state.position["size"].size
    assert len(rows) <= legs * state.venue[0].max_rounds
    assert totals.num_shortfalls == 0
    closed = rows["book_size"] + rows["takeover_size"] + rows["adl_size"]
    taken = state.deleverage[totals.step_deleverages : totals.num_deleverages]
    # a leg may be gone before its turn: closed as another bankrupt leg's counterparty
    for row, lots in zip(rows, closed, strict=True):
        own = (taken["account"] == row.account) & (taken["market"] == row.market)
        change = abs(row.size_before - row.size_after)
        assert lots <= change <= lots + np.abs(taken["size"][own]).sum()
    assert ((closed > 0) | np.isin(rows["account"], taken["account"])).all()
    assert (rows["size_after"] * rows["size_before"] >= 0).all()
    is_of_fund = rows["account"] == len(state.account) - 1
    assert ((rows["round"] < state.venue[0].max_rounds) != is_of_fund).all()
    assert rows["fee"].min(initial=0) >= 0
    assert rows["fund_paid"].min(initial=0) >= 0
    assert state.market["num_liquidations"].sum() == len(rows)
    assert rows["adl_size"].sum() == np.abs(taken["size"]).sum()
    assert rows["adl_cost"].sum() == taken["cost"].sum()


def check_limits(state):
    """No pool drew beyond its limit, and every number is a number."""
    assert (state.draw["drawn"] <= state.draw["limit"]).all()
    assert (state.draw["drawn"] >= 0).all()
    for table in (state.market, state.liquidation[: state.totals[0].num_liquidations]):
        for name in table.dtype.names:
            if table.dtype[name] == np.float64 and name != "funding_cap":
                assert np.isfinite(table[name]).all(), name
    assert np.abs(state.pool["cash"]).max() < UNLIMITED


def check_debts(state):
    """The fund owes nothing, nor does a flat pool, but for a main one with holdings behind it."""
    assert ledger.account_equity(state)[-1] >= 0
    for p in range(len(state.pool)):
        pool = state.pool[p]
        i = pool.owner
        backed = p == i and (state.stable[i] > 0 or state.spot[i].any())
        if i < len(state.account) - 1 and not backed and ledger.is_flat(state, p):
            assert pool.cash >= 0


@pytest.mark.slow
@tried(300)
@given(plans())
def test_books_balance_after_every_step(plan):
    state = open_plan(plan)
    check_money(state)
    open_interest = state.market["open_interest"].copy()
    num_fills = 0
    for now in play(plan, state):
        check_money(now)
        check_positions(now)
        check_book(now)
        check_volume(now, open_interest, num_fills)
        check_liquidations(now)
        check_limits(now)
        check_debts(now)
        open_interest = now.market["open_interest"].copy()
        num_fills = now.totals[0].num_fills

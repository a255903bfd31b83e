"""The insurance fund at its end: deleveraged when its equity is used up, the rest shared."""

import numpy as np
import pytest

from marketsim.engine import causes, ledger, step
from marketsim.engine.state import ATOMS, Cause, RankRule, Stage
from tests.engine.small import hold, open_venue, set_price, sizes, usd

NOBODY = np.empty(0, np.int64)


def pass_step(state):
    """Let a step pass without orders; return the fund's equity in USD and its liquidations."""
    step.clear_step(state, NOBODY)
    step.settle_step(state)
    assert state.totals[0].conservation_error == 0
    equity = int(ledger.account_equity(state)[-1])
    assert equity >= 0
    rows = state.liquidation[: state.totals[0].num_liquidations]
    return equity / ATOMS, rows[rows["account"] == len(state.account) - 1]


def loaded(ticks, **venue):
    """A fund of 1,000 USD long 100 lots from 100 USD against account 0: used up at 90 USD."""
    state = open_venue((10_000, 10_000), fund=1000, **venue)
    hold(state, 2, 100)
    hold(state, 0, -100)
    set_price(state, ticks)
    return state


def test_fund_below_its_margin_keeps_what_it_holds():
    state = loaded(9_001)
    assert pass_step(state)[0] == 1
    assert sizes(state) == [-100, 0, 100]


@pytest.mark.parametrize("rule", RankRule)
@pytest.mark.parametrize(("ticks", "cost"), [(9_000, 0), (8_900, 100)])
def test_fund_whose_equity_is_used_up_is_deleveraged_at_its_bankruptcy_price(ticks, cost, rule):
    state = loaded(ticks, rank_rule=rule)
    equity, (row,) = pass_step(state)
    assert equity == 0
    assert sizes(state) == [0, 0, 0]
    assert (row.stage, row.round, row.size_before) == (Stage.BACKSTOP, 5, 100)
    assert (row.adl_size, row.adl_cost, row.socialised) == (100, usd(cost), 0)
    assert row.bankruptcy_price == pytest.approx(9_000)
    assert state.flow[0, Cause.ADL] == -usd(cost)
    (entry,) = state.deleverage[: state.totals[0].num_deleverages]
    assert (entry.account, entry.size, entry.cash) == (0, 100, -usd(9_000))


def test_what_the_other_side_cannot_bear_is_shared_by_the_holders():
    """Account 0, thin and with another market on its hands, refuses the fund's price of 90 USD."""
    state = open_venue((5400, 20_000, 20_000), num_markets=2, fund=100)
    for i, size in enumerate((-10, 5, -5, 10)):
        hold(state, i, size)
    hold(state, 0, 100, m=1)
    hold(state, 2, -100, m=1)
    state.pool[0].cash = usd(600 + 800 - 10_000)
    state.totals[0].deposits = int(state.pool["cash"].sum())
    set_price(state, 8_000)
    equity, (row,) = pass_step(state)
    # account 2 takes five lots at 90 USD, five go at the mark: 50 USD are missing
    assert equity == 0
    assert sizes(state) == [-5, 5, 0, 0]
    assert (row.adl_size, row.adl_cost, row.socialised) == (10, usd(50), usd(50))
    assert state.flow[:, Cause.SOCIALISED].tolist() == [-usd(25), -usd(25), 0, usd(50)]


def test_fund_that_cannot_pay_for_rounding_is_made_good_by_the_holders():
    state = open_venue((1000, 1000, 1000), fund=0)
    hold(state, 0, 1)
    hold(state, 1, -1)
    state.pool[3].cash = -1
    state.totals[0].deposits -= 1
    pass_step(state)
    assert state.flow[:, Cause.SOCIALISED].tolist() == [-1, -1, 0, 2]
    assert state.pool[3].cash == 1
    assert state.totals[0].socialised_atoms == 1


def test_funding_may_use_the_fund_up():
    state = loaded(9_001, funding_interval=1)
    state.market[0].given_rate = 0.01
    state.market[0].is_rate_given = 1
    equity, (row,) = pass_step(state)
    # 90.01 USD of funding, of which the fund had one
    assert equity == 0
    assert row.adl_cost == usd(89.01)


def test_causes_say_what_used_the_fund_up():
    state = loaded(10_000, causes=True)
    causes.begin(state)
    set_price(state, 8_900)
    pass_step(state)
    assert state.totals[0].num_seizures == 1
    assert state.seizure[0].pool == 2
    assert state.seizure[0].loss == usd(1100)
    assert state.loss[0].index == usd(1100)

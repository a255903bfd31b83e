"""Who shares a loss that nobody covered, by hand."""

from marketsim.engine import ledger, socialise
from marketsim.engine.state import NONE, Cause
from tests.engine.small import hold, open_venue, set_price, usd


def shares(state):
    return state.flow[:, Cause.SOCIALISED].tolist()


def test_loss_is_shared_by_size_on_both_sides_and_rounding_goes_to_the_fund():
    state = open_venue((0.001,) * 4, market={"tick_atoms": 1})
    for i, size in enumerate((1, 2, -3)):
        hold(state, i, size, 1)
    before = state.pool["cash"].copy()
    assert socialise.share_loss(state, 3, 0, 100) == 100
    # 16.67, 33.33 and 50 of 100 atoms, each rounded up
    assert (state.pool["cash"] - before).tolist() == [-17, -34, -50, 100, 1]
    assert shares(state) == [-17, -34, -50, 100, 1]
    assert state.totals[0].socialised_atoms == 100


def test_shares_of_a_side_pools_position_come_out_of_that_pool():
    state = open_venue(side_pools=[(0, 0, [0])])
    hold(state, 0, 1)
    hold(state, 1, -1)
    before = state.pool["cash"].copy()
    socialise.share_loss(state, 3, 0, usd(10))
    assert (state.pool["cash"] - before).tolist() == [0, -usd(5), 0, usd(10), 0, -usd(5)]


def test_fund_takes_no_share_and_the_venue_bears_what_has_no_holders():
    state = open_venue(fund=100)
    hold(state, 4, 10)
    hold(state, 0, -10)
    socialise.share_loss(state, 3, 0, usd(10))
    assert shares(state) == [-usd(10), 0, 0, usd(10), 0]
    hold(state, 4, -10)
    hold(state, 0, 10)
    assert socialise.share_loss(state, 3, 0, usd(10)) == 0
    assert shares(state) == [-usd(10), 0, 0, usd(20), 0]
    totals = state.totals[0]
    assert (totals.socialised_atoms, totals.venue_loss_atoms) == (usd(10), usd(10))
    assert totals.fees == -usd(10)
    assert ledger.conservation_error(state) == 0


def test_loss_without_a_market_is_shared_by_value():
    state = open_venue(num_markets=2)
    for m, (i, j, size) in enumerate(((0, 1, 10), (1, 2, 30))):
        hold(state, i, size, m=m)
        hold(state, j, -size, m=m)
    set_price(state, 20_000, 1)
    assert socialise.share_loss(state, 3, NONE, usd(70)) == usd(70)
    # 1,000 USD of market 0 on each side, 6,000 of market 1: units of about a dollar, rounded up
    assert [round(share / usd(1), 1) for share in shares(state)] == [-5.0, -35.0, -30.0, 70.0, 0.0]
    assert sum(shares(state)) == 0
    assert shares(state)[4] >= 0


def test_values_of_the_largest_markets_do_not_overflow():
    state = open_venue(num_markets=3, market={"max_position_lots": 2**62})
    for m in range(3):
        set_price(state, 2**29, m)
        state.market[m].tick_atoms = 1
        hold(state, 0, 2**30, 2**29, m=m)
        hold(state, 1, -(2**30), 2**29, m=m)
    assert socialise.share_loss(state, 3, NONE, 1000) == 1000
    assert shares(state)[:2] == [-501, -501]

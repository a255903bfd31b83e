"""Entries of the ledger, by hand: one lot at one tick is 10,000 atoms."""

import pytest

from marketsim.engine import ledger
from marketsim.engine.state import ONE, Cause
from tests.engine.small import LOT, PRICE, give_holdings, hold, open_venue, set_price, usd


def flow(state, i):
    return {cause.name: int(state.flow[i, cause]) for cause in Cause if state.flow[i, cause] != 0}


def test_payment_moves_cash_and_is_booked_under_its_cause_on_both_sides():
    state = open_venue((1000, 500))
    ledger.pay(state, 0, 1, Cause.TAKEOVER, usd(30))
    assert state.pool["cash"].tolist() == [usd(970), usd(530), 0]
    assert flow(state, 0) == {"TAKEOVER": -usd(30)}
    assert flow(state, 1) == {"TAKEOVER": usd(30)}
    assert ledger.conservation_error(state) == 0


def test_payment_from_a_side_pool_is_its_owners():
    state = open_venue((1000, 500), side_pools=[(1, 0, [0])])
    ledger.post(state, 3, Cause.FUNDING, 7)
    assert (state.pool[3].cash, state.pool[1].cash) == (7, usd(500))
    assert flow(state, 1) == {"FUNDING": 7}


def test_move_between_own_pools_is_nobodys_profit():
    state = open_venue((1000,), side_pools=[(0, 0, [0])])
    ledger.move_cash(state, 0, 2, usd(400))
    assert state.pool["cash"].tolist() == [usd(600), 0, usd(400)]
    assert not state.flow.any()
    assert ledger.conservation_error(state) == 0


@pytest.mark.parametrize("fee", [123, -45])
def test_fee_goes_to_the_fee_account_and_a_rebate_comes_from_it(fee):
    state = open_venue((1000,))
    ledger.charge_fee(state, 0, fee)
    assert state.pool[0].cash == usd(1000) - fee
    assert state.totals[0].fees == fee
    assert flow(state, 0) == {"FEE": -fee}
    assert ledger.conservation_error(state) == 0


def test_entry_cost_adds_up_while_a_position_grows():
    state = open_venue((1000,))
    ledger.change_position(state, 0, 0, 2, usd(200))
    ledger.change_position(state, 0, 0, 3, usd(330))
    assert (state.position[0, 0].size, state.position[0, 0].entry_cost) == (5, usd(530))


@pytest.mark.parametrize("side", [1, -1])
def test_entry_cost_shrinks_in_proportion_whatever_the_closing_price(side):
    state = open_venue((1000,))
    ledger.change_position(state, 0, 0, side * 5, side * usd(530))
    ledger.change_position(state, 0, 0, -side * 2, -side * usd(999))
    assert state.position[0, 0].entry_cost == side * usd(318)
    ledger.change_position(state, 0, 0, -side * 3, -side * usd(1))
    assert (state.position[0, 0].size, state.position[0, 0].entry_cost) == (0, 0)


@pytest.mark.parametrize("side", [1, -1])
def test_entry_cost_rounds_the_same_way_long_and_short(side):
    state = open_venue((1000,))
    ledger.change_position(state, 0, 0, side * 3, side * 100)
    ledger.change_position(state, 0, 0, -side, -side * 40)
    assert state.position[0, 0].entry_cost == side * 67


@pytest.mark.parametrize("side", [1, -1])
def test_entry_cost_starts_anew_when_a_position_changes_sign(side):
    state = open_venue((1000,))
    ledger.change_position(state, 0, 0, side * 3, side * usd(318))
    ledger.change_position(state, 0, 0, -side * 5, -side * usd(600))
    assert state.position[0, 0].size == -side * 2
    assert state.position[0, 0].entry_cost == -side * usd(240)


def test_open_interest_counts_the_longs():
    state = open_venue()
    for i, change, expected in [(0, 5, 5), (1, -5, 5), (0, -7, 0), (1, 6, 1), (1, 1, 2)]:
        ledger.change_position(state, i, 0, change, change * LOT)
        assert state.market[0].open_interest == expected


def test_fill_splits_into_price_and_slippage_against_the_mid_at_the_decision():
    state = open_venue((1000, 1000))
    ledger.book_fill(state, 0, 0, 2, 10_010, 2 * 10_000 + 1)
    ledger.book_fill(state, 1, 0, -2, 10_010, 2 * 10_000 + 1)
    # 9.5 ticks worse (better) than a mid of 10,000.5 on two lots
    assert flow(state, 0) == {"SLIPPAGE": -190_000, "PRICE": -200_010_000}
    assert flow(state, 1) == {"SLIPPAGE": 190_000, "PRICE": 200_010_000}
    assert state.pool[0].cash == usd(1000) - usd(200.2)
    assert state.position["entry_cost"][:, 0].tolist() == [usd(200.2), -usd(200.2), 0]
    assert ledger.conservation_error(state) == 0


@pytest.mark.parametrize("change", [1, -1])
def test_half_an_atom_of_slippage_counts_as_price(change):
    state = open_venue((1000,), market={"tick_atoms": 1})
    ledger.book_fill(state, 0, 0, change, 3, 5)
    assert flow(state, 0) == {"PRICE": -3 * change}


def test_transfer_books_what_differs_from_the_mark_under_its_cause():
    state = open_venue((1000, 1000))
    hold(state, 0, 4)
    hold(state, 1, -4)
    before = state.flow.copy()
    set_price(state, 9_000)
    ledger.book_transfer(state, 0, 0, -4, usd(350), Cause.ADL)
    ledger.book_transfer(state, 1, 0, 4, -usd(350), Cause.ADL)
    change = state.flow - before
    assert (change[0, Cause.PRICE], change[0, Cause.ADL]) == (usd(360), -usd(10))
    assert (change[1, Cause.PRICE], change[1, Cause.ADL]) == (-usd(360), usd(10))
    assert state.pool["cash"].tolist() == [usd(950), usd(1050), 0]
    assert state.market[0].open_interest == 0


def test_coins_are_bought_outside_and_stay_in_equity():
    state = open_venue((1000,))
    ledger.trade_spot(state, 0, 0, 3, PRICE)
    assert state.pool[0].cash == usd(700)
    assert state.totals[0].outside_cash == usd(300)
    assert flow(state, 0) == {"SPOT": -usd(300)}
    assert ledger.account_equity(state).tolist() == [usd(1000), 0]
    set_price(state, 11_000)
    assert ledger.account_equity(state).tolist() == [usd(1030), 0]
    assert ledger.conservation_error(state) == 0


def test_stablecoins_cost_their_price():
    state = open_venue((1000,))
    ledger.trade_stable(state, 0, usd(100), 900_000_000)
    assert (state.pool[0].cash, state.stable[0]) == (usd(910), usd(100))
    state.totals[0].stable_price = ONE // 2
    assert ledger.account_equity(state).tolist() == [usd(960), 0]
    ledger.trade_stable(state, 0, -usd(100), ONE // 2)
    assert flow(state, 0) == {"SPOT": -usd(40)}
    assert ledger.conservation_error(state) == 0


def test_equity_is_cash_of_all_pools_with_positions_at_mark_and_holdings_at_market():
    state = open_venue((1000, 1000), side_pools=[(0, 0, [0])])
    ledger.move_cash(state, 0, 3, usd(100))
    hold(state, 0, 4)
    hold(state, 1, -4)
    give_holdings(state, 0, stable=50, coins=2)
    set_price(state, 9_900, mark=9_800)
    # 4 lots lose 2 USD each at the mark, 2 coins 1 USD each at the index
    assert ledger.account_equity(state).tolist() == [usd(990), usd(1008), 0]
    assert ledger.holdings_value(state, 0) == usd(248)


def test_the_cash_of_a_flat_side_pool_only_goes_back():
    state = open_venue((1000, 1000), side_pools=[(0, 500, [0])])
    ledger.move_cash(state, 0, 3, usd(300))
    state.draw[3].drawn = usd(300)
    hold(state, 0, 1)
    ledger.return_free_cash(state, 3)
    assert state.draw[3].drawn == usd(300)
    hold(state, 0, -1)
    ledger.return_free_cash(state, 3)
    assert (state.pool[0].cash, state.pool[3].cash, state.draw[3].drawn) == (usd(1000), 0, 0)


def test_a_debt_stays_where_it_is():
    state = open_venue((1000,), side_pools=[(0, 0, [0])])
    ledger.move_cash(state, 0, 2, -usd(5))
    ledger.return_free_cash(state, 2)
    assert state.pool["cash"].tolist() == [usd(1005), 0, -usd(5)]


@pytest.mark.parametrize(
    "lose",
    [
        lambda state: state.pool["cash"].__setitem__(0, usd(1000) - 1),
        lambda state: setattr(state.totals[0], "fees", 1),
        lambda state: setattr(state.totals[0], "outside_cash", -1),
    ],
)
def test_a_lost_atom_is_found(lose):
    state = open_venue((1000,))
    assert ledger.conservation_error(state) == 0
    lose(state)
    assert ledger.conservation_error(state) == 1


def test_a_lost_lot_is_found_and_does_not_hide_behind_a_lost_atom():
    state = open_venue((1000,), market={"tick_atoms": 1})
    state.position[0, 0].size = -1
    state.pool[0].cash += 1
    assert ledger.conservation_error(state) == 2

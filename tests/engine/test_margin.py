"""Acceptance of trades, top-ups and draws of side pools, and who is liquidated first, by hand."""

import pytest

from marketsim.engine import margin
from marketsim.engine.state import UNLIMITED, Outcome
from tests.engine.small import PRICE, give_holdings, hold, open_venue, send, set_price, sizes, usd


def accepts(state, change, price=PRICE, fee=0, i=0, m=0):
    return margin.trade_is_accepted(state, i, m, change, price, fee)


def below(state):
    """Numbers of the pools below maintenance, riskiest first."""
    return margin.riskiest_first(state, margin.assess_pools(state)).tolist()


@pytest.mark.parametrize("side", [1, -1])
def test_trade_is_accepted_up_to_the_initial_margin(side):
    state = open_venue((1000,))
    assert accepts(state, side * 100)
    assert not accepts(state, side * 100, fee=1)
    assert not accepts(state, side * 101)
    assert accepts(state, side * 90, fee=usd(100))


@pytest.mark.parametrize("side", [1, -1])
def test_price_worse_than_the_mark_costs_equity(side):
    state = open_venue((1000,))
    # 50 lots at 10 USD worse than the mark leave 500, exactly their initial margin
    assert accepts(state, side * 50, PRICE + side * 1000)
    assert not accepts(state, side * 50, PRICE + side * 1001)
    assert accepts(state, side * 102, PRICE - side * 20)


@pytest.mark.parametrize("side", [1, -1])
def test_pool_short_of_initial_margin_may_only_reduce_its_risk(side):
    state = open_venue((1000,))
    hold(state, 0, side * 100)
    set_price(state, PRICE - side * 500)
    pools_equity = 500  # against an initial margin of 950 or 1,050
    assert not accepts(state, side)
    assert accepts(state, -side * 10, PRICE - side * 500)
    maintenance = 5 * (100 - side * 5)
    # ten lots may cost as much as keeps equity / maintenance where it was: a tenth of the equity
    worst = pools_equity // 10 * 100 // 10
    assert maintenance in {475, 525}
    assert accepts(state, -side * 10, PRICE - side * 500 - side * worst)
    assert not accepts(state, -side * 10, PRICE - side * 500 - side * (worst + 1))


def test_flip_counts_as_a_new_position():
    state = open_venue((1000,))
    hold(state, 0, 100)
    assert accepts(state, -200)
    assert not accepts(state, -201)


def test_positions_of_one_pool_do_not_net():
    state = open_venue((1000,), num_markets=2)
    hold(state, 0, 60)
    assert accepts(state, -40, m=1)
    assert not accepts(state, -41, m=1)


def test_collateral_of_another_account_or_pool_does_not_count():
    state = open_venue((100, 10_000), num_markets=2, side_pools=[(0, 0, [1])])
    state.pool[3].cash = usd(5000)
    assert accepts(state, 10)
    assert not accepts(state, 11)


def test_haircut_holdings_back_a_trade_of_the_main_pool():
    state = open_venue((1000,), spot_haircut=200_000_000)
    give_holdings(state, 0, coins=10)
    assert accepts(state, 80)
    assert not accepts(state, 81)


# Top-up


def test_side_pool_may_count_on_what_the_main_pool_has_free():
    state = open_venue((1000,), num_markets=2, side_pools=[(0, 0, [1])])
    hold(state, 0, 30)
    assert accepts(state, 70, m=1)
    assert not accepts(state, 71, m=1)


def test_side_pool_is_topped_up_to_its_initial_margin_by_a_fill():
    state = open_venue((1000, 1000), side_pools=[(0, 0, [0])])
    send(state, 1, -20, PRICE)
    assert send(state, 0, 20, PRICE) == Outcome.ACCEPTED
    assert state.pool["cash"].tolist() == [usd(800), usd(3000), 0, usd(200 - 2000)]
    state.market[0].mark_ticks = 9_500
    send(state, 1, -10, 9_500)
    send(state, 0, 10, 9_500)
    # 20 lots lost 100, so the pool holds 100 where 30 lots at 95 USD need 285
    assert state.pool[0].cash == usd(800 - 185)


def test_side_pool_is_not_topped_up_by_a_reduction():
    state = open_venue((1000, 1000), side_pools=[(0, 0, [0])])
    send(state, 1, -20, PRICE)
    send(state, 0, 20, PRICE)
    state.market[0].mark_ticks = 9_500
    send(state, 1, 5, 9_500)
    send(state, 0, -5, 9_500)
    assert state.pool[0].cash == usd(800)


def test_maker_in_a_side_pool_is_topped_up_too():
    state = open_venue((1000, 1000), side_pools=[(0, 0, [0])])
    send(state, 0, 20, PRICE)
    assert state.pool[0].cash == usd(1000)
    send(state, 1, -20, PRICE)
    assert state.pool[0].cash == usd(800)


@pytest.mark.parametrize("is_maker", [False, True])
def test_flip_in_a_side_pool_is_topped_up_from_the_main_pool(is_maker):
    state = open_venue((1000, 10_000), side_pools=[(0, 0, [0])])
    send(state, 1, -20, PRICE)
    send(state, 0, 20, PRICE)
    set_price(state, 9_500)
    # 100 USD left; selling 25 lots 4 USD below the mark uses it up
    orders = [(1, 25), (0, -25)]
    for i, size in reversed(orders) if is_maker else orders:
        assert send(state, i, size, 9_100) == Outcome.ACCEPTED
    assert sizes(state) == [-5, 5, 0]
    assert margin.assess_pools(state) == 0
    assert state.pool[3].equity == usd(47.5)


@pytest.mark.parametrize("is_maker", [False, True])
def test_reduction_that_uses_up_the_side_pool_is_refused(is_maker):
    state = open_venue((1000, 10_000), side_pools=[(0, 0, [0])])
    send(state, 1, -20, PRICE)
    send(state, 0, 20, PRICE)
    set_price(state, 9_500)
    # 100 USD left against 95: closing 15 lots 6 USD below the mark would leave 10 against 23.75
    orders = [(1, 15), (0, -15)]
    for i, size in reversed(orders) if is_maker else orders:
        send(state, i, size, 8_900)
    assert sizes(state)[0] == 20
    assert margin.assess_pools(state) == 0
    assert state.pool[0].cash == usd(800)


def test_flip_that_is_partly_filled_leaves_no_pool_short():
    state = open_venue((1000, 10_000), side_pools=[(0, 0, [0])])
    send(state, 1, -20, PRICE)
    send(state, 0, 20, PRICE)
    set_price(state, 9_500)
    # the order of 25 lots may count on the main pool; its first 12 cost 84 of the 100 USD left
    send(state, 1, 12, 8_800)
    assert send(state, 0, -25, 8_800) == Outcome.ACCEPTED
    assert sizes(state)[0] == 8
    assert margin.assess_pools(state) == 0


# Draws


def short_of(amount, draw_limit, *, main=1000.0):
    """A side pool of 20 lots (maintenance 100 at the mark) that lacks `amount` USD."""
    state = open_venue((main, 1000), side_pools=[(0, draw_limit, [0])])
    hold(state, 0, 20)
    hold(state, 1, -20)
    state.pool[3].cash += usd(100 - amount)
    state.pool[0].cash -= usd(100 - amount)
    return state


@pytest.mark.parametrize(
    ("amount", "draw_limit", "drawn"),
    [(60, 60, 60), (60, 59, 0), (60, 0, 0), (0, 100, 0), (-5, 100, 0), (140, 1e9, 140)],
)
def test_short_side_pool_draws_all_it_lacks_or_nothing(amount, draw_limit, drawn):
    state = short_of(amount, draw_limit)
    main = state.pool[0].cash
    assert below(state) == ([3] if amount > drawn else [])
    assert (state.draw[3].drawn, main - state.pool[0].cash) == (usd(drawn), usd(drawn))
    assert state.pool[3].equity == usd(100 - amount + drawn)
    assert state.pool[0].equity == state.pool[0].cash


def test_draws_add_up_to_the_limit():
    state = short_of(60, 100)
    assert below(state) == []
    set_price(state, 9_799)  # 20 lots lose 40.20 and need 2.01 less: 38.19 more
    assert below(state) == []
    assert state.draw[3].drawn == usd(98.19)
    set_price(state, 9_798)
    assert below(state) == []
    assert state.draw[3].drawn == usd(98.38)
    set_price(state, 9_789)  # 1.71 more would be 100.09
    assert below(state) == [3]
    assert state.draw[3].drawn == usd(98.38)


def test_draw_never_takes_the_main_pool_below_its_own_maintenance():
    state = open_venue((1000, 1000), num_markets=2, side_pools=[(0, 1e9, [1])])
    for i, side in enumerate((1, -1)):
        hold(state, i, side * 100)
        hold(state, i, side * 10, m=1)
    state.pool[0].cash -= usd(40)
    state.pool[3].cash += usd(40)
    set_price(state, 9_540)  # the main pool has 500 left and needs 477; the side pool lacks 10
    assert below(state) == []
    assert (state.pool[0].equity, state.draw[3].drawn) == (usd(490), usd(10))
    set_price(state, 9_800, 1)  # it lacks 19 more where 13 are spare
    assert below(state) == [3]
    assert state.draw[3].drawn == usd(10)


def test_unlimited_draw_ends_where_the_accounts_money_ends():
    state = short_of(100, 0, main=150)
    state.draw[3].limit = UNLIMITED
    set_price(state, 9_737)
    # equity of both pools together: 150 - 52.60 = 97.40 against 97.37
    assert below(state) == []
    set_price(state, 9_736)
    assert below(state) == [3]


# Who is first


def test_only_pools_below_maintenance_are_listed_lowest_ratio_first():
    state = open_venue((1000,) * 5)
    for i, (size, equity) in enumerate([(10, 49), (20, 60), (-30, 149), (40, 200), (-40, 1000)]):
        hold(state, i, size)
        state.pool[i].cash = usd(equity - 100 * size)
    # ratios .98, .60, .993; 1.00 exactly is safe
    assert below(state) == [1, 0, 2]


def test_negative_equity_goes_before_all():
    state = open_venue((1000,) * 3)
    for i, (size, equity) in enumerate([(10, 1), (-30, -149), (20, -150)]):
        hold(state, i, size)
        state.pool[i].cash = usd(equity - 100 * size)
    assert below(state) == [2, 1, 0]


def test_ties_go_by_priority_then_by_pool():
    state = open_venue((1000,) * 4, num_markets=2, side_pools=[(0, 0, [1])])
    state.account["priority"][:4] = [30, 20, 40, 20]
    for i in range(4):
        hold(state, i, 10)
        state.pool[i].cash = usd(25 - 1000)
    hold(state, 0, 10, m=1)
    state.pool[5].cash = usd(25 - 1000)
    assert below(state) == [1, 3, 0, 5, 2]


def test_insurance_fund_is_never_liquidated():
    state = open_venue((1000,), fund=1)
    hold(state, 0, -10)
    hold(state, 1, 10)
    set_price(state, 9_900)
    assert below(state) == []
    assert state.pool[1].equity < state.pool[1].maintenance


def test_pool_without_positions_is_seized_only_when_it_owes_more_than_it_has():
    state = open_venue((0,), stable_haircut=0)
    state.pool[0].cash = -usd(5)
    state.stable[0] = usd(5)
    assert below(state) == []
    state.stable[0] = usd(5) - 1
    assert below(state) == [0]

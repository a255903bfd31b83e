"""What becomes of an intent, by hand; a lot is worth 100 USD."""

import pytest

from marketsim.engine import ledger, step
from marketsim.engine.state import ATOMS, ONE, Cause, Flag, IntentKind, Outcome
from tests.engine.small import (
    LOT,
    PRICE,
    cash,
    give_holdings,
    hold,
    open_venue,
    send,
    set_price,
    sizes,
    usd,
)


def resting(state, m=0):
    """Lots and price of the orders in the book, signed, by slot."""
    return [
        (int(order.side * order.size), int(order.price))
        for order in state.order
        if order.size > 0 and order.market == m
    ]


def test_order_fills_best_price_first_and_rests_what_is_left():
    state = open_venue()
    send(state, 0, -3, 10_020)
    send(state, 1, -4, 10_010)
    assert send(state, 2, 9, 10_015) == Outcome.ACCEPTED
    assert sizes(state) == [0, -4, 4, 0, 0]
    assert sorted(resting(state)) == [(-3, 10_020), (5, 10_015)]
    market = state.market[0]
    assert (market.best_bid, market.best_ask, market.last_ticks) == (10_015, 10_020, 10_010)
    assert (market.volume, market.num_fills, market.open_interest) == (4, 1, 4)


def test_immediate_order_leaves_nothing_in_the_book():
    state = open_venue()
    send(state, 0, -3, PRICE)
    assert send(state, 1, 9, PRICE, flags=Flag.IMMEDIATE) == Outcome.ACCEPTED
    assert sizes(state)[:2] == [-3, 3]
    assert resting(state) == []


def test_fees_are_charged_on_the_fill_and_a_rebate_is_paid():
    state = open_venue(market={"taker_fee": 500_000, "maker_fee": -100_000})
    send(state, 0, -10, PRICE)
    send(state, 1, 10, 10_500)
    # 5 bp and -1 bp of 1,000 USD
    assert state.flow[0, Cause.FEE] == usd(0.1)
    assert state.flow[1, Cause.FEE] == -usd(0.5)
    assert state.totals[0].fees == usd(0.4)
    assert ledger.conservation_error(state) == 0


def test_order_beyond_the_margin_is_refused_whole():
    state = open_venue((1000, 10_000))
    send(state, 1, -200, PRICE)
    assert send(state, 0, 101, PRICE) == Outcome.MARGIN
    assert sizes(state) == [0, 0, 0]
    assert send(state, 0, 100, PRICE) == Outcome.ACCEPTED


@pytest.mark.parametrize(("side", "price"), [(1, 9_000), (-1, 11_000), (1, 11_000), (-1, 9_000)])
def test_margin_counts_an_order_at_its_price_or_the_mark_whichever_is_worse(side, price):
    state = open_venue((1000,))
    loss = max(side * (price - PRICE), 0) / 100
    most = int(1000 / (10 + loss))
    assert send(state, 0, side * (most + 1), price) == Outcome.MARGIN
    assert send(state, 0, side * most, price) == Outcome.ACCEPTED


def test_margin_counts_the_taker_fee():
    state = open_venue((1000,), market={"taker_fee": 10_000_000})
    assert send(state, 0, 91, PRICE) == Outcome.MARGIN
    assert send(state, 0, 90, PRICE) == Outcome.ACCEPTED


def test_maker_without_margin_is_withdrawn_and_the_next_is_met():
    state = open_venue((1000, 1000, 9000))
    send(state, 0, 60, 9_990)
    send(state, 0, 60, 9_980)
    send(state, 1, 60, 9_970)
    assert send(state, 2, -130, 9_970) == Outcome.ACCEPTED
    # either order of the first account is within its margin, not both
    assert sizes(state)[:3] == [60, 60, -120]
    assert resting(state) == [(-10, 9_970)]


def test_self_trade_withdraws_the_resting_order():
    state = open_venue()
    send(state, 0, -5, PRICE)
    send(state, 1, -5, PRICE)
    send(state, 0, 5, PRICE)
    assert sizes(state)[:2] == [5, -5]
    assert resting(state) == []


def test_reduce_only_order_never_opens_a_position():
    state = open_venue()
    assert send(state, 0, 5, PRICE, flags=Flag.REDUCE_ONLY) == Outcome.NOTHING_TO_REDUCE
    hold(state, 0, 4)
    hold(state, 1, -4)
    send(state, 0, -9, 10_100, flags=Flag.REDUCE_ONLY)
    assert resting(state) == [(-4, 10_100)]
    send(state, 2, 3, 9_900)
    send(state, 0, -3, 9_900)
    assert send(state, 3, 4, 10_100, flags=Flag.IMMEDIATE) == Outcome.ACCEPTED
    # one of the four lots is left to close: the rest of the order goes
    assert sizes(state) == [0, -4, 3, 1, 0]
    assert resting(state) == []


def test_cancel_withdraws_the_orders_at_a_price_or_all():
    state = open_venue()
    for price in (9_900, 9_910, 9_910):
        send(state, 0, 1, price)
    send(state, 1, 1, 9_910)
    assert send(state, 0, 0, 9_910, kind=IntentKind.CANCEL) == Outcome.ACCEPTED
    assert sorted(resting(state)) == [(1, 9_900), (1, 9_910)]
    send(state, 0, 0, kind=IntentKind.CANCEL)
    assert resting(state) == [(1, 9_910)]


def test_fills_of_resting_orders_keep_the_position_limit():
    state = open_venue((100_000,) * 3, market={"max_position_lots": 100})
    send(state, 0, 100, 9_990)
    send(state, 0, 100, 9_980)
    send(state, 1, -100, 9_980)
    send(state, 2, -100, 9_980)
    assert sizes(state)[:2] == [100, -100]
    assert sizes(state)[2] == 0


def test_full_book_refuses_to_rest_but_still_fills():
    state = open_venue()
    send(state, 1, -1, 10_001)
    state.totals[0].num_orders = len(state.order)
    assert send(state, 0, 2, 9_999) == Outcome.BOOK_FULL
    assert send(state, 0, 1, 10_001, flags=Flag.IMMEDIATE) == Outcome.ACCEPTED
    assert sizes(state)[:2] == [1, -1]


def test_outcomes_are_counted():
    state = open_venue()
    for size, price in [(0, PRICE), (1, 0), (1, -7), (1, PRICE), (10**5, PRICE)]:
        send(state, 0, size, price)
    counted = state.totals[0].outcome
    assert counted[[Outcome.ACCEPTED, Outcome.ZERO_SIZE, Outcome.BAD_PRICE]].tolist() == [1, 1, 2]
    assert counted[Outcome.MARGIN] == 1


def test_slippage_is_measured_from_the_mid_each_side_decided_at():
    state = open_venue()
    state.market[0].mid2 = 2 * 9_950
    send(state, 0, -1, 10_010)
    state.market[0].mid2 = 2 * PRICE
    send(state, 1, 1, 10_010)
    assert state.flow[0, Cause.SLIPPAGE] == usd(0.6)
    assert state.flow[1, Cause.SLIPPAGE] == -usd(0.1)


@pytest.mark.parametrize("expiry", [1, 3, 1024, 1030])
def test_order_lives_for_its_steps(expiry):
    state = open_venue()
    state.totals[0].step = 7
    send(state, 0, 1, 9_900, expiry=expiry)
    send(state, 0, 1, 9_800)
    for t in (7 + expiry - 1, 7 + expiry):
        step.begin_counts(state, t)
        step.book.expire_orders(state, t)
        assert len(resting(state)) == (2 if t < 7 + expiry else 1)
    assert resting(state) == [(1, 9_800)]


# Side pools


def test_closing_in_a_side_pool_returns_its_cash():
    state = open_venue((1000, 1000), side_pools=[(0, 0, [0])])
    send(state, 1, -20, PRICE)
    send(state, 0, 20, PRICE)
    send(state, 1, 20, 10_100)
    send(state, 0, -20, 10_100)
    assert cash(state) == [1020, 980, 0, 0]


def test_maker_whose_side_pool_is_closed_gets_its_cash_back():
    state = open_venue((1000, 1000), side_pools=[(0, 0, [0])])
    send(state, 1, -20, PRICE)
    send(state, 0, 20, PRICE)
    send(state, 0, -20, 10_100)
    send(state, 1, 20, 10_100)
    assert cash(state) == [1020, 980, 0, 0]


@pytest.mark.parametrize(
    ("amount", "outcome"),
    [
        (600, Outcome.ACCEPTED),
        (601, Outcome.NO_FUNDS),
        (-100, Outcome.ACCEPTED),
        (-101, Outcome.NO_FUNDS),
        (0, Outcome.ZERO_SIZE),
    ],
)
def test_transfer_moves_what_is_free_between_main_and_side_pool(amount, outcome):
    state = open_venue((1000, 1000), num_markets=2, side_pools=[(0, 0, [0])])
    ledger.move_cash(state, 0, 3, usd(300))
    hold(state, 0, 20)
    hold(state, 0, 10, m=1)
    assert send(state, 0, usd(amount), kind=IntentKind.TRANSFER) == outcome
    moved = amount if outcome == Outcome.ACCEPTED else 0
    assert cash(state)[0] == 700 - 1000 - moved
    assert cash(state)[3] == 300 - 2000 + moved
    assert not state.flow[:, 1:].any()


def test_transfer_needs_a_side_pool():
    state = open_venue()
    assert send(state, 0, usd(1), kind=IntentKind.TRANSFER) == Outcome.ZERO_SIZE


# Outside


@pytest.mark.parametrize(
    ("lots", "outcome"),
    [
        (9, Outcome.ACCEPTED),
        (10, Outcome.NO_FUNDS),
        (-2, Outcome.ACCEPTED),
        (-3, Outcome.NO_FUNDS),
        (0, Outcome.ZERO_SIZE),
    ],
)
def test_coins_are_bought_with_cash_the_pool_has(lots, outcome):
    state = open_venue((1199,), spot_haircut=0)
    give_holdings(state, 0, coins=2)
    assert send(state, 0, lots, kind=IntentKind.SPOT) == outcome
    if outcome == Outcome.ACCEPTED:
        assert state.pool[0].cash == usd(999) - lots * LOT
        assert state.spot[0, 0] == 2 + lots
    assert ledger.conservation_error(state) == 0


@pytest.mark.parametrize(("haircut", "most"), [(1.0, 6), (0.25, 10), (0.75, 8)])
def test_coins_may_cost_no_more_collateral_than_is_free(haircut, most):
    state = open_venue((1000,), spot_haircut=round(haircut * ONE))
    hold(state, 0, 40)  # 600 USD are free; a lot of coins loses its haircut
    assert send(state, 0, most + 1, kind=IntentKind.SPOT) == Outcome.NO_FUNDS
    assert send(state, 0, most, kind=IntentKind.SPOT) == Outcome.ACCEPTED


def test_profit_not_yet_realised_buys_no_coins():
    state = open_venue((100,), spot_haircut=0)
    hold(state, 0, 1)
    set_price(state, 30_000)
    assert send(state, 0, 1, kind=IntentKind.SPOT) == Outcome.NO_FUNDS


def test_coins_beyond_the_position_limit_are_refused():
    state = open_venue((1_000_000,), market={"max_position_lots": 100})
    assert send(state, 0, 101, kind=IntentKind.SPOT) == Outcome.POSITION_LIMIT
    assert send(state, 0, 2**56, kind=IntentKind.SPOT) == Outcome.POSITION_LIMIT
    assert send(state, 0, 100, kind=IntentKind.SPOT) == Outcome.ACCEPTED


def test_stablecoins_trade_at_their_price():
    state = open_venue((100,))
    state.totals[0].stable_price = 980_000_000
    assert send(state, 0, usd(102.05), kind=IntentKind.STABLE) == Outcome.NO_FUNDS
    assert send(state, 0, usd(50), kind=IntentKind.STABLE) == Outcome.ACCEPTED
    assert (state.stable[0], state.pool[0].cash) == (usd(50), usd(51))
    assert send(state, 0, -usd(51), kind=IntentKind.STABLE) == Outcome.NO_FUNDS
    assert send(state, 0, -usd(50), kind=IntentKind.STABLE) == Outcome.ACCEPTED
    assert (state.stable[0], state.pool[0].cash) == (0, 100 * ATOMS)

"""Stages 4 and 5 for one intent: admit it, check its margin, match it, rest what is left."""

from marketsim.engine import book, ledger, margin, matching, orders
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.formulas.integers import mul_div, take_fraction, take_fraction_up
from marketsim.engine.pools import free_margin, wallet
from marketsim.engine.state import MAX_ATOMS, NONE, ONE, Flag, IntentKind, Outcome, State, widen


@inlined
def place_order(
    state: State, i: int, m: int, size: int, price: int, flags: int, expiry: int
) -> Outcome:
    """Bring one order to the book; return its `Outcome`.

    The margin check takes the worst the order can do: filled whole, at its limit or at the mark,
    whichever is worse for the account.
    """
    market = state.market[m]
    size = orders.admissible_size(state, i, m, size, flags)
    outcome = orders.check_order(state, i, m, size, price, flags)
    if outcome != Outcome.ACCEPTED:
        return outcome
    side = 1 if size > 0 else -1
    # Without a branch: which side comes next, the processor does not foresee.
    worst = side * max(side * price, side * market.mark_ticks)
    fee = take_fraction_up(abs(size) * price * market.tick_atoms, max(market.taker_fee, 0))
    if not margin.trade_is_accepted(state, i, m, size, worst, fee):
        return Outcome.MARGIN
    if flags & Flag.IMMEDIATE == 0 and book.is_full(state):
        return Outcome.BOOK_FULL
    before = state.position[i, m].size
    left = take(state, i, m, side, abs(size), price)
    p = widen(state.position[i, m].pool)
    if p != i:
        # What was accepted on the main pool's account is topped up, also if only partly filled.
        if left < abs(size) and margin.extends(before, size):
            margin.fund_pool(state, p)
        ledger.return_free_cash(state, p)
    if left > 0 and flags & Flag.IMMEDIATE == 0:
        until = state.totals[0].step + expiry if expiry > 0 else 0
        book.add_order(state, i, m, side, left, price, market.mid2, until, flags)
    return Outcome.ACCEPTED


@inlined
def take(state: State, i: int, m: int, side: int, size: int, limit: int) -> int:
    """Fill up to `size` lots from the book within `limit`; return the lots left."""
    market = state.market[m]
    left = size
    while left > 0:
        k = matching.next_maker(state, i, m, side, limit)
        if k == NONE:
            break
        lots = min(left, matching.maker_size(state, k))
        if trade_with(state, k, i, lots, market.taker_fee):
            left -= lots
    return left


@inlined
def trade_with(state: State, k: int, i: int, lots: int, taker_fee: int) -> bool:
    """Fill `lots` of resting order `k`, or withdraw it if its owner lacks the margin."""
    if not maker_can_pay(state, k, lots):
        book.remove_order(state, k)
        return False
    order = state.order[k]
    maker = widen(order.account)
    m = widen(order.market)
    p = widen(state.position[maker, m].pool)
    before = state.position[maker, m].size
    matching.fill(state, k, i, lots, state.market[m].mid2, taker_fee)
    if p != maker and margin.extends(before, state.position[maker, m].size - before):
        margin.fund_pool(state, p)
    return True


@inlined
def maker_can_pay(state: State, k: int, lots: int) -> bool:
    """Tell whether the owner of a resting order has the margin to trade `lots` of it."""
    order = state.order[k]
    m = widen(order.market)
    market = state.market[m]
    held = state.position[order.account, m].size
    after = held + widen(order.side) * lots
    if abs(after) > market.max_position_lots and abs(after) > abs(held):
        return False
    fee = take_fraction(lots * order.price * market.tick_atoms, market.maker_fee)
    return margin.trade_is_accepted(
        state, widen(order.account), m, widen(order.side) * lots, order.price, fee
    )


@kernel
def exchange_coins(state: State, i: int, m: int, lots: int) -> Outcome:
    """Buy or sell coins outside at the index price with the main pool's free cash."""
    if lots == 0:
        return Outcome.ZERO_SIZE
    if abs(lots) > state.market[m].max_position_lots:
        return Outcome.POSITION_LIMIT
    if state.spot[i, m] + lots < 0:
        return Outcome.NO_FUNDS
    price = state.market[m].index_ticks
    cost = lots * price * state.market[m].tick_atoms
    if cost > 0 and not _affords(state, i, cost, state.venue[0].spot_haircut):
        return Outcome.NO_FUNDS
    ledger.trade_spot(state, i, m, lots, price)
    return Outcome.ACCEPTED


@kernel
def exchange_stable(state: State, i: int, atoms: int) -> Outcome:
    """Buy or sell stablecoins outside at their price with the main pool's free cash."""
    price = state.totals[0].stable_price
    if atoms == 0:
        return Outcome.ZERO_SIZE
    if abs(atoms) > MAX_ATOMS:
        return Outcome.POSITION_LIMIT
    if state.stable[i] + atoms < 0:
        return Outcome.NO_FUNDS
    cost = mul_div(atoms, price, ONE)
    if cost > 0 and not _affords(state, i, cost, state.venue[0].stable_haircut):
        return Outcome.NO_FUNDS
    ledger.trade_stable(state, i, atoms, price)
    return Outcome.ACCEPTED


@kernel
def _affords(state: State, i: int, cost: int, haircut: int) -> bool:
    """Tell whether the main pool's wallet pays `cost` and its margin bears the haircut."""
    return wallet(state, i) >= cost and free_margin(state, i) >= take_fraction_up(cost, haircut)


@kernel
def transfer_margin(state: State, i: int, m: int, amount: int) -> Outcome:
    """Move cash from the main pool to a market's side pool (negative: back), if free."""
    p = widen(state.position[i, m].pool)
    if p == i or amount == 0:
        return Outcome.ZERO_SIZE
    source = i if amount > 0 else p
    if abs(amount) > free_margin(state, source):
        return Outcome.NO_FUNDS
    ledger.move_cash(state, i, p, amount)
    return Outcome.ACCEPTED


@kernel
def clear_intent(state: State, n: int) -> None:
    """Carry out intent `n` and count its `Outcome`."""
    intent = state.intent[n]
    i = widen(intent.account)
    m = widen(intent.market)
    outcome = Outcome.ACCEPTED
    if intent.kind == IntentKind.ORDER:
        outcome = place_order(
            state, i, m, intent.size, intent.price, widen(intent.flags), widen(intent.expiry)
        )
    elif intent.kind == IntentKind.CANCEL:
        book.withdraw_orders(state, i, m, intent.price)
    elif intent.kind == IntentKind.SPOT:
        outcome = exchange_coins(state, i, m, intent.size)
    elif intent.kind == IntentKind.STABLE:
        outcome = exchange_stable(state, i, intent.size)
    else:
        outcome = transfer_margin(state, i, m, intent.size)
    intent.outcome = outcome
    state.totals[0].outcome[outcome.value] += 1

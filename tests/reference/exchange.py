"""The book of the reference venue, a queue per price, and what becomes of each intent."""

from marketsim.engine.state import MAX_ATOMS, MAX_PRICE_TICKS, ONE, Flag, IntentKind, Outcome
from tests.reference import ledger, margin
from tests.reference.arithmetic import part, requirement, toward_zero
from tests.reference.venue import Fill, Intent, Market, Order, Venue


def rest(market: Market, order: Order) -> None:
    """Put an order behind all others at its price."""
    market.queues(order.side).setdefault(order.price, []).append(order)


def withdraw(market: Market, order: Order) -> None:
    """Take an order off the book."""
    queues = market.queues(order.side)
    queues[order.price].remove(order)
    if not queues[order.price]:
        del queues[order.price]


def withdraw_all(venue: Venue, i: int, m: int, price: int = 0) -> None:
    """Take an account's orders off a book, only those at a price unless it is 0."""
    market = venue.markets[m]
    for order in market.orders():
        if order.account == i and price in (0, order.price):
            withdraw(market, order)
            venue.seen["cancel at price" if price else "cancel"] += 1


def expire(venue: Venue) -> None:
    """Take the orders off whose last step is over."""
    for market in venue.markets:
        for order in market.orders():
            if 0 < order.expiry <= venue.step:
                withdraw(market, order)
                venue.seen["expiry"] += 1


def lots_left(venue: Venue, m: int, order: Order) -> int:
    """What an order may still trade: a reduce-only one no more than closes its owner's position."""
    if not order.flags & Flag.REDUCE_ONLY:
        return order.size
    return min(order.size, max(-order.side * venue.positions[order.account][m].size, 0))


def next_maker(venue: Venue, i: int, m: int, side: int, limit: int) -> Order | None:
    """The order account i meets next; its own orders and empty reduce-only ones are withdrawn."""
    market = venue.markets[m]
    while True:
        prices = market.prices(-side)
        if not prices or (prices[0] > limit if side > 0 else prices[0] < limit):
            return None
        order = market.queues(-side)[prices[0]][0]
        if order.account == i:
            venue.seen["self-trade prevented"] += 1
        elif lots_left(venue, m, order) > 0:
            return order
        else:
            venue.seen["reduce-only order dropped"] += 1
        withdraw(market, order)


def trade_with(venue: Venue, i: int, m: int, order: Order, lots: int, taker_fee: int) -> bool:
    """Trade with a resting order, or withdraw it if its owner may not trade that much."""
    market = venue.markets[m]
    maker, change = order.account, order.side * lots
    held, maker_pool = venue.positions[maker][m].size, venue.positions[maker][m].pool
    notional = lots * order.price * market.tick_atoms
    maker_cost = part(notional, market.maker_fee)
    too_large = abs(held + change) > max(market.max_position_lots, abs(held))
    if too_large or not margin.may_trade(venue, maker, m, change, order.price, maker_cost):
        withdraw(market, order)
        venue.seen["maker at the position limit" if too_large else "maker without margin"] += 1
        return False

    ledger.book_trade(venue, maker, m, change, order.price, order.mid2)
    ledger.book_trade(venue, i, m, -change, order.price, market.mid2)
    ledger.charge_fee(venue, maker, m, maker_cost)
    ledger.charge_fee(venue, i, m, part(notional, taker_fee))
    order.size -= lots
    if order.size == 0:
        withdraw(market, order)
    ledger.return_free_cash(venue, maker_pool)
    if margin.extends(held, change):
        margin.top_up(venue, maker_pool)

    market.last_ticks = order.price
    market.volume += lots
    market.num_fills += 1
    venue.fills.append(Fill(venue.step, m, i, maker, -change, order.price))
    return True


def take(venue: Venue, i: int, m: int, side: int, size: int, limit: int) -> int:
    """Trade up to a size within a limit; return what is left of it."""
    left = size
    while left > 0:
        order = next_maker(venue, i, m, side, limit)
        if order is None:
            break
        lots = min(left, lots_left(venue, m, order))
        if trade_with(venue, i, m, order, lots, venue.markets[m].taker_fee):
            left -= lots
    return left


def refusal(venue: Venue, i: int, m: int, size: int, price: int, flags: int) -> Outcome | None:
    """Why an order's own terms are refused, if they are."""
    market = venue.markets[m]
    if size == 0:
        return Outcome.NOTHING_TO_REDUCE if flags & Flag.REDUCE_ONLY else Outcome.ZERO_SIZE
    if not 1 <= price <= MAX_PRICE_TICKS:
        return Outcome.BAD_PRICE
    if flags & Flag.POST_ONLY:
        opposite = market.prices(-1 if size > 0 else 1)
        if opposite and (price >= opposite[0] if size > 0 else price <= opposite[0]):
            return Outcome.POST_ONLY_CROSSES
    if abs(venue.positions[i][m].size + size) > market.max_position_lots:
        return Outcome.POSITION_LIMIT
    # the worst that can happen: filled whole, at the limit or the mark, as a taker
    worst = max(price, market.mark_ticks) if size > 0 else min(price, market.mark_ticks)
    fee = requirement(abs(size) * price * market.tick_atoms, max(market.taker_fee, 0))
    if not margin.may_trade(venue, i, m, size, worst, fee):
        return Outcome.MARGIN
    resting = sum(len(each.orders()) for each in venue.markets)
    if not flags & Flag.IMMEDIATE and resting == venue.order_capacity:
        return Outcome.BOOK_FULL
    return None


def place_order(venue: Venue, intent: Intent) -> Outcome:
    """Admit an order, match it and rest what is left."""
    i, m, size, flags = intent.account, intent.market, intent.size, intent.flags
    market, position = venue.markets[m], venue.positions[i][m]
    if flags & Flag.REDUCE_ONLY:
        closes = size * position.size < 0
        most = min(abs(size), abs(position.size)) if closes else 0
        size = most if size > 0 else -most
    refused = refusal(venue, i, m, size, intent.price, flags)
    if refused is not None:
        return refused

    side = 1 if size > 0 else -1
    before = position.size
    left = take(venue, i, m, side, abs(size), intent.price)
    if left < abs(size) and margin.extends(before, size):
        margin.top_up(venue, position.pool)
    ledger.return_free_cash(venue, position.pool)
    if left > 0 and not flags & Flag.IMMEDIATE:
        expiry = venue.step + intent.expiry if intent.expiry > 0 else 0
        rest(market, Order(i, side, intent.price, left, market.mid2, expiry, flags))
    return Outcome.ACCEPTED


def affordable(venue: Venue, i: int, cost: int, haircut: int) -> bool:
    """Whether the main pool's wallet pays for a purchase and margin survives the haircut."""
    wallet = venue.pools[i].cash
    wallet += sum(venue.positions[i][m].entry_cost for m in venue.legs(i))
    return wallet >= cost and margin.free(venue, i) >= requirement(cost, haircut)


def buy_coins(venue: Venue, intent: Intent) -> Outcome:
    """Buy or sell coins outside, at the index price."""
    i, m, lots = intent.account, intent.market, intent.size
    market = venue.markets[m]
    cost = lots * market.index_ticks * market.tick_atoms
    if lots == 0:
        return Outcome.ZERO_SIZE
    if abs(lots) > market.max_position_lots:
        return Outcome.POSITION_LIMIT
    if venue.positions[i][m].spot + lots < 0:
        return Outcome.NO_FUNDS
    if cost > 0 and not affordable(venue, i, cost, venue.rules.spot_haircut):
        return Outcome.NO_FUNDS
    ledger.buy_coins(venue, i, m, lots, market.index_ticks)
    venue.seen["coins bought" if lots > 0 else "coins sold"] += 1
    return Outcome.ACCEPTED


def buy_stable(venue: Venue, intent: Intent) -> Outcome:
    """Buy or sell stablecoins outside, at their price."""
    i, atoms = intent.account, intent.size
    cost = toward_zero(atoms * venue.stable_price, ONE)
    if atoms == 0:
        return Outcome.ZERO_SIZE
    if abs(atoms) > MAX_ATOMS:
        return Outcome.POSITION_LIMIT
    if venue.accounts[i].stable + atoms < 0:
        return Outcome.NO_FUNDS
    if cost > 0 and not affordable(venue, i, cost, venue.rules.stable_haircut):
        return Outcome.NO_FUNDS
    ledger.buy_stable(venue, i, atoms)
    venue.seen["stablecoins bought" if atoms > 0 else "stablecoins sold"] += 1
    return Outcome.ACCEPTED


def transfer(venue: Venue, intent: Intent) -> Outcome:
    """Move free margin from the main pool to a side pool, or back."""
    i, amount = intent.account, intent.size
    p = venue.positions[i][intent.market].pool
    if p == i or amount == 0:
        return Outcome.ZERO_SIZE
    if abs(amount) > margin.free(venue, i if amount > 0 else p):
        return Outcome.NO_FUNDS
    ledger.move_cash(venue, i, p, amount)
    venue.seen["margin added" if amount > 0 else "margin removed"] += 1
    return Outcome.ACCEPTED


def clear_intent(venue: Venue, intent: Intent) -> None:
    """Carry out one intent and note what became of it."""
    outcome = Outcome.ACCEPTED
    if intent.kind == IntentKind.ORDER:
        outcome = place_order(venue, intent)
    elif intent.kind == IntentKind.CANCEL:
        withdraw_all(venue, intent.account, intent.market, intent.price)
    elif intent.kind == IntentKind.SPOT:
        outcome = buy_coins(venue, intent)
    elif intent.kind == IntentKind.STABLE:
        outcome = buy_stable(venue, intent)
    else:
        outcome = transfer(venue, intent)
    intent.outcome = int(outcome)
    venue.outcomes[outcome] += 1

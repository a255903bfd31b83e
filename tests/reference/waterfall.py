"""From the book to the insurance fund: how a pool below maintenance is closed."""

import math
from collections.abc import Iterable

from marketsim.engine.state import MAX_ROWS_PER_STEP, ONE, Cause, LegRule, Stage
from tests.reference import closing, ledger, margin
from tests.reference.arithmetic import away_from_zero, part
from tests.reference.exchange import lots_left, next_maker, take, trade_with, withdraw_all
from tests.reference.journal import Charged, Moved, Seized, fresh_last, middle
from tests.reference.venue import Liquidation, Venue


def liquidate(venue: Venue, p: int, round_number: int) -> None:
    """Cancel a pool's orders, draw its loss and try each leg once, until it is safe."""
    i = venue.pools[p].owner
    for m in venue.legs(p):
        withdraw_all(venue, i, m)
    margin.draw_loss(venue, p)
    venue.journal.append(Seized(p, margin.equity(venue, p), len(venue.liquidations)))
    tried: set[int] = set()
    while len(venue.liquidations) - venue.first_liquidation < MAX_ROWS_PER_STEP:
        wants_all = venue.rules.legs == LegRule.ALL and tried
        if not wants_all and not margin.is_short(venue, p):
            break
        leg = closing.next_leg(venue, p, tried)
        if leg is None:
            break
        tried.add(leg)
        attempt(venue, p, leg, round_number)
    if margin.equity(venue, p) < 0:
        loss = settle_deficit(venue, p)
        if loss > 0:
            socialise(venue, p, range(len(venue.markets)), loss)
        venue.seen["debt of a flat pool"] += venue.is_flat(p)
    ledger.return_free_cash(venue, p)


def attempt(venue: Venue, p: int, m: int, round_number: int) -> None:
    """Try one leg: the fund at once if the pool is far gone, else the book, else the fund."""
    i = venue.pools[p].owner
    row = new_row(venue, p, m, round_number)
    if row.stage == Stage.BACKSTOP and venue.rules.fund_takeover and take_over(venue, row):
        keep(venue, row)
        venue.seen["backstop takeover"] += 1
        return
    row.order_size = closing.order_size(venue, i, m)
    send_to_book(venue, row)
    if row.book_size > 0:
        if row.order_size < abs(row.size_before):
            venue.positions[i][m].chunk_step = venue.step
        keep(venue, row)
        venue.seen["book liquidation"] += 1
    elif margin.equity(venue, p) < 0:
        keep(venue, row)
        if venue.rules.fund_takeover and take_over(venue, row):
            venue.seen["bankruptcy takeover"] += 1
        else:
            venue.shortfalls.append(len(venue.liquidations) - 1)
    else:
        venue.seen["idle attempt"] += 1


def new_row(venue: Venue, p: int, m: int, round_number: int) -> Liquidation:
    """What is known of a leg when it is seized."""
    i = venue.pools[p].owner
    market = venue.markets[m]
    size = venue.positions[i][m].size
    equity, maintenance = margin.equity(venue, p), margin.maintenance(venue, p)
    backstop = equity * ONE < maintenance * venue.rules.backstop_ratio
    far_gone = venue.rules.backstop_ratio > 0 and backstop
    return Liquidation(
        step=venue.step,
        round=round_number,
        account=i,
        pool=p,
        market=m,
        stage=int(Stage.BACKSTOP if far_gone else Stage.MARKET),
        equity=equity,
        maintenance=maintenance,
        index_ticks=market.index_ticks,
        mark_ticks=market.mark_ticks,
        limit_ticks=closing.limit_price(venue, i, m),
        bankruptcy_price=closing.bankruptcy_price(venue, i, m),
        size_before=size,
        size_after=size,
    )


def keep(venue: Venue, row: Liquidation) -> None:
    """Write an attempt down; one that closed nothing and leaves nothing open is forgotten."""
    venue.liquidations.append(row)
    venue.markets[row.market].num_liquidations += 1


def fund_room(venue: Venue) -> int:
    """What the insurance fund has beyond the initial margin of what it holds, perhaps negative."""
    return margin.equity(venue, venue.fund) - margin.initial(venue, venue.fund)


def fund_gain(venue: Venue, i: int, m: int, change: int, price: int) -> int:
    """What a fill gives the fund: its excess over bankruptcy, up to the fee; or what it lacks."""
    cash = -change * price * venue.markets[m].tick_atoms
    excess = cash - closing.bankruptcy_cash(venue, i, m, change)
    return min(excess, max(part(abs(cash), venue.rules.liquidation_fee), 0))


def is_covered(venue: Venue, row: Liquidation, gain: int) -> bool:
    """Whether the fund can bear a fill, and still may for this account in this step."""
    account = venue.accounts[row.account]
    used = account.fund_loss_atoms if account.liquidated_step == venue.step else 0
    left = max(venue.rules.max_account_loss_atoms - used, 0)
    return gain >= 0 or (fund_room(venue) + gain >= 0 and -gain <= left)


def send_to_book(venue: Venue, row: Liquidation) -> None:
    """Trade a leg's order, settling each fill with the fund; one it cannot cover ends it."""
    i, m = row.account, row.market
    market = venue.markets[m]
    side = -1 if row.size_before > 0 else 1
    left = row.order_size
    mid, last = middle(market), fresh_last(market)
    while left > 0:
        order = next_maker(venue, i, m, side, row.limit_ticks)
        if order is None:
            break
        change = side * min(left, lots_left(venue, m, order))
        gain = fund_gain(venue, i, m, change, order.price)
        if not is_covered(venue, row, gain):
            venue.seen["uncovered fill"] += 1
            break
        if trade_with(venue, i, m, order, abs(change), 0):
            settle_fill(venue, row, change, order.price, gain)
            left -= abs(change)
    if row.book_size > 0:
        moved = middle(market) - mid, market.last_ticks - last
        venue.journal.append(Moved(len(venue.liquidations), m, *moved))


def settle_fill(venue: Venue, row: Liquidation, change: int, price: int, gain: int) -> None:
    """Move the fee, or the fund's payment, and count the fill toward the account's limits."""
    if gain >= 0:
        ledger.pay(venue, row.pool, venue.fund, Cause.LIQUIDATION_FEE, gain)
        row.fee += gain
    else:
        ledger.pay(venue, venue.fund, row.pool, Cause.TAKEOVER, -gain)
        row.fund_paid += -gain
        venue.seen["fund paid for a fill"] += 1
    venue.journal.append(Charged(row.account, row.market, gain))
    account = venue.accounts[row.account]
    if account.liquidated_step != venue.step:
        account.liquidated_step = venue.step
        account.liquidated_atoms = account.fund_loss_atoms = 0
    account.liquidated_atoms += abs(venue.value(row.market, change))
    account.fund_loss_atoms += max(-gain, 0)
    row.book_size += abs(change)
    row.book_cash += -change * price * venue.markets[row.market].tick_atoms
    note_closed(venue, row, change)


def note_closed(venue: Venue, row: Liquidation, change: int) -> None:
    """Count lots as liquidated."""
    row.size_after += change
    venue.markets[row.market].liquidated_atoms += abs(venue.value(row.market, change))


def take_over(venue: Venue, row: Liquidation) -> bool:
    """Let the fund take the whole leg at its bankruptcy price, if it can pay and carry it."""
    i, m, fund = row.account, row.market, venue.fund
    size = venue.positions[i][m].size
    held = venue.positions[fund][m].size
    cash = closing.bankruptcy_cash(venue, i, m, -size)
    equity_after, initial_after, _ = margin.after_change(venue, fund, m, size, -cash)
    if equity_after < initial_after:
        return False
    if abs(held + size) > venue.markets[m].max_position_lots:
        return False
    ledger.hand_over(venue, i, fund, m, cash, Cause.TAKEOVER)
    row.takeover_size = abs(size)
    row.takeover_cost = cash - venue.value(m, size)
    venue.markets[m].volume += abs(size)
    note_closed(venue, row, -size)
    return True


def seize_holdings(venue: Venue, i: int, needed: int) -> None:
    """Sell what counts as collateral, stablecoins first, until the main pool has what it needs."""
    rules, account = venue.rules, venue.accounts[i]
    if rules.stable_haircut < ONE and account.stable > 0 and venue.stable_price > 0:
        atoms = min(needed * ONE // venue.stable_price + 1, account.stable)
        needed += ledger.buy_stable(venue, i, -atoms)
        venue.seen["stablecoins seized"] += 1
    if rules.spot_haircut == ONE:
        return
    for m, market in enumerate(venue.markets):
        coins = venue.positions[i][m].spot
        if needed > 0 and coins > 0:
            price = max(market.index_ticks - part(market.index_ticks, rules.spot_haircut), 1)
            lots = min(needed // (price * market.tick_atoms) + 1, coins)
            ledger.buy_coins(venue, i, m, -lots, price)
            needed -= lots * price * market.tick_atoms
            venue.seen["coins seized"] += 1


def settle_deficit(venue: Venue, p: int) -> int:
    """Clear the negative cash of a flat pool; return what neither account nor fund could pay."""
    pool = venue.pools[p]
    i = pool.owner
    if pool.cash >= 0 or not venue.is_flat(p):
        return 0
    if p == i:
        seize_holdings(venue, i, -pool.cash)
    else:
        margin.draw_loss(venue, p)
    if pool.cash < 0:
        paid = min(-pool.cash, max(fund_room(venue), 0))
        ledger.pay(venue, venue.fund, p, Cause.TAKEOVER, paid)
        venue.seen["fund paid a deficit"] += paid > 0
    return max(-pool.cash, 0)


def socialise(venue: Venue, p: int, markets: Iterable[int], loss: int) -> bool:
    """Let the holders of some markets but the fund bear a loss; tell whether there are any.

    By size within one market, over several by value in units of 2 ** 20 atoms, both rounded up.
    Where nobody holds any, those of all markets bear it, and then the venue.
    """
    legs = [(i, m) for i in range(venue.fund) for m in markets if venue.positions[i][m].size != 0]
    if not legs:
        everywhere = range(len(venue.markets))
        if len(list(markets)) < len(everywhere):
            return socialise(venue, p, everywhere, loss)
        ledger.post(venue, p, Cause.SOCIALISED, loss)
        venue.fees -= loss
        venue.venue_loss_atoms += loss
        venue.seen["loss left to the venue"] += 1
        return False
    weights = [abs(venue.positions[i][m].size) for i, m in legs]
    if len(list(markets)) > 1:
        values = [abs(venue.value(m, venue.positions[i][m].size)) for i, m in legs]
        weights = [away_from_zero(value, 2**20) for value in values]
        venue.seen["loss shared by all markets"] += 1
    shares = [away_from_zero(loss * weight, sum(weights)) for weight in weights]
    for (i, m), share in zip(legs, shares, strict=True):
        ledger.post(venue, venue.positions[i][m].pool, Cause.SOCIALISED, -share)
    ledger.post(venue, p, Cause.SOCIALISED, loss)
    ledger.post(venue, venue.fund, Cause.SOCIALISED, sum(shares) - loss)
    venue.socialised_atoms += loss
    venue.seen["socialised loss"] += 1
    return True


def unwind_fund(venue: Venue) -> None:
    """Let the fund trade a share of what it took over back into the book."""
    rules = venue.rules
    bound = rules.market_bound / ONE
    for m, market in enumerate(venue.markets):
        held = venue.positions[venue.fund][m].size
        if held != 0 and rules.fund_unwind > 0:
            side = -1 if held > 0 else 1
            lots = min(max(part(abs(held), rules.fund_unwind), 1), abs(held))
            worst = market.mark_ticks * (1.0 + side * bound)
            limit = max(math.floor(worst) if side > 0 else math.ceil(worst), 1)
            left = take(venue, venue.fund, m, side, lots, limit)
            venue.seen["fund unwinding"] += left < lots

"""Everything that moves money in the reference venue."""

from marketsim.engine.state import ONE, Cause
from tests.reference.arithmetic import toward_zero
from tests.reference.journal import Charged, Traded
from tests.reference.venue import Venue


def post(venue: Venue, p: int, cause: Cause, amount: int) -> None:
    """Credit a pool and note why, under the account that owns it."""
    venue.pools[p].cash += amount
    venue.flow[venue.pools[p].owner, cause] += amount


def pay(venue: Venue, payer: int, payee: int, cause: Cause, amount: int) -> None:
    """Move money from one account's pool to another account's."""
    post(venue, payer, cause, -amount)
    post(venue, payee, cause, amount)


def move_cash(venue: Venue, source: int, target: int, amount: int) -> None:
    """Move money between two pools of one account: nobody gains."""
    venue.pools[source].cash -= amount
    venue.pools[target].cash += amount


def charge_fee(venue: Venue, i: int, m: int, amount: int) -> None:
    """Charge a trading fee; a negative one is a rebate."""
    post(venue, venue.positions[i][m].pool, Cause.FEE, -amount)
    venue.fees += amount
    venue.journal.append(Charged(i, m, amount))


def change_position(venue: Venue, i: int, m: int, change: int, cost: int) -> None:
    """Change a size; the entry cost grows with it and shrinks in proportion to what is left."""
    position = venue.positions[i][m]
    before, after = position.size, position.size + change
    grows = before * change >= 0
    turns = before * after < 0
    if grows:
        position.entry_cost += cost
    elif turns:
        position.entry_cost = toward_zero(cost * abs(after), abs(change))
    else:
        closed = toward_zero(position.entry_cost * abs(change), abs(before))
        position.entry_cost -= closed
    position.size = after


def book_trade(venue: Venue, i: int, m: int, change: int, price: int, mid2: int) -> None:
    """Book one side of a trade: what it paid beyond the mid it was decided at is slippage."""
    unit = venue.markets[m].tick_atoms
    p = venue.positions[i][m].pool
    cost = change * price * unit
    slippage = toward_zero(change * (2 * price - mid2) * unit, 2)
    post(venue, p, Cause.SLIPPAGE, -slippage)
    post(venue, p, Cause.PRICE, slippage - cost)
    change_position(venue, i, m, change, cost)
    venue.journal.append(Traded(i, m, change, cost - venue.value(m, change)))


def hand_over(venue: Venue, giver: int, taker: int, m: int, cash: int, cause: Cause) -> int:
    """Hand a whole position over to another account; the giver receives `cash`."""
    size = venue.positions[giver][m].size
    trade_off_book(venue, giver, taker, m, -size, cash, cause)
    return size


def trade_off_book(
    venue: Venue, i: int, j: int, m: int, change: int, cash: int, cause: Cause
) -> None:
    """Let account i change its size against j for cash; the departure from the mark has a cause."""
    for account, lots, received in ((i, change, cash), (j, -change, -cash)):
        p = venue.positions[account][m].pool
        marked = venue.value(m, lots)
        post(venue, p, Cause.PRICE, -marked)
        post(venue, p, cause, received + marked)
        change_position(venue, account, m, lots, -received)
        venue.journal.append(Traded(account, m, lots, -(received + marked)))


def buy_coins(venue: Venue, i: int, m: int, lots: int, price: int) -> None:
    """Buy (negative: sell) coins outside with cash of the main pool."""
    cost = lots * price * venue.markets[m].tick_atoms
    post(venue, i, Cause.SPOT, -cost)
    venue.outside_cash += cost
    venue.positions[i][m].spot += lots


def buy_stable(venue: Venue, i: int, atoms: int) -> int:
    """Buy (negative: sell) stablecoins outside with cash of the main pool; return the cost."""
    cost = toward_zero(atoms * venue.stable_price, ONE)
    post(venue, i, Cause.SPOT, -cost)
    venue.outside_cash += cost
    venue.accounts[i].stable += atoms
    return cost


def return_free_cash(venue: Venue, p: int) -> None:
    """Return what is left in a flat side pool to the main pool."""
    pool = venue.pools[p]
    if p != pool.owner and venue.is_flat(p) and pool.cash >= 0:
        move_cash(venue, p, pool.owner, pool.cash)
        pool.drawn = 0


def open_interest(venue: Venue, m: int) -> int:
    """Lots held long, which is also lots held short."""
    return sum(max(row[m].size, 0) for row in venue.positions)


def missing(venue: Venue) -> int:
    """Cash and fees and outside money less what was paid in: the same number in every step."""
    return sum(pool.cash for pool in venue.pools) + venue.fees + venue.outside_cash

"""What pools are worth, what they must hold, who may trade: recomputed from scratch every time."""

from marketsim.engine.state import ONE
from tests.reference import ledger
from tests.reference.arithmetic import away_from_zero, ratio, requirement, toward_zero
from tests.reference.journal import Passed
from tests.reference.venue import Tier, Venue


def tier_of(venue: Venue, m: int, notional: int) -> int:
    """The number of the last tier whose floor a notional reaches; the first has none."""
    reached = [
        number
        for number, tier in enumerate(venue.markets[m].tiers)
        if number == 0 or notional >= tier.floor_atoms
    ]
    return reached[-1]


def _tier(venue: Venue, m: int, notional: int) -> Tier:
    return venue.markets[m].tiers[tier_of(venue, m, notional)]


def maintenance_of(venue: Venue, m: int, size: int) -> int:
    """Maintenance margin of a size at the mark."""
    if size == 0:
        return 0
    notional = abs(venue.value(m, size))
    tier = _tier(venue, m, notional)
    return max(requirement(notional, tier.maintenance_fraction) - tier.maintenance_amount, 0)


def initial_of(venue: Venue, i: int, m: int, size: int) -> int:
    """Initial margin of a size at the mark: open interest scales it, own leverage may raise it."""
    if size == 0:
        return 0
    notional = abs(venue.value(m, size))
    fraction = _tier(venue, m, notional).initial_fraction
    if fraction < ONE:
        fraction += requirement(ONE - fraction, venue.markets[m].oi_ratio)
    return requirement(notional, max(fraction, venue.positions[i][m].own_fraction))


def update_open_interest_ratios(venue: Venue) -> None:
    """How far each market's open interest has come from its lower to its upper cap."""
    for m, market in enumerate(venue.markets):
        held = venue.value(m, ledger.open_interest(venue, m))
        lower, upper = market.oi_lower_atoms, market.oi_upper_atoms
        if upper <= 0 or held <= lower:
            market.oi_ratio = 0
        elif held >= upper:
            market.oi_ratio = ONE
        else:
            market.oi_ratio = away_from_zero((held - lower) * ONE, upper - lower)


def collateral(venue: Venue, i: int) -> int:
    """Coins and stablecoins as collateral; what the venue takes off is rounded up."""
    stable = toward_zero(venue.accounts[i].stable * venue.stable_price, ONE)
    value = stable - requirement(stable, venue.rules.stable_haircut)
    if venue.rules.spot_haircut < ONE:
        for position, market in zip(venue.positions[i], venue.markets, strict=True):
            coins = position.spot * market.index_ticks * market.tick_atoms
            value += coins - requirement(coins, venue.rules.spot_haircut)
    return value


def equity(venue: Venue, p: int) -> int:
    """Cash, positions at the mark and, in the main pool, the haircut holdings."""
    i = venue.pools[p].owner
    total = venue.pools[p].cash
    for m in venue.legs(p):
        total += venue.value(m, venue.positions[i][m].size)
    return total + collateral(venue, i) if p == i else total


def maintenance(venue: Venue, p: int) -> int:
    """Maintenance margin of all positions of a pool."""
    row = venue.positions[venue.pools[p].owner]
    return sum(maintenance_of(venue, m, row[m].size) for m in venue.legs(p))


def initial(venue: Venue, p: int) -> int:
    """Initial margin of all positions of a pool."""
    i = venue.pools[p].owner
    return sum(initial_of(venue, i, m, venue.positions[i][m].size) for m in venue.legs(p))


def free(venue: Venue, p: int) -> int:
    """What a pool has beyond its initial margin."""
    return max(equity(venue, p) - initial(venue, p), 0)


def spare(venue: Venue, p: int) -> int:
    """What a pool has beyond its maintenance margin, negative if it is short of it."""
    return equity(venue, p) - maintenance(venue, p)


def is_short(venue: Venue, p: int) -> bool:
    """Whether a pool may be liquidated, or is flat and owes more than it has."""
    return spare(venue, p) < 0


def after_change(venue: Venue, i: int, m: int, change: int, cash: int) -> tuple[int, int, int]:
    """Equity, initial and maintenance margin of a pool as a change for `cash` would leave it."""
    p = venue.positions[i][m].pool
    before = venue.positions[i][m].size
    after = before + change
    equity_after = equity(venue, p) + cash + venue.value(m, change)
    initial_after = initial(venue, p)
    initial_after += initial_of(venue, i, m, after) - initial_of(venue, i, m, before)
    maintenance_after = maintenance(venue, p)
    maintenance_after += maintenance_of(venue, m, after) - maintenance_of(venue, m, before)
    return equity_after, initial_after, maintenance_after


def may_change(venue: Venue, i: int, m: int, change: int, cash: int) -> bool:
    """Whether initial margin is met afterwards, or else risk is not worse."""
    p = venue.positions[i][m].pool
    e0, m0 = equity(venue, p), maintenance(venue, p)
    e1, i1, m1 = after_change(venue, i, m, change, cash)
    if e1 >= i1:
        return True
    if m1 > m0:
        return False
    if m0 == 0:
        return e1 > e0
    return e1 * m0 >= e0 * m1


def may_trade(venue: Venue, i: int, m: int, change: int, price: int, fee: int) -> bool:
    """Whether a trade is accepted; the main pool may give a side pool what it has free."""
    cash = -change * price * venue.markets[m].tick_atoms - fee
    if may_change(venue, i, m, change, cash):
        return True
    position = venue.positions[i][m]
    if position.pool == i or not extends(position.size, change):
        return False
    e1, i1, _ = after_change(venue, i, m, change, cash)
    return i1 - e1 <= free(venue, i)


def extends(size: int, change: int) -> bool:
    """Whether a change makes a position larger or turns it round."""
    return abs(size + change) > abs(size) or size * (size + change) < 0


def top_up(venue: Venue, p: int) -> None:
    """Bring a side pool up to its initial margin with what the main pool has free."""
    i = venue.pools[p].owner
    short = initial(venue, p) - equity(venue, p)
    if p != i and short > 0:
        ledger.move_cash(venue, i, p, min(short, free(venue, i)))


def draw(venue: Venue) -> None:
    """Let each short side pool draw from its main pool, if that is allowed and makes it safe."""
    for p, pool in enumerate(venue.pools):
        if pool.draw_limit > 0 and is_short(venue, p):
            short = -spare(venue, p)
            allowed = pool.draw_limit - pool.drawn
            if short <= allowed and short <= spare(venue, pool.owner):
                ledger.move_cash(venue, pool.owner, p, short)
                pool.drawn += short
                venue.seen["draw"] += 1


def note_pass(venue: Venue) -> None:
    """Note how a margin pass finds every pool."""
    pools = [(equity(venue, p), maintenance(venue, p)) for p in range(len(venue.pools))]
    venue.journal.append(Passed(pools, len(venue.liquidations)))


def draw_loss(venue: Venue, p: int) -> None:
    """Let a side pool of negative equity draw the loss from its main pool, as far as it may."""
    pool = venue.pools[p]
    if p != pool.owner:
        allowed = pool.draw_limit - pool.drawn
        drawn = max(min(-equity(venue, p), allowed, spare(venue, pool.owner)), 0)
        ledger.move_cash(venue, pool.owner, p, drawn)
        pool.drawn += drawn
        venue.seen["loss drawn"] += drawn > 0


def short_pools(venue: Venue) -> list[int]:
    """The pools to liquidate, riskiest first; the insurance fund is never among them."""
    short = [p for p in range(len(venue.pools)) if p != venue.fund and is_short(venue, p)]

    def place(p: int) -> tuple[float, int, int]:
        risk = ratio(equity(venue, p), max(maintenance(venue, p), 1))
        return risk, venue.accounts[venue.pools[p].owner].priority, p

    return sorted(short, key=place)

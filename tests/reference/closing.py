"""How a leg of a seized pool is closed: how much of it, at which limit, at what bankruptcy cash."""

import math

from marketsim.engine.state import MAX_PRICE_TICKS, ONE, LimitRule, SizeRule
from tests.reference import margin
from tests.reference.arithmetic import away_from_zero, part, ratio, toward_zero
from tests.reference.venue import Venue


def bankruptcy_cash(venue: Venue, i: int, m: int, change: int) -> int:
    """What closing must bring so that the leg uses up its share of the pool's equity.

    The share goes by maintenance margin; the cash is rounded up, in the pool's favour.
    """
    position = venue.positions[i][m]
    marked = -venue.value(m, change)
    total = margin.maintenance(venue, position.pool)
    if change == 0 or total <= 0:
        return marked
    before = margin.maintenance_of(venue, m, position.size)
    after = margin.maintenance_of(venue, m, position.size + change)
    borne = margin.equity(venue, position.pool) * abs(before - after)
    return marked - (toward_zero(borne, total) if borne >= 0 else away_from_zero(borne, total))


def bankruptcy_price(venue: Venue, i: int, m: int) -> float:
    """The price of closing the whole leg for its bankruptcy cash, ticks."""
    size = venue.positions[i][m].size
    unit = venue.markets[m].tick_atoms
    return ratio(bankruptcy_cash(venue, i, m, -size), size * unit)


def limit_price(venue: Venue, i: int, m: int) -> int:
    """The worst price the leg's liquidation order accepts, by the venue's rule."""
    rules = venue.rules
    position = venue.positions[i][m]
    side = 1 if position.size > 0 else -1
    mark = float(venue.markets[m].mark_ticks)
    if rules.limit_rule == LimitRule.MARKET:
        price = mark * (1.0 - side * (rules.market_bound / ONE))
    elif rules.limit_rule == LimitRule.BANKRUPTCY:
        price = bankruptcy_price(venue, i, m)
    else:
        equity = margin.equity(venue, position.pool)
        total = margin.maintenance(venue, position.pool)
        own = margin.maintenance_of(venue, m, position.size)
        fraction = ratio(own, abs(venue.value(m, position.size)))
        depth = rules.bankruptcy_adjustment / ONE * (float(total) - float(equity)) / float(total)
        depth = min(max(depth, 0.0), 1.0)
        price = mark * (1.0 - side * depth * (rules.spread_ratio / ONE) * fraction)
    # a limit a billionth of a tick off a whole one is that whole one
    whole = math.ceil(price - 1e-9) if side > 0 else math.floor(price + 1e-9)
    return min(max(whole, 1), MAX_PRICE_TICKS)


def wanted_lots(venue: Venue, i: int, m: int) -> tuple[int, int, int]:
    """What the size rule asks for: lots, the share of them sent now, and the least notional."""
    rules = venue.rules
    position = venue.positions[i][m]
    lots = abs(position.size)
    lot_value = venue.value(m, 1)
    if rules.size_rule == SizeRule.PORTION:
        return lots, rules.portion, rules.min_notional_atoms
    if rules.size_rule == SizeRule.JUST_ENOUGH:
        short = float(-margin.spare(venue, position.pool))
        own = margin.maintenance_of(venue, m, position.size)
        freed = float(lot_value) * ratio(own, lots * lot_value)
        freed -= float(lot_value) * (rules.liquidation_fee / ONE)
        if freed > 0.0 and 0.0 < short / freed < lots:
            return math.ceil(short / freed), ONE, 0
    elif rules.size_rule == SizeRule.TIER:
        tier = margin.tier_of(venue, m, lots * lot_value)
        if tier > 0:
            below = venue.markets[m].tiers[tier].floor_atoms - 1
            return lots - below // lot_value, ONE, 0
    elif rules.size_rule == SizeRule.CHUNK:
        cooling = venue.step - position.chunk_step <= rules.chunk_cooldown
        if lots * lot_value > rules.chunk_threshold_atoms and not cooling and rules.portion < ONE:
            return lots, rules.portion, 0
    return lots, ONE, 0


def order_size(venue: Venue, i: int, m: int) -> int:
    """Lots of the leg's liquidation order, within what the account may still lose this step."""
    account = venue.accounts[i]
    used = account.liquidated_atoms if account.liquidated_step == venue.step else 0
    limit = max(venue.rules.max_account_notional_atoms - used, 0)
    lots, portion, least = wanted_lots(venue, i, m)
    if limit == 0:
        venue.seen["account limit"] += 1
        return 0
    notional = lots * venue.value(m, 1)
    least = min(least, notional)
    most = min(max(least, part(notional, portion)), limit)
    if notional <= most:
        return lots
    return max(toward_zero(lots * most, notional), 1)


def next_leg(venue: Venue, p: int, tried: set[int]) -> int | None:
    """The open leg to try next: limit furthest from the mark, then largest notional."""
    i = venue.pools[p].owner
    legs = [m for m in venue.legs(p) if venue.positions[i][m].size != 0 and m not in tried]
    legs = [m for m in legs if venue.markets[m].liquidates]

    def place(m: int) -> tuple[float, int, int]:
        limit = ratio(limit_price(venue, i, m), venue.markets[m].mark_ticks)
        return -abs(limit - 1.0), -abs(venue.value(m, venue.positions[i][m].size)), m

    return min(legs, key=place, default=None)

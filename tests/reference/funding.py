"""Mark prices, premium samples, funding rates and payments."""

import math

from marketsim.engine.state import MAX_PRICE_TICKS, AverageRule, Cause, MarkRule, SettlementPrice
from tests.reference import ledger
from tests.reference.journal import Funded, Mark, Marked
from tests.reference.venue import Market, Venue


def snapshot_mids(venue: Venue) -> None:
    """Note each mid before the step's orders; a one-sided book has none, the mark stands in."""
    for market in venue.markets:
        two_sided = market.bids and market.asks
        market.mid2 = market.best_bid + market.best_ask if two_sided else 2 * market.mark_ticks


def update_basis(venue: Venue) -> None:
    """Move the averages of mid - index; a one-sided book leaves its average alone."""
    for market in venue.markets:
        if market.bids and market.asks:
            mid = 0.5 * (market.best_bid + market.best_ask) * market.tick_size
            market.basis += venue.rules.basis_weight * (mid - market.index_price - market.basis)


def nearest_tick(market: Market, price: float) -> int:
    """The price a number of USD rounds to, within the book's range."""
    ticks = math.floor(price / market.tick_size + 0.5)
    return min(max(ticks, 1), MAX_PRICE_TICKS)


def update_marks(venue: Venue) -> None:
    """Set the mark prices by the venue's rule."""
    rules = venue.rules
    gone = (venue.step + rules.funding_phase) % rules.funding_interval
    time_left = (rules.funding_interval - gone) / rules.funding_interval
    marks = []
    for market in venue.markets:
        last = market.last_ticks or market.index_ticks
        based = nearest_tick(market, market.index_price + market.basis)
        if rules.mark_rule == MarkRule.INDEX:
            market.mark_ticks = market.index_ticks
        elif rules.mark_rule == MarkRule.LAST:
            market.mark_ticks = last
        elif rules.mark_rule == MarkRule.INDEX_PLUS_BASIS:
            market.mark_ticks = based
        else:
            carry = market.funding_rate * (time_left * rules.funding_share)
            carried = nearest_tick(market, market.index_price * (1.0 + carry))
            market.mark_ticks = sorted([carried, based, last])[1]
        index = market.index_price / market.tick_size
        marks.append(Mark(market.mark_ticks, index, last, with_basis=based))
    venue.journal.append(Marked(marks))


def impact_price(market: Market, side: int) -> float:
    """Average price, ticks, of trading the impact notional against a side; 0 if it is too thin."""
    prices = market.prices(side)
    if market.impact_atoms == 0 or not prices:
        return float(prices[0]) if prices else 0.0
    left = market.impact_atoms
    lots = 0.0
    for price in prices:
        volume = sum(order.size for order in market.queues(side)[price])
        lot_value = price * market.tick_atoms
        if volume * lot_value >= left:
            lots += float(left) / float(lot_value)
            return float(market.impact_atoms) / (lots * market.tick_atoms)
        left -= volume * lot_value
        lots += volume
    return 0.0


def sample_premiums(venue: Venue) -> None:
    """Note how far each book stands from its index."""
    cap = venue.rules.premium_cap
    for market in venue.markets:
        bid = impact_price(market, 1) * market.tick_size
        ask = impact_price(market, -1) * market.tick_size
        index = market.index_price
        if bid > index:
            premium = (bid - index) / index
        elif 0.0 < ask < index:
            premium = (ask - index) / index
        else:
            premium = 0.0
        market.premium = min(max(premium, -cap), cap)
        market.samples.append(market.premium)


def weighted_sum(venue: Venue, market: Market) -> tuple[float, float]:
    """The interval's samples times their weights, and the weights, oldest first."""
    total = weights = 0.0
    for number, sample in enumerate(market.samples, start=1):
        weight = 1.0 if venue.rules.average_rule == AverageRule.PLAIN else float(number)
        total += weight * sample
        weights += weight
    return total, weights


def funding_rate(venue: Venue, market: Market) -> float:
    """The rate per 8 h of the samples so far; missing ones count as zero."""
    if market.stated_rate is not None:
        return market.stated_rate
    rules = venue.rules
    total, weights = weighted_sum(venue, market)
    begun = (venue.funding_since + rules.funding_phase) % rules.funding_interval
    needed = min(rules.min_samples, rules.funding_interval - begun)
    least = float(needed if rules.average_rule == AverageRule.PLAIN else sum(range(1, needed + 1)))
    weights = max(weights, least)
    average = total / weights if weights > 0.0 else 0.0

    pull = rules.interest_rate - average
    if rules.dead_band < 0.0:
        rate = average + rules.interest_rate
    elif abs(pull) <= rules.dead_band:
        rate = rules.interest_rate
    else:
        rate = average + (rules.dead_band if pull > 0.0 else -rules.dead_band)
    return min(max(rate, -market.funding_cap), market.funding_cap)


def settle_funding(venue: Venue) -> None:
    """At an interval's end, set each rate and pay it; what rounding leaves is the fund's."""
    rules, end = venue.rules, venue.step + 1
    if (end + rules.funding_phase) % rules.funding_interval != 0:
        return
    intervals = (end - venue.funding_since) / rules.funding_interval
    venue.seen["settlement of part of an interval"] += intervals < 1.0
    venue.seen["settlement of more than an interval"] += intervals > 1.0
    for m, market in enumerate(venue.markets):
        market.funding_rate = funding_rate(venue, market)
        on_index = venue.rules.settlement_price == SettlementPrice.INDEX
        price = market.index_ticks if on_index else market.mark_ticks
        paid = 0
        for i, row in enumerate(venue.positions):
            notional = float(row[m].size * price * market.tick_atoms)
            # Python rounds half to even, as the venue does
            amount = -round(notional * market.funding_rate * (rules.funding_share * intervals))
            ledger.post(venue, row[m].pool, Cause.FUNDING, amount)
            venue.journal.append(Funded(i, m, -amount))
            paid += amount
            venue.seen["funding payment"] += amount != 0
        ledger.post(venue, venue.fund, Cause.ROUNDING, -paid)
        market.samples.clear()
    venue.funding_since = end

"""One step of the reference venue, in the order of its stages."""

import math
from collections.abc import Iterable

from tests.reference import deleveraging, exchange, funding, journal, margin, outside, waterfall
from tests.reference.outside import Outside
from tests.reference.venue import Intent, Venue


def begin(venue: Venue) -> None:
    """Open the journal: losses are counted from here, where the marks are the indices."""
    quotes = journal.quotes_of(venue)
    marks = [
        journal.Mark(market.mark_ticks, quote.index, market.mark_ticks, market.mark_ticks)
        for market, quote in zip(venue.markets, quotes, strict=True)
    ]
    equity = [margin.equity(venue, p) for p in range(len(venue.pools))]
    venue.journal += [journal.Marked(marks), journal.Ended(quotes), journal.Began(equity)]


def open_step(venue: Venue, world: Outside, t: int) -> int:
    """Spot and index move, orders expire; return the market that left the price range, or -1."""
    venue.step = t
    venue.first_liquidation = len(venue.liquidations)
    venue.first_deleverage = len(venue.deleverages)
    for m, market in enumerate(venue.markets):
        market.volume = market.num_fills = 0
        market.liquidated_atoms = market.num_liquidations = 0
        if world.given_rates:
            rate = world.given_rates[t][m]
            market.stated_rate = None if math.isnan(rate) else rate
            venue.seen["given rate"] += market.stated_rate is not None
    lost = max(outside.move_spot(venue, world, t), outside.update_index(venue, world, t))
    times_news = [math.exp(asset.displacement) for asset in world.assets]
    quotes = journal.quotes_of(venue)
    venue.journal.append(journal.Displaced(times_news, quotes, world.factor.reflexivity))
    exchange.expire(venue)
    funding.snapshot_mids(venue)
    return lost


def clear_step(venue: Venue, intents: Iterable[Intent]) -> None:
    """Orders, matching, marks, margin, liquidation, deleveraging, and a premium sample."""
    for intent in intents:
        exchange.clear_intent(venue, intent)
    venue.journal.append(journal.Met(journal.quotes_of(venue)))
    funding.update_basis(venue)
    waterfall.unwind_fund(venue)
    for round_number in range(venue.rules.max_rounds):
        funding.update_marks(venue)
        margin.update_open_interest_ratios(venue)
        margin.draw(venue)
        margin.note_pass(venue)
        before = len(venue.liquidations)
        for p in margin.short_pools(venue):
            waterfall.liquidate(venue, p, round_number)
        deleveraging.deleverage(venue)
        venue.seen["second round"] += round_number > 0 and len(venue.liquidations) > before
        if len(venue.liquidations) == before:
            break
    funding.update_marks(venue)
    venue.journal.append(journal.Ended(journal.quotes_of(venue)))
    funding.sample_premiums(venue)


def settle_step(venue: Venue) -> None:
    """Funding, if an interval ends; then the fund, if it is used up."""
    funding.settle_funding(venue)
    deleveraging.close_fund(venue)

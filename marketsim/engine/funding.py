"""Stage 10: the premium is sampled every step; at interval ends the rate is set and paid.

Where rates are given, those of a real venue say, they stand in for what premia would make.
"""

import math

from marketsim.engine import causes, ledger
from marketsim.engine._jit import kernel
from marketsim.engine.book import impact_price
from marketsim.engine.formulas.rates import (
    cap_rate,
    dead_band_rate,
    funding_payment,
    padded_average,
    premium,
)
from marketsim.engine.state import AverageRule, Cause, SettlementPrice, State, widen
from marketsim.engine.world import World


@kernel
def take_given_rates(world: World, state: State, t: int) -> None:
    """Set the rates that are given for a step; overwrites `is_rate_given` and `given_rate`."""
    if t >= len(world.given_rate):
        return
    for m in range(len(state.market)):
        market = state.market[m]
        market.given_rate = world.given_rate[t, m]
        market.is_rate_given = 0 if math.isnan(market.given_rate) else 1


@kernel
def sample_premium(state: State) -> None:
    """Add one premium sample per market; overwrites `premium`, adds to the interval's sums."""
    venue = state.venue[0]
    for m in range(len(state.market)):
        market = state.market[m]
        bid = impact_price(state, m, 1, market.impact_atoms) * market.tick_size
        ask = impact_price(state, m, -1, market.impact_atoms) * market.tick_size
        market.premium = premium(bid, ask, market.index_price, venue.premium_cap)
        add_sample(state, m, market.premium)


@kernel
def add_sample(state: State, m: int, sample: float) -> None:
    """Add a premium sample to the interval's sums, weighted by the venue's rule."""
    market = state.market[m]
    market.num_samples += 1
    is_plain = state.venue[0].average_rule == AverageRule.PLAIN
    weight = 1.0 if is_plain else float(market.num_samples)
    market.premium_sum += weight * sample
    market.premium_weight += weight


@kernel
def average_premium(state: State, m: int) -> float:
    """Average this interval's samples; missing ones up to the venue's minimum count as zero.

    The minimum of an interval that begins late, as a run starts or intervals change within it, is
    at most the steps it has.
    """
    market = state.market[m]
    venue = state.venue[0]
    gone = (state.totals[0].funding_since + venue.funding_phase) % venue.funding_interval
    least = float(min(venue.min_samples, venue.funding_interval - gone))
    if venue.average_rule == AverageRule.WEIGHTED:
        least = 0.5 * least * (least + 1.0)
    return padded_average(market.premium_sum, market.premium_weight, least)


@kernel
def current_rate(state: State, m: int) -> float:
    """Funding rate per 8 h: given, or by the samples so far; what a venue shows as predicted."""
    if state.market[m].is_rate_given:
        return state.market[m].given_rate
    venue = state.venue[0]
    rate = dead_band_rate(average_premium(state, m), venue.interest_rate, venue.dead_band)
    return cap_rate(rate, state.market[m].funding_cap)


@kernel
def is_due(state: State) -> bool:
    """Tell whether this step ends a funding interval: they are counted on the calendar's clock."""
    venue = state.venue[0]
    return (state.totals[0].step + 1 + venue.funding_phase) % venue.funding_interval == 0


@kernel
def charged_share(state: State) -> float:
    """Share of the quoted rate due for the time since the last settlement, this step included.

    A whole interval's where nothing changed; less in the first one of a run that begins within an
    interval, the hours that passed where the interval was changed.
    """
    venue = state.venue[0]
    elapsed = state.totals[0].step + 1 - state.totals[0].funding_since
    return venue.funding_share * (elapsed / venue.funding_interval)


@kernel
def settle_funding(state: State) -> None:
    """Set every market's rate, pay it between the accounts and begin a new interval.

    Payments are rounded to whole atoms; what rounding leaves goes to the insurance fund.
    """
    venue = state.venue[0]
    share = charged_share(state)
    fund = len(state.account) - 1
    for m in range(len(state.market)):
        market = state.market[m]
        market.funding_rate = current_rate(state, m)
        price = market.mark_ticks
        if venue.settlement_price == SettlementPrice.INDEX:
            price = market.index_ticks
        paid = 0
        for i in range(len(state.account)):
            position = state.position[i, m]
            if position.size != 0:
                notional = position.size * price * market.tick_atoms
                amount = funding_payment(notional, market.funding_rate, share)
                ledger.post(state, widen(position.pool), Cause.FUNDING, amount)
                causes.note_funding(state, i, m, amount)
                paid += amount
        ledger.post(state, fund, Cause.ROUNDING, -paid)
        market.premium_sum = 0.0
        market.premium_weight = 0.0
        market.num_samples = 0
    state.totals[0].funding_since = state.totals[0].step + 1

"""funding.json: premium samples, rates, payments."""

import math
from fractions import Fraction
from typing import Any

from marketsim.engine import book, funding
from marketsim.engine.allocation import allocate
from marketsim.engine.formulas import rates
from marketsim.engine.state import AverageRule, SettlementPrice, State
from tests.conformance.cases import common, numbers, optional, unit, whole
from tests.conformance.formulas import funding as elsewhere

Inputs = dict[str, Any]
Answer = dict[str, Any]


def premium_from_book(inputs: Inputs) -> Answer:
    sides = {1: inputs["bids"], -1: inputs["asks"]}
    levels = [
        (side, Fraction(price), Fraction(size)) for side in sides for price, size in sides[side]
    ]
    notional = optional(inputs, "impact_notional")
    tick = unit(price for _, price, _ in levels)
    lot = unit((size for _, _, size in levels), largest=6)
    atom = min(unit([notional]), tick * lot)
    state = allocate(1, 1, 2, num_orders=max(len(levels), 1), num_nodes=8 * len(levels) + 8)
    market = state.market[0]
    market.tick_size = float(tick)
    market.lot_size = float(lot)
    market.tick_atoms = whole(tick * lot, atom)
    market.impact_atoms = whole(notional, atom)
    market.index_price = float(Fraction(inputs["index_price"]))
    state.venue[0].premium_cap = _cap(inputs, "max_abs_premium")
    for side, price, size in levels:
        book.add_order(state, 0, 0, side, whole(size, lot), whole(price, tick), 0, 0, 0)
    funding.sample_premium(state)
    return {"premium": float(market.premium)}


def _cap(inputs: Inputs, name: str) -> float:
    """A bound that may be missing."""
    return math.inf if inputs.get(name) is None else float(Fraction(inputs[name]))


def sample_median(inputs: Inputs) -> Answer:
    votes = [float(Fraction(vote)) for vote in inputs["votes"]]
    return {"sample": elsewhere.sample_median(votes, int(optional(inputs, "min_votes")))}


def _venue_in_an_interval() -> State:
    """A venue at the beginning of a funding interval that has room for all samples of a case."""
    state = allocate(1, 1, 2)
    state.venue[0].funding_interval = 1_000_000
    return state


def weighted_average_premium(inputs: Inputs) -> Answer:
    state = _venue_in_an_interval()
    state.venue[0].average_rule = AverageRule.WEIGHTED
    for sample in inputs["premium_samples"]:
        funding.add_sample(state, 0, float(Fraction(sample)))
    return {"average_premium": funding.average_premium(state, 0)}


def _market_with_rule(inputs: Inputs) -> State:
    """A market whose funding rule is the case's, before any sample."""
    state = _venue_in_an_interval()
    venue = state.venue[0]
    venue.dead_band = float(optional(inputs, "dead_band", -1))
    venue.interest_rate = float(optional(inputs, "interest_per_period"))
    state.market[0].funding_cap = _cap(inputs, "cap")
    return state


def _share(inputs: Inputs) -> float:
    period = optional(inputs, "period_hours", 8)
    return float(optional(inputs, "interval_hours", int(period)) / period)


def rate_from_samples(inputs: Inputs) -> Answer:
    state = _market_with_rule(inputs)
    state.venue[0].min_samples = int(optional(inputs, "min_samples"))
    for value, repeat in inputs["premium_samples"]:
        for _ in range(int(repeat)):
            funding.add_sample(state, 0, float(Fraction(value)))
    rate = funding.current_rate(state, 0)
    paid = _paid(Fraction(1), [(Fraction(inputs["index_price"]), Fraction(rate))], _share(inputs))
    return {"rate_per_period": rate, "funding_per_unit": -paid}


def rate_dead_band(inputs: Inputs) -> Answer:
    state = _market_with_rule(inputs)
    funding.add_sample(state, 0, float(Fraction(inputs["average_premium"])))
    rate = Fraction(funding.current_rate(state, 0))
    return {"rate_per_interval": -_paid(Fraction(1), [(Fraction(1), rate)], _share(inputs))}


def rate_cap(inputs: Inputs) -> Answer:
    factor, imf, share = numbers(inputs, "clamp_factor", "imf", "maintenance_fraction_of_initial")
    return {"cap": rates.rate_cap(float(factor), float(imf), float(imf * share))}


def rate_cap_mmr(inputs: Inputs) -> Answer:
    factor, mmr = numbers(inputs, "factor", "mmr")
    return {"cap": rates.rate_cap_maintenance(float(factor), float(mmr))}


def interest_component(inputs: Inputs) -> Answer:
    named = numbers(inputs, "quote_rate_per_day", "base_rate_per_day", "intervals_per_day")
    return {
        "interest_per_period": elsewhere.interest_component(*(float(number) for number in named))
    }


def rate_twap_spread(inputs: Inputs) -> Answer:
    named = numbers(inputs, "mark_twap", "oracle_twap", "max_divergence", "periods_per_day")
    return {"funding_per_unit": elsewhere.twap_spread(*(float(number) for number in named))}


def funding_per_unit(inputs: Inputs) -> Answer:
    rate, index = numbers(inputs, "rate_per_period", "index_price")
    return {"funding_per_unit": -_paid(Fraction(1), [(index, rate)], _share(inputs))}


def _paid(size: Fraction, settlements: list[tuple[Fraction, Fraction]], share: float) -> Fraction:
    """Cash a position receives over settlements at (price, rate), by the engine's ledger."""
    lot, tick = common([size]), common(price for price, _ in settlements)
    largest = max(abs(size * price) for price, _ in settlements)
    # As fine as double precision carries through to the atom.
    atom = min(unit([tick * lot]), unit([Fraction(1)]))
    while 0 < largest / atom < 10**15:
        atom /= 10
    while largest / atom > 2**53:
        atom *= 10
    state = allocate(1, 1, 2)
    venue = state.venue[0]
    market = state.market[0]
    venue.funding_interval = 1
    venue.funding_share = share
    venue.dead_band = -1.0
    venue.settlement_price = SettlementPrice.MARK
    market.funding_cap = math.inf
    market.tick_atoms = whole(tick * lot, atom)
    state.position[0, 0].size = whole(size, lot)
    for price, rate in settlements:
        market.mark_ticks = whole(price, tick)
        venue.interest_rate = float(rate)
        funding.settle_funding(state)
        state.totals[0].step += 1
    return int(state.pool[0].cash) * atom


def payment(inputs: Inputs) -> Answer:
    size, price, rate = numbers(inputs, "size", "price", "rate_per_period")
    return {"cash_flow": _paid(size, [(price, rate)], _share(inputs))}


def accumulate(inputs: Inputs) -> Answer:
    settlements = [
        (Fraction(interval["price"]), Fraction(interval["rate"]))
        for interval in inputs["intervals"]
    ]
    return {"cash_flow": _paid(Fraction(inputs["size"]), settlements, 1.0)}


def settlement(inputs: Inputs) -> Answer:
    """A change of the funding index is a payment of that many quote units per contract."""
    size, before, now = numbers(inputs, "size", "funding_index_before", "funding_index_now")
    rate = Fraction(1 if now >= before else -1)
    return {"cash_flow": _paid(size, [(abs(now - before), rate)], 1.0)}


ADAPTERS = {
    "premium_from_book": premium_from_book,
    "sample_median": sample_median,
    "weighted_average_premium": weighted_average_premium,
    "rate_from_samples": rate_from_samples,
    "rate_dead_band": rate_dead_band,
    "rate_cap": rate_cap,
    "rate_cap_mmr": rate_cap_mmr,
    "interest_component": interest_component,
    "rate_twap_spread": rate_twap_spread,
    "funding_per_unit": funding_per_unit,
    "payment": payment,
    "accumulate": accumulate,
    "settlement": settlement,
}

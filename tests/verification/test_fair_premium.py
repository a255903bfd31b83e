"""Card F1: arbitrageurs alone hold the perp at its fair premium, which QuantLib also gives."""

import math
from typing import Any

import numpy as np
import pytest
import QuantLib as ql

from marketsim.agents.basis import fair_premium
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from marketsim.tape.result import RunResult

INTEREST = 1e-4
PERIODS = 1095.0

#: Interest of the quote less that of the coin, a year; published fair premium in basis points.
PUBLISHED = [(0.0, -1.00), (0.03, -0.73), (0.05, -0.54), (0.1095, 0.0), (0.20, 0.83)]

#: Habits of arbitrageurs who look every minute.
POPULATION = {
    "strategy": "basis",
    "count": 10,
    "capital": 1e6,
    "leverage": 5.0,
    "attention": 0.2,
    "buffer": 0.0,
    "stop_loss": "never",
}


def basis_run(
    carry: float,
    *,
    spot: str,
    fee: float,
    days: float = 1,
    crowd: dict[str, Any] | None = None,
    **parameters: float,
) -> RunResult:
    """A day with nobody but arbitrageurs (and a crowd), on a venue that pays premium + interest."""
    arbitrage = {**POPULATION, "parameters": {"carry": carry, "risk": 0.0, **parameters}}
    data: dict[str, Any] = {
        "days": days,
        "markets": {
            "BTC": {
                "price": 50_000.0,
                "tick_size": 0.01,
                "lot_size": 0.001,
                "maker_fee": 0.0,
                "taker_fee": fee,
            }
        },
        # Funding in proportion to the premium, as the formula has it: no dead band.
        "venue": {"preset": "default", "funding": {"dead_band": "none"}},
        "spot": {"kind": spot},
        "populations": {"basis": arbitrage} | ({"crowd": crowd} if crowd else {}),
    }
    simulation = Simulation(parse_scenario(data), 1)
    simulation.run(simulation.num_steps)
    return simulation.result()


def mid_premium(result: RunResult) -> Any:
    """Mid over index, less one, in every step; every step has both sides."""
    series = result.series[:, 0]
    assert (series["best_bid"] > 0).all()
    assert (series["best_ask"] > 0).all()
    mid = 0.5 * (series["best_bid"] + series["best_ask"]) * result.tick_size[0]
    return mid / series["index_price"] - 1.0


def quantlib_premium(quote_rate: float, coin_rate: float) -> float:
    """Fair premium of a linear perpetual that pays 8-hourly on the spot before the period."""
    today = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    curves = [
        ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count))
        for rate in (quote_rate, coin_rate)
    ]
    perpetual = ql.PerpetualFutures(
        ql.PerpetualFutures.Linear,
        ql.PerpetualFutures.FundingWithPreviousSpot,
        ql.Period(8, ql.Hours),
        ql.NullCalendar(),
        count,
    )
    spot = ql.QuoteHandle(ql.SimpleQuote(1.0))
    flat = ql.DiscountingPerpetualFuturesEngine.PiecewiseConstant
    # The weight of a period halves with each: a month of them is all there is in 16 digits.
    engine = ql.DiscountingPerpetualFuturesEngine(
        *curves, spot, [0.0], [1.0], [INTEREST], flat, 0.1
    )
    perpetual.setPricingEngine(engine)
    return float(perpetual.NPV()) - 1.0


@pytest.mark.parametrize(("carry", "published"), PUBLISHED)
def test_fair_premium_is_the_published_one(carry, published):
    premium = fair_premium(1.0, INTEREST, math.exp(carry / PERIODS))
    assert 1e4 * premium == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize(
    ("quote_rate", "coin_rate"),
    [(carry, 0.0) for carry, _ in PUBLISHED] + [(0.08, 0.03), (0.02, 0.06)],
)
def test_fair_premium_is_quantlibs(quote_rate, coin_rate):
    premium = fair_premium(1.0, INTEREST, math.exp((quote_rate - coin_rate) / PERIODS))
    assert premium == pytest.approx(quantlib_premium(quote_rate, coin_rate), abs=1e-8)


@pytest.mark.parametrize("spot", ["constant", "factor"])
@pytest.mark.parametrize(("carry", "published"), PUBLISHED)
def test_arbitrageurs_alone_hold_the_perp_at_its_fair_premium(carry, published, spot):
    band = 1e-5
    result = basis_run(carry, spot=spot, fee=0.0, band=band)
    tick = result.tick_size[0] / result.series["index_price"].min()
    assert abs(mid_premium(result) - 1e-4 * published).max() < 0.005e-4 + tick
    # What the venue measures lies between the fair premium and zero, one cost band off at most.
    gap = abs(result.series["premium"][:, 0] - 1e-4 * published)
    assert gap.max() < 1.5 * band + 0.005e-4 + tick


@pytest.mark.parametrize(("carry", "published"), PUBLISHED)
def test_with_ordinary_costs_the_quotes_stand_around_the_fair_premium(carry, published):
    fee = band = 5e-4
    result = basis_run(carry, spot="factor", fee=fee, band=band)
    assert abs(mid_premium(result) - 1e-4 * published).max() < 0.01e-4
    series = result.series[:, 0]
    ask = series["best_ask"] * result.tick_size[0] / series["index_price"] - 1.0
    assert ask.min() > 1e-4 * published + fee + 0.5 * band - 0.01e-4
    assert ask.max() < 1e-4 * published + fee + 1.5 * band + 0.01e-4


@pytest.mark.parametrize(("carry", "published"), PUBLISHED)
def test_at_the_fair_premium_funding_costs_what_holding_the_coin_costs(carry, published):
    result = basis_run(carry, spot="factor", fee=0.0, band=1e-6)
    assert len(result.funding) == 3
    # The fair premium is what the carry exceeds the interest term by, to first order.
    assert result.funding["rate"] == pytest.approx(carry / PERIODS, abs=2e-6)
    assert np.ptp(result.funding["rate"]) < 1e-6


@pytest.fixture(scope="module", params=[(0.0, -1.00), (0.05, -0.54), (0.20, 0.83)])
def traded_market(request) -> tuple[float, float, RunResult]:
    """Cost of carry, fair premium in basis points, and two days of arbitrage and a little noise."""
    carry, published = request.param
    crowd = {
        "strategy": "noise",
        "count": 60,
        "capital": 1e4,
        "leverage": 3.0,
        "attention": 10.0,
        "buffer": 0.0,
        "stop_loss": "never",
    }
    # A quote taken whole moves its owner's quotes by less than the band is wide: with more, the
    # arbitrageurs would hand each other their inventory to and fro.
    habits = {"band": COST, "lean": COST}
    result = basis_run(carry, spot="constant", fee=0.0, days=2, crowd=crowd, **habits)
    return carry, published, result


#: Cost band of the arbitrageurs among noise traders; they are spread over .5 to 1.5 times it.
COST = 2e-5


def test_traded_perps_settle_at_the_fair_premium_within_the_arbitrageurs_costs(traded_market):
    _, published, result = traded_market
    series = result.series[60:, 0]
    assert (series["volume"] > 0).mean() > 0.5
    assert series["open_interest"].min() > 0
    assert np.ptp(result.series["index_price"]) == 0.0
    gap = mid_premium(result)[60:] - 1e-4 * published
    tick = result.tick_size[0] / 50_000.0
    assert abs(gap.mean()) < 0.5 * COST
    assert np.quantile(abs(gap), 0.95) < 1.5 * COST + tick
    # And it is not nailed there: flow pushes it about within the band.
    assert np.ptp(gap) > 5 * tick


def test_traded_perps_pay_the_cost_of_carry_within_the_arbitrageurs_costs(traded_market):
    carry, _, result = traded_market
    assert len(result.funding) == 6
    assert result.funding["rate"] == pytest.approx(carry / PERIODS, abs=1.5 * COST)
    # Longs pay shorts as money costs, so a carry of nothing costs nothing.
    assert result.funding["paid_atoms"].sum() > 0

"""A published peer, with funding: the mean premium falls as the crowd's bias to be long falls.

Rao (arXiv 2501.09404) measures it with 200 agents, a geometric Brownian spot and no funding, margin
or liquidation. Here are as many traders, a spot without jumps, clusters or regimes, and all of it:
a crowd whose members turn long more often than short, who are repelled by funding, and whose
position arbitrageurs and makers take for a premium. Runs that differ in the bias share their luck.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest

from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from marketsim.tape.result import RunResult
from tests.verification.quiet import RECORD

pytestmark = pytest.mark.slow

#: From strongly long to neutral, as many values as the published curve has.
BIASES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
SEEDS = range(8)
DAYS = 5
#: Minutes in which the crowd enters, left out of the means.
WARM_UP = 1440

#: Return of the index in a year: constant volatility, hence geometric Brownian.
NEWS = {"volatility": 0.35, "clustering": 0.0, "jumps": {"per_day": 0.0}}
SPOT = {"kind": "factor", "factor": {**NEWS, "stress_per_day": 0.0}, "own": NEWS}

PATIENT = {"buffer": 0.0, "stop_loss": "never"}
POPULATIONS: dict[str, dict[str, Any]] = {
    "makers": {"strategy": "maker", "count": 4, "capital": 5e5, "leverage": 1.0},
    "arbitrage": {
        **PATIENT,
        "strategy": "basis",
        "count": 12,
        "capital": 1e6,
        "leverage": 3.0,
        "attention": 1.0,
        # No interest, no cost of carry: the fair premium is zero.
        "parameters": {"carry": 0.0, "lean": 0.05, "band": 0.0005},
    },
    "noise": {**PATIENT, "strategy": "noise", "count": 20, "capital": 5e4, "leverage": 1.0},
    "crowd": {
        **PATIENT,
        "strategy": "herd",
        "count": 164,
        "capital": 2e4,
        "leverage": 2.0,
        "attention": 30.0,
        # Mostly of their own mind, or imitation would drown the bias.
        "parameters": {
            "independence": 400.0,
            "memory_hours": 12.0,
            "trend": 0.0,
            "alignment": 0.0,
            "funding_scale": 0.002,
        },
    },
}


def biased_run(bias: float, seed: int, **habits: Any) -> RunResult:
    """Five days in which the crowd is biased so; `habits` replace the crowd's."""
    crowd = {**POPULATIONS["crowd"], **habits}
    crowd["parameters"] = {**crowd["parameters"], "bias": bias}
    data = {
        "days": DAYS,
        "record": RECORD,
        "markets": {
            "BTC": {
                "price": 100.0,
                "tick_size": 0.01,
                "lot_size": 0.01,
                "maker_fee": 0.0,
                "taker_fee": 0.0,
            }
        },
        # The premium is paid as it is: no interest, no dead band.
        "venue": {"funding": {"interest_rate": 0.0, "dead_band": "none"}},
        "spot": SPOT,
        "populations": {**POPULATIONS, "crowd": crowd},
    }
    simulation = Simulation(parse_scenario(data), seed)
    assert len(simulation.roster.population) == 200
    simulation.run(simulation.num_steps)
    return simulation.result()


class Curve(NamedTuple):
    """(biases, seeds) in basis points, rows as `BIASES`."""

    premium: np.ndarray  #: mean of the venue's samples
    widest: np.ndarray  #: largest distance of mid from the index
    rate: np.ndarray  #: mean funding rate per 8 h


def means(result: RunResult) -> tuple[float, float, float]:
    """Mean premium, widest premium of the mid and mean rate of a run, basis points."""
    series = result.series[WARM_UP:, 0]
    assert (series["best_bid"] > 0).all()
    assert (series["best_ask"] > 0).all()
    mid = 0.5 * (series["best_bid"] + series["best_ask"]) * result.tick_size[0]
    off = np.abs(mid / series["index_price"] - 1.0)
    rate = result.funding["rate"][result.funding["step"] >= WARM_UP]
    assert len(rate) == 3 * (DAYS - 1)
    return 1e4 * series["premium"].mean(), 1e4 * off.max(), 1e4 * rate.mean()


@pytest.fixture(scope="module")
def curve() -> Curve:
    rows = [[means(biased_run(bias, seed)) for seed in SEEDS] for bias in BIASES]
    return Curve(*np.moveaxis(np.array(rows), 2, 0))


def standard_error(values: np.ndarray) -> Any:
    """Of the mean over seeds, the last axis."""
    return values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1])


def test_the_mean_premium_falls_with_every_step_of_the_bias(curve):
    mean = curve.premium.mean(axis=1)
    assert (np.argsort(-mean) == np.arange(len(BIASES))).all()
    step = np.diff(curve.premium, axis=0)
    assert (step.mean(axis=1) < -2.0 * standard_error(step)).all()
    fall = curve.premium[0] - curve.premium[-1]
    assert fall.mean() > 10.0 * standard_error(fall)


def test_a_neutral_crowd_leaves_no_premium(curve):
    neutral = curve.premium[-1]
    assert abs(neutral.mean()) < 4.0 * standard_error(neutral)
    assert abs(neutral.mean()) < 0.2 * curve.premium[0].mean()


def test_the_premium_stays_within_the_published_limits(curve):
    # Three standard deviations of the published premium are about 7 % of the price.
    assert curve.widest.max() < 700.0
    # And it does move, beyond what the quotes of one arbitrageur are apart.
    assert curve.widest.min() > 5.0


def test_the_biased_side_pays_for_it(curve):
    assert (curve.rate[0] > 0.0).all()
    step = curve.rate[0] - curve.rate[-1]
    assert step.mean() > 10.0 * standard_error(step)


def test_funding_takes_part_of_the_premium_away(curve):
    indifferent = [means(biased_run(BIASES[0], seed, funding_sensitivity=0.0))[0] for seed in SEEDS]
    relief = np.array(indifferent) - curve.premium[0]
    assert relief.mean() > 4.0 * standard_error(relief)

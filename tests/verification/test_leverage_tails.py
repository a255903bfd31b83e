"""Card L1: leverage makes fat tails, and it makes them by forced selling.

Thurner, Farmer and Geanakoplos let funds buy below value with as much leverage as they are allowed;
noise moves the price, and whoever is at the limit sells into the fall. Here value is an index that
never moves. Noise traders push the perp about, unlevered arbitrageurs hold it to the index like a
spring, and their quotes are the whole book. The levered funds are two hundred holders who enter
during the first day with all they have times the dial and stay. Margin is marked at the last
trade and liquidation sells at the market, so one fund's forced sale brings the next below
maintenance.

Three things differ from the card. The funds are always in, so there is no mispricing to condition
on: all falls count. (`basis` traders, who do buy below value, did not show the effect at the
capitals tried: the spread they earned multiplied their capital within days, and they steadied the
price.) A fund that is liquidated may come back with what it kept, but no new money enters: runs
are episodes of four days, and many of them. And the venue's maintenance margin of 4 % is the same
at every dial, so a fund is closed about 1 / dial - 4 % below its entry: 16 % at a dial of 5, where
none is closed and the tails are those of dial 1; 4 % at 12.5; 1 % at 20. Between 5 and 12.5 the
tail turns fat all at once; above it stays as fat, as in the card above 10.

References
----------
S. Thurner, J. D. Farmer and J. Geanakoplos, "Leverage causes fat tails and clustered volatility",
Quantitative Finance 12 (2012).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from marketsim.study.returns import hill_exponent
from marketsim.tape.moments import excess_kurtosis
from tests.verification.quiet import RECORD

pytestmark = pytest.mark.slow

DIALS = (1.0, 5.0, 12.5, 20.0)
NUM_SEEDS = 10
#: Minutes of a return, and between two of them: they overlap, the errors are those over seeds.
SPAN, STRIDE = 60, 10
#: Share of the falls that count as the tail.
TAIL = 0.05

HABITS = {"buffer": 0.0, "stop_loss": "never", "funding_sensitivity": 0.0}
POPULATIONS: dict[str, dict[str, Any]] = {
    "spring": {
        **HABITS,
        "strategy": "basis",
        "count": 60,
        "capital": 40_000.0,
        "leverage": 1.0,
        "attention": 0.2,
        "parameters": {"band": 0.0005, "risk": 0.0, "lean": 0.9, "portion": 0.02},
    },
    "noise": {
        **HABITS,
        "strategy": "noise",
        "count": 400,
        "capital": 10_000.0,
        "leverage": 1.0,
        "attention": 200.0,
        "slippage": 0.2,
        "parameters": {"size": 1.0, "passive_share": 0.0},
    },
    "funds": {
        **HABITS,
        "strategy": "holder",
        "count": 200,
        "capital": 400.0,
        "attention": 720.0,
        "slippage": 0.02,
        "parameters": {"long_share": 1.0, "holding_hours": 24.0, "rest_hours": 6.0},
    },
}


class Episodes(NamedTuple):
    """What all seeds of one market left."""

    returns: list[np.ndarray]  #: hourly log returns of the mid, per seed
    liquidations: np.ndarray  #: number, per seed


def episode(leverage: float, mark: str, seed: int) -> tuple[np.ndarray, int]:
    """Hourly returns and the number of liquidations of four days with funds of one leverage."""
    data = {
        "days": 4,
        "record": RECORD,
        "markets": {
            "PERP": {
                "price": 100.0,
                "tick_size": 0.01,
                "lot_size": 0.01,
                "maker_fee": 0.0,
                "taker_fee": 0.0,
                "max_leverage": 25.0,
                "maintenance_margin_fraction": 0.04,
                "funding_cap": 0.0,
            }
        },
        "venue": {
            "mark": {"rule": mark},
            "liquidation": {
                "size_rule": "whole",
                "limit_rule": "market",
                "market_bound": 0.2,
                "liquidation_fee": 0.0,
            },
        },
        "spot": {"kind": "constant"},
        "populations": {**POPULATIONS, "funds": {**POPULATIONS["funds"], "leverage": leverage}},
    }
    simulation = Simulation(parse_scenario(data), seed)
    simulation.run(simulation.num_steps)
    series = simulation.result().series[:, 0]
    assert np.ptp(series["index_price"]) == 0.0
    quoted = (series["best_bid"] > 0) & (series["best_ask"] > 0)
    assert quoted.mean() > 0.9
    # Without buyers there is no mid: such moments are left out, which can only thin the tail.
    mid = np.where(quoted, 0.5 * (series["best_bid"] + series["best_ask"]), math.nan)
    change = np.log(mid[SPAN:] / mid[:-SPAN])[::STRIDE]
    return change[~np.isnan(change)], int(series["num_liquidations"].sum())


def episodes(leverage: float, mark: str = "last") -> Episodes:
    runs = [episode(leverage, mark, seed) for seed in range(NUM_SEEDS)]
    return Episodes([change for change, _ in runs], np.array([number for _, number in runs]))


@pytest.fixture(scope="module")
def markets() -> dict[float, Episodes]:
    return {dial: episodes(dial) for dial in DIALS}


@pytest.fixture(scope="module")
def never_forced() -> Episodes:
    """The highest dial where margin is marked at the index, which does not move."""
    return episodes(DIALS[-1], mark="index")


def hill(returns: np.ndarray) -> float:
    return hill_exponent(-returns, TAIL)


def difference(
    statistic: Callable[[np.ndarray], float], one: Episodes, other: Episodes
) -> tuple[float, float]:
    """Statistic of one market less that of another with the same luck, and its standard error.

    The seeds are pooled; the error is the jackknife's over them.
    """

    def gap(left_out: int | None) -> float:
        pools = [
            np.concatenate([r for k, r in enumerate(market.returns) if k != left_out])
            for market in (one, other)
        ]
        return statistic(pools[0]) - statistic(pools[1])

    without = np.array([gap(k) for k in range(NUM_SEEDS)])
    return gap(None), math.sqrt((NUM_SEEDS - 1) * without.var())


@pytest.mark.parametrize("low", DIALS[:2])
@pytest.mark.parametrize("high", DIALS[2:])
def test_the_hill_exponent_of_falls_declines_with_the_dial(markets, low, high):
    drop, error = difference(hill, markets[low], markets[high])
    assert drop > 3.0 * error


@pytest.mark.parametrize("low", DIALS[:2])
@pytest.mark.parametrize("high", DIALS[2:])
def test_the_excess_kurtosis_grows_with_the_dial(markets, low, high):
    growth, error = difference(excess_kurtosis, markets[high], markets[low])
    assert growth > 3.0 * error


def test_leverage_that_is_never_called_leaves_the_tails_as_they_are(markets):
    assert not markets[1.0].liquidations.any()
    assert markets[5.0].liquidations.mean() < 1.0
    for statistic in (hill, excess_kurtosis):
        change, error = difference(statistic, markets[5.0], markets[1.0])
        assert abs(change) < 4.0 * error
    assert markets[20.0].liquidations.mean() > markets[12.5].liquidations.mean() > 20.0


def test_without_forced_selling_the_same_leverage_has_thin_tails(markets, never_forced):
    assert not never_forced.liquidations.any()
    drop, error = difference(hill, never_forced, markets[20.0])
    assert drop > 3.0 * error
    growth, error = difference(excess_kurtosis, markets[20.0], never_forced)
    assert growth > 3.0 * error
    assert abs(excess_kurtosis(np.concatenate(never_forced.returns))) < 0.5


def test_forced_selling_fattens_the_tail_of_falls_alone(markets):
    returns = np.concatenate(markets[20.0].returns)
    calm = np.concatenate(markets[1.0].returns)
    assert hill(returns) < 0.7 * hill_exponent(returns, TAIL)
    assert hill_exponent(returns, TAIL) > 0.7 * hill_exponent(calm, TAIL)

"""Card B2: the published market-making simulation, with the makers' own price and spread.

M. Avellaneda and S. Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8
(2008), section 3.3: the mid moves by sigma sqrt(dt) up or down; a quote at distance d from it is
filled within a step with probability A exp(-k d) dt.
"""

import math
from typing import NamedTuple

import numpy as np
import pytest

from marketsim.agents.maker import optimal_spread, reservation_price

pytestmark = pytest.mark.slow

MID, HORIZON, SIGMA, STEP, DECAY, INTENSITY = 100.0, 1.0, 2.0, 0.005, 1.5, 140.0
GAMMA = 0.1
NUM_STEPS = round(HORIZON / STEP)
NUM_PATHS = 4000
#: Paths behind the published figures.
PUBLISHED_PATHS = 1000


class Outcome(NamedTuple):
    """What a day of quoting left, path by path."""

    spread: float
    profit: np.ndarray
    inventory: np.ndarray


def simulate(seed: int, *, leans: bool) -> Outcome:
    """Quote around the reservation price, or around the mid with the same spread."""
    rng = np.random.default_rng(seed)
    mid = np.full(NUM_PATHS, MID)
    cash = np.zeros(NUM_PATHS)
    inventory = np.zeros(NUM_PATHS)
    spreads = []
    for n in range(NUM_STEPS):
        variance = SIGMA**2 * (HORIZON - n * STEP)
        spread = optimal_spread(GAMMA, variance, DECAY)
        spreads.append(spread)
        centre = mid
        if leans:
            pairs = zip(mid.tolist(), inventory.tolist(), strict=True)
            centre = np.array([reservation_price(s, q, GAMMA, variance) for s, q in pairs])
        for side in (1.0, -1.0):
            quote = centre - side * 0.5 * spread
            chance = INTENSITY * STEP * np.exp(-DECAY * side * (mid - quote))
            filled = rng.random(NUM_PATHS) < chance
            cash -= side * quote * filled
            inventory += side * filled
        mid = mid + SIGMA * math.sqrt(STEP) * rng.choice([-1.0, 1.0], NUM_PATHS)
    return Outcome(float(np.mean(spreads)), cash + inventory * mid, inventory)


def noise_of_mean(spread: float) -> float:
    """Four standard errors of the gap between two Monte Carlo means, and half a printed digit."""
    return 4.0 * spread * math.sqrt(1.0 / NUM_PATHS + 1.0 / PUBLISHED_PATHS) + 0.005


def noise_of_spread(values: np.ndarray) -> float:
    """The same for two standard deviations, with the sample's own fourth moment."""
    centred = values - values.mean()
    kurtosis = float(np.mean(centred**4) / np.mean(centred**2) ** 2)
    return noise_of_mean(float(values.std()) * math.sqrt((kurtosis - 1.0) / 4.0))


@pytest.fixture(scope="module")
def leaning() -> Outcome:
    return simulate(3, leans=True)


def test_mean_spread_is_the_published_one(leaning):
    assert leaning.spread == pytest.approx(1.49, abs=0.005)


def test_profit_is_the_published_one(leaning):
    profit = leaning.profit
    assert abs(profit.mean() - 64.96) < noise_of_mean(6.51)
    assert abs(profit.std() - 6.51) < noise_of_spread(profit)


def test_inventory_is_the_published_one(leaning):
    inventory = leaning.inventory
    assert abs(inventory.mean()) < 4.0 * inventory.std() / math.sqrt(NUM_PATHS)
    assert abs(inventory.std() - 2.94) < noise_of_spread(inventory)


def test_leaning_against_inventory_is_what_keeps_risk_small(leaning):
    symmetric = simulate(3, leans=False)
    assert symmetric.inventory.std() > 2.0 * leaning.inventory.std()
    assert symmetric.profit.std() > 1.5 * leaning.profit.std()
    assert symmetric.profit.mean() > leaning.profit.mean()

"""Card L7: a lone position in a geometric Brownian market is liquidated as often as a barrier says.

The margin engine itself looks at every position at each monitoring time; only the prices are made
here. Each market follows a path of its own.
"""

import math
from statistics import NormalDist

import numpy as np
import pytest

from marketsim.engine import margin
from marketsim.engine.allocation import allocate
from marketsim.engine.formulas.closing import liquidation_price
from marketsim.engine.state import ONE, State

pytestmark = pytest.mark.slow

YEAR_HOURS = 8760.0
#: Ticks in the opening price, atoms in a tick of one lot.
OPENING = 10**6
TICK_ATOMS = 100

#: Maintenance fraction, volatility, leverage, days, hours between looks, published share.
CASES = [
    (0.005, 0.8, 5.0, 30.0, 1.0, 0.3684),
    (0.005, 0.8, 10.0, 7.0, 1.0, 0.3599),
    (0.005, 0.8, 10.0, 7.0, 8.0, 0.3192),
    (0.01, 0.6, 20.0, 1.0, 1.0, 0.1555),
    (0.03, 1.2, 3.0, 30.0, 1.0, 0.3197),
]
NUM_PATHS = 12_000


def barrier_probability(
    maintenance: float, volatility: float, leverage: float, days: float, hours: float
) -> float:
    """Chance that a long at price 1 falls to its liquidation price, looked at every `hours`."""
    horizon = 24.0 * days / YEAR_HOURS
    price = liquidation_price(1.0 / leverage - 1.0, 1.0, maintenance, 0.0)
    shift = 0.5826 * volatility * math.sqrt(hours / YEAR_HOURS)
    barrier = -math.log(price) + shift
    drift = -0.5 * volatility**2
    spread = volatility * math.sqrt(horizon)
    below = NormalDist().cdf((-barrier - drift * horizon) / spread)
    reflected = NormalDist().cdf((-barrier + drift * horizon) / spread)
    return below + math.exp(-2.0 * drift * barrier / volatility**2) * reflected


def one_long_per_market(num_paths: int, leverage: float, maintenance: float) -> State:
    """One trader, isolated: a pool, a market and a long of one lot for every path."""
    state = allocate(1, num_paths, 2 + num_paths)
    pools = 2 + np.arange(num_paths)
    state.position["pool"][0] = pools
    state.pool["owner"][pools] = 0
    open_longs(state, 0, np.arange(num_paths), pools, leverage, maintenance)
    return state


def one_trader_per_market(num_paths: int, leverage: float, maintenance: float) -> State:
    """As many traders as paths, all on cross margin, each long one lot in a market of its own."""
    state = allocate(num_paths, num_paths, num_paths + 1)
    each = np.arange(num_paths)
    open_longs(state, each, each, each, leverage, maintenance)
    return state


def open_longs(state, account, market, pool, leverage, maintenance) -> None:
    cost = OPENING * TICK_ATOMS
    state.market["tick_atoms"] = TICK_ATOMS
    state.market["mark_ticks"] = state.market["index_ticks"] = OPENING
    state.tier["initial_fraction"] = round(ONE / leverage)
    state.tier["maintenance_fraction"] = round(maintenance * ONE)
    state.position["size"][account, market] = 1
    state.position["entry_cost"][account, market] = cost
    state.pool["cash"][pool] = round(cost / leverage) - cost


def liquidated_share(
    state: State, volatility: float, days: float, hours: float, seed: int
) -> float:
    """Move every market and count the pools the engine would seize; a seized one is emptied."""
    rng = np.random.default_rng(seed)
    step = hours / YEAR_HOURS
    num_paths = len(state.market)
    log_price = np.zeros(num_paths)
    found = 0
    for _ in range(round(24.0 * days / hours)):
        log_price += volatility * math.sqrt(step) * rng.standard_normal(num_paths)
        log_price -= 0.5 * volatility**2 * step
        ticks = np.rint(OPENING * np.exp(log_price)).astype(np.int64)
        state.market["mark_ticks"] = state.market["index_ticks"] = ticks
        count = margin.assess_pools(state)
        seized = margin.riskiest_first(state, count)
        held = np.isin(state.position["pool"], seized) & (state.position["size"] != 0)
        assert held.sum() == len(seized) == count
        state.position["size"][held] = 0
        state.pool["cash"][seized] = 0
        found += count
    return found / num_paths


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[2]:g}x-{case[3]:g}d-{case[4]:g}h")
def test_formula_gives_the_published_probabilities(case):
    *rules, published = case
    assert barrier_probability(*rules) == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[2]:g}x-{case[3]:g}d-{case[4]:g}h")
def test_isolated_longs_are_liquidated_as_often_as_the_barrier_is_hit(case):
    maintenance, volatility, leverage, days, hours, _ = case
    expected = barrier_probability(maintenance, volatility, leverage, days, hours)
    state = one_long_per_market(NUM_PATHS, leverage, maintenance)
    share = liquidated_share(state, volatility, days, hours, seed=7)
    error = math.sqrt(expected * (1.0 - expected) / NUM_PATHS)
    assert abs(share - expected) < max(3.0 * error, 0.015)


def test_cross_margin_of_a_lone_position_is_the_same():
    num_paths = 800
    maintenance, volatility, leverage, days, hours, _ = CASES[3]
    cross = one_trader_per_market(num_paths, leverage, maintenance)
    isolated = one_long_per_market(num_paths, leverage, maintenance)
    shares = [liquidated_share(state, volatility, days, hours, 7) for state in (cross, isolated)]
    assert shares[0] == shares[1]
    expected = barrier_probability(maintenance, volatility, leverage, days, hours)
    error = math.sqrt(expected * (1.0 - expected) / num_paths)
    assert abs(shares[0] - expected) < max(3.0 * error, 0.015)

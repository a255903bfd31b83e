"""Cards H1 and H4: the crowd has the law of Alfarano, Lux and Wagner, and funding can turn it.

The traders wake and decide as they do in a run, at random times of their own; nothing else of a
market takes part. Time is counted in relaxation times of the crowd's mean, 1 / (a1 + a2).
"""

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import betabinom

from marketsim.agents import habits
from marketsim.agents.herd import Herd, critical_field, switch_probability
from marketsim.agents.strategies import decide
from marketsim.engine._jit import kernel
from marketsim.run.simulation import Simulation
from marketsim.streams import newcomer_key
from tests.agents.small import only

pytestmark = pytest.mark.slow

#: Mean steps between two looks of a trader.
ATTENTION = 4.0
#: Probability that a lone dissenter changes its mind at a look; the law must not depend on it.
BOLDEST = 0.5
#: Funding rate that a unanimous crowd causes.
CROWD_RATE = 0.001
#: Relaxation times left out at the start.
WARM_UP = 5


@kernel
def watch_crowd(state: Any, traders: Any, rate: float, start: int, every: int, crowd: Any) -> None:
    """Let the herd live, trader by trader; write how many are long every so many steps.

    Funding stands at `rate` x the balance of the crowd, as if the premium followed it at once.
    """
    num_traders = traders.population[0].stop
    who = np.empty(habits.AT_ONCE, np.int64)
    t = start
    for k in range(len(crowd)):
        for _ in range(every):
            i = 0
            while i < num_traders:
                count, i = habits.wake(state, traders, 0, i, t, 1)
                who[:count] = traders.awake[:count]
                for n in range(count):
                    balance = 2.0 * traders.crowd[0, 0] / num_traders - 1.0
                    state.market[0].funding_rate = rate * balance
                    traders.awake[0] = who[n]
                    decide(state, traders, 0, 1, t, 1)
            t += 1
        crowd[k] = traders.crowd[0, 0]


def herd(num_traders: int, **parameters: Any) -> Simulation:
    """A crowd whose mean relaxes in one hour."""
    # However far off, a position is left alone: nobody trades.
    own = {"memory_hours": 1.0, "trend": 0.0, "rebalance": 1e9, **parameters}
    return only(
        "herd", count=num_traders, attention=ATTENTION, funding_sensitivity=1.0, parameters=own
    )


def live(simulation: Simulation, hours: int, per_hour: int, rate: float = 0.0) -> Any:
    """Number of optimists, so many times an hour; the crowd's relaxation time is an hour."""
    traders = simulation.traders
    rates = traders.parameters["herd"]
    num_traders = int(traders.population[0].stop)
    # A lone dissenter changes its mind at h x (N - 1) or so, e^U times that under the field.
    pull = rate * float(rates["repulsion"][0])
    fastest = float(rates["herding"][0]) * num_traders * math.exp(pull)
    fastest += float(rates["up"][0] + rates["down"][0])
    step = min(BOLDEST / fastest / ATTENTION, 1.0 / per_hour)
    every = math.ceil(1.0 / per_hour / step)
    step = 1.0 / per_hour / every
    traders.next_wake[:] = 0
    before, optimists = np.zeros(WARM_UP * per_hour), np.zeros(hours * per_hour)
    simulation.state.venue[0].step_hours = step
    args = (simulation.state, traders, rate)
    watch_crowd(*args, 0, every, before)
    watch_crowd(*args, every * len(before), every, optimists)
    assert simulation.state.totals[0].num_intents == 0
    assert traders.crowd[0, 0] == (traders.memory[:num_traders, 0, 0] > 0).sum()
    return optimists


def effective(optimists: Any) -> float:
    """Number of independent samples worth as much."""
    r = np.corrcoef(optimists[:-1], optimists[1:])[0, 1]
    return float(len(optimists) * (1.0 - r) / (1.0 + r))


def cdf(optimists: Any, num_traders: int) -> Any:
    return np.cumsum(np.bincount(optimists.astype(int), minlength=num_traders + 1)) / len(optimists)


#: Traders, e1, e2, hours. One of two humps is among those of funding, below, at a dial of none.
LAWS = [
    (100, 2.0, 2.0, 1500),
    (100, 1.0, 3.0, 1500),
    (200, 0.8, 0.4, 250),
    (150, 8.0, 12.0, 3000),
]


@pytest.mark.parametrize(("num_traders", "up", "down"), [(20, 2.0, 2.0), (20, 1.0, 3.0)])
def test_newcomers_leave_the_law_of_the_crowd_as_it_is(num_traders, up, down):
    """Replaced one by one, with nobody changing its mind, they come to the same law."""
    parameters = {"independence": 0.5 * (up + down), "bias": (up - down) / (up + down)}
    simulation = herd(num_traders, **parameters)
    traders = simulation.traders
    optimists = np.zeros(3000)
    for k in range(len(optimists)):
        for i in range(num_traders):
            traders.trader[i].key = newcomer_key(i, k + 1)
        strategy = simulation.callers.parameters_of(0)
        strategy.welcome(traders, 0, np.arange(num_traders), simulation.seed)
        optimists[k] = traders.crowd[0, 0]
    assert traders.crowd[0, 0] == (traders.memory[:num_traders, 0, 0] > 0).sum()
    law = betabinom(num_traders, up, down)
    worth = effective(optimists)
    assert worth > 100
    gap = np.abs(cdf(optimists, num_traders) - law.cdf(np.arange(num_traders + 1))).max()
    assert gap < 1.63 / math.sqrt(worth)


@pytest.mark.parametrize(("num_traders", "up", "down", "hours"), LAWS)
def test_the_crowd_is_beta_binomial_and_forgets_exponentially(num_traders, up, down, hours):
    parameters = {"independence": 0.5 * (up + down), "bias": (up - down) / (up + down)}
    optimists = live(herd(num_traders, **parameters), hours, 2)
    law = betabinom(num_traders, up, down)
    worth = effective(optimists)
    assert worth > 0.5 * hours / 2.0
    gap = np.abs(cdf(optimists, num_traders) - law.cdf(np.arange(num_traders + 1))).max()
    assert gap < 1.63 / math.sqrt(worth)
    mean = num_traders * up / (up + down)
    assert law.mean() == pytest.approx(mean)
    assert abs(optimists.mean() - mean) < 4.0 * law.std() / math.sqrt(worth)
    # The expected distance from the mean shrinks by the same factor wherever it starts: a
    # regression, its error that of White as the noise is strongest in the middle.
    for lag in (1, 2, 4):
        now, later = optimists[:-lag] - mean, optimists[lag:] - mean
        factor = (now @ later) / (now @ now)
        error = math.sqrt(lag * (now**2 @ (later - factor * now) ** 2)) / (now @ now)
        assert abs(factor - math.exp(-0.5 * lag)) < 4.0 * error + 2.0 / len(optimists)


def exact_law(num_traders: int, independence: float, phi: float) -> Any:
    """Stationary law of the number of optimists under U = -phi (2 X / N - 1), from our rates."""
    p = herd_rates(num_traders, independence)
    hours = 1e-6
    flow = np.zeros((2, num_traders + 1))
    for x in range(num_traders + 1):
        field = -phi * (2.0 * x / num_traders - 1.0)
        others = num_traders - 1.0
        if x < num_traders:
            turn = switch_probability(p, -1.0, float(x), others - x, field, hours)
            flow[0, x] = (num_traders - x) * turn
        if x > 0:
            turn = switch_probability(p, 1.0, x - 1.0, float(num_traders - x), field, hours)
            flow[1, x] = x * turn
    log = np.concatenate([[0.0], np.cumsum(np.log(flow[0, :-1] / flow[1, 1:]))])
    law = np.exp(log - log.max())
    return law / law.sum()


def herd_rates(num_traders: int, independence: float) -> Any:
    """The record the kernels read."""
    parameters = Herd(independence=independence, memory_hours=1.0)
    row = np.zeros(1, Herd.dtype())
    for name, value in parameters.record(num_traders).items():
        row[name] = value
    return row[0]


def curvature(num_traders: int, independence: float, phi: float) -> float:
    """Second difference of the log of the law at its centre."""
    log = np.log(exact_law(num_traders, independence, phi))
    n = num_traders // 2
    return float(log[n + 1] - 2.0 * log[n] + log[n - 1])


@pytest.mark.parametrize(("num_traders", "e"), [(100, 0.5), (100, 2.0), (150, 10.0)])
def test_without_a_field_the_rates_balance_in_the_beta_binomial(num_traders, e):
    law = betabinom(num_traders, e, e).pmf(np.arange(num_traders + 1))
    assert exact_law(num_traders, e, 0.0) == pytest.approx(law, rel=1e-8)


@pytest.mark.parametrize(
    ("num_traders", "e", "measured", "formula"),
    [
        (100, 0.5, 0.0099, 0.0100),
        (200, 0.5, 0.0050, 0.0050),
        (100, 0.2, 0.0159, 0.0160),
        (400, 0.8, 0.0010, 0.0010),
    ],
)
def test_the_centre_turns_from_valley_to_peak_at_the_critical_field(
    num_traders, e, measured, formula
):
    found = brentq(lambda phi: curvature(num_traders, e, phi), 0.0, 0.1)
    assert found == pytest.approx(measured, abs=5.1e-5)
    assert critical_field(num_traders, e) == pytest.approx(formula, abs=1e-12)
    assert found == pytest.approx(critical_field(num_traders, e), rel=0.02)
    assert curvature(num_traders, e, 0.8 * found) > 0.0 > curvature(num_traders, e, 1.2 * found)


@pytest.mark.parametrize("dial", [0.0, 1.0, 20.0])
def test_funding_thins_the_crowds_out_as_the_exact_law_says(dial):
    num_traders, e = 100, 0.5
    simulation = herd(
        num_traders,
        independence=e,
        anti_herding=dial,
        crowd_rate=CROWD_RATE,
    )
    optimists = live(simulation, 500, 2, CROWD_RATE)
    law = exact_law(num_traders, e, dial * critical_field(num_traders, e))
    index = np.abs(2.0 * np.arange(num_traders + 1) / num_traders - 1.0)
    expected = law @ index
    if dial == 0.0:
        assert expected == pytest.approx(
            betabinom(num_traders, e, e).expect(lambda x: np.abs(2.0 * x / num_traders - 1.0)),
            rel=1e-6,
        )
    seen = np.abs(2.0 * optimists / num_traders - 1.0)
    spread = math.sqrt(law @ index**2 - expected**2)
    assert abs(seen.mean() - expected) < 4.0 * spread / math.sqrt(effective(seen))
    gap = np.abs(cdf(optimists, num_traders) - np.cumsum(law)).max()
    assert gap < 1.63 / math.sqrt(effective(optimists))

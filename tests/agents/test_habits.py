"""Habits all strategies share: attention, and the choice of a market."""

import math

import numpy as np
import pytest

from marketsim.agents import habits
from marketsim.engine.state import UNLIMITED
from marketsim.simulation import Simulation
from tests.agents.small import POPULATIONS, only, scenario

STEPS = 1500
COUNT = 200


@pytest.mark.parametrize("attention", [3.0, 10.0, 60.0])
def test_attention_is_the_mean_waiting_time(attention):
    simulation = only("noise", count=COUNT, attention=attention)
    traders = simulation.traders
    traders.trader["next_wake"] = 0
    looks = 0
    for t in range(STEPS):
        count = habits.wake(traders, 0, t, 1)
        assert (traders.trader["next_wake"] > t).all()
        looks += count
    # Whole steps: an exponential wait rounded up is half a step longer.
    expected = 1.0 / -math.expm1(-1.0 / attention)
    assert abs(expected - attention) < 0.53
    # Everybody looks at the start, then again and again.
    assert looks == pytest.approx(COUNT * (1.0 + (STEPS - 1) / expected), rel=0.03)


def test_waiting_times_are_irregular_and_each_traders_own():
    simulation = only("noise", count=COUNT, attention=20.0)
    traders = simulation.traders
    traders.trader["next_wake"] = 0
    assert habits.wake(traders, 0, 0, 1) == COUNT
    wait = np.array(traders.trader["next_wake"])
    assert len(np.unique(wait)) > 30
    # Exponential: the standard deviation is the mean.
    assert wait.std() == pytest.approx(wait.mean(), rel=0.25)


def test_who_looks_once_never_wakes_again():
    simulation = only("holder", count=COUNT, attention="never")
    traders = simulation.traders
    traders.trader["next_wake"] = 0
    assert habits.wake(traders, 0, 0, 1) == COUNT
    assert (traders.trader["next_wake"] == UNLIMITED).all()
    assert habits.wake(traders, 0, 10**6, 1) == 0


def test_first_looks_are_spread_over_one_attention_span():
    patient = {**POPULATIONS["holder"], "count": COUNT, "attention": 480.0}
    once = {**patient, "attention": "never"}
    simulation = Simulation(scenario(populations={"patient": patient, "once": once}), 1)
    first = np.array(simulation.traders.trader["next_wake"], float)
    for rows, mean in (("patient", 480.0), ("once", 1440.0)):
        wait = first[simulation.roster.rows_of(rows)]
        assert abs(wait.mean() - mean) < 4.0 * mean / math.sqrt(COUNT)


def test_market_choice_follows_the_weights_and_skips_weight_zero():
    simulation = only("noise")
    weight = np.array([[0.2, 0.0, 0.5, 0.3]])
    traders = simulation.traders._replace(weight=weight)
    draws = (np.arange(1000) + 0.5) / 1000
    chosen = [habits.pick_market(traders, 0, u) for u in draws]
    assert np.bincount(chosen, minlength=4).tolist() == [200, 0, 500, 300]
    assert habits.pick_market(traders, 0, 1.0 - 2.0**-53) == 3

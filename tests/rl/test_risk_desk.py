"""The venue as the learner."""

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed (the extra rl)")
pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (the extra rl)")

from marketsim.rl import RiskDesk
from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioError

CRASH = ("shocks", '[{kind = "crash", at = 1.0, size = -0.2, fall_minutes = 10}]')
LEVERED = ("populations.holders", '{strategy = "holder", count = 20, leverage = 20.0}')


def play(env, action=None):
    """Play an episode; return the sum of rewards and what was told on the way."""
    total, told, has_ended = 0.0, [], False
    while not has_ended:
        _, reward, _, has_ended, info = env.step(env.hold() if action is None else action)
        total += reward
        told.append(info)
    return total, told


def test_an_episode_of_its_own_rules_is_the_run_of_its_seed(small):
    env = RiskDesk(small, "30min")
    env.reset(seed=3)
    total, told = play(env)
    run = Simulation(env.scenario, 3)
    run.run(env.scenario.num_steps)
    assert env.digest() == run.digest()
    assert all(info["lost_volume"] == 0.0 for info in told)
    assert total == 0.0


def test_rules_that_are_set_hold_and_are_repeated_by_the_scenario(small):
    env = RiskDesk(small, "30min")
    env.reset(seed=3)
    seen, *_ = env.step(np.array([3, 1, 3]))
    state = env.run.state
    own = Simulation(env.scenario, 3).state
    assert state.tier["initial_fraction"][0, 0] == 2 * own.tier["initial_fraction"][0, 0]
    assert float(state.market["funding_cap"][0]) == 0.0005
    names = [column.name for column in env.columns]
    assert seen[names.index("margin")] == 2.0
    run = env.run
    again = Simulation(run.steered, run.seed)
    again.run(run.step_count)
    assert again.digest() == env.digest()


def test_bankruptcies_nobody_pays_for_cost(small):
    env = RiskDesk(small, "30min", overrides=[CRASH, LEVERED, ("insurance_fund", "0")])
    env.reset(seed=1)
    total, told = play(env)
    assert sum(info["unpaid"] for info in told) > 0.0
    assert total < 0.0


@pytest.mark.parametrize("action", [[0, 0], [4, 0, 0], [0.5, 0, 0], [-1, 0, 0], [np.nan, 0, 0]])
def test_wrong_input_is_refused(small, action):
    env = RiskDesk(small, "1h")
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        env.step(env.hold())
    env.reset(seed=1)
    with pytest.raises(ValueError, match="action"):
        env.step(np.array(action))


def test_margin_brackets_are_refused():
    with pytest.raises(ScenarioError, match=r"tiers: the desk scales one margin"):
        RiskDesk("quickstart", overrides=[("venue.preset", "binance")])

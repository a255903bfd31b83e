"""One learner: what it sees, does and earns, and what is refused."""

import math

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed (the extra rl)")
pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (the extra rl)")

import gymnasium as gym
from gymnasium.utils.env_checker import check_env

from marketsim.engine.state import ATOMS
from marketsim.rl import BASELINES, TASKS, PerpEnv, PerpVectorEnv, score
from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioError

STILL = np.zeros(1, np.float32)


def finish(env: PerpEnv, action=None):
    """Play an episode to its end; return the rewards."""
    rewards = []
    while True:
        chosen = env.hold() if action is None else action
        _, reward, is_out, has_ended, _ = env.step(chosen)
        rewards.append(reward)
        if is_out or has_ended:
            return rewards


@pytest.mark.parametrize("quotes", [False, True])
def test_gymnasium_finds_nothing_wrong(small, quotes):
    check_env(PerpEnv(small, quotes=quotes), skip_render_check=True)


@pytest.mark.parametrize("name", TASKS)
def test_gymnasium_finds_nothing_wrong_with_a_task(name):
    env = gym.make(name)
    check_env(env.unwrapped, skip_render_check=True)
    assert len(env.unwrapped.columns) == env.observation_space.shape[0]
    assert all(column.unit and column.what for column in env.unwrapped.columns)


def test_stable_baselines_finds_nothing_wrong(small):
    checker = pytest.importorskip(
        "stable_baselines3.common.env_checker",
        reason="stable-baselines3 is not installed (the extra rl-train)",
    )
    checker.check_env(PerpEnv(small))


@pytest.mark.parametrize("every", ["1min", "7min", 60])
def test_an_episode_of_nothing_is_the_run_of_its_seed(small, every):
    env = PerpEnv(small, decide_every=every)
    for seed in (3, 4):
        _, info = env.reset(seed=seed)
        assert info == {"seed": seed}
        finish(env)
        run = Simulation(env.scenario, seed)
        run.run(env.scenario.num_steps)
        assert env.digest() == run.digest()


def test_an_episode_of_nothing_is_the_run_with_all_that_happens_on_the_way(small):
    """Rules change, shocks strike, others trade, measures are taken: Python sees to all of it."""
    overrides = [
        ("shocks", '[{kind = "crash", at = 1.0, size = -0.1, fall_minutes = 5}, '
         '{kind = "rule", at = 0.5, field = "venue.funding.interval_hours", value = 0.5}]'),
        ("interventions", '[{kind="trade", at_step=7, account=8, market="ONE", size=50}]'),
        ("record.snapshot_minutes", "13"),
        ("record.contagion_minutes", "17"),
        ("record.warm_up", "1"),
        ("populations.noise.turnover", "{wait_hours = 0.1, stay_hours = 0.5}"),
    ]  # fmt: skip
    env = PerpEnv(small, overrides=overrides)
    env.reset(seed=5)
    finish(env)
    run = Simulation(env.scenario, 5)
    run.run(env.scenario.num_steps)
    assert env.digest() == run.digest()
    assert run.state.position["size"][8, 0] > 0


def test_an_episode_is_repeated_by_its_scenario(small):
    """What the learner ordered is among the interventions of its run."""
    env = PerpEnv(small)
    env.reset(seed=2)
    env.action_space.seed(2)
    for _ in range(20):
        env.step(env.action_space.sample())
    run = env.run
    assert run.interventions.entries
    again = Simulation(run.steered, run.seed)
    again.run(run.step_count)
    assert again.digest() == env.digest() == env.digest()


def test_the_run_of_an_episode_is_steered_like_any_other(small):
    env = PerpEnv(small)
    env.reset(seed=2)
    for target in (0.0, 0.5, -0.5):
        env.step(np.array([target], np.float32))
    before = float(env.run.state.market["index_price"][0])
    env.run.shock("jump", size=-0.2)
    env.step(STILL)
    run = env.run
    assert float(run.state.market["index_price"][0]) < 0.85 * before
    assert [entry.kind for entry in run.interventions.entries] == ["trade"] * 2 + ["jump", "trade"]
    again = Simulation(run.steered, run.seed)
    again.run(run.step_count)
    assert again.digest() == env.digest()


def test_the_same_seed_is_the_same_episode_and_another_is_another(small):
    env = PerpEnv(small)
    first, _ = env.reset(seed=8)
    path = [env.step(STILL)[0] for _ in range(10)]
    assert np.array_equal(env.reset(seed=8)[0], first)
    assert all(np.array_equal(env.step(STILL)[0], seen) for seen in path)
    env.reset(seed=9)
    assert not np.array_equal(env.step(STILL)[0], path[0])


def test_seeds_drawn_follow_from_the_first(small):
    drawn = []
    for _ in range(2):
        env = PerpEnv(small)
        env.reset(seed=1)
        drawn.append([env.reset()[1]["seed"] for _ in range(3)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


def test_the_target_is_reached_and_kept(small):
    env = PerpEnv(small)
    env.reset(seed=1)
    place = [column.name for column in env.columns].index("ONE.exposure")
    env.step(STILL)
    for target in (0.5, -0.5):
        seen, *_ = env.step(np.array([target], np.float32))
        assert seen[place] == pytest.approx(target, abs=0.05)
    lots = int(env.run.state.position["size"][8, 0])
    assert lots < 0
    env.step(env.hold())
    assert int(env.run.state.position["size"][8, 0]) == lots
    env.step(STILL)
    assert int(env.run.state.position["size"][8, 0]) == 0


def test_rewards_add_up_to_the_growth_of_wealth_and_profits_to_its_change(small):
    env = PerpEnv(small)
    env.reset(seed=3)
    env.action_space.seed(3)
    total = gain = 0.0
    for _ in range(30):
        *_, reward, _, _, info = env.step(0.3 * env.action_space.sample())
        total += reward
        gain += sum(info["profit"].values())
    assert info["wealth"] == pytest.approx(10_000.0 + gain, abs=1e-6)
    assert total == pytest.approx(math.log(info["wealth"] / 10_000.0), abs=1e-12)
    wealth = env.result().end.equity[8]
    assert wealth == round(info["wealth"] * ATOMS)
    assert gain != 0.0


def test_who_is_liquidated_is_out(small):
    overrides = [
        ("populations.me.leverage", "20"),
        ("shocks", '[{kind = "crash", at = 1.0, size = -0.3, fall_minutes = 10}]'),
    ]
    env = PerpEnv(small, overrides=overrides)
    env.reset(seed=1)
    env.step(STILL)
    is_out = has_ended = False
    while not (is_out or has_ended):
        _, reward, is_out, has_ended, _ = env.step(np.ones(1, np.float32))
    assert is_out
    assert not has_ended
    assert reward < 0.0
    assert 8 in env.result().liquidation["account"]
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        env.step(STILL)


def test_the_horizon_truncates(small):
    env = PerpEnv(small, decide_every="1h")
    env.reset(seed=1)
    ends = [env.step(STILL)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        env.step(STILL)


def test_a_quoting_learner_trades_with_others_and_stands_aside_when_told(small):
    env = PerpEnv(small, quotes=True)
    env.reset(seed=1)
    for _ in range(20):
        *_, info = env.step(np.full(2, -1.0, np.float32))
    assert info["wealth"] != 10_000.0  # so near, it is taken
    env.step(np.full(2, 0.9, np.float32))
    assert env.run.state.position["first_order"][8, 0] >= 0  # so far off, it is not
    env.step(np.ones(2, np.float32))
    assert env.run.state.position["first_order"][8, 0] < 0


def test_baselines_differ(small):
    env = gym.make("marketsim/Carry-v0", overrides=[("days", "1")])
    scores = {name: score(env, policy, [1]) for name, policy in BASELINES.items()}
    assert scores["nothing"] == [0.0]
    assert len({tuple(each) for each in scores.values()}) > 2


def test_a_baseline_that_is_none_is_named(small):
    with pytest.raises(KeyError, match=r"nothin.*one of nothing, random.*did you mean 'nothing'"):
        BASELINES["nothin"]
    with pytest.raises(TypeError, match="policy = 'nothin': must be a function"):
        score(PerpEnv(small), "nothin", [1])


@pytest.mark.parametrize("seed", ["1", 1.5, True, -1, 2**63])
def test_a_wrong_seed_is_refused(small, seed):
    for env in (PerpEnv(small), PerpVectorEnv(2, small)):
        with pytest.raises((TypeError, ValueError), match=r"seed = .*: must be a whole number, 0"):
            env.reset(seed=seed)
    with pytest.raises((TypeError, ValueError), match=r"seed = .*: must be a whole number, 0"):
        env.reset(seed=[1, seed])


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ([0.0, 0.0], r"action has shape \(2,\): must be \(1,\)"),
        (0.0, r"action has shape \(\)"),
        ([math.nan], r"must be numbers in \[-1, 1\]"),
        ([math.inf], r"must be numbers in \[-1, 1\]"),
        ([1.5], "ClipAction"),
        (["much"], "must be numbers"),
    ],
)
def test_a_wrong_action_is_refused_and_changes_nothing(small, action, error):
    env = PerpEnv(small)
    env.reset(seed=1)
    with pytest.raises(ValueError, match=error):
        env.step(action)
    assert env.run.step_count == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"population": "you"}, r"populations\.you: .*makers.*overrides="),
        ({"population": "noise"}, r'populations\.noise\.strategy = "noise": decides by itself'),
        ({"overrides": [("populations.me.count", "2")]}, r"populations\.me\.count = 2: one env"),
        ({"overrides": [("days", '"open"')]}, "an episode needs an end"),
        ({"overrides": [("populations.me.turnover", "{}")]}, "a learner stays"),
    ],
)
def test_a_scenario_without_its_learner_is_refused(small, arguments, error):
    with pytest.raises(ScenarioError, match=error):
        PerpEnv(small, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"population": None}, r'population = None: must be a name, such as "me"'),
        ({"population": ["me"]}, r"population = \['me'\]: must be a name"),
        ({"quotes": "yes"}, "quotes = 'yes': must be True or False"),
        ({"quotes": None}, "quotes = None: must be True or False"),
    ],
)
def test_an_argument_of_a_wrong_kind_is_refused(small, arguments, error):
    with pytest.raises(TypeError, match=error):
        PerpEnv(small, **arguments)


@pytest.mark.parametrize("every", ["30s", "1.5min", 0, "soon", -5, math.nan])
def test_a_wrong_span_is_refused(small, every):
    with pytest.raises(ValueError, match=r"decide_every = .*whole number of steps of 1 minutes"):
        PerpEnv(small, decide_every=every)


@pytest.mark.parametrize("every", ["1000d", 10**6])
def test_a_span_longer_than_an_episode_is_refused(small, every):
    with pytest.raises(ValueError, match=r"decide_every = .*1000.*: must be at most an episode"):
        PerpEnv(small, decide_every=every)


def test_a_span_of_a_whole_episode_is_one_decision(small):
    env = PerpEnv(small)
    minutes = env.scenario.num_steps * env.scenario.step_minutes
    assert score(PerpEnv(small, decide_every=minutes), BASELINES["nothing"], [1]) == [0.0]


@pytest.mark.parametrize("env", [None, 5, "quickstart", PerpEnv])
def test_what_is_no_environment_has_no_score(env):
    with pytest.raises(TypeError, match=r"env = .*: must be an environment"):
        score(env, BASELINES["nothing"], [1])


def test_a_score_needs_seeds(small):
    with pytest.raises(TypeError, match="seeds = 5: must be some whole numbers"):
        score(PerpEnv(small), BASELINES["nothing"], 5)


def test_an_unknown_task_is_refused():
    with pytest.raises(gym.error.NameNotFound, match="Carry"):
        gym.make("marketsim/Cary-v0")


def test_nothing_is_asked_of_an_episode_before_it_begins(small):
    env = PerpEnv(small)
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        env.result()
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        env.step(STILL)


@pytest.mark.slow
def test_the_books_of_a_thousand_random_episodes_are_exact(small):
    env = PerpEnv(small, decide_every="10min", overrides=[("populations.me.leverage", "20")])
    rng = np.random.default_rng(1)
    for seed in range(1_000):
        env.reset(seed=seed)
        is_over = False
        while not is_over:
            *_, is_out, has_ended, _ = env.step(rng.uniform(-1.0, 1.0, 1).astype(np.float32))
            is_over = is_out or has_ended
        totals = env.run.state.totals[0]
        assert int(totals.conservation_error) == 0
        assert env.run.state.position["size"].sum() == 0

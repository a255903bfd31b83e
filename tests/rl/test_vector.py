"""Learners side by side: each as if it were alone."""

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed (the extra rl)")
pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (the extra rl)")

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv

from marketsim.rl import PerpEnv, PerpVectorEnv


def test_each_is_as_if_it_were_alone(small):
    many, one = PerpVectorEnv(3, small), PerpEnv(small)
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (30, 3, 1)).astype(np.float32)
    first, info = many.reset(seed=5)
    assert info["seed"].tolist() == [5, 6, 7]
    told = [many.step(action) for action in actions]
    for n in range(3):
        seen, _ = one.reset(seed=5 + n)
        assert np.array_equal(seen, first[n])
        for action, (observations, rewards, outs, ends, infos) in zip(actions, told, strict=True):
            seen, reward, is_out, has_ended, info = one.step(action[n])
            assert np.array_equal(seen, observations[n])
            assert (reward, is_out, has_ended) == (rewards[n], outs[n], ends[n])
            assert info["wealth"] == infos["wealth"][n]
            assert info["profit"] == {k: v[n] for k, v in infos["profit"].items()}
        assert many.run_of(n).digest() == one.digest()


def test_an_episode_that_ends_begins_anew_with_the_next_step(small):
    env = PerpVectorEnv(2, small, decide_every="1h")
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    env.reset(seed=1)
    still = np.zeros((2, 1), np.float32)
    ends = [env.step(still)[3].tolist() for _ in range(3)]
    assert ends == [[False] * 2, [False] * 2, [True] * 2]
    seen, rewards, outs, ends, _ = env.step(np.ones((2, 1), np.float32))
    assert rewards.tolist() == [0.0, 0.0]
    assert not outs.any()
    assert not ends.any()
    assert env.run_of(0).step_count == 0
    assert seen[:, -1].tolist() == [1.0, 1.0]  # all of its time is left
    env.step(still)
    assert env.run_of(0).step_count == 60


def test_who_is_out_begins_anew_alone(small):
    overrides = [("populations.me.leverage", "20")]
    crash = ("shocks", '[{kind = "crash", at = 1.0, size = -0.3, fall_minutes = 10}]')
    env = PerpVectorEnv(2, small, overrides=[*overrides, crash])
    env.reset(seed=1)
    env.step(np.zeros((2, 1), np.float32))
    actions = np.array([[1.0], [0.0]], np.float32)
    outs = np.zeros(2, bool)
    while not outs.any():
        _, _, outs, ends, _ = env.step(actions)
        assert not ends.any()
    assert outs.tolist() == [True, False]
    at = env.run_of(1).step_count
    env.step(np.zeros((2, 1), np.float32))
    assert (env.run_of(0).step_count, env.run_of(1).step_count) == (0, at + 5)


def test_gymnasium_makes_it_by_name():
    env = gym.make_vec("marketsim/Carry-v0", num_envs=2)
    assert isinstance(env.unwrapped, PerpVectorEnv)
    assert isinstance(env.unwrapped, VectorEnv)
    assert env.observation_space.shape == (2, len(env.unwrapped.columns))
    env.reset(seed=1)
    env.step(env.action_space.sample())


def test_wrong_input_is_refused(small):
    with pytest.raises(ValueError, match="num_envs = 0: must be 1 or more"):
        PerpVectorEnv(0, small)
    env = PerpVectorEnv(2, small)
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        env.step(np.zeros((2, 1), np.float32))
    with pytest.raises(ValueError, match="seed: 3 for 2 environments"):
        env.reset(seed=[1, 2, 3])
    env.reset(seed=[4, 4])
    with pytest.raises(ValueError, match=r"action has shape \(2,\): must be \(2, 1\)"):
        env.step(np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="must be numbers"):
        env.step(np.array([[0.0], [np.nan]], np.float32))


@pytest.mark.parametrize("seed", [np.array(5), {1, 2}, b"ab", {1: 2, 3: 4}, "12"])
def test_what_is_no_sequence_of_seeds_is_refused(small, seed):
    with pytest.raises(TypeError, match=r"seed = .*: must be a whole number"):
        PerpVectorEnv(2, small).reset(seed=seed)


@pytest.mark.parametrize("n", [5, -1, 2])
def test_the_run_of_no_environment_is_refused(small, n):
    envs = PerpVectorEnv(2, small)
    with pytest.raises(ValueError, match=f"n = {n}: must be one of the environments, 0 to 1"):
        envs.run_of(n)
    with pytest.raises(TypeError, match="n = None: must be a whole number"):
        envs.run_of(None)

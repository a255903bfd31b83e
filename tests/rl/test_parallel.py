"""Several learners in one market."""

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed (the extra rl)")
pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (the extra rl)")

from pettingzoo.test import parallel_api_test, parallel_seed_test

from marketsim.rl import parallel_env

THREE = [("populations.me.count", "3")]


def test_pettingzoo_finds_nothing_wrong(small, capsys):
    def make():
        return parallel_env(small, agents=[0, 2], overrides=THREE)

    parallel_api_test(make(), num_cycles=100)
    parallel_seed_test(make)
    assert "Passed" in capsys.readouterr().out


def test_learners_trade_for_their_own_accounts(small):
    env = parallel_env(small, agents=[0, 2], overrides=THREE)
    assert env.possible_agents == ["me_0", "me_2"]
    env.reset(seed=1)
    still = {agent: np.zeros(1, np.float32) for agent in env.agents}
    env.step(still)
    env.step({"me_0": np.ones(1, np.float32), "me_2": -np.ones(1, np.float32)})
    size = env.run.state.position["size"][8:11, 0].tolist()
    assert size[0] > 0 > size[2]
    assert size[1] == 0
    orders = env.run.interventions.entries
    assert [order.account for order in orders] == [8, 10]


def test_wrong_input_is_refused(small):
    with pytest.raises(ValueError, match=r"agents = \[3\]: must be numbers of traders"):
        parallel_env(small, agents=[3], overrides=THREE)
    with pytest.raises(ValueError, match="names one twice"):
        parallel_env(small, agents=[1, 1], overrides=THREE)
    env = parallel_env(small)
    env.reset(seed=1)
    with pytest.raises(ValueError, match="me_0: has no action"):
        env.step({})
    with pytest.raises(ValueError, match=r"me_0: action .*must be numbers"):
        env.step({"me_0": np.array([np.nan], np.float32)})


@pytest.mark.parametrize("agents", ["me_0", ["me_0"], [0.5], [True], ["1"], [None], 3, []])
def test_agents_that_are_no_numbers_are_refused(small, agents):
    with pytest.raises(
        ValueError, match=r"agents = .*must be numbers of traders .*populations\.me"
    ):
        parallel_env(small, agents=agents, overrides=THREE)


def test_agents_that_do_not_play_are_named(small):
    env = parallel_env(small, agents=[0, 2], overrides=THREE)
    env.reset(seed=1)
    still = {agent: np.zeros(1, np.float32) for agent in env.agents}
    unknown = r"agent 'me_1': must be one of me_0, me_2"
    for ask in (env.action_space, env.observation_space):
        with pytest.raises(ValueError, match=unknown):
            ask("me_1")
    with pytest.raises(ValueError, match=unknown):
        env.step({**still, "me_1": np.zeros(1, np.float32)})
    with pytest.raises(TypeError, match="actions = None: must be a mapping"):
        env.step(None)
    assert env.run.step_count == 0
    assert set(env.step(still)[0]) == {"me_0", "me_2"}

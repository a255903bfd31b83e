"""What an agent that learnt nothing does: yardsticks for those that did."""

from collections.abc import Callable, Iterable
from typing import Any

import gymnasium as gym
import numpy as np

from marketsim.rl.perp_env import Action, Observation, PerpEnv
from marketsim.scenario.errors import one_of

#: Returns the action of an environment for what is seen.
Policy = Callable[[PerpEnv, Observation], Action]


def nothing(env: PerpEnv, seen: Observation) -> Action:  # noqa: ARG001
    """Keep what there is; quote nothing."""
    return env.hold()


def basis(env: PerpEnv, seen: Observation) -> Action:
    """Stand against the premium: short what is dear against its index, long what is cheap.

    The whole of the leverage is used from 0.2 % on.
    """
    premium = _of_each_market(env, seen, "premium")
    against: Action = np.clip(-0.5 * premium, -1.0, 1.0).astype(np.float32)
    return against


def carry(env: PerpEnv, seen: Observation) -> Action:
    """Be short while longs pay, as the built-in carry trader is.

    It goes in once funding has paid 0.02 % per 8 h of late, and out when that falls below zero.
    """
    usual = _of_each_market(env, seen, "usual_funding_rate")
    kept = np.where(usual < 0.0, 0.0, np.minimum(env.hold(), 0.0))
    target: Action = np.where(usual > 2.0, -1.0, kept).astype(np.float32)
    return target


def at_random(env: PerpEnv, seen: Observation) -> Action:  # noqa: ARG001
    """Take any action."""
    drawn: Action = env.action_space.sample()
    return drawn


class _Baselines(dict[str, Policy]):
    """Policies by name; a name that is none is refused with those there are."""

    def __missing__(self, name: str) -> Policy:
        raise KeyError(f"baseline {name!r}: {one_of(str(name), self)}")


#: By name.
BASELINES: dict[str, Policy] = _Baselines(
    nothing=nothing, random=at_random, basis=basis, carry=carry
)


def score(env: "gym.Env[Any, Any]", policy: Policy, seeds: Iterable[int]) -> list[float]:
    """Return what a policy earns in an episode of each seed: the sum of its rewards.

    Parameters
    ----------
    env : PerpEnv, or one of Gymnasium's wrappers around it
    policy : callable
        Of (environment, observation); those of `BASELINES` are such.
    seeds : iterable of int

    Returns
    -------
    list of float
        Of a `PerpEnv`, the growth of the log of wealth.

    Raises
    ------
    TypeError, ValueError
        If the environment is none, the policy cannot be called, or a seed is no whole number from 0
        to 2**63 - 1.
    """
    if not isinstance(env, gym.Env):
        need = 'must be an environment, such as gymnasium.make("marketsim/Carry-v0")'
        raise TypeError(f"env = {env!r}: {need}")
    if not callable(policy):
        need = 'must be a function of (environment, observation), such as BASELINES["nothing"]'
        raise TypeError(f"policy = {policy!r}: {need}")
    if not isinstance(seeds, Iterable):
        raise TypeError(f"seeds = {seeds!r}: must be some whole numbers, such as range(10)")
    plain: Any = env.unwrapped
    scores = []
    for seed in seeds:
        seen, _ = env.reset(seed=seed)
        env.action_space.seed(seed)
        total, is_over = 0.0, False
        while not is_over:
            seen, reward, is_out, has_ended, _ = env.step(policy(plain, seen))
            total += float(reward)
            is_over = is_out or has_ended
        scores.append(total)
    return scores


def _of_each_market(env: PerpEnv, seen: Observation, name: str) -> Any:
    places = [k for k, column in enumerate(env.columns) if column.name.endswith(f".{name}")]
    return seen[places]

"""What an agent that learnt nothing does: yardsticks for those that did."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from marketsim.rl.perp_env import Action, Observation, PerpEnv

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


#: By name.
BASELINES: dict[str, Policy] = {
    "nothing": nothing,
    "random": at_random,
    "basis": basis,
    "carry": carry,
}


def score(env: Any, policy: Policy, seeds: Iterable[int]) -> list[float]:
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
    """
    plain: PerpEnv = env.unwrapped
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

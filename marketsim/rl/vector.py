"""Many learners, each in a market of its own, all markets advanced in one kernel call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from marketsim.engine.state import ATOMS
from marketsim.rl.perp_env import FRESH_SEEDS, PerpEnv, check_action, checked_seed
from marketsim.rl.table import CAUSES, Table, read_span
from marketsim.run.simulation import Simulation
from marketsim.scenario.coercion import seed_of_run, whole_number
from marketsim.scenario.schema import Scenario

Floats = NDArray[np.float64]
Observations = NDArray[np.float32]
Truths = NDArray[np.bool_]


class PerpVectorEnv(VectorEnv[Observations, Observations, Any]):
    """Markets of one scenario side by side, each with its own seed and one learner.

    An environment whose episode has ended begins another with the next step, as Gymnasium's own
    do: that step's action is not looked at, and its reward is 0.

    Parameters
    ----------
    num_envs : int
        Markets.
    scenario, population, decide_every, overrides, quotes
        As of `PerpEnv`.

    Attributes
    ----------
    columns : tuple of Column
        What each number of an observation is, and its unit.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  as Gymnasium has it

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | str | Path = "quickstart",
        population: str = "me",
        decide_every: str | float = "5min",
        overrides: list[tuple[str, str]] | None = None,
        quotes: bool = False,
    ) -> None:
        if whole_number("num_envs", num_envs) < 1:
            raise ValueError(f"num_envs = {num_envs}: must be 1 or more")
        one = PerpEnv(scenario, population, decide_every, overrides, quotes)
        self.num_envs = int(num_envs)
        self.columns = one.columns
        self.single_observation_space = one.observation_space
        self.single_action_space = one.action_space
        self.observation_space = batch_space(one.observation_space, self.num_envs)
        self.action_space = batch_space(one.action_space, self.num_envs)
        self._shape: tuple[int, ...] = self.action_space.shape or ()
        self._table = Table(
            one.scenario,
            one.accounts,
            read_span(decide_every, one.scenario),
            size=self.num_envs,
            quotes=quotes,
        )
        self._is_done = np.ones(self.num_envs, np.bool_)

    @property
    def scenario(self) -> Scenario:
        """What is run in every episode."""
        return self._table.scenario

    def run_of(self, n: int) -> Simulation:
        """Return the run of environment `n`, the learner's orders among its interventions.

        Raises
        ------
        TypeError, ValueError
            If there is no such environment.
        RuntimeError
            If no episode has begun.
        """
        if not 0 <= whole_number("n", n) < self.num_envs:
            raise ValueError(f"n = {n}: must be one of the environments, 0 to {self.num_envs - 1}")
        return self._table.run_of(n)

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode in every market.

        Parameters
        ----------
        seed : int or sequence of int, optional
            Of the first market, the others have those after it; or of each.
        options : dict, optional
            Not used.

        Returns
        -------
        observations : array, (num_envs, columns)
        info : dict
            The ``seed`` of each.

        Raises
        ------
        TypeError, ValueError
            If a seed is no whole number from 0 to 2**63 - 1, or there are not as many as
            environments.
        """
        single, stated = None, None
        if (
            isinstance(seed, Sequence | np.ndarray)
            and np.ndim(seed)
            and not isinstance(seed, bytes)
        ):
            stated = [seed_of_run("seed", each) for each in seed]
        else:
            single = checked_seed(seed)
        super().reset(seed=single, options=options)
        if stated is not None:
            seeds = stated
        elif single is None:
            seeds = self.np_random.integers(FRESH_SEEDS, size=self.num_envs).tolist()
        else:
            seeds = [seed_of_run("seed", single + n) for n in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: {len(seeds)} for {self.num_envs} environments")
        for n, each in enumerate(seeds):
            self._table.open(n, each)
        self._is_done[:] = False
        return self._table.seats.observation[:, 0].copy(), {"seed": np.array(seeds, np.int64)}

    def step(self, actions: Any) -> tuple[Observations, Floats, Truths, Truths, dict[str, Any]]:
        """Carry out an action in every market and run it to its next decision.

        Returns
        -------
        observations : array, (num_envs, columns)
        rewards : array, (num_envs,)
        terminations, truncations : array of bool, (num_envs,)
        info : dict
            Of each: ``profit``, USD by cause since the last decision, and ``wealth``, USD.

        Raises
        ------
        ValueError
            If the actions have the wrong shape, or a number that is none.
        RuntimeError
            If no episode is under way.
        """
        table = self._table
        seats, course = table.seats, table.seats.course
        if not course["count"].any() and self._is_done.all():
            raise RuntimeError("no episode is under way: call reset() first")
        given = check_action(actions, self._shape)
        begun = np.flatnonzero(self._is_done)
        for n in begun.tolist():
            table.open(n, int(self.np_random.integers(FRESH_SEEDS)))
            course["rests"][n] = 1
        seats.action[:, 0] = given
        table.play()
        course["rests"][begun] = 0
        terminations = seats.is_out[:, 0] == 1
        truncations = (course["stop"] >= course["last"]) & ~terminations
        self._is_done = terminations | truncations
        profit = dict(zip(CAUSES, seats.profit[:, 0].T.copy(), strict=True))
        info = {"profit": profit, "wealth": seats.wealth[:, 0] / ATOMS}
        observations = seats.observation[:, 0].copy()
        return observations, seats.reward[:, 0].copy(), terminations, truncations, info

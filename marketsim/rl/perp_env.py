"""One learner in one market: a Gymnasium environment of any scenario."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marketsim.rl.columns import Column
from marketsim.rl.play import LARGEST
from marketsim.rl.table import Table, check_flag, learners_of, read_scenario, read_span
from marketsim.run.simulation import Simulation
from marketsim.scenario.coercion import seed_of_run
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import RunResult

#: Seeds of episodes begun without one lie below: JSON of any reader holds them exactly.
FRESH_SEEDS = 2**53

Observation = NDArray[np.float32]
Action = NDArray[np.float32]


def observation_space(num_columns: int) -> Any:
    """Return the space of observations, a `Box`."""
    return spaces.Box(-LARGEST, LARGEST, (num_columns,), np.float32)


def action_space(num_markets: int, quotes: bool = False) -> Any:
    """Return the space of target exposures, or of distances of quotes, a `Box`."""
    return spaces.Box(-1.0, 1.0, (num_markets * (2 if quotes else 1),), np.float32)


def check_action(action: Any, shape: tuple[int, ...], where: str = "") -> NDArray[np.float64]:
    """Return an action as numbers.

    Raises
    ------
    ValueError
        If it has another shape, or a number that is none or lies beyond [-1, 1].
    """
    try:
        values = np.asarray(action, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{where}action {action!r}: must be numbers in [-1, 1]") from None
    if values.shape != shape:
        raise ValueError(f"{where}action has shape {values.shape}: must be {shape}")
    if not (np.abs(values) <= 1.0).all():  # also of what is no number
        raise ValueError(
            f"{where}action {values.tolist()}: must be numbers in [-1, 1]; "
            "gymnasium.wrappers.ClipAction cuts off what lies beyond"
        )
    return values


def checked_seed(seed: Any) -> int | None:
    """Return the seed that `reset` is given, before Gymnasium takes it.

    Raises
    ------
    TypeError, ValueError
        If it is no seed of a run.
    """
    return None if seed is None else seed_of_run("seed", seed)


def choose_seed(env: Any, seed: int | None) -> int:
    """Return the seed of an episode: the one given, or one that Gymnasium's generator draws."""
    return int(env.np_random.integers(FRESH_SEEDS)) if seed is None else seed


class PerpEnv(gym.Env[Observation, Action]):
    """A market in which a learner trades for one account.

    Parameters
    ----------
    scenario : Scenario, str or Path, optional
        A scenario, the name of a shipped one or the path of a TOML file.
    population : str, optional
        The learner's: one trader of the strategy "manual".
    decide_every : str or float, optional
        Time between two decisions: ``"5min"``, ``"1h"``, or minutes.
    overrides : list of (str, str), optional
        Fields of the scenario to change, as ``--set`` does.
    quotes : bool, optional
        Actions are, for each market, how far from fair value the learner buys and sells, from
        0.01 % (-1) to 1 %; 1 is not at all. Otherwise they are target exposures: 1 is the largest
        long that its leverage bears, -1 the largest short.

    Attributes
    ----------
    columns : tuple of Column
        What each number of an observation is, and its unit.

    Raises
    ------
    ScenarioError
        If the scenario is wrong, or has no such population.
    TypeError, ValueError
        If `decide_every` is no whole number of steps, or another argument is of a wrong kind.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  as Gymnasium has it

    def __init__(
        self,
        scenario: Scenario | str | Path = "quickstart",
        population: str = "me",
        decide_every: str | float = "5min",
        overrides: list[tuple[str, str]] | None = None,
        quotes: bool = False,
    ) -> None:
        check_flag("quotes", quotes)
        loaded = read_scenario(scenario, overrides)
        accounts = learners_of(loaded, population)
        if len(accounts) > 1:
            raise ScenarioError(
                [
                    f"populations.{population}.count = {len(accounts)}: one environment trades for "
                    "one of them: set it to 1, or take parallel_env"
                ],
                loaded.name,
            )
        self._table = Table(loaded, accounts, read_span(decide_every, loaded), quotes=quotes)
        self.columns: tuple[Column, ...] = self._table.columns
        self.observation_space = observation_space(len(self.columns))
        self.action_space = action_space(len(loaded.markets), quotes)
        self._shape: tuple[int, ...] = self.action_space.shape or ()

    @property
    def accounts(self) -> list[int]:
        """The learner's account, alone."""
        return [int(self._table.seats.account[0])]

    @property
    def scenario(self) -> Scenario:
        """What is run in every episode."""
        return self._table.scenario

    @property
    def run(self) -> Simulation:
        """The run of this episode as far as it is, the learner's orders among its interventions."""
        return self._table.run_of(0)

    def result(self) -> RunResult:
        """Return what the episode has left so far, as any run does."""
        return self.run.result()

    def digest(self) -> str:
        """Return the digest of what is recorded so far."""
        return self.run.digest()

    def hold(self) -> Action:
        """Return the action by which the learner keeps what it has."""
        if self._table.seats.quotes[0]:
            return np.ones(self._shape, np.float32)
        places = [n for n, column in enumerate(self.columns) if column.name.endswith(".exposure")]
        held: Action = np.clip(self._table.seats.observation[0, 0, places], -1.0, 1.0)
        return held

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: the run of the scenario with this seed.

        Parameters
        ----------
        seed : int, optional
            As of ``marketsim run --seed``; drawn if left out.
        options : dict, optional
            Not used.

        Returns
        -------
        observation : array
        info : dict
            The ``seed``.

        Raises
        ------
        TypeError, ValueError
            If the seed is no whole number from 0 to 2**63 - 1.
        """
        seed = checked_seed(seed)
        super().reset(seed=seed, options=options)
        chosen = choose_seed(self, seed)
        self._table.open(0, chosen)
        return self._table.seats.observation[0, 0].copy(), {"seed": chosen}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out an action and run to the next decision.

        Returns
        -------
        observation : array
        reward : float
            Change of the log of what the learner owns.
        terminated : bool
            Whether it was liquidated, or owns nothing.
        truncated : bool
            Whether the scenario has ended.
        info : dict
            ``profit``, USD by cause since the last decision, and ``wealth``, USD.

        Raises
        ------
        ValueError
            If the action has the wrong shape, or a number that is none.
        RuntimeError
            If no episode is under way.
        """
        table = self._table
        seats, course = table.seats, table.seats.course[0]
        if course.rests or course.stop >= course.last:
            raise RuntimeError("no episode is under way: call reset() first")
        seats.action[0, 0] = check_action(action, self._shape)
        table.play()
        is_out = bool(seats.is_out[0, 0])
        has_ended = bool(course.stop >= course.last)
        if is_out:
            course.rests = 1
        info = {"profit": table.profit_of(0, 0), "wealth": table.wealth_of(0, 0)}
        observation = seats.observation[0, 0].copy()
        return observation, float(seats.reward[0, 0]), is_out, has_ended and not is_out, info

"""Many learners in one market: a parallel environment of PettingZoo."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

from marketsim.rl.columns import Column
from marketsim.rl.perp_env import (
    Action,
    Observation,
    action_space,
    check_action,
    checked_seed,
    choose_seed,
    observation_space,
)
from marketsim.rl.table import Table, check_flag, learners_of, read_scenario, read_span
from marketsim.run.simulation import Simulation
from marketsim.scenario.coercion import is_whole_number
from marketsim.scenario.errors import one_of
from marketsim.scenario.schema import Scenario


def parallel_env(
    scenario: Scenario | str | Path = "quickstart",
    population: str = "me",
    agents: Sequence[int] | None = None,
    decide_every: str | float = "5min",
    overrides: list[tuple[str, str]] | None = None,
    quotes: bool = False,
) -> "PerpParallelEnv":
    """Return a market in which several learners trade, as a parallel environment of PettingZoo.

    Parameters
    ----------
    scenario, decide_every, overrides, quotes
        As of `PerpEnv`.
    population : str, optional
        The learners', of the strategy "manual".
    agents : sequence of int, optional
        Numbers, within the population from 0, of those who learn; all if left out. The others of it
        do nothing: who is to trade by itself belongs to a population with a strategy.

    Returns
    -------
    PerpParallelEnv
    """
    return PerpParallelEnv(scenario, population, agents, decide_every, overrides, quotes)


class PerpParallelEnv(ParallelEnv[str, Observation, Action]):
    """A market with several learners, each of whom trades for an account; see `parallel_env`.

    Attributes
    ----------
    columns : tuple of Column
        What each number of an observation is, and its unit.
    """

    def __init__(
        self,
        scenario: Scenario | str | Path,
        population: str,
        agents: Sequence[int] | None,
        decide_every: str | float,
        overrides: list[tuple[str, str]] | None,
        quotes: bool,
    ) -> None:
        self.metadata = {"name": "marketsim", "render_modes": []}
        check_flag("quotes", quotes)
        loaded = read_scenario(scenario, overrides)
        accounts = learners_of(loaded, population)
        numbers = range(len(accounts))
        chosen = list(agents) if isinstance(agents, Iterable) else agents
        chosen = list(numbers) if chosen is None else chosen
        if not chosen or not (
            isinstance(chosen, list)
            and all(map(is_whole_number, chosen))
            and set(chosen) <= set(numbers)
        ):
            raise ValueError(
                f"agents = {chosen!r}: must be numbers of traders of populations.{population}, "
                f"from 0 to {len(accounts) - 1}, such as [0]"
            )
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"agents = {chosen}: names one twice")
        self.possible_agents = [f"{population}_{number}" for number in chosen]
        self.agents: list[str] = []
        self._places = {agent: a for a, agent in enumerate(self.possible_agents)}
        every = read_span(decide_every, loaded)
        self._table = Table(loaded, [accounts[number] for number in chosen], every, quotes=quotes)
        self.columns: tuple[Column, ...] = self._table.columns
        size = len(loaded.markets)
        self.observation_spaces: dict[str, gym.Space[Any]] = {
            agent: observation_space(len(self.columns)) for agent in self.possible_agents
        }
        self.action_spaces: dict[str, gym.Space[Any]] = {
            agent: action_space(size, quotes) for agent in self.possible_agents
        }
        self._shape = (size * (2 if quotes else 1),)
        self.np_random, _ = seeding.np_random()

    def observation_space(self, agent: str) -> gym.Space[Any]:
        """Return the space of an agent's observations."""
        return self.observation_spaces[self._known(agent)]

    def action_space(self, agent: str) -> gym.Space[Any]:
        """Return the space of an agent's actions."""
        return self.action_spaces[self._known(agent)]

    @property
    def scenario(self) -> Scenario:
        """What is run in every episode."""
        return self._table.scenario

    @property
    def run(self) -> Simulation:
        """The run of this episode as far as it is, the learners' orders among its interventions."""
        return self._table.run_of(0)

    def reset(
        self,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002  as PettingZoo has it
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Begin an episode with all agents; see `PerpEnv.reset`."""
        seed = checked_seed(seed)
        if seed is not None:
            self.np_random, _ = seeding.np_random(seed)
        chosen = choose_seed(self, seed)
        self._table.open(0, chosen)
        self.agents = list(self.possible_agents)
        return self._seen(), {agent: {"seed": chosen} for agent in self.agents}

    def step(
        self, actions: dict[str, Action]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Carry out the actions of the agents that are left; see `PerpEnv.step`.

        Raises
        ------
        TypeError
            If the actions are no mapping of agents to actions.
        ValueError
            If an agent is unknown, or its action is missing, has the wrong shape or a number that
            is none.
        """
        if not isinstance(actions, Mapping):
            raise TypeError(f"actions = {actions!r}: must be a mapping, an action for each agent")
        for agent in actions:
            self._known(agent)
        if not self.agents:
            return {}, {}, {}, {}, {}
        table = self._table
        seats, course = table.seats, table.seats.course[0]
        for agent in self.agents:
            if agent not in actions:
                raise ValueError(f"{agent}: has no action")
            action = check_action(actions[agent], self._shape, f"{agent}: ")
            seats.action[0, self._places[agent]] = action
        table.play()
        has_ended = bool(course.stop >= course.last)
        acted = {agent: self._places[agent] for agent in self.agents}
        observations = self._seen()
        rewards = {agent: float(seats.reward[0, a]) for agent, a in acted.items()}
        terminations = {agent: bool(seats.is_out[0, a]) for agent, a in acted.items()}
        truncations = {agent: has_ended and not terminations[agent] for agent in acted}
        infos = {
            agent: {"profit": table.profit_of(0, a), "wealth": table.wealth_of(0, a)}
            for agent, a in acted.items()
        }
        self.agents = [
            agent for agent in self.agents if not terminations[agent] and not truncations[agent]
        ]
        return observations, rewards, terminations, truncations, infos

    def _known(self, agent: str) -> str:
        if agent not in self._places:
            raise ValueError(f"agent {agent!r}: {one_of(str(agent), self.possible_agents)}")
        return agent

    def _seen(self) -> dict[str, Observation]:
        seen = self._table.seats.observation[0]
        return {agent: seen[self._places[agent]].copy() for agent in self.agents}

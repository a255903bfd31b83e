"""The face: a perpetual-futures market as a Mesa model, its traders as Mesa agents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mesa
import numpy as np
from mesa.agent import AgentSet

from marketsim.agents.own import OwnClass, PlainParameters
from marketsim.contagion.exposure import Exposure
from marketsim.contagion.heatmap import LiquidationMap
from marketsim.contagion.matrix import ContagionMatrix
from marketsim.engine.state import ATOMS
from marketsim.model.trader import Trader, TraderView
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import RunResult


class PerpMarket(mesa.Model):
    """A market of perpetual futures with its traders.

    Parameters
    ----------
    scenario : Scenario, str or Path
        A scenario, the name of a shipped one or the path of a TOML file.
    rng : int, optional
        Seed of all random draws; the scenario's own by default.
    overrides : list of (str, str), optional
        Fields to change, as ``--set`` does: ``[("venue.preset", "dydx")]``.
    strategies : mapping, optional
        Own classes, from `marketsim.Strategy` or `marketsim.Trader`, by the name a population's
        ``strategy`` calls them.

    Attributes
    ----------
    simulation : Simulation
        The run behind the face.

    Raises
    ------
    ScenarioError
        Naming every wrong field, its value and what is allowed.

    Examples
    --------
    >>> from marketsim import PerpMarket
    >>> market = PerpMarket("quickstart", rng=1)
    >>> market.markets
    ('BTC', 'ETH', 'SOL')
    """

    def __init__(
        self,
        scenario: Scenario | str | Path = "quickstart",
        rng: int | None = None,
        overrides: list[tuple[str, str]] | None = None,
        strategies: Mapping[str, OwnClass] | None = None,
    ) -> None:
        loaded = scenario
        read = InputLog()
        if not isinstance(loaded, Scenario):
            with read:
                loaded = load_scenario(loaded, overrides or [])
        elif overrides:
            raise ValueError(
                "overrides: give them with a scenario's name or path, not with a model"
            )
        seed = loaded.seed if rng is None else rng
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise TypeError(f"rng = {rng!r}: must be a whole number, the seed of the run")
        super().__init__(rng=int(seed))
        self._own: dict[int, Trader] = {}
        self.simulation = Simulation(loaded, int(seed), strategies, self._own.__getitem__)
        self.simulation.inputs.precede(read)
        self._views: list[TraderView] | None = None
        self._places = {name: m for m, name in enumerate(self.simulation.market_names)}
        callers = self.simulation.callers
        self._own.update({i: self._make_trader(i) for i in callers.plain_accounts()})

    @property
    def scenario(self) -> Scenario:
        """What is run."""
        return self.simulation.scenario

    @scenario.setter
    def scenario(self, scenario: Any) -> None:  # noqa: ARG002
        # Mesa, from 3.5 on, gives a model a scenario of Mesa's kind while it is made.
        if hasattr(self, "simulation"):
            raise AttributeError("scenario: a market keeps the one it was made with")

    @property
    def markets(self) -> tuple[str, ...]:
        """Names of the markets."""
        return self.simulation.market_names

    @property
    def step_count(self) -> int:
        """Steps done."""
        return self.simulation.step_count

    @property
    def agents(self) -> AgentSet:
        """All traders as Mesa agents; built-in ones are made when first asked for."""
        if self._views is None:
            self._views = []  # before the views: each of them registers with the model
            num_traders = self.simulation.roster.num_traders
            self._views = [self._view(i) for i in range(num_traders)]
        return super().agents

    def register_agent(self, agent: mesa.Agent) -> None:
        """Register an agent; traders are numbered by their accounts."""
        super().register_agent(agent)
        if isinstance(agent, TraderView):
            agent.unique_id = agent.account + 1

    @property
    def insurance_fund(self) -> float:
        """Cash of the insurance fund, USD."""
        return int(self.simulation.state.pool["cash"][self.simulation.roster.num_traders]) / ATOMS

    def step(self) -> None:
        """Advance one step."""
        try:
            self.simulation.run(1)
        except BaseException:
            # Mesa from 3.5 on calls this from a schedule, which ends with a step that fails.
            schedule = getattr(self, "_default_schedule", None)
            if schedule is not None:
                schedule.pause()
                schedule.resume()
            raise

    def run(self, num_steps: int, progress: Progress | None = None) -> None:
        """Advance many steps at once, with the same result as as many calls of `step`.

        Parameters
        ----------
        num_steps : int
        progress : callable, optional
            Called with (steps done, steps asked) now and then.

        Raises
        ------
        ValueError
            If fewer steps are left in the scenario.
        """
        self.simulation.run(num_steps, progress)

    def result(self) -> RunResult:
        """Return what the steps done so far have left."""
        return self.simulation.result()

    def contagion(self, delta: float | None = None) -> ContagionMatrix:
        """Measure the contagion matrices as things stand; see `Simulation.contagion`."""
        return self.simulation.contagion(delta)

    def exposure(self) -> Exposure:
        """Take the positions of all accounts as they are now."""
        return self.simulation.exposure()

    def liquidation_map(self, market: str) -> LiquidationMap:
        """Find the marks at which a market's positions would be liquidated now."""
        return self.simulation.liquidation_map(market)

    def _make_trader(self, account: int) -> Trader:
        """Make the object of a user's own trader."""
        simulation = self.simulation
        parameters = simulation.callers.parameters_of(int(simulation.roster.population[account]))
        assert isinstance(parameters, PlainParameters)
        own: Any = parameters.TRADER
        trader: Trader = own(self, account)
        return trader

    def _view(self, account: int) -> TraderView:
        """Return an account's agent, registered after those before it."""
        if account in self._own:
            self.deregister_agent(self._own[account])
            self.register_agent(self._own[account])
            return self._own[account]
        return TraderView(self, account)

    def market_index(self, name: str) -> int:
        """Return the number of a market.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        try:
            return self._places[name]
        except KeyError:
            raise KeyError(f"no market {name!r}; there are {', '.join(self.markets)}") from None

    def mid_price(self, name: str) -> float:
        """Return the mid of a market's book as traders saw it last, USD; its mark without one."""
        return self._read(self.simulation.traders.public, "mid", name)

    def index_price(self, name: str) -> float:
        """Return a market's index price, USD."""
        return self._read(self.simulation.state.market, "index_price", name)

    def mark_price(self, name: str) -> float:
        """Return a market's mark price, USD."""
        market = self.simulation.state.market
        return self._read(market, "mark_ticks", name) * self._read(market, "tick_size", name)

    def premium(self, name: str) -> float:
        """Return the last premium sample of a market, a fraction of the index."""
        return self._read(self.simulation.state.market, "premium", name)

    def funding_rate(self, name: str) -> float:
        """Return the last settled funding rate of a market, per 8 h."""
        return self._read(self.simulation.state.market, "funding_rate", name)

    def open_interest(self, name: str) -> float:
        """Return a market's open interest, USD at the mark."""
        market = self.simulation.state.market[self.market_index(name)]
        return int(market.open_interest * market.mark_ticks * market.tick_atoms) / ATOMS

    def _read(self, array: Any, field: str, name: str) -> float:
        return float(array[field].item(self.market_index(name)))


__all__ = ["PerpMarket", "TraderView"]

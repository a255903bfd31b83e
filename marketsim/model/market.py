"""The face: a perpetual-futures market as a Mesa model, its traders as Mesa agents."""

import secrets
import warnings
from collections.abc import Mapping
from functools import partial
from operator import getitem
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack, cast

import mesa
import numpy as np
from mesa.agent import AgentSet
from numpy.typing import NDArray

from marketsim.agents.callers import FindTrader
from marketsim.agents.own import OwnClass, PlainParameters
from marketsim.contagion.exposure import Exposure
from marketsim.contagion.heatmap import LiquidationMap
from marketsim.contagion.matrix import ContagionMatrix
from marketsim.engine.state import ATOMS, NONE
from marketsim.model.memory import remember, remind
from marketsim.model.stepping import ModelSimulation, SteppedModel
from marketsim.model.trader import Trader, TraderView
from marketsim.model.weak import loosen
from marketsim.results import by_report
from marketsim.run.data import SavedMarketError
from marketsim.run.hooks import Hook, Listener
from marketsim.run.measures import BookImpact
from marketsim.run.progress import Progress
from marketsim.run.saved import Saved, save_run
from marketsim.run.steering import Steered
from marketsim.scenario.coercion import seed_of_run
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import RunResult

#: Bits of a seed drawn afresh: JSON of any reader holds it exactly.
FRESH_BITS = 53


class Deprecated(TypedDict, total=False):
    """Arguments that still work under an old name."""

    seed: int | None


class PerpMarket(Steered, SteppedModel):
    """A market of perpetual futures with its traders.

    What Mesa promises of a model holds: `steps` and `time` advance with `run` as with `step`,
    `running` is False after the scenario's last step, a `step` of a subclass is called, and
    ``agent.remove()`` retires a trader (see `TraderView.remove`).

    Parameters
    ----------
    scenario : Scenario, str or Path
        A scenario, the name of a shipped one or the path of a TOML file.
    rng : int, optional
        Seed of all random draws. Without it, the seed that the scenario states; if it states none,
        a fresh one, so that two markets differ. `seed` tells which it is.
    overrides : list of (str, str), optional
        Fields to change, as ``--set`` does: ``[("venue.preset", "dydx")]``.
    strategies : mapping, optional
        Own classes, from `marketsim.Strategy` or `marketsim.Trader`, by the name a population's
        ``strategy`` calls them.
    progress : callable, optional
        Called with (steps done, steps asked) a few times a second while a scenario's warm-up lasts.
    **deprecated
        ``seed``, the former name of `rng`.

    Attributes
    ----------
    simulation : Simulation
        The run behind the face.

    Raises
    ------
    ScenarioError
        Naming every wrong field, its value and what is allowed.
    TypeError, ValueError
        If the seed is no whole number from 0 to 2**63 - 1.

    Examples
    --------
    >>> from marketsim import PerpMarket
    >>> market = PerpMarket("quickstart", rng=1)
    >>> market.markets
    ('BTC', 'ETH', 'SOL')
    >>> market.seed
    1
    """

    #: Of each account, the generation of its agent, NONE if there is none; None without a run yet.
    _listed: NDArray[np.int64] | None = None

    def __init__(
        self,
        scenario: Scenario | str | Path = "quickstart",
        rng: int | None = None,
        overrides: list[tuple[str, str]] | None = None,
        strategies: Mapping[str, OwnClass] | None = None,
        progress: Progress | None = None,
        **deprecated: Unpack[Deprecated],
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
        seed = _choose_seed(loaded, rng, deprecated)
        find_trader = self._begin(seed)
        self._take(ModelSimulation(self, loaded, seed, strategies, find_trader))
        self.simulation.inputs.precede(read)
        self.simulation.let_warm_up(progress)

    def _begin(self, seed: int) -> FindTrader:
        """Set up what is Mesa's; return what finds the traders of users' own."""
        super().__init__(rng=seed)
        loosen(self)
        self._own: dict[int, Trader] = {}
        # unlike a method of the dict, this is copied with it
        find_trader: Any = partial(getitem, self._own)
        return cast(FindTrader, find_trader)

    def _take(self, simulation: ModelSimulation) -> None:
        """Be the face of a run."""
        self.simulation = simulation
        self._places = {name: m for m, name in enumerate(simulation.market_names)}
        self._next_id = simulation.roster.num_traders + 1
        self._plain = frozenset(simulation.callers.plain_accounts())
        for account in sorted(self._plain):
            if not simulation.traders.trader[account].is_retired:
                self._own[account] = self._make_trader(account)
        self._listed = np.full(simulation.roster.num_traders, NONE)

    @property
    def seed(self) -> int:
        """Seed of all random draws."""
        return self.simulation.seed

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
        self._make_views()
        return super().agents

    @property
    def agent_types(self) -> list[type]:
        """Classes of the agents."""
        self._make_views()
        return list(super().agent_types)

    @property
    def agents_by_type(self) -> dict[type, AgentSet]:
        """The agents of each class."""
        self._make_views()
        by_type: dict[type, AgentSet] = super().agents_by_type
        return by_type

    def remove_all_agents(self) -> None:
        """Retire all traders."""
        self._make_views()
        super().remove_all_agents()

    def register_agent(self, agent: mesa.Agent) -> None:
        """Register an agent; traders are numbered by their accounts, others after them."""
        super().register_agent(agent)
        if isinstance(agent, TraderView):
            agent.unique_id = agent.account + 1
        else:
            agent.unique_id = self._next_id
            self._next_id += 1

    def retire(self, trader: TraderView) -> None:
        """Let a trader leave the market; `TraderView.remove` calls it."""
        self._own.pop(trader.account, None)
        self.simulation.retire(trader.account)

    def lose(self, account: int) -> None:
        """Let Mesa's agents lose a trader who leaves the market; views go when looked for."""
        own = self._own.pop(account, None)
        if own is not None:
            own.drop()

    def gain(self, account: int) -> None:
        """Make the object of a newcomer of a user's own class, in place of the one who left."""
        if account in self._plain:
            self.lose(account)
            self._own[account] = self._make_trader(account)

    @property
    def insurance_fund(self) -> float:
        """Cash of the insurance fund, USD."""
        return int(self.simulation.state.pool["cash"][self.simulation.roster.num_traders]) / ATOMS

    def result(self) -> RunResult:
        """Return what the steps done so far have left."""
        return self.simulation.result()

    def digest(self) -> str:
        """Return the digest of what is recorded so far: that of `result`."""
        return self.simulation.digest()

    def save(self, path: str | Path, *, is_checkpoint: bool = False) -> None:
        """Save the market as it stands to a file, which `marketsim.load_market` reads.

        An existing file is replaced once the new one is complete. What you hang on the market
        yourself, a Mesa ``DataCollector`` say, is not saved.

        Parameters
        ----------
        path : str or Path
        is_checkpoint : bool, optional
            Whether who runs it means to replace and to remove the file.

        Raises
        ------
        SavedMarketError
            If a trader of your own remembers what is no data, or Mesa's part of the market cannot
            be saved.
        FolderError
            If the file cannot be written.
        """
        if type(self) is not PerpMarket:
            raise SavedMarketError(
                f"{type(self).__name__}: a class of your own made from PerpMarket is not saved; "
                "branch() copies it"
            )
        remembered = remember(self, self._own)
        save_run(self.simulation, path, remembered, is_checkpoint=is_checkpoint)

    @classmethod
    def revived(cls, saved: Saved, strategies: Mapping[str, OwnClass] | None) -> Self:
        """Return a saved market."""
        market = cls.__new__(cls)
        find_trader = market._begin(saved.seed)
        simulation, remembered = ModelSimulation.revived(market, saved, strategies, find_trader)
        market._take(simulation)
        remind(market, market._own, remembered, saved.file)
        return market

    def intervene(self, kind: str, **fields: Any) -> None:
        """Do something to the market at the start of the next step; see `Steered.intervene`."""
        self.simulation.intervene(kind, **fields)

    def depth(self, market: str, levels: int | None = 20) -> NDArray[Any]:
        """Read a market's book as it stands; see `Simulation.depth`."""
        return self.simulation.depth(market, levels)

    def depth_usd(self, bp: float) -> NDArray[np.float64]:
        """Return the USD that rest within `bp` basis points of each mid, (2, M): bids, asks."""
        return self.simulation.depth_usd(bp)

    def impact(self, market: str, usd: float, side: str) -> BookImpact:
        """Find what a market order would pay in the book as it stands; see `Simulation.impact`."""
        return self.simulation.impact(market, usd, side)

    def on(self, event: str, call: Hook) -> Listener:
        """Call a function with what happened, after each step in which it did.

        See `Simulation.on`.
        """
        return self.simulation.on(event, call)

    def stop(self) -> None:
        """End the run under way after the step it is in, and Mesa's loops with it.

        For hooks and traders. `running` is False from then on; `run` and `step` go on from there.
        """
        self.running = False
        self.simulation.stop()

    def contagion(self, delta: float | None = None) -> ContagionMatrix:
        """Measure the contagion matrices as things stand; see `Simulation.contagion`."""
        return self.simulation.contagion(delta)

    def exposure(self) -> Exposure:
        """Take the positions of all accounts as they are now."""
        return self.simulation.exposure()

    def show(self, twin: "PerpMarket | None" = None, height: int = 720) -> Any:
        """Show the replay of what the market has done so far, where a notebook stands.

        It is made again from its scenario and seed, watched from the first step on.

        Parameters
        ----------
        twin : PerpMarket, optional
            Drawn behind it: the same seed with another rule, say.
        height : int, optional
            Pixels.

        Raises
        ------
        ValueError
            If nothing has happened yet, or it has traders of your own that were given from Python.
        """
        runs = [each.simulation for each in (self, twin) if each is not None]
        return by_report.show(runs, height)

    def _repr_html_(self) -> str:
        return by_report.html(self.simulation)

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

    def _make_views(self) -> None:
        """Register an agent for every trader, in the order of accounts, and no other.

        Once; after that whenever traders have come or left since.
        """
        if self._listed is None:
            return
        traders = self.simulation.traders
        present = np.where(traders.trader["is_retired"] == 0, traders.stay["generation"], NONE)
        changed = np.flatnonzero(present != self._listed)
        self._listed = present  # before they are made: each of them registers with the model
        if len(changed) == 0:
            return
        agents = {each.account: each for each in super().agents if isinstance(each, TraderView)}
        for account in changed.tolist():
            if account in agents and agents[account].generation != present[account]:
                agents.pop(account).drop()
        if (present[changed] == NONE).all():
            return
        for account in np.flatnonzero(present != NONE).tolist():
            if account in agents:
                self.deregister_agent(agents[account])
                self.register_agent(agents[account])
            else:
                TraderView(self, account)

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
        value: float = array[field].item(self.market_index(name))
        return value


def _choose_seed(scenario: Scenario, rng: Any, deprecated: Deprecated) -> int:
    """Return the seed asked for, else the one a scenario states, else a fresh one."""
    if unknown := [name for name in deprecated if name != "seed"]:
        raise TypeError(f"PerpMarket has no argument {unknown[0]!r}")
    given = rng
    if (old := deprecated.get("seed")) is not None:
        if rng is not None:
            raise ValueError("rng and seed are the same: give one of them")
        warnings.warn(
            "seed= is deprecated and will be removed: use rng=, which means the same",
            FutureWarning,
            stacklevel=3,
        )
        given = old
    if given is None:
        stated = "seed" in scenario.model_fields_set
        return scenario.seed if stated else secrets.randbits(FRESH_BITS)
    return seed_of_run("rng", given)


__all__ = ["PerpMarket", "TraderView"]

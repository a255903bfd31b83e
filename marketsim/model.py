"""The face: a perpetual-futures market as a Mesa model, its traders as Mesa agents."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mesa
import numpy as np
from mesa.agent import AgentSet

from marketsim.engine.pools import assess_pool, bankruptcy_price, liquidation_price
from marketsim.engine.state import ATOMS
from marketsim.record.result import RunResult
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.simulation import Simulation


class _Numbers:
    """Numbers of a model's agents, kept with the model."""

    def __getitem__(self, model: "PerpMarket") -> Any:
        return model.numbers


class TraderView(mesa.Agent):
    """One trader, read from the market's arrays; holds nothing itself.

    Attributes
    ----------
    account : int
        Row of the trader in the venue's arrays.
    population : str
        Name of its population in the scenario.
    strategy : str
    """

    #: Mesa before 3.4 counts agents in a table of the class, which keeps every model alive.
    _ids = _Numbers()

    def __init__(self, model: "PerpMarket", account: int) -> None:
        super().__init__(model)
        roster = model.simulation.roster
        place = int(roster.population[account])
        self.account = account
        self.population = roster.names[place]
        self.strategy = roster.strategies[place]

    @property
    def capital(self) -> float:
        """USD deposited at the start."""
        return float(self._state.account["deposit"][self.account]) / ATOMS

    @property
    def cash(self) -> float:
        """Wallet balance over all pools, USD: deposits and what has been realised."""
        owned = self._state.pool["owner"] == self.account
        cash = int(self._state.pool["cash"][owned].sum())
        return (cash + int(self._state.position["entry_cost"][self.account].sum())) / ATOMS

    @property
    def equity(self) -> float:
        """USD over all pools: cash, unrealised profit, and holdings after their haircut."""
        return sum(self._margin(p)[0] for p in self._pools)

    @property
    def maintenance_margin(self) -> float:
        """USD over all pools."""
        return sum(self._margin(p)[1] for p in self._pools)

    @property
    def notional(self) -> float:
        """USD of all positions at their marks."""
        market = self._state.market
        value = self._state.position["size"][self.account] * market["mark_ticks"]
        return float(np.abs(value * market["tick_atoms"]).sum()) / ATOMS

    @property
    def leverage(self) -> float:
        """Notional / equity; inf when equity is not above zero."""
        equity = self.equity
        return self.notional / equity if equity > 0 else float("inf")

    def size(self, market: str) -> float:
        """Return the position in a market in coins, long > 0."""
        m = self.model.market_index(market)
        lots = int(self._state.position["size"][self.account, m])
        return lots * float(self._state.market["lot_size"][m])

    def entry_price(self, market: str) -> float:
        """Return the average entry price of a position in USD, nan without one."""
        m = self.model.market_index(market)
        cost = int(self._state.position["entry_cost"][self.account, m])
        size = self.size(market)
        return cost / ATOMS / size if size else float("nan")

    def liquidation_price(self, market: str) -> float:
        """Return the mark price in USD that liquidates a position, other marks as they are.

        nan without a position, or where no price does.
        """
        return self._in_usd(liquidation_price, market)

    def bankruptcy_price(self, market: str) -> float:
        """Return the price in USD at which a position's share of equity is used up, or nan."""
        return self._in_usd(bankruptcy_price, market)

    def step(self) -> None:
        """Do nothing: built-in traders act in the kernels, inside the model's step."""

    @property
    def _state(self) -> Any:
        return self.model.simulation.state

    @property
    def _pools(self) -> list[int]:
        return [int(p) for p in np.flatnonzero(self._state.pool["owner"] == self.account)]

    def _in_usd(self, price: Callable[[Any, int, int], float], market: str) -> float:
        m = self.model.market_index(market)
        return price(self._state, self.account, m) * float(self._state.market["tick_size"][m])

    def _margin(self, p: int) -> tuple[float, float]:
        assess_pool(self._state, p)
        pool = self._state.pool[p]
        return int(pool.equity) / ATOMS, int(pool.maintenance) / ATOMS


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
    ) -> None:
        loaded = scenario
        if not isinstance(loaded, Scenario):
            loaded = load_scenario(loaded, overrides or [])
        elif overrides:
            raise ValueError(
                "overrides: give them with a scenario's name or path, not with a model"
            )
        seed = loaded.seed if rng is None else rng
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise TypeError(f"rng = {rng!r}: must be a whole number, the seed of the run")
        super().__init__(rng=int(seed))
        self.scenario = loaded
        self.simulation = Simulation(loaded, int(seed))
        self.numbers = itertools.count(1)
        self._views: list[TraderView] | None = None

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
        """All traders as Mesa agents, made when first asked for."""
        if self._views is None:
            self._views = []  # before the views: each of them registers with the model
            num_traders = self.simulation.roster.num_traders
            self._views = [TraderView(self, i) for i in range(num_traders)]
        return super().agents

    @property
    def insurance_fund(self) -> float:
        """Cash of the insurance fund, USD."""
        return int(self.simulation.state.pool["cash"][self.simulation.roster.num_traders]) / ATOMS

    def step(self) -> None:
        """Advance one step."""
        self.simulation.run(1)

    def run(self, num_steps: int, progress: Callable[[int, int], None] | None = None) -> None:
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

    def market_index(self, name: str) -> int:
        """Return the number of a market.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        if name not in self.markets:
            raise KeyError(f"no market {name!r}; there are {', '.join(self.markets)}")
        return self.markets.index(name)

    def index_price(self, name: str) -> float:
        """Return a market's index price, USD."""
        return float(self.simulation.state.market["index_price"][self.market_index(name)])

    def mark_price(self, name: str) -> float:
        """Return a market's mark price, USD."""
        market = self.simulation.state.market[self.market_index(name)]
        return int(market.mark_ticks) * float(market.tick_size)

    def premium(self, name: str) -> float:
        """Return the last premium sample of a market, a fraction of the index."""
        return float(self.simulation.state.market["premium"][self.market_index(name)])

    def funding_rate(self, name: str) -> float:
        """Return the last settled funding rate of a market, per 8 h."""
        return float(self.simulation.state.market["funding_rate"][self.market_index(name)])

    def open_interest(self, name: str) -> float:
        """Return a market's open interest, USD at the mark."""
        market = self.simulation.state.market[self.market_index(name)]
        return int(market.open_interest * market.mark_ticks * market.tick_atoms) / ATOMS


__all__ = ["PerpMarket", "TraderView"]

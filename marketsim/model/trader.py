"""Traders as Mesa agents: a view of each account, and the base of traders users write."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import mesa
import numpy as np

from marketsim.agents.desk import (
    CANCEL,
    IMMEDIATE,
    MAX_USD,
    ORDER,
    POST_ONLY,
    REDUCE_ONLY,
    SPOT,
    TRANSFER,
    checked_number,
)
from marketsim.agents.margins import assess_account
from marketsim.agents.own import Plain, RefusedError
from marketsim.engine.pools import bankruptcy_price, liquidation_price
from marketsim.engine.state import ATOMS
from marketsim.model.weak import KnowsModel
from marketsim.run.simulation import Simulation
from marketsim.streams import Stream, normal, uniform


class Market(Protocol):
    """What a trader needs of its model; `marketsim.PerpMarket` has it."""

    simulation: Simulation

    def retire(self, trader: "TraderView") -> None:
        """Let a trader leave the market."""

    def market_index(self, name: str) -> int:
        """Return the number of a market; KeyError if there is none."""


class _Numbers:
    """Counts for Mesa and keeps no model; `PerpMarket.register_agent` gives the numbers."""

    def __getitem__(self, model: Market) -> Iterator[int]:
        return itertools.count()


class TraderView(KnowsModel, mesa.Agent):
    """One trader, read from the market's arrays; holds nothing itself, nor the market alive.

    Attributes
    ----------
    population : str
        Name of its population in the scenario.
    strategy : str
    """

    #: Mesa before 3.4.2 counts agents in a table of the class, which keeps every model alive.
    _ids = _Numbers()

    def __init__(self, model: Market, account: int) -> None:
        self._account = account  # first: the model registers it by its account
        self._generation: int = model.simulation.traders.stay["generation"].item(account)
        super().__init__(model)
        roster = model.simulation.roster
        place = int(roster.population[account])
        self.population = roster.names[place]
        self.strategy = roster.strategies[place]

    @property
    def account(self) -> int:
        """Row of the trader in the venue's arrays; orders are this account's only."""
        return self._account

    @property
    def generation(self) -> int:
        """Traders who had its account before."""
        return self._generation

    @property
    def capital(self) -> float:
        """USD it has deposited, when it came and since."""
        before: int = self.model.simulation.traders.stay["before"].item(self._account)
        deposit: int = self._state.account["deposit"].item(self._account)
        return (deposit - before) / ATOMS

    @property
    def cash(self) -> float:
        """Wallet balance over all pools, USD: deposits and what has been realised."""
        pools = {self._account, *self._state.position["pool"][self._account].tolist()}
        cash = int(sum(map(self._state.pool["cash"].item, pools)))
        return (cash + int(self._state.position["entry_cost"][self.account].sum())) / ATOMS

    @property
    def equity(self) -> float:
        """USD over all pools: cash, unrealised profit, and holdings after their haircut."""
        return self._margin(0)

    @property
    def maintenance_margin(self) -> float:
        """USD over all pools."""
        return self._margin(1)

    @property
    def free_margin(self) -> float:
        """USD of the main pool beyond its initial margin: what new orders may use."""
        return self._margin(2)

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
        model = self.model
        m = model.market_index(market)
        state = model.simulation.state
        lots: int = state.position["size"].item(self._account, m)
        lot_size: float = state.market["lot_size"].item(m)
        return lots * lot_size

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
    def is_retired(self) -> bool:
        """Whether it was removed from the market or leaves it; its account may be another's now."""
        traders = self.model.simulation.traders
        is_retired = bool(traders.trader["is_retired"].item(self._account))
        return is_retired or traders.stay["generation"].item(self._account) != self._generation

    def remove(self) -> None:
        """Retire the trader: Mesa's agents lose it, and it leaves the market.

        Its `step` is not called any more and it decides nothing. From the next step of the market
        on its orders are withdrawn, its positions closed at the market, within its slippage bound
        or 1 % a step if that is wider, and then its coins sold; what the book does not take is
        tried again in every step, to the end of the run. What it ordered in the step under way is
        still carried out. Its account stays in the books with the cash and stablecoins that are
        left, and its properties can still be read; a herd goes on counting its last opinion. To
        remove it again does nothing.
        """
        if not self.is_retired:
            self.model.retire(self)
            self.drop()

    def drop(self) -> None:
        """Let Mesa's agents lose it, for it has left the market; `remove` calls it."""
        super().remove()

    @property
    def _state(self) -> Any:
        return self.model.simulation.state

    def _in_usd(self, price: Callable[[Any, int, int], float], market: str) -> float:
        m = self.model.market_index(market)
        return price(self._state, self.account, m) * float(self._state.market["tick_size"][m])

    def _margin(self, place: int) -> float:
        """Return equity or maintenance margin over all pools or free margin, USD."""
        return assess_account(self._state, self._account)[place] / ATOMS


class Trader(Plain, TraderView):
    """Base of a trader in plain Python: one object per account, `step` when it wakes.

    Annotated attributes of the class with a default are parameters, which a population's
    ``parameters`` set. A class may have an ``__init__(self, model, account)``; the parameters are
    there once ``super().__init__(model, account)`` is done.

    Sizes are coins, prices and amounts USD. Orders take effect after all traders of the step have
    decided, in random order. `model` has what is public: ``self.model.mid_price("BTC")``.

    Examples
    --------
    >>> class Contrarian(Trader):
    ...     share: float = 0.1
    ...     def step(self):
    ...         if self.model.funding_rate("BTC") > 0.0002:
    ...             self.sell("BTC", self.share * self.equity / self.model.mid_price("BTC"))
    ...         else:
    ...             self.close("BTC")
    """

    def __init__(self, model: Market, account: int) -> None:
        super().__init__(model, account)
        callers = model.simulation.callers
        self._desk = callers.desk
        self._key = model.simulation.traders.trader["key"].item(account)
        number = model.simulation.traders.trader["population"].item(account)
        for name, value in callers.parameters_of(number).model_dump().items():
            setattr(self, name, value)

    def habit(self, name: str) -> float:
        """Return one of its habits, as drawn: ``"leverage"``, ``"slippage"``, ..."""
        return float(self.model.simulation.traders.trader[name].item(self.account))

    def uniform(self, k: int = 0) -> float:
        """Draw a number in (0, 1).

        The `k`-th draw of a trader in a step is the same whoever else is in the market, and is
        the same number when drawn again.
        """
        simulation = self.model.simulation
        stream = Stream.ACTION.value
        return float(uniform(simulation.seed, stream, self._key, simulation.step_count, k))

    def normal(self, k: int = 0) -> float:
        """Draw a standard normal number; `k` as for `uniform`."""
        simulation = self.model.simulation
        stream = Stream.ACTION.value
        return float(normal(simulation.seed, stream, self._key, simulation.step_count, k))

    def order(
        self,
        market: str,
        size: float,
        limit: float | None = None,
        *,
        minutes: float | None = None,
        slippage: float | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> None:
        """Place an order.

        Parameters
        ----------
        market : str
        size : float
            Coins, buy > 0; in whole lots, rounded toward zero. 0 is no order.
        limit : float, optional
            USD. Left out, the order trades at once, within the slippage bound, or not at all.
        minutes : float, optional
            Life of a limit order; left out: until withdrawn.
        slippage : float, optional
            Fraction of mid an order without a limit may move; the trader's own by default.
        post_only : bool, optional
            Drop a limit order that would trade at once.
        reduce_only : bool, optional
            Only what closes a position.
        """
        desk = self._desk
        desk.check_open()
        m = desk.market_index(market)
        coins = checked_number(size, "size", market)
        flags = REDUCE_ONLY if reduce_only else 0
        if limit is None:
            away = slippage
            if away is None:
                away = desk.traders.trader["slippage"].item(self._account)
            else:
                away = checked_number(away, "slippage", market)
            side = 1.0 if coins > 0.0 else -1.0
            price = desk.traders.public["mid"].item(m) * (1.0 + side * away)
            flags |= IMMEDIATE
        else:
            price = checked_number(limit, "limit", market)
            if not price > 0.0:
                raise RefusedError(f"limit {limit} for {market}: must be above 0")
            flags |= POST_ONLY if post_only else 0
        expiry = 0 if minutes is None else desk.expiry(minutes)
        desk.add(self, m, ORDER, coins, price, flags, expiry)

    def buy(self, market: str, size: float, limit: float | None = None, **options: Any) -> None:
        """Buy `size` coins, at the market or with a limit in USD; options as for `order`."""
        self.order(market, self._amount(market, size, "size"), limit, **options)

    def sell(self, market: str, size: float, limit: float | None = None, **options: Any) -> None:
        """Sell `size` coins, at the market or with a limit in USD; options as for `order`."""
        self.order(market, -self._amount(market, size, "size"), limit, **options)

    def close(self, market: str) -> None:
        """Close the position in a market, within the slippage bound."""
        self.order(market, -self.size(market), reduce_only=True)

    def cancel(self, market: str) -> None:
        """Withdraw all resting orders in a market."""
        m = self._desk.market_index(market)
        self._desk.add(self, m, CANCEL)

    def buy_spot(self, market: str, size: float) -> None:
        """Buy coins themselves, outside, at the index price with free cash."""
        self._trade_spot(market, self._amount(market, size, "size"))

    def sell_spot(self, market: str, size: float) -> None:
        """Sell coins held."""
        self._trade_spot(market, -self._amount(market, size, "size"))

    def transfer(self, market: str, amount: float) -> None:
        """Move USD from the main pool to an isolated market's pool (negative: back), if free."""
        m = self._desk.market_index(market)
        usd = checked_number(amount, "amount", market)
        usd = min(max(usd, -MAX_USD), MAX_USD)
        self._desk.add(self, m, TRANSFER, usd)

    def _margin(self, place: int) -> float:
        desk = self._desk
        if desk.asked is not self:
            return super()._margin(place)
        usd: float = desk.traders.margin.item(desk.row, place)
        return usd

    def _trade_spot(self, market: str, coins: float) -> None:
        m = self._desk.market_index(market)
        self._desk.add(self, m, SPOT, coins)

    def _amount(self, market: str, size: Any, what: str) -> float:
        """Return a size that has no sign."""
        self._desk.market_index(market)
        amount = checked_number(size, what, market)
        if amount < 0.0:
            raise RefusedError(
                f"{what} {size} for {market}: must not be negative; order() takes signed sizes"
            )
        return amount


__all__ = ["Trader", "TraderView"]

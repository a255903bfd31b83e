"""What a vectorised strategy has of its traders who wake: their accounts and their orders."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from marketsim.agents.base import STOPPED, Habits, Traders
from marketsim.agents.desk import (
    CANCEL,
    IMMEDIATE,
    MAX_USD,
    ORDER,
    POST_ONLY,
    REDUCE_ONLY,
    SPOT,
    TRANSFER,
    Desk,
    draw_normal,
    draw_uniform,
    place_all,
)
from marketsim.agents.own import RefusedError
from marketsim.agents.view import frozen, lazy, locked
from marketsim.engine.state import ATOMS, NONE, State

#: Where a number, or who is meant, is not stated.
NO_NUMBERS = np.zeros(0)
EVERYWHERE = np.zeros(0, bool)


class Batch:
    """The traders of one population who wake in this step: n traders, M markets.

    All arrays but `memory` cannot be written to.

    Every habit is an attribute of shape (n,): `leverage`, `funding_sensitivity`, `buffer`,
    `stop_loss`, `tranches`, `stable_share`, `spot_hedge`, `slippage`.
    """

    def __init__(
        self,
        state: State,
        traders: Traders,
        desk: Desk,
        population: int,
        account: Any,
        margin: Any,
        step: int,
        seed: int,
    ) -> None:
        self._state = state
        self._traders = traders
        self._desk = desk
        self._step = step
        self._seed = seed
        self._memory: Any = None
        self._population = population
        self._account = account
        self._given = margin
        self._shape = (len(account), len(desk.market_names))

    def __len__(self) -> int:
        """Return how many wake."""
        return len(self._account)

    def __getattr__(self, name: str) -> Any:
        if name in Habits.names:
            value = locked(self._traders.trader[name][self._account])
            setattr(self, name, value)
            return value
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @lazy
    def account(self) -> Any:
        """(n,) rows of the traders in the venue's arrays."""
        return locked(self._account.copy())

    @lazy
    def weight(self) -> Any:
        """(M,) the population's share of each market; 0: not traded."""
        return frozen(self._traders.weight[self._population])

    @lazy
    def key(self) -> Any:
        """(n,) keys of the traders' random draws."""
        return locked(self._traders.trader["key"][self._account])

    @lazy
    def elapsed_minutes(self) -> Any:
        """(n,) minutes since they looked last."""
        elapsed = self._traders.trader["elapsed"][self._account]
        return locked(elapsed * self._desk.step_minutes)

    @property
    def equity(self) -> Any:
        """(n,) USD over all pools: cash, unrealised profit, holdings after their haircut."""
        return self._margin[0]

    @property
    def maintenance_margin(self) -> Any:
        """(n,) USD over all pools."""
        return self._margin[1]

    @property
    def free_margin(self) -> Any:
        """(n,) USD of the main pool beyond its initial margin."""
        return self._margin[2]

    @lazy
    def capital(self) -> Any:
        """(n,) USD deposited, when they came and since."""
        before = self._traders.stay["before"][self._account]
        return locked((self._state.account["deposit"][self._account] - before) / ATOMS)

    @lazy
    def generation(self) -> Any:
        """(n,) traders who had the account before: one more when a newcomer has taken it over."""
        return locked(self._traders.stay["generation"][self._account])

    @lazy
    def size(self) -> Any:
        """(n, M) positions in coins, long > 0."""
        lots = self._state.position["size"][self._account]
        return locked(lots * self._state.market["lot_size"])

    @lazy
    def entry_price(self) -> Any:
        """(n, M) average entry prices in USD, nan without a position."""
        cost = self._state.position["entry_cost"][self._account] / ATOMS
        size = self.size
        nothing = np.full(self._shape, np.nan)
        return locked(np.divide(cost, size, out=nothing, where=size != 0))

    @lazy
    def spot(self) -> Any:
        """(n, M) coins held beside the positions."""
        return locked(self._state.spot[self._account] * self._state.market["lot_size"])

    @lazy
    def has_orders(self) -> Any:
        """(n, M) whether orders rest in the book."""
        return locked(self._state.position["first_order"][self._account] >= 0)

    @property
    def memory(self) -> Any:
        """(n, M, 3) numbers of the strategy's own, zero at first and kept between steps.

        Write to it in place: ``traders.memory[:, 0, 0] += 1``.
        """
        if self._memory is None:
            self._memory = self._traders.memory[self._account, :, :STOPPED]
        return self._memory

    def uniform(self, k: int = 0) -> Any:
        """Draw a number in (0, 1) for each trader, (n,).

        Parameters
        ----------
        k : int
            Number of the draw: the same one in the same step gives the same numbers, so that
            every trader's draws are the same whoever else is in the market.
        """
        return self._draw(draw_uniform, k)

    def normal(self, k: int = 0) -> Any:
        """Draw a standard normal number for each trader, (n,); `k` as for `uniform`."""
        return self._draw(draw_normal, k)

    def market_order(
        self,
        size: Any,
        market: str | None = None,
        where: Any = None,
        *,
        slippage: Any = None,
        reduce_only: bool = False,
    ) -> None:
        """Trade at once; what the book does not offer within the slippage bound is dropped.

        Parameters
        ----------
        size : array or float
            Coins, buy > 0; 0 is no order. Shape (n, M), or (n,) with `market`, or what NumPy
            broadcasts to that: a number, (M,) per market, (n, 1) per trader.
        market : str, optional
            Name of the only market meant.
        where : array of bool, optional
            Who trades, (n,), or who trades where, (n, M).
        slippage : array or float, optional
            Fraction of mid the price may move away; each trader's own by default.
        reduce_only : bool, optional
            Only what closes a position.
        """
        flags = IMMEDIATE | (REDUCE_ONLY if reduce_only else 0)
        bound = None if slippage is None else ("slippage", slippage)
        self._send(ORDER, ("size", size), market, where, bound=bound, flags=flags)

    def limit_order(
        self,
        size: Any,
        price: Any,
        market: str | None = None,
        where: Any = None,
        *,
        minutes: float | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> None:
        """Place orders that wait in the book.

        Parameters
        ----------
        size, market, where
            As for `market_order`.
        price : array or float
            USD, above 0; rounded so that it is never worse than asked.
        minutes : float, optional
            Life of the orders; left out: until withdrawn.
        post_only : bool, optional
            Drop what would trade at once.
        reduce_only : bool, optional
            Only what closes a position.
        """
        flags = (POST_ONLY if post_only else 0) | (REDUCE_ONLY if reduce_only else 0)
        expiry = self._desk.expiry(minutes)
        bound = ("price", price)
        self._send(ORDER, ("size", size), market, where, bound=bound, flags=flags, expiry=expiry)

    def move_to(self, target: Any, market: str | None = None, where: Any = None) -> None:
        """Trade from the positions held to `target` coins at the market, within the slippage bound.

        Parameters
        ----------
        target, market, where
            As `size` of `market_order`.
        """
        given = ("target", target)
        self._send(ORDER, given, market, where, flags=IMMEDIATE, is_target=True)

    def cancel(self, market: str | None = None, where: Any = None) -> None:
        """Withdraw all resting orders, of one market or of all."""
        shape, first = self._target(market)
        resting = self.has_orders[:, first : first + shape[-1]] if market else self.has_orders
        asked = resting.reshape(shape).astype(np.float64)
        self._send(CANCEL, ("orders", asked), market, where)

    def trade_spot(self, size: Any, market: str | None = None, where: Any = None) -> None:
        """Buy (> 0) or sell coins themselves, outside, at the index price."""
        self._send(SPOT, ("size", size), market, where)

    def transfer(self, amount: Any, market: str, where: Any = None) -> None:
        """Move USD from the main pool to the pool of an isolated market (negative: back)."""
        self._send(TRANSFER, ("amount", amount), market, where)

    def save_memory(self) -> None:
        """Keep what the strategy wrote to `memory`."""
        if self._memory is not None:
            self._traders.memory[self._account, :, :STOPPED] = self._memory

    @lazy
    def _margin(self) -> Any:
        return locked(self._given.T.copy())

    def _draw(self, kernel: Callable[..., None], k: int) -> Any:
        out = np.empty(len(self._account))
        kernel(self._seed, self._traders.trader["key"][self._account], self._step, k, out)
        return out

    def _send(
        self,
        kind: int,
        given: tuple[str, Any],
        market: str | None,
        where: Any,
        *,
        bound: tuple[str, Any] | None = None,
        flags: int = 0,
        expiry: int = 0,
        is_target: bool = False,
    ) -> None:
        """Ask for something of so much, within some bound; both are named."""
        what, value = given
        shape, first = self._target(market)
        size = self._fill(value, shape, what)
        if kind == TRANSFER:
            size = np.clip(size, -MAX_USD, MAX_USD)
        limit, bounds = "", NO_NUMBERS
        if bound is not None:
            limit, bounds = bound[0], self._fill(bound[1], shape, bound[0])
        mask = self._mask(where, shape)
        wrong = place_all(
            self._desk.make_room(len(size)),
            self._traders,
            self._account,
            first,
            kind,
            size,
            bounds,
            mask,
            flags,
            expiry,
            is_target,
        )
        if wrong != NONE:
            raise self._refused(wrong, ((what, size), (limit, bounds)), shape, market)

    def _target(self, market: str | None) -> tuple[tuple[int, ...], int]:
        """Return the shape orders must have, and the first of the markets they mean."""
        if market is None:
            return self._shape, 0
        return self._shape[:1], self._desk.market_index(market)

    def _fill(self, value: Any, shape: tuple[int, ...], what: str) -> Any:
        """Return numbers in the shape asked for, one after the other."""
        given = np.asarray(value)
        if given.dtype.kind not in "iuf":
            raise RefusedError(f"{what}: must be numbers, not {given.dtype}")
        if given.shape != shape:
            given = _broadcast(given, shape, what)
        return np.array(given, np.float64, order="C").reshape(-1)

    def _mask(self, where: Any, shape: tuple[int, ...]) -> Any:
        """Return who asks where, one after the other; empty: everybody does."""
        if where is None:
            return EVERYWHERE
        mask = np.asarray(where)
        if mask.dtype != bool:
            raise RefusedError(f"where: must be true or false, not {mask.dtype}")
        if mask.ndim == 1 and len(shape) == 2:
            mask = mask[:, None]  # who, in all markets
        return np.array(_broadcast(mask, shape, "where"), order="C").reshape(-1)

    def _refused(
        self,
        wrong: int,
        given: tuple[tuple[str, Any], ...],
        shape: tuple[int, ...],
        market: str | None,
    ) -> RefusedError:
        """Name the entry that a kernel says is wrong, see `place_all`."""
        which, n = divmod(wrong, math.prod(shape))
        what, values = given[min(which, 1)]
        place = np.unravel_index(n, shape)
        name = market if market is not None else self._desk.market_names[place[1]]
        rule = "must be above 0" if which == 2 else "must be a finite number"
        return RefusedError(
            f"account {self._account[place[0]]}: {what} {values[n]} for {name}: {rule}"
        )


def _broadcast(given: Any, shape: tuple[int, ...], what: str) -> Any:
    """Give an array the shape asked for, as NumPy does."""
    try:
        return np.broadcast_to(given, shape)
    except ValueError:
        if what == "where":
            raise RefusedError(f"where: has shape {given.shape}, must have {shape}") from None
        each = "a number per trader who wakes"
        if len(shape) == 2:
            each = "a row per trader who wakes, a column per market"
        raise RefusedError(f"{what}: has shape {given.shape}, must have {shape}: {each}") from None

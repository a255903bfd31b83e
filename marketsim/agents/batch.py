"""What a vectorised strategy has of its traders who wake: their accounts and their orders."""

from collections.abc import Callable
from typing import Any

import numpy as np

from marketsim.agents.base import STOPPED, Habits, Traders
from marketsim.agents.desk import MAX_USD, Desk, assess_accounts, draw_normal, draw_uniform
from marketsim.agents.own import RefusedError
from marketsim.agents.view import frozen, lazy, locked
from marketsim.engine.state import ATOMS, Flag, IntentKind, State


class Batch:
    """The traders of one population who wake in this step: n traders, M markets.

    All arrays but `memory` cannot be written to.

    Every habit is an attribute of shape (n,): `leverage`, `funding_sensitivity`, `buffer`,
    `stop_loss`, `tranches`, `stable_share`, `spot_hedge`, `slippage`.

    Attributes
    ----------
    account : array of int
        (n,) rows of the traders in the venue's arrays.
    weight : array
        (M,) the population's share of each market; 0: not traded.
    """

    def __init__(
        self,
        state: State,
        traders: Traders,
        desk: Desk,
        population: int,
        account: Any,
        step: int,
        seed: int,
    ) -> None:
        self._state = state
        self._traders = traders
        self._desk = desk
        self._step = step
        self._seed = seed
        self._memory: Any = None
        self._account = account
        self.account = locked(account.copy())
        self.weight = frozen(traders.weight[population])
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
        return self._margin[:, 0]

    @property
    def maintenance_margin(self) -> Any:
        """(n,) USD over all pools."""
        return self._margin[:, 1]

    @property
    def free_margin(self) -> Any:
        """(n,) USD of the main pool beyond its initial margin."""
        return self._margin[:, 2]

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
        shape, columns = self._target(market)
        sizes = self._fill(size, shape, "size", market)
        if slippage is None:
            away = self.slippage if market else self.slippage[:, None]
        else:
            away = self._fill(slippage, shape, "slippage", market)
        price = self._traders.public["mid"][columns] * (1.0 + np.copysign(1.0, sizes) * away)
        flags = Flag.IMMEDIATE.value | (Flag.REDUCE_ONLY.value if reduce_only else 0)
        self._send(IntentKind.ORDER, market, sizes, price, where, flags)

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
        shape, _ = self._target(market)
        sizes = self._fill(size, shape, "size", market)
        prices = self._fill(price, shape, "price", market, where=(sizes != 0.0))
        flags = (Flag.POST_ONLY.value if post_only else 0) | (
            Flag.REDUCE_ONLY.value if reduce_only else 0
        )
        expiry = self._desk.expiry(minutes)
        wrong = ~(prices > 0.0)
        if wrong.any() and (wrong := wrong & (sizes != 0.0) & self._mask(where, shape)).any():
            raise RefusedError(self._say(wrong, prices, "price", market, "must be above 0"))
        self._send(IntentKind.ORDER, market, sizes, prices, where, flags, expiry)

    def move_to(self, target: Any, market: str | None = None, where: Any = None) -> None:
        """Trade from the positions held to `target` coins at the market, within the slippage bound.

        Parameters
        ----------
        target, market, where
            As `size` of `market_order`.
        """
        shape, columns = self._target(market)
        held = self.size[:, columns].reshape(shape)
        change = self._fill(target, shape, "target", market) - held
        self.market_order(change, market, where)

    def cancel(self, market: str | None = None, where: Any = None) -> None:
        """Withdraw all resting orders, of one market or of all."""
        shape, columns = self._target(market)
        resting = self.has_orders[:, columns].reshape(shape).astype(np.float64)
        self._send(IntentKind.CANCEL, market, resting, 0.0, where)

    def trade_spot(self, size: Any, market: str | None = None, where: Any = None) -> None:
        """Buy (> 0) or sell coins themselves, outside, at the index price."""
        shape, _ = self._target(market)
        sizes = self._fill(size, shape, "size", market)
        self._send(IntentKind.SPOT, market, sizes, 0.0, where)

    def transfer(self, amount: Any, market: str, where: Any = None) -> None:
        """Move USD from the main pool to the pool of an isolated market (negative: back)."""
        shape, _ = self._target(market)
        amounts = np.clip(self._fill(amount, shape, "amount", market), -MAX_USD, MAX_USD)
        self._send(IntentKind.TRANSFER, market, amounts, 0.0, where)

    def save_memory(self) -> None:
        """Keep what the strategy wrote to `memory`."""
        if self._memory is not None:
            self._traders.memory[self._account, :, :STOPPED] = self._memory

    @lazy
    def _margin(self) -> Any:
        out = np.empty((len(self._account), 3))
        pool, first = self._desk.pools
        assess_accounts(self._state, pool, first, self._account, out)
        return locked(out / ATOMS)

    def _draw(self, kernel: Callable[..., None], k: int) -> Any:
        out = np.empty(len(self._account))
        kernel(self._seed, self._traders.trader["key"][self._account], self._step, k, out)
        return out

    def _target(self, market: str | None) -> tuple[tuple[int, ...], Any]:
        """Return the shape orders must have, and which columns they mean."""
        if market is None:
            return self._shape, slice(None)
        m = self._desk.market_index(market)
        return self._shape[:1], slice(m, m + 1)

    def _fill(
        self, value: Any, shape: tuple[int, ...], what: str, market: str | None, where: Any = True
    ) -> Any:
        """Return numbers in the shape asked for, all finite."""
        given = np.asarray(value)
        if given.dtype.kind not in "iuf":
            raise RefusedError(f"{what}: must be numbers, not {given.dtype}")
        full = given.astype(np.float64, copy=False)
        if full.shape != shape:
            try:
                full = np.broadcast_to(full, shape)
            except ValueError:
                raise RefusedError(
                    f"{what}: has shape {given.shape}, must have {shape}: "
                    + (
                        "a row per trader who wakes, a column per market"
                        if len(shape) == 2
                        else "a number per trader who wakes"
                    )
                ) from None
        is_finite = np.isfinite(full)
        if not is_finite.all() and (wrong := ~is_finite & where).any():
            raise RefusedError(self._say(wrong, full, what, market, "must be a finite number"))
        return full

    def _say(self, wrong: Any, values: Any, what: str, market: str | None, rule: str) -> str:
        """Name the first wrong entry."""
        place = tuple(int(n) for n in np.argwhere(wrong)[0])
        name = market if market is not None else self._desk.market_names[place[1]]
        return f"account {self._account[place[0]]}: {what} {values[place]} for {name}: {rule}"

    def _mask(self, where: Any, shape: tuple[int, ...]) -> Any:
        if where is None:
            return np.ones(shape, bool)
        mask = np.asarray(where)
        if mask.dtype != bool:
            raise RefusedError(f"where: must be true or false, not {mask.dtype}")
        if mask.ndim == 1 and len(shape) == 2:
            mask = mask[:, None]  # who, in all markets
        try:
            return np.broadcast_to(mask, shape)
        except ValueError:
            raise RefusedError(f"where: has shape {mask.shape}, must have {shape}") from None

    def _send(
        self,
        kind: IntentKind,
        market: str | None,
        size: Any,
        price: Any,
        where: Any,
        flags: int = 0,
        expiry: int = 0,
    ) -> None:
        is_asked = size != 0.0
        if where is not None:
            is_asked &= self._mask(where, size.shape)
        chosen = is_asked.nonzero()
        if len(chosen[0]) == 0:
            return
        block = self._desk.new_requests(len(chosen[0]))
        block["account"] = self._account[chosen[0]]
        block["market"] = chosen[1] if market is None else self._desk.market_index(market)
        block["kind"] = kind.value
        block["size"] = size[chosen]
        block["price"] = price[chosen] if isinstance(price, np.ndarray) else price
        block["flags"] = flags
        block["expiry"] = expiry

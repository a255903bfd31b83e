"""Where traders in Python hand in their orders, and what they read of their accounts."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.agents.base import limit_order, submit
from marketsim.agents.own import RefusedError, unknown_market
from marketsim.engine import orders
from marketsim.engine._jit import kernel
from marketsim.engine.allocation import grow
from marketsim.engine.pools import assess_pool, initial_margin
from marketsim.engine.records import F8, I8, Indices, Record, Rows, records
from marketsim.engine.state import ATOMS, IntentKind, State
from marketsim.streams import Stream, normal, uniform

#: Numbers beyond this are as good as infinite.
HUGE = 1e300
#: No transfer can be larger, so that it fits the integers money is counted in, USD.
MAX_USD = 2**60 / ATOMS


class Request(Record):
    """What a trader in Python asks for, not yet in ticks and lots."""

    account: I8
    market: I8
    kind: I8  #: IntentKind
    size: F8  #: coins, buy > 0; USD for a transfer
    price: F8  #: USD
    flags: I8
    expiry: I8  #: steps


@kernel
def hand_in(state: State, requests: Rows[Request]) -> None:
    """Append intents in whole ticks and lots, rounded as those of the built-in traders."""
    for n in range(len(requests)):
        asked = requests[n]
        i = asked.account
        m = asked.market
        if asked.kind == IntentKind.ORDER:
            limit_order(state, i, m, asked.size, asked.price, asked.flags, asked.expiry)
        elif asked.kind == IntentKind.CANCEL:
            submit(state, i, m, asked.kind, 0, 0, 0, 0)
        elif asked.kind == IntentKind.SPOT:
            lots = orders.round_size(state, m, asked.size)
            if lots != 0:
                submit(state, i, m, asked.kind, lots, 0, 0, 0)
        else:
            submit(state, i, m, asked.kind, int(math.floor(asked.size * ATOMS + 0.5)), 0, 0, 0)


@kernel
def assess_account(state: State, pool: Indices, start: int, stop: int) -> tuple[int, int, int]:
    """Add up the pools ``pool[start:stop]`` of an account.

    Returns
    -------
    equity, maintenance, free : int
        Atoms; free is the main pool's equity beyond its initial margin.
    """
    equity = 0
    maintenance = 0
    free = 0
    for n in range(start, stop):
        p = pool[n]
        assess_pool(state, p)
        equity += state.pool[p].equity
        maintenance += state.pool[p].maintenance
        if n == start:
            free = max(state.pool[p].equity - initial_margin(state, p), 0)
    return equity, maintenance, free


@kernel
def assess_accounts(
    state: State, pool: Indices, first: Indices, account: Indices, out: NDArray[np.float64]
) -> None:
    """Overwrite the rows of `out` with equity, maintenance and free margin of accounts, atoms."""
    for n in range(len(account)):
        i = account[n]
        equity, maintenance, free = assess_account(state, pool, first[i], first[i + 1])
        out[n, 0] = equity
        out[n, 1] = maintenance
        out[n, 2] = free


@kernel
def draw_uniform(seed: int, key: Indices, t: int, k: int, out: NDArray[np.float64]) -> None:
    """Overwrite `out` with the `k`-th uniform draw of each trader in step `t`."""
    for n in range(len(key)):
        out[n] = uniform(seed, Stream.ACTION.value, key[n], t, k)


@kernel
def draw_normal(seed: int, key: Indices, t: int, k: int, out: NDArray[np.float64]) -> None:
    """Overwrite `out` with the `k`-th normal draw of each trader in step `t`."""
    for n in range(len(key)):
        out[n] = normal(seed, Stream.ACTION.value, key[n], t, k)


class AccountPools(NamedTuple):
    """The pools of every account, its main pool first."""

    pool: Indices  #: (P,)
    first: Indices  #: (accounts + 1,) those of account i are ``pool[first[i]:first[i + 1]]``


def list_pools(state: State) -> AccountPools:
    """List every account's pools; who owns a pool never changes."""
    owner = np.asarray(state.pool["owner"])
    counts = np.bincount(owner, minlength=len(state.account))
    return AccountPools(
        np.argsort(owner, kind="stable").astype(np.int64),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )


class Desk:
    """Collects what traders in Python ask for in one step, and hands it in as intents.

    Attributes
    ----------
    market_names : tuple of str
    step_minutes : float
    is_open : bool
        Whether orders are taken now.
    num_openings : int
        How often it was opened.
    """

    def __init__(self, state: State, market_names: tuple[str, ...], step_minutes: float) -> None:
        self.market_names = market_names
        self.step_minutes = step_minutes
        self.pools = list_pools(state)
        self.is_open = False
        self.num_openings = 0
        self._places = {name: m for m, name in enumerate(market_names)}
        self._rows: list[tuple[int, int, int, float, float, int, int]] = []
        self._requests = records(Request, 16)
        self._count = 0

    def market_index(self, name: Any) -> int:
        """Return the number of a market.

        Raises
        ------
        RefusedError
            If there is none of that name.
        """
        try:
            return self._places[name]
        except (KeyError, TypeError):
            raise unknown_market(name, self.market_names) from None

    def expiry(self, minutes: Any) -> int:
        """Return the life of an order in steps, 0 for one good till cancelled."""
        if minutes is None:
            return 0
        span = checked_number(minutes, "minutes")
        if not span > 0:
            raise RefusedError(f"minutes {minutes!r}: must be above 0")
        return int(min(max(span / self.step_minutes, 1.0), 2.0**30))

    def add(
        self, i: int, m: int, kind: int, size: float, price: float, flags: int, expiry: int
    ) -> None:
        """Take one request."""
        self._check_open()
        self._rows.append((i, m, kind, size, price, flags, expiry))

    def new_requests(self, count: int) -> Rows[Request]:
        """Take many requests: return rows for the caller to overwrite."""
        self._check_open()
        return self._reserve(count)

    def _reserve(self, count: int) -> Rows[Request]:
        start, self._count = self._count, self._count + count
        if self._count > len(self._requests):
            longer = records(Request, self._count + self._count // 2)
            longer[:start] = self._requests[:start]
            self._requests = longer
        return self._requests[start : self._count]

    def open(self) -> None:
        """Begin a step with an empty desk."""
        self._rows.clear()
        self._count = 0
        self.is_open = True
        self.num_openings += 1

    def close(self, state: State) -> State:
        """Hand in what was taken; return the state, perhaps in longer arrays."""
        self.is_open = False
        if self._rows:
            self._reserve(len(self._rows))[:] = self._rows
        if self._count:
            needed = state.totals["num_intents"].item() + self._count
            if needed > len(state.intent):
                state = grow(state, num_intents=needed + needed // 2)
            hand_in(state, self._requests[: self._count])
        return state

    def _check_open(self) -> None:
        if not self.is_open:
            raise RuntimeError(
                "orders are only taken inside step() or decide() when the market's step calls them"
            )


def checked_number(value: Any, what: str, market: str | None = None) -> float:
    """Return a finite number as a float; the error says what it is, and for which market.

    Raises
    ------
    RefusedError
    """
    if type(value) is float and -HUGE < value < HUGE:
        return value  # most are
    shown = f"{what} {value!r}" if market is None else f"{what} {value} for {market}"
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise RefusedError(f"{shown}: must be a number")
    if not -HUGE < value < HUGE:
        raise RefusedError(f"{shown}: must be a finite number")
    return float(value)

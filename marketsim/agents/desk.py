"""Where traders in Python hand in their orders, and what they read of their accounts."""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from marketsim.agents.base import Traders, limit_order, market_order, position_coins, submit
from marketsim.agents.own import RefusedError, unknown_market
from marketsim.engine import orders
from marketsim.engine._jit import kernel
from marketsim.engine.allocation import grow
from marketsim.engine.records import Indices
from marketsim.engine.state import ATOMS, NONE, IntentKind, State
from marketsim.streams import Stream, normal, uniform

#: Numbers beyond this are as good as infinite.
HUGE = 1e300
#: No transfer can be larger, so that it fits the integers money is counted in, USD.
MAX_USD = 2**60 / ATOMS


@kernel
def place(
    state: State, i: int, m: int, kind: int, size: float, price: float, flags: int, expiry: int
) -> None:
    """Append an intent in whole ticks and lots, rounded as those of the built-in traders."""
    if kind == IntentKind.ORDER:
        limit_order(state, i, m, size, price, flags, expiry)
    elif kind == IntentKind.CANCEL:
        submit(state, i, m, kind, 0, 0, 0, 0)
    elif kind == IntentKind.SPOT:
        lots = orders.round_size(state, m, size)
        if lots != 0:
            submit(state, i, m, kind, lots, 0, 0, 0)
    else:
        submit(state, i, m, kind, int(math.floor(size * ATOMS + 0.5)), 0, 0, 0)


#: Numbers in a request: what `place` takes.
REQUEST = 7


@kernel
def hand_in(state: State, requests: NDArray[np.float64]) -> None:
    """Append the intents of traders in plain Python, one request after the other."""
    for n in range(0, len(requests), REQUEST):
        i, m, kind = int(requests[n]), int(requests[n + 1]), int(requests[n + 2])
        flags, expiry = int(requests[n + 5]), int(requests[n + 6])
        place(state, i, m, kind, requests[n + 3], requests[n + 4], flags, expiry)


@kernel
def place_all(
    state: State,
    account: Indices,
    first: int,
    kind: int,
    size: NDArray[np.float64],
    price: NDArray[np.float64],
    where: NDArray[np.bool_],
    flags: int,
    expiry: int,
) -> int:
    """Append the intents of a vectorised population, or say what is wrong and append none.

    Parameters
    ----------
    state : State
        With room for them.
    account : array
        (n,)
    first : int
        The first of the markets meant.
    kind : int
        IntentKind
    size, price : array
        (n * markets,), trader by trader; no price: none is asked for.
    where : array of bool
        The same; empty: everywhere.
    flags, expiry : int

    Returns
    -------
    int
        NONE; or the place of the first size that is no finite number; or, with the number of
        sizes added, that of a price, and with twice that number, that of a price not above 0.
    """
    count = len(size)
    columns = count // max(len(account), 1)
    for n in range(count):
        if not math.isfinite(size[n]):
            return n
    for n in range(len(price)):
        if size[n] != 0.0 and not math.isfinite(price[n]):
            return count + n
    for n in range(len(price)):
        is_asked = size[n] != 0.0 and (len(where) == 0 or where[n])
        if is_asked and not price[n] > 0.0:
            return 2 * count + n
    for n in range(count):
        if size[n] != 0.0 and (len(where) == 0 or where[n]):
            i, m = account[n // columns], first + n % columns
            place(state, i, m, kind, size[n], price[n] if len(price) > 0 else 0.0, flags, expiry)
    return NONE


@kernel
def place_at_market(
    state: State,
    traders: Traders,
    account: Indices,
    first: int,
    size: NDArray[np.float64],
    away: NDArray[np.float64],
    where: NDArray[np.bool_],
    flags: int,
    is_target: bool,
) -> int:
    """Append orders that trade at once, as `place_all` does.

    `away` is how far from mid each may trade, as a fraction; empty: each trader's own. A size that
    is a target is what the trader is to hold. The second kind of what may be wrong is `away`.
    """
    count = len(size)
    columns = count // max(len(account), 1)
    for n in range(count):
        if not math.isfinite(size[n]):
            return n
    for n in range(len(away)):
        if not math.isfinite(away[n]):
            return count + n
    for n in range(count):
        i, m = account[n // columns], first + n % columns
        asked = size[n] - position_coins(state, i, m) if is_target else size[n]
        if asked != 0.0 and (len(where) == 0 or where[n]):
            slippage = away[n] if len(away) > 0 else traders.trader[i].slippage
            market_order(state, traders, i, m, asked, slippage, flags)
    return NONE


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


class Desk:
    """Takes what traders in Python ask for in one step, as intents.

    Attributes
    ----------
    market_names : tuple of str
    step_minutes : float
    is_open : bool
        Whether orders are taken now.
    traders : Traders
        While it is open.
    """

    traders: Any
    _state: Any
    _num_asked: int
    _margins: dict[int, list[float]] | None

    def __init__(self, market_names: tuple[str, ...], step_minutes: float) -> None:
        self.market_names = market_names
        self.step_minutes = step_minutes
        self.is_open = False
        self._places = {name: m for m, name in enumerate(market_names)}
        self._requests: list[float] = []
        self.shut()

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
        self,
        i: int,
        generation: int,
        m: int,
        kind: int,
        size: float,
        price: float,
        flags: int,
        expiry: int,
    ) -> None:
        """Take one request of an account's trader; it is handed in with the others of the step.

        Raises
        ------
        RefusedError
            If that trader has left the market.
        """
        self.check_open()
        traders = self.traders
        is_retired = traders.trader["is_retired"].item(i)
        if is_retired or traders.stay["generation"].item(i) != generation:
            raise RefusedError("it was removed from the market and places no orders")
        self._requests += (i, m, kind, size, price, flags, expiry)

    def make_room(self, count: int) -> State:
        """Return the state with room for so many more intents."""
        self.check_open()
        state: State = self._state
        needed = state.totals["num_intents"].item() + count
        if needed > len(state.intent):
            self._state = state = grow(state, num_intents=needed + needed // 2)
        return state

    def margins_of(self, i: int) -> Sequence[float] | None:
        """Return equity, maintenance and free margin of an account whose trader is asked, USD.

        Nothing is traded while the traders of a step decide. None for any other account.
        """
        if not self.is_open:
            return None
        if self._margins is None:
            account: Any = self.traders.caller[: self._num_asked]
            margin = self.traders.margin[: self._num_asked]
            self._margins = dict(zip(account.tolist(), margin.tolist(), strict=True))
        return self._margins.get(i)

    def open(self, state: State, traders: Traders, num_asked: int) -> None:
        """Begin a step with an empty desk, for those of the traders who are asked."""
        self._requests.clear()
        self._state, self.traders = state, traders
        self._num_asked, self._margins = num_asked, None
        self.is_open = True

    def close(self) -> State:
        """Hand in what is left to be; return the state, perhaps in longer arrays."""
        if self._requests:
            state = self.make_room(len(self._requests) // REQUEST)
            hand_in(state, np.array(self._requests, np.float64))
        return cast(State, self._state)

    def shut(self) -> None:
        """Take nothing more in this step."""
        self.is_open = False
        self._state = self.traders = self._margins = None
        self._num_asked = 0

    def check_open(self) -> None:
        """Refuse to take orders while no step asks for them.

        Raises
        ------
        RuntimeError
        """
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

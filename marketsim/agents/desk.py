"""Where traders in Python hand in their orders, and what they read of their accounts."""

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from marketsim.agents.base import Traders, limit_order, market_order, position_coins, submit
from marketsim.agents.own import RefusedError, unknown_market
from marketsim.engine import orders
from marketsim.engine._jit import kernel
from marketsim.engine.allocation import grow
from marketsim.engine.records import Indices
from marketsim.engine.state import ATOMS, NONE, Flag, IntentKind, State
from marketsim.streams import Stream, normal, uniform

# Plain numbers: a member of an enumeration is slow to tell its value.
ORDER, CANCEL = IntentKind.ORDER.value, IntentKind.CANCEL.value
SPOT, TRANSFER = IntentKind.SPOT.value, IntentKind.TRANSFER.value
IMMEDIATE, POST_ONLY = Flag.IMMEDIATE.value, Flag.POST_ONLY.value
REDUCE_ONLY = Flag.REDUCE_ONLY.value

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


@kernel
def hand_in(state: State, traders: Traders, count: int) -> None:
    """Append the intents of traders in plain Python: the first `count` of their requests."""
    for n in range(count):
        asked = traders.request[n]
        place(
            state,
            asked.account,
            asked.market,
            asked.kind,
            asked.size,
            asked.price,
            asked.flags,
            asked.expiry,
        )


@kernel
def place_all(
    state: State,
    traders: Traders,
    account: Indices,
    first: int,
    kind: int,
    size: NDArray[np.float64],
    bound: NDArray[np.float64],
    where: NDArray[np.bool_],
    flags: int,
    expiry: int,
    is_target: bool,
) -> int:
    """Append the intents of a vectorised population, or say what is wrong and append none.

    Parameters
    ----------
    state : State
        With room for them.
    traders : Traders
    account : array
        (n,)
    first : int
        The first of the markets meant.
    kind : int
        IntentKind
    size : array
        (n * markets,), trader by trader.
    bound : array
        The same: prices, or of orders that trade at once how far from mid each may, as a fraction.
        Empty: no price is asked for; each trader's own slippage.
    where : array of bool
        The same; empty: everywhere.
    flags, expiry : int
    is_target : bool
        Whether a size is what the trader is to hold.

    Returns
    -------
    int
        NONE; or the place of the first size that is no finite number; or, with the number of
        sizes added, that of a bound, and with twice that number, that of a price not above 0.
    """
    count = len(size)
    columns = count // max(len(account), 1)
    trades_at_once = flags & Flag.IMMEDIATE != 0
    for n in range(count):
        if not math.isfinite(size[n]):
            return n
    for n in range(len(bound)):
        if size[n] != 0.0 and not math.isfinite(bound[n]):
            return count + n
    for n in range(len(bound)):
        is_asked = size[n] != 0.0 and (len(where) == 0 or where[n])
        if is_asked and not trades_at_once and not bound[n] > 0.0:
            return 2 * count + n
    for n in range(count):
        if len(where) > 0 and not where[n]:
            continue
        i, m = account[n // columns], first + n % columns
        asked = size[n] - position_coins(state, i, m) if is_target else size[n]
        if asked == 0.0:
            continue
        if trades_at_once:
            slippage = bound[n] if len(bound) > 0 else traders.trader[i].slippage
            market_order(state, traders, i, m, asked, slippage, flags)
        else:
            price = bound[n] if len(bound) > 0 else 0.0
            place(state, i, m, kind, asked, price, flags, expiry)
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


class PlainTrader(Protocol):
    """A trader in plain Python as its callers and the desk know it: a `marketsim.Trader`."""

    @property
    def account(self) -> int:
        """Whose orders it places."""

    @property
    def is_retired(self) -> bool:
        """Whether it has left the market."""

    def step(self) -> None:
        """Look at the market and place orders."""


class Desk:
    """Takes what traders in Python ask for in one step, as intents.

    Attributes
    ----------
    market_names : tuple of str
    step_minutes : float
    is_open : bool
        Whether orders are taken now.
    state, traders : State, Traders
        While it is open; more orders may need a state in longer arrays.
    asked : PlainTrader
        The trader in plain Python who is asked now and has not left; None while none is.
    row : int
        Its row in `Traders.margin`, which holds while the traders of a step decide.
    num_requests : int
        Rows of `Traders.request` that wait to be handed in.
    """

    state: Any
    traders: Any
    asked: PlainTrader | None
    row: int

    def __init__(self, market_names: tuple[str, ...], step_minutes: float) -> None:
        self.market_names = market_names
        self.step_minutes = step_minutes
        self.is_open = False
        self._places = {name: m for m, name in enumerate(market_names)}
        self.row = self.num_requests = 0
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
        trader: PlainTrader,
        m: int,
        kind: int,
        size: float = 0.0,
        price: float = 0.0,
        flags: int = 0,
        expiry: int = 0,
    ) -> None:
        """Take one request of a trader; it is handed in when all have decided.

        Raises
        ------
        RefusedError
            If that trader has left the market.
        """
        self.check_open()
        if trader is not self.asked and trader.is_retired:
            raise RefusedError("it was removed from the market and places no orders")
        traders = self.traders
        if self.num_requests == len(traders.request):
            hand_in(self.make_room(self.num_requests), traders, self.num_requests)
            self.num_requests = 0
        row = (trader.account, m, kind, size, price, flags, expiry)
        traders.request[self.num_requests] = row
        self.num_requests += 1

    def make_room(self, count: int) -> State:
        """Return the state with room for so many more intents."""
        self.check_open()
        state: State = self.state
        needed = state.totals["num_intents"].item() + count
        if needed > len(state.intent):
            self.state = state = grow(state, num_intents=needed + needed // 2)
        return state

    def open(self, state: State, traders: Traders) -> None:
        """Begin a step with an empty desk."""
        self.state, self.traders = state, traders
        self.num_requests = 0
        self.is_open = True

    def shut(self) -> None:
        """Take nothing more in this step."""
        self.is_open = False
        self.state = self.traders = self.asked = None

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

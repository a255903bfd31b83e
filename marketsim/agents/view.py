"""What everybody sees of the markets in one step, for traders in Python."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.agents.base import Traders
from marketsim.agents.desk import Desk, checked_number
from marketsim.agents.own import RefusedError
from marketsim.engine.state import ATOMS, State
from marketsim.tape.depth import near_depth

#: Minutes in a year, of which volatilities are quoted.
YEAR = 365 * 1440


class lazy:  # noqa: N801  a decorator, as `property` is
    """An attribute computed when it is first read (decorator of a method).

    As `functools.cached_property`, which takes a lock on Python 3.11 and with it three times as
    long: the objects here live for one step.
    """

    def __init__(self, method: Callable[[Any], Any]) -> None:
        self._method = method
        self._name = method.__name__
        self.__doc__ = method.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        """Compute the value and keep it in the object, where it is found from now on."""
        if owner is None:
            return self
        value = self._method(owner)
        owner.__dict__[self._name] = value
        return value


def depth_usd(state: State, bp: Any) -> NDArray[np.float64]:
    """Return the USD that rest within `bp` basis points of each mid, (2, M): bids, asks.

    Raises
    ------
    RefusedError
        If `bp` is not a number above 0.
    """
    reach = checked_number(bp, "bp")
    if not reach > 0.0:
        raise RefusedError(f"bp {bp!r}: must be above 0")
    return near_depth(state, np.array([reach]))[:, :, 0] / ATOMS


def frozen(values: Any) -> Any:
    """Copy an array of numbers and lock it."""
    return locked(np.array(values, np.float64))


def locked(array: Any) -> Any:
    """Lock an array against writing."""
    array.setflags(write=False)
    return array


class MarketView:
    """What is public in one step; arrays have one entry per market and cannot be written to.

    Attributes
    ----------
    names : tuple of str
        Of the markets.
    step : int
    hours : float
        Since the start.
    step_minutes : float
    """

    def __init__(self, state: State, traders: Traders, desk: Desk, step: int) -> None:
        self._state = state
        self._market = state.market
        self._public = traders.public
        self._desk = desk
        self.names = desk.market_names
        self.step = step
        self.step_minutes = desk.step_minutes
        self.hours = step * desk.step_minutes / 60.0

    def index_of(self, name: str) -> int:
        """Return the place of a market in the arrays."""
        return self._desk.market_index(name)

    @lazy
    def mid(self) -> Any:
        """USD between best bid and ask; the mark where a side is empty."""
        return frozen(self._public["mid"])

    @lazy
    def index_price(self) -> Any:
        """USD, the spot reference."""
        return frozen(self._market["index_price"])

    @lazy
    def mark_price(self) -> Any:
        """USD, the price margin uses."""
        return frozen(self._market["mark_ticks"] * self._market["tick_size"])

    @lazy
    def best_bid(self) -> Any:
        """USD, nan where nobody buys."""
        return self._best("best_bid")

    @lazy
    def best_ask(self) -> Any:
        """USD, nan where nobody sells."""
        return self._best("best_ask")

    @lazy
    def premium(self) -> Any:
        """Last premium sample, a fraction of the index."""
        return frozen(self._market["premium"])

    @lazy
    def funding_rate(self) -> Any:
        """Last settled funding rate, per 8 h."""
        return frozen(self._market["funding_rate"])

    @lazy
    def usual_funding_rate(self) -> Any:
        """Slow average of the settled funding rate, per 8 h."""
        return frozen(self._public["funding"])

    @lazy
    def volatility(self) -> Any:
        """Recent volatility of the index, a year's standard deviation of returns."""
        return frozen(np.sqrt(self._public["variance"] * (YEAR / self.step_minutes)))

    @lazy
    def trend(self) -> Any:
        """Slow average of the index's return in one step."""
        return frozen(self._public["trend"])

    @lazy
    def momentum(self) -> Any:
        """Trend in standard deviations of such an average."""
        return frozen(self._public["momentum"])

    @lazy
    def open_interest(self) -> Any:
        """USD at the mark."""
        return frozen(self._market["open_interest"] * self.lot_size * self.mark_price)

    @lazy
    def tick_size(self) -> Any:
        """USD."""
        return frozen(self._market["tick_size"])

    @lazy
    def lot_size(self) -> Any:
        """Coins."""
        return frozen(self._market["lot_size"])

    def depth_usd(self, bp: float) -> Any:
        """Return the USD that rest within `bp` basis points of each mid, (2, M): bids, asks."""
        return locked(depth_usd(self._state, bp))

    def _best(self, side: str) -> Any:
        ticks = np.asarray(self._market[side])
        return frozen(np.where(ticks != 0, ticks * self._market["tick_size"], np.nan))

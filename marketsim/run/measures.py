"""What can be measured of a run as it stands, without changing anything."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.agents.view import depth_usd
from marketsim.contagion.exposure import Exposure, measure_exposure
from marketsim.contagion.heatmap import LiquidationMap, measure_triggers
from marketsim.contagion.matrix import ContagionMatrix, measure_contagion
from marketsim.engine import orders
from marketsim.engine.clearing import take
from marketsim.engine.ladder import book_mid2
from marketsim.engine.ledger import account_equity
from marketsim.engine.paper import book_copy
from marketsim.engine.state import MAX_PRICE_TICKS, State
from marketsim.run.attributes import RunAttributes
from marketsim.scenario.coercion import is_number, whole_number
from marketsim.tape.depth import ladder
from marketsim.tape.events import Table, as_rows
from marketsim.tape.result import Integers


class BookImpact(NamedTuple):
    """What a market order would take from a book as it stands."""

    size: float  #: coins asked for, in whole lots
    filled: float  #: coins there are for it
    average_price: float  #: USD, nan if there are none
    last_price: float  #: USD, the worst price paid
    levels: int  #: prices met


class Measures(RunAttributes):
    """What a run can be asked at any time."""

    def equity(self) -> Integers:
        """Return what every account owns now, atoms, nothing haircut; the fund is the last."""
        return account_equity(self.state)

    def contagion(self, delta: float | None = None) -> ContagionMatrix:
        """Measure the contagion matrices as things stand, without changing anything.

        Parameters
        ----------
        delta : float, optional
            Relative move; the scenario's `record.contagion_delta` by default.

        Raises
        ------
        ValueError
            If delta is out of range.
        """
        return measure_contagion(
            self.state,
            self.market_names,
            step=self.step_count,
            delta=self.scenario.record.contagion_delta if delta is None else delta,
            reflexivity=self._rules.spot.reflexivity,
        )

    def exposure(self) -> Exposure:
        """Take the positions of all accounts as they are now."""
        roster = self.roster
        population = tuple(roster.names[group] for group in roster.population)
        return measure_exposure(self.state, self.market_names, population, self.step_count)

    def liquidation_map(self, market: str) -> LiquidationMap:
        """Find the marks at which a market's positions would be liquidated now.

        Raises
        ------
        KeyError
            If there is no such market.
        """
        return measure_triggers(self.state, self.market_names, market)

    def depth(self, market: str, levels: int | None = 20) -> NDArray[Any]:
        """Read a market's book as it stands.

        Parameters
        ----------
        market : str
        levels : int, optional
            At most so many prices of each side, the best; None: all.

        Returns
        -------
        structured array
            Read-only, a row per price, bids before asks, best first: `side` ("bid", "ask"),
            `level` (from 1), `price` (USD), `size` (coins), `usd` (their product).

        Raises
        ------
        KeyError
            If there is no such market.
        ValueError
            If levels is not 1 or more.
        TypeError
            If it is no whole number.
        """
        if levels is not None and whole_number("levels", levels) < 1:
            raise ValueError(f"levels = {levels!r}: must be 1 or more, or None for all")
        m = self._place(market)
        sides = [ladder(self.state, m, side, levels) for side in (1, -1)]
        ticks, lots = np.concatenate(sides, axis=1)
        price = ticks * float(self.state.market[m].tick_size)
        size = lots * float(self.state.market[m].lot_size)
        counts = [side.shape[1] for side in sides]
        table: Table = {
            "side": np.repeat(["bid", "ask"], counts),
            "level": np.concatenate([1 + np.arange(count) for count in counts]),
            "price": price,
            "size": size,
            "usd": price * size,
        }
        return as_rows(table)

    def depth_usd(self, bp: float) -> NDArray[np.float64]:
        """Return the USD that rest within `bp` basis points of each mid, (2, M): bids, asks.

        Raises
        ------
        ValueError
            If bp is not a number above 0.
        """
        return depth_usd(self.state, bp)

    def impact(self, market: str, usd: float, side: str) -> BookImpact:
        """Find what a market order would pay in the book as it stands.

        Parameters
        ----------
        market : str
        usd : float
            Size of the order at the book's mid (the mark where a side is empty), rounded down to
            whole lots as orders are.
        side : {"buy", "sell"}

        Returns
        -------
        BookImpact
            To the tick what somebody pays who has no order resting there.

        Raises
        ------
        KeyError
            If there is no such market.
        ValueError
            If `usd` is no number above 0, or there is no such side.
        """
        if side not in ("buy", "sell"):
            raise ValueError(f"side = {side!r}: must be 'buy' or 'sell'")
        if not (is_number(usd) and 0.0 < usd < math.inf):
            raise ValueError(f"usd = {usd!r}: must be a number above 0")
        m = self._place(market)
        rules = self.state.market[m]
        tick, lot = float(rules.tick_size), float(rules.lot_size)
        mid = 0.5 * book_mid2(self.state, m) * tick
        size = orders.round_size(self.state, m, usd / mid)
        ticks, lots = _fill_on_paper(self.state, m, 1 if side == "buy" else -1, size)
        filled = int(lots.sum())
        if filled == 0:
            return BookImpact(size * lot, 0.0, math.nan, math.nan, 0)
        average = int((ticks * lots).sum()) / filled * tick
        levels = len(np.unique(ticks))
        return BookImpact(size * lot, filled * lot, average, int(ticks[-1]) * tick, levels)

    def _place(self, market: str) -> int:
        if market not in self.market_names:
            raise KeyError(f"no market {market!r}; there are {', '.join(self.market_names)}")
        return self.market_names.index(market)


def _fill_on_paper(state: State, m: int, side: int, size: int) -> tuple[Any, Any]:
    """Fill a market order of so many lots in a copy of the book; return ticks and lots of each.

    The insurance fund trades: it has no order that would be withdrawn.
    """
    trial = book_copy(state)
    take(trial, len(state.account) - 1, m, side, size, MAX_PRICE_TICKS if side > 0 else 1)
    rows = trial.fill[: int(trial.totals[0].num_fills)]
    return rows["price"], np.abs(rows["size"])

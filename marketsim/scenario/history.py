"""A price history from a file, brought to the steps of a run.

Only prices of the file are known: the close at the end of each bar, and within the bar its high
and low after a third and two thirds of it, the one nearer to the bar's open (the close before it)
first. Everything between two known prices is bridged by the rule the scenario states, and the
notes say so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from marketsim.scenario.bars import (
    HOUR,
    MINUTE,
    Bars,
    read_bars,
    read_time,
)
from marketsim.scenario.spot_model import History
from marketsim.scenario.unpacking import HistoryError
from marketsim.scenario.written_dates import show_time
from marketsim.streams import Stream, asset_key, fill_normal

__all__ = ["HistoryError", "HistoryPath", "load_history"]

BRIDGES = {
    "linear": "straight in log price",
    "hold": "the last known price held",
    "brownian": "a random path with the volatility of the file's closes, kept within each bar",
}


@dataclass(frozen=True)
class HistoryPath:
    """Prices of all markets at every step."""

    price: Any  #: (T + 1, M) USD; row 0 is the price before the first step
    start: datetime  #: UTC time of row 0
    notes: list[str]  #: how the file became a path

    @property
    def num_steps(self) -> int:
        """Number of steps the path covers."""
        return len(self.price) - 1


def load_history(
    history: History,
    markets: Sequence[str],
    step_minutes: float,
    num_steps: int | None = None,
    seed: int = 0,
    warm_up: int = 0,
) -> HistoryPath:
    """Read a file and bring it to the steps of a run.

    Parameters
    ----------
    history : History
    markets : sequence of str
        Columns of the path, in this order.
    step_minutes : float
    num_steps : int, optional
        By default all the file (or the stated window) has.
    seed : int
        Of the run; matters for ``bridge = "brownian"`` only.
    warm_up : int, optional
        Those of them before the record begins; of all the file has, one more is needed.

    Returns
    -------
    HistoryPath

    Raises
    ------
    HistoryError
        If the file cannot be replayed; the message says where it fails and what to do.
    """
    step = round(step_minutes * MINUTE)
    everything, understood = read_bars(history, markets)
    start, num_steps = _place(history, everything, step, num_steps, warm_up)
    price = np.empty((num_steps + 1, len(markets)))
    end = show_time(start + num_steps * step)
    notes = [
        f"{history.path}: {', '.join(markets)} from {show_time(start)} to {end}, {num_steps} steps"
    ]
    notes += [f"{history.path.name}: {note}" for note in understood]
    shared: dict[str, list[str]] = {}
    for m, bars in enumerate(everything):
        first = int(np.searchsorted(bars.closing, start, side="right")) - 1
        last = int(np.searchsorted(bars.closing, start + num_steps * step, side="left"))
        used = bars.window(first, last)
        price[:, m], made = _replay(history, used, start, step, num_steps, seed)
        for note in made:
            shared.setdefault(note, []).append(bars.market)
    notes += [f"{', '.join(named)}: {note}" for note, named in shared.items()]
    notes.append(f"between known prices: {BRIDGES[history.bridge]}")
    return HistoryPath(price, pd.Timestamp(start, tz="UTC").to_pydatetime(), notes)


def _place(
    history: History, everything: list[Bars], step: int, num_steps: int | None, warm_up: int
) -> tuple[int, int]:
    """Return the UTC nanoseconds of the start and the number of steps."""
    late = max(everything, key=lambda bars: int(bars.closing[0]))
    early = min(everything, key=lambda bars: int(bars.closing[-1]))
    start, end = int(late.closing[0]), int(early.closing[-1])
    limits = [("start", history.start, start, late), ("end", history.end, end, early)]
    for field, stated, bound, bars in limits:
        if stated is None:
            continue
        time = read_time(stated, field, history)
        if (time < bound) if field == "start" else (time > bound):
            which = "first" if field == "start" else "last"
            raise HistoryError(
                f"{history.path}: spot.history.{field} = {show_time(time)} lies outside: the "
                f"{which} price of {bars.market} is at {show_time(bound)}"
            )
        start, end = (time, end) if field == "start" else (start, time)
    available = (end - start) // step
    span = f"{show_time(start)} to {show_time(end)}"
    if available < 1:
        raise HistoryError(f"{history.path}: {span} has no step; check spot.history.start and end")
    needed = warm_up + 1 if num_steps is None else num_steps
    if needed > available:
        for bars in everything:
            bars.prices()  # a wrong row is the better thing to report, all of them are needed
        before = f", {warm_up} of them of record.warm_up" if warm_up else ""
        raise HistoryError(
            f"{history.path}: too short for {needed} steps{before}: {span} has {available} "
            f"({available * step / HOUR / 24:.4g} days); ask for fewer or change start and end"
        )
    return start, available if num_steps is None else num_steps


def _replay(
    history: History, bars: Bars, start: int, step: int, num_steps: int, seed: int
) -> tuple[Any, list[str]]:
    """Return one market's price at rows 0 .. num_steps and notes on how it was made."""
    close, high, low = bars.prices()
    notes = [*_check_gaps(history, bars), *bars.notes]
    # row of the first step that ends at or after the bar: nothing is known before it happened
    closes = -(-(bars.closing - start) // step)
    opens = -(-(bars.opening - start) // step)
    base = int(closes[0])
    known = np.full(int(closes[-1]) - base + 1, np.nan)
    if high is None:
        notes.append(f"{bars.length}, closes only")
    else:
        passed = _pass_extremes(known, opens - base, closes - base, close, high, low)
        rule = "pass their high and low, the one nearer to the open first"
        notes.append(f"{bars.length}, {passed} of {len(close) - 1} {rule}")
    known[closes - base] = close
    path = _bridge(history.bridge, known)
    if history.bridge == "brownian":
        noise = np.empty(len(known))
        fill_normal(seed, Stream.BRIDGE, asset_key(bars.market), start // step + base, noise)
        _roughen(path, known, noise * _step_sd(close, closes))
        if high is not None:
            _keep_within(path, known, opens - base, closes - base, high, low)
    return path[-base : num_steps + 1 - base], notes


def _check_gaps(history: History, bars: Bars) -> list[str]:
    gap = bars.gaps()
    longest = int(gap.max(initial=0))
    if longest > history.max_gap * HOUR:
        b = int(np.argmax(gap > history.max_gap * HOUR)) + 1
        problem = f"a gap of {gap[b - 1] / HOUR:.4g} h before this row"
        fix = f"spot.history.max_gap allows {history.max_gap:g} h"
        raise bars.error(b, bars.time_column, problem, fix)
    if longest == 0 or bars.is_moments:
        return []
    return [f"gaps bridged: {int((gap > 0).sum())}, the longest {longest / HOUR:.4g} h"]


def _pass_extremes(known: Any, opens: Any, closes: Any, close: Any, high: Any, low: Any) -> int:
    """Write highs and lows into `known`; return how many bars show both.

    A bar of two steps has room for one, the farther from its open; a bar of one step for none.
    """
    passed = 0
    for b in range(1, len(close)):
        width = closes[b] - opens[b]
        before = close[b - 1]
        high_first = abs(high[b] - before) <= abs(before - low[b])
        first, second = (high[b], low[b]) if high_first else (low[b], high[b])
        if width >= 3:
            known[opens[b] + width // 3] = first
            known[opens[b] + 2 * width // 3] = second
            passed += 1
        elif width == 2:
            known[opens[b] + 1] = second
    return passed


def _bridge(rule: str, known: Any) -> Any:
    """Return the path through the known prices; those stay as they are to the last bit."""
    grid = np.arange(len(known))
    at = np.flatnonzero(~np.isnan(known))
    if rule == "hold":
        return known[np.maximum.accumulate(np.where(np.isnan(known), 0, grid))]
    # scalar logarithms: those of whole arrays differ in the last bit from one CPU to another
    log = np.array([math.log(price) for price in known[at].tolist()])
    path = np.array([math.exp(value) for value in np.interp(grid, at, log).tolist()])
    path[at] = known[at]
    return path


def _step_sd(close: Any, closes: Any) -> float:
    """Return the standard deviation of one step's log return that the closes show."""
    squares = [
        math.log(after / before) ** 2 / steps
        for (before, after), steps in zip(
            pairwise(close.tolist()), np.diff(closes).tolist(), strict=True
        )
        if steps > 0
    ]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else 0.0


def _roughen(path: Any, known: Any, noise: Any) -> None:
    """Turn the straight pieces of a path into geometric Brownian bridges with this noise."""
    at = np.flatnonzero(~np.isnan(known))
    walk = np.cumsum(noise)
    bridge = walk - np.interp(np.arange(len(path)), at, walk[at])
    path *= [math.exp(value) for value in bridge.tolist()]
    path[at] = known[at]


def _keep_within(path: Any, known: Any, opens: Any, closes: Any, high: Any, low: Any) -> None:
    """Cut a random path where it leaves its bar's range; gaps have none."""
    bar = np.searchsorted(closes, np.arange(len(path)), side="left")
    inside = np.isnan(known) & (np.arange(len(path)) > opens[bar])
    path[inside] = np.clip(path, low[bar], high[bar])[inside]

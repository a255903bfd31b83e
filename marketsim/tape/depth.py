"""The books over time: what rests near the mid, and whole books, at moments a scenario asks for.

Of every hour of every run, how much rests near the mid for what is open: a book is deep or thin for
those who may be forced through it.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.ladder import book_mid2, count_levels, measure_depth, read_ladder
from marketsim.engine.records import I8, Record, Rows, records
from marketsim.engine.state import State

#: How far from the mid depth is recorded, basis points.
REACHES = (5, 10, 25, 50, 100)


#: How far from the mid the depth share counts, basis points.
SHARE_REACH = 50.0


class Depth(Record):
    """What rests near the mid of a market at one moment."""

    step: I8  #: steps done
    market: I8
    mid2: I8  #: half ticks; twice the mark where a side is empty
    #: atoms within each of `REACHES`
    bid: Annotated[NDArray[np.int64], (np.int64, (len(REACHES),))]
    ask: Annotated[NDArray[np.int64], (np.int64, (len(REACHES),))]


class BookLevel(Record):
    """A price of a book at one moment."""

    step: I8  #: steps done
    market: I8
    side: I8  #: +1 bids, -1 asks
    price: I8  #: ticks
    size: I8  #: lots


def near_depth(state: State, reach: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the atoms that rest within each `reach` (basis points, rising) of the mid.

    Returns
    -------
    ndarray, (2, M, reaches)
        Bids, asks.
    """
    found = np.zeros((2, len(state.market), len(reach)), np.int64)
    for m in range(len(state.market)):
        measure_depth(state, m, 1, reach, found[0, m])
        measure_depth(state, m, -1, reach, found[1, m])
    return found


@kernel
def record_depth_share(state: State, share: NDArray[np.float64], row: int) -> None:
    """Write the USD of both sides within `SHARE_REACH` of each mid over open interest at the mark.

    NaN where nobody holds anything. Overwrites ``share[row]``.
    """
    reach = np.full(1, SHARE_REACH)
    near = np.zeros(1, np.int64)
    for m in range(len(state.market)):
        market = state.market[m]
        held = market.open_interest * market.mark_ticks * market.tick_atoms
        total = 0
        for side in (1, -1):
            measure_depth(state, m, side, reach, near)
            total += near[0]
        share[row, m] = total / held if held > 0 else np.nan


def ladder(state: State, m: int, side: int, levels: int | None = None) -> NDArray[np.int64]:
    """Return the best levels of a side, all if None: ticks and lots, (2, levels)."""
    most = count_levels(state, m, side)
    found = np.zeros((2, most if levels is None else min(levels, most)), np.int64)
    read_ladder(state, m, side, found[0], found[1])
    return found


class DepthTape:
    """What a run records of its books.

    Parameters
    ----------
    every, book_every : int
        Steps between two rows of depth, and between two whole books; 0: never.
    """

    def __init__(self, every: int, book_every: int) -> None:
        self._every = every
        self._book_every = book_every
        self._step = 0
        self._depth: list[Rows[Depth]] = []
        self._book: list[Rows[BookLevel]] = []

    def next_moment(self, step: int) -> int | None:
        """Return the next step at which something is due after `step`, None if never."""
        spans = (self._every, self._book_every)
        return min(((step // every + 1) * every for every in spans if every), default=None)

    def keep(self, state: State, step: int) -> None:
        """Record what is due at a step; only once, however often it is called."""
        if step <= self._step:
            return
        self._step = step
        if self._every and step % self._every == 0:
            self._depth.append(_depth_rows(state, step))
        if self._book_every and step % self._book_every == 0:
            self._book.append(_book_rows(state, step))

    @property
    def depth(self) -> Rows[Depth]:
        """(rows,) what rested near the mids so far."""
        return np.concatenate([records(Depth, 0), *self._depth])

    @property
    def book(self) -> Rows[BookLevel]:
        """(rows,) the whole books so far."""
        return np.concatenate([records(BookLevel, 0), *self._book])


def _depth_rows(state: State, step: int) -> Rows[Depth]:
    rows = records(Depth, len(state.market))
    rows["step"] = step
    rows["market"] = np.arange(len(rows))
    rows["mid2"] = [book_mid2(state, m) for m in range(len(rows))]
    rows["bid"], rows["ask"] = near_depth(state, np.array(REACHES, np.float64))
    return rows


def _book_rows(state: State, step: int) -> Rows[BookLevel]:
    blocks = [records(BookLevel, 0)]
    for m in range(len(state.market)):
        for side in (1, -1):
            price, size = ladder(state, m, side)
            block = records(BookLevel, len(price))
            block["step"], block["market"], block["side"] = step, m, side
            block["price"], block["size"] = price, size
            blocks.append(block)
    return np.concatenate(blocks)

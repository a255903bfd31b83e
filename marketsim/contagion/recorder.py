"""The contagion matrices and the liquidation heat map of a run, taken at chosen moments."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.contagion.computed import compute_contagion
from marketsim.contagion.response import FALLS, RISES, measure_response
from marketsim.contagion.triggers import find_triggers, sum_bands
from marketsim.engine.paper import follow, paper_venue
from marketsim.engine.records import I8, Record, Rows, records
from marketsim.engine.state import State
from marketsim.scenario.schema import Scenario
from marketsim.tape.moments import Figures, finite

#: Names of the sides of a contagion matrix, in the order of its array.
SIDES = ("falls", "rises")


class Heat(Record):
    """One cell of the heat map: positions that a move of the mark to its band would liquidate."""

    step: I8  #: steps done
    market: I8
    side: I8  #: 1 long, -1 short
    band: I8  #: number n: from (1 + width)^n to (1 + width)^(n + 1) of the first index
    low_ticks: I8  #: marks from here
    high_ticks: I8  #: to here, both included
    size: I8  #: lots
    mark_ticks: I8


def contagion_matrices(
    state: State, lone: State, reflexivity: float, delta: float
) -> NDArray[np.float64]:
    """Measure the matrices on paper of falls and rises; see `marketsim.contagion.response`.

    Parameters
    ----------
    state : State
    lone : State
        Its paper venue.
    reflexivity, delta : float

    Returns
    -------
    ndarray, (2, M, M)
        By side, market that follows, market that moves.
    """
    response = np.zeros((2, len(state.market), len(state.market)))
    measure_response(state, lone, reflexivity, delta, response)
    return response


def computed_matrices(state: State, lone: State, reflexivity: float) -> NDArray[np.float64]:
    """Compute the matrices of falls and rises; see `marketsim.contagion.computed`.

    Parameters
    ----------
    state : State
    lone : State
        Its paper venue.
    reflexivity : float

    Returns
    -------
    ndarray, (2, M, M)
        By side, market that follows, market that moves.
    """
    return compute_contagion(state, lone, reflexivity).response


def reproduction_number(matrix: Any) -> Any:
    """Return the spectral radius of one contagion matrix or of many.

    Parameters
    ----------
    matrix : ndarray, (..., M, M)

    Returns
    -------
    float or ndarray
        NaN where the matrix holds one: somebody had to sell into an empty side of a book.

    Examples
    --------
    >>> round(float(reproduction_number(np.array([[0.1, 0.2], [0.3, 0.4]]))), 4)
    0.5372
    """
    matrix = np.asarray(matrix, np.float64)
    known = np.isfinite(matrix).all(axis=(-2, -1))
    radius = np.abs(np.linalg.eigvals(np.where(known[..., None, None], matrix, 0.0))).max(axis=-1)
    return np.where(known, radius, np.nan)


def liquidation_bands(
    state: State, step: int, first_price: Any, width: float, reach: float
) -> Rows[Heat]:
    """Sum up, by band of the mark, the positions that a jump to it would liquidate.

    Each position counts with its whole size at its trigger, see
    `marketsim.contagion.triggers.find_triggers`: all bands between the mark and p together are
    what a jump to p seizes.

    Parameters
    ----------
    state : State
    step : int
        Steps done.
    first_price : ndarray, (M,)
        Price in ticks that bands are counted from.
    width : float
        Of a band, a fraction of its lower edge.
    reach : float
        Relative move beyond which triggers are left out.

    Returns
    -------
    ndarray of Heat
    """
    mark = np.asarray(state.market["mark_ticks"])
    log_width = math.log1p(width)
    lowest = np.floor(np.log(mark * (1.0 - reach) / first_price) / log_width).astype(np.int64)
    count = math.ceil((math.log1p(reach) - math.log1p(-reach)) / log_width) + 2
    number = lowest[:, None] + np.arange(count + 1)
    edge = np.ceil(first_price[:, None] * np.exp(log_width * number)).astype(np.int64)
    total = np.zeros((len(mark), 2, count), np.int64)
    sum_bands(state, find_triggers(state), edge, reach, total)
    m, side, place = np.nonzero(total)
    rows = records(Heat, len(m))
    rows["step"] = step
    rows["market"] = m
    rows["side"] = 1 - 2 * side
    rows["band"] = number[m, place]
    rows["low_ticks"] = edge[m, place]
    rows["high_ticks"] = edge[m, place + 1] - 1
    rows["size"] = total[m, side, place]
    rows["mark_ticks"] = mark[m]
    return rows


class ContagionTape:
    """What a run records of contagion, at the moments its scenario asks for.

    Parameters
    ----------
    scenario : Scenario
    state : State
        At the start: bands of the heat map are counted from its index prices.
    """

    #: The paper venue of the matrices, made when one is due; a copy makes its own.
    _paper: State | None = None

    def __init__(self, scenario: Scenario, state: State) -> None:
        record = scenario.record
        self._every = scenario.span(record.contagion_minutes)
        self._heat_every = scenario.span(record.heatmap_minutes)
        self._delta = record.contagion_delta
        self._width, self._reach = record.heatmap_band, record.heatmap_reach
        self._first_price = np.array(state.market["index_ticks"], np.float64)
        self._steps: list[int] = []
        self._on_paper: list[NDArray[np.float64]] = []
        self._computed: list[NDArray[np.float64]] = []
        self._recovery: list[NDArray[np.float64]] = []
        self._heat_step = -1
        self._heat: list[Rows[Heat]] = []

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs."""
        return {name: value for name, value in vars(self).items() if name != "_paper"}

    def next_moment(self, step: int) -> int | None:
        """Return the next step at which something is due after `step`, None if never."""
        due = [(step // every + 1) * every for every in (self._every, self._heat_every) if every]
        return min(due, default=None)

    def keep(self, state: State, step: int, reflexivity: float) -> None:
        """Record what is due at a step; only once, however often it is called."""
        if self._every and step % self._every == 0 and self._steps[-1:] != [step]:
            self._steps.append(step)
            self._paper = follow(state, self._paper) if self._paper else paper_venue(state)
            self._on_paper.append(contagion_matrices(state, self._paper, reflexivity, self._delta))
            self._computed.append(computed_matrices(state, self._paper, reflexivity))
            self._recovery.append(np.array(state.recovery["share"]))
        if self._heat_every and step % self._heat_every == 0 and step > self._heat_step:
            self._heat_step = step
            self._heat.append(
                liquidation_bands(state, step, self._first_price, self._width, self._reach)
            )

    def forget(self, step: int) -> None:
        """Drop what was recorded at a step: a run that ended there goes on by other rules."""
        if self._steps[-1:] == [step]:
            del self._steps[-1], self._on_paper[-1], self._computed[-1], self._recovery[-1]
        if self._heat_step == step:
            self._heat_step = step - 1
            del self._heat[-1]

    @property
    def steps(self) -> NDArray[np.int64]:
        """(moments,) steps done at each."""
        return np.array(self._steps, np.int64)

    def on_paper(self, num_markets: int) -> NDArray[np.float64]:
        """(moments, 2, M, M): the matrices on paper so far."""
        return np.array(self._on_paper).reshape(-1, 2, num_markets, num_markets)

    def matrices(self, num_markets: int) -> NDArray[np.float64]:
        """(moments, 2, M, M): the matrices so far."""
        return np.array(self._computed).reshape(-1, 2, num_markets, num_markets)

    def recovery(self, num_markets: int) -> NDArray[np.float64]:
        """(moments, M): the share of an impact that each book took back in a step, so far."""
        return np.array(self._recovery).reshape(-1, num_markets)

    @property
    def heat(self) -> Rows[Heat]:
        """(rows,) the heat map so far."""
        return np.concatenate([records(Heat, 0), *self._heat])


def contagion_figures(
    steps: Any, matrices: Any, strikes: Sequence[tuple[int, int]], name: str = "reproduction_number"
) -> Figures:
    """Measure how close a run came to running away.

    `reproduction_number_max` and `reproduction_number_mean` over the recorded moments, the larger
    of falls and rises at each; `reproduction_number_before_shock` at the last moment before the
    first scheduled shock: on its side if it moves prices, the larger otherwise.

    Parameters
    ----------
    steps : ndarray, (moments,)
    matrices : ndarray, (moments, 2, M, M)
    strikes : sequence of (step, side)
        Shocks: the first step they act in; -1 a fall of prices, 1 a rise, 0 anything else.
    name : str, optional
        What the figures' names begin with.

    Returns
    -------
    dict
        None where there is nothing recorded.
    """
    radius = reproduction_number(matrices) if len(steps) else np.full((0, 2), np.nan)
    known = ~np.isnan(radius).all(axis=1)
    larger = np.fmax(radius[:, FALLS], radius[:, RISES])
    before = None
    if strikes:
        first, side = min(strikes)
        place = int(np.searchsorted(steps, first, side="right")) - 1
        if place >= 0:
            sided = {-1: radius[place, FALLS], 1: radius[place, RISES], 0: larger[place]}
            before = finite(sided[side])
    return {
        f"{name}_before_shock": before,
        f"{name}_max": finite(larger[known].max()) if known.any() else None,
        f"{name}_mean": finite(larger[known].mean()) if known.any() else None,
    }

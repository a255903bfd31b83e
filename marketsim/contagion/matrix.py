"""The contagion matrix: how far each market follows a small move of another, and where it ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from marketsim.contagion.recorder import (
    SIDES,
    computed_matrices,
    contagion_matrices,
    reproduction_number,
)
from marketsim.engine.paper import paper_venue
from marketsim.engine.state import State
from marketsim.scenario.coercion import is_number
from marketsim.scenario.schema import CONTAGION_DELTA
from marketsim.scenario.wording import show
from marketsim.tape.result import Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

#: A response whose signs do not settle in so many rounds has none.
_MAX_ROUNDS = 100


class RunawayError(ArithmeticError):
    """A move has no end state: the reproduction number is 1 or more, or does not exist."""


@dataclass(frozen=True, eq=False)
class ContagionMatrix:
    """The contagion matrices of one moment, of falling and of rising marks.

    Row j, column k: how far the mark of market j follows a move of market k, both as fractions of
    the price; see `marketsim.contagion.computed`, and `marketsim.contagion.response` on paper.

    Attributes
    ----------
    markets : tuple of str
    falls, rises : ndarray, (M, M)
        Of one liquidation more, in the books as they are, which refill as they have done so far.
    step : int
        Steps done.
    on_paper : ndarray, (2, M, M), or None
        The matrices of falls and rises at moves of `delta`, with books that never refill; None: the
        same.
    recovery : ndarray, (M,), or None
        Share of an impact that each book took back in a step; None: nothing.
    """

    markets: tuple[str, ...]
    falls: Floats
    rises: Floats
    step: int
    on_paper: Floats | None = None
    recovery: Floats | None = None

    def matrix(self, side: str) -> Floats:
        """Return the matrix of a side.

        Parameters
        ----------
        side : {"falls", "rises"}

        Raises
        ------
        ValueError
            If there is no such side.
        """
        if side not in SIDES:
            raise ValueError(f"side = {side!r}: must be 'falls' or 'rises'")
        return self.falls if side == "falls" else self.rises

    def table(self, side: str) -> "pd.DataFrame":
        """Return the matrix with the markets' names; a column is a market that moves."""
        import pandas as pd

        return pd.DataFrame(self.matrix(side), index=self.markets, columns=self.markets)

    def reproduction_number(self, side: str) -> float:
        """Return R, the spectral radius: 1 and more runs away. NaN without a book to sell into."""
        return float(reproduction_number(self.matrix(side)))

    def reproduction_on_paper(self, side: str) -> float:
        """Return R of books that never refill: it counts what a mark sees too late, too."""
        matrix = self.matrix(side)
        if self.on_paper is not None:
            matrix = self.on_paper[SIDES.index(side)]
        return float(reproduction_number(matrix))

    def leaders(self, side: str) -> dict[str, float]:
        """Return how much a move of each market adds to the mode that lasts, shares of one.

        The left eigenvector of R; all zero if nothing is passed on.

        Raises
        ------
        RunawayError
            If a matrix entry does not exist.
        """
        return self._shares(self.matrix(side).T)

    def followers(self, side: str) -> dict[str, float]:
        """Return how far each market moves in the mode that lasts, shares of one.

        The right eigenvector of R; markets of opposite sign move apart.

        Raises
        ------
        RunawayError
            If a matrix entry does not exist.
        """
        return self._shares(self.matrix(side))

    def amplification(self, side: str) -> "pd.DataFrame":
        """Return (I - M)^-1: where each market ends (row) after a unit move of another (column).

        Raises
        ------
        RunawayError
            If R is 1 or more.
        """
        import pandas as pd

        self._refuse_runaway(side)
        inverse = np.linalg.inv(np.eye(len(self.markets)) - self.matrix(side))
        return pd.DataFrame(inverse, index=self.markets, columns=self.markets)

    def response(self, shock: Mapping[str, float]) -> dict[str, float]:
        r"""Return where all marks end after small moves of some.

        .. math:: x = s + M(x) x

        where the column of a market is that of falls or of rises, whichever way it ends up moving:
        with moves of one sign, x = (I - M)^-1 s.

        Parameters
        ----------
        shock : mapping of str to float
            By market, relative moves: ``{"BTC": -0.01}``.

        Returns
        -------
        dict

        Raises
        ------
        KeyError
            If there is no such market.
        RunawayError
            If the moves have no end.
        """
        for name in shock:
            if name not in self.markets:
                raise KeyError(f"no market {name!r}; there are {', '.join(self.markets)}")
        struck = np.array([shock.get(name, 0.0) for name in self.markets])
        end = struck
        for _ in range(_MAX_ROUNDS):
            matrix = np.where(end < 0.0, self.falls, self.rises)
            if not reproduction_number(matrix) < 1.0:
                break
            before, end = end, np.linalg.solve(np.eye(len(struck)) - matrix, struck)
            if np.array_equal(end < 0.0, before < 0.0):
                return dict(zip(self.markets, end.tolist(), strict=True))
        raise RunawayError("the moves have no end: a small move feeds on itself")

    def _refuse_runaway(self, side: str) -> None:
        number = self.reproduction_number(side)
        if not number < 1.0:
            raise RunawayError(f"reproduction number {number:.3g} of {side}: there is no end state")

    def _shares(self, matrix: Floats) -> dict[str, float]:
        if not np.isfinite(matrix).all():
            raise RunawayError("a side of a book is empty: the matrix is not known")
        if not matrix.any():
            return dict.fromkeys(self.markets, 0.0)
        values, vectors = np.linalg.eig(matrix)
        vector = vectors[:, np.abs(values).argmax()].real
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        shares = vector / np.abs(vector).sum()
        return dict(zip(self.markets, shares.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Contagion:
    """The contagion matrices of a run, moment by moment.

    Attributes
    ----------
    markets : tuple of str
    steps : ndarray, (moments,)
        Steps done at each.
    hours : ndarray, (moments,)
    matrices : ndarray, (moments, 2, M, M)
        By side (falls, rises), market that follows, market that moves.
    on_paper : ndarray, (moments, 2, M, M), or None
        The same with books that never refill.
    recovery : ndarray, (moments, M), or None
        Share of an impact that each book took back in a step.
    """

    markets: tuple[str, ...]
    steps: Integers
    hours: Floats
    matrices: Floats
    on_paper: Floats | None = None
    recovery: Floats | None = None

    @property
    def reproduction_number(self) -> "pd.DataFrame":
        """R by hour (index) and side (columns)."""
        return self._by_hour(self.matrices)

    @property
    def reproduction_on_paper(self) -> "pd.DataFrame":
        """R of books that never refill, by hour (index) and side (columns)."""
        return self._by_hour(self.matrices if self.on_paper is None else self.on_paper)

    def _by_hour(self, matrices: Floats) -> "pd.DataFrame":
        import pandas as pd

        index = pd.Index(self.hours, name="hours")
        return pd.DataFrame(reproduction_number(matrices), index=index, columns=list(SIDES))

    def at(self, step: int) -> ContagionMatrix:
        """Return the matrices at a step, or the last before it.

        Raises
        ------
        ValueError
            If the step is before the first.
        """
        place = int(np.searchsorted(self.steps, step, side="right")) - 1
        if place < 0:
            raise ValueError(f"step = {step}: the first contagion matrix is of {self.steps[0]}")
        return self._take(place)

    def peak(self, side: str | None = None) -> ContagionMatrix:
        """Return the matrices of the moment at which R was largest, of a side or of either."""
        table = self.reproduction_number
        larger = table.max(axis=1) if side is None else table[side]
        return self._take(int(np.argmax(larger.fillna(-1.0).to_numpy())))

    def _take(self, place: int) -> ContagionMatrix:
        falls, rises = self.matrices[place]
        on_paper, recovery = (
            None if each is None else each[place] for each in (self.on_paper, self.recovery)
        )
        step = int(self.steps[place])
        return ContagionMatrix(self.markets, falls, rises, step, on_paper, recovery)


def measure_contagion(
    state: State,
    markets: tuple[str, ...],
    *,
    step: int,
    delta: float,
    reflexivity: float = 0.0,
) -> ContagionMatrix:
    """Measure the matrices of a venue as it stands, without changing it.

    Parameters
    ----------
    state : State
    markets : tuple of str
        Names.
    step : int
        Steps done.
    delta : float
        Relative move of the matrices on paper.
    reflexivity : float, optional
        Share of the perp's price impact that becomes spot return.

    Raises
    ------
    ValueError
        If delta is out of range.
    """
    low, high = CONTAGION_DELTA
    if not (is_number(delta) and low <= delta <= high):
        raise ValueError(f"delta = {show(delta)}: must lie in [{low:g}, {high:g}]")
    lone = paper_venue(state)
    on_paper = contagion_matrices(state, lone, reflexivity, delta)
    falls, rises = computed_matrices(state, lone, reflexivity)
    recovery = np.array(state.recovery["share"])
    return ContagionMatrix(markets, falls, rises, step, on_paper, recovery)

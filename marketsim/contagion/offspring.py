"""The reproduction number as it is measured: what follows one liquidation, in dollars."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from marketsim.tape.moments import finite
from marketsim.tape.result import Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

#: Whose liquidation is forced: longs, whose sales make marks fall; shorts; either.
Side: TypeAlias = Literal["falls", "rises"]
#: What is counted: what the forced liquidation causes itself, or what those cause in turn, too.
Generations: TypeAlias = Literal["first", "all"]
GENERATIONS: tuple[Generations, ...] = get_args(Generations)
#: Standard errors to either side of a mean that the interval reaches: 95 % of a normal law.
ERRORS = 1.96


class Estimate(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Reproduction:
    """What followed liquidations that were forced, one at a time, in copies of a market.

    A row of the arrays is a liquidation. The mean is dollars over dollars: large liquidations count
    as what they are. Its interval is two standard errors of that ratio to either side, of the
    choice of accounts and of luck; states count as a whole where there are several.

    Attributes
    ----------
    markets : tuple of str
    generations : {"first", "all"}
    side : {"falls", "rises"} or None
    horizon_hours : float
        How long what follows was counted.
    state : ndarray, (n,)
        Number of the state each was forced in.
    account : ndarray, (n,)
        Whose it was.
    forced_usd, offspring_usd : ndarray, (n, M)
        What was liquidated by force; what was liquidated of others afterwards, less what was
        without it.
    refused : int
        Draws in which nothing was liquidated by force: no book took it.
    """

    markets: tuple[str, ...]
    generations: Generations
    side: Side | None
    horizon_hours: float
    state: Integers
    account: Integers
    forced_usd: Floats
    offspring_usd: Floats
    refused: int = 0

    @property
    def n(self) -> int:
        """Liquidations forced."""
        return len(self.account)

    @property
    def states(self) -> int:
        """States they were forced in."""
        return len(np.unique(self.state))

    @property
    def estimate(self) -> Estimate:
        """Dollars liquidated for each dollar liquidated, with its interval; NaN if none was."""
        return self._ratio(self.offspring_usd.sum(axis=1))

    @property
    def mean(self) -> float:
        """Dollars liquidated for each dollar liquidated: with "first" generations, R measured."""
        return self.estimate.mean

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `mean`."""
        return self.estimate[1:]

    @property
    def by_market(self) -> "pd.DataFrame":
        """In which market it was liquidated: `mean`, `low`, `high` by market; means add up."""
        import pandas as pd

        rows = [self._ratio(each) for each in self.offspring_usd.T]
        return pd.DataFrame(rows, index=pd.Index(self.markets, name="market"))

    @property
    def draws(self) -> "pd.DataFrame":
        """A row per liquidation: state, account, dollars forced and followed, by market."""
        import pandas as pd

        columns: dict[str, Any] = {"state": self.state, "account": self.account}
        for m, name in enumerate(self.markets):
            columns[f"forced_usd_{name}"] = self.forced_usd[:, m]
        for m, name in enumerate(self.markets):
            columns[f"offspring_usd_{name}"] = self.offspring_usd[:, m]
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return it in numbers that JSON can hold; what does not exist is None."""
        mean, low, high = self.estimate
        return {
            "mean": finite(mean),
            "low": finite(low),
            "high": finite(high),
            "interval": "95 %, standard error of the ratio",
            "by_market": {
                str(name): {key: finite(value) for key, value in row.items()}
                for name, row in self.by_market.iterrows()
            },
            "n": self.n,
            "refused": self.refused,
            "states": self.states,
            "generations": self.generations,
            "side": self.side,
            "horizon_hours": self.horizon_hours,
            "forced_usd": float(self.forced_usd.sum()),
        }

    def __repr__(self) -> str:
        if not self.n:
            return "Reproduction(nothing was liquidated by force)"
        mean, low, high = self.estimate
        markets = ", ".join(f"{name} {value:.3g}" for name, value in self.by_market["mean"].items())
        said = "" if self.generations == "first" else " and what they cause in turn"
        return (
            f"Reproduction(mean {mean:.3g} [{low:.3g}, {high:.3g}]{said}; {markets}; "
            f"n = {self.n}, states = {self.states}, {self.horizon_hours:g} h)"
        )

    def _ratio(self, dollars: Floats) -> Estimate:
        forced = self.forced_usd.sum(axis=1)
        if not self.n:
            return Estimate(math.nan, math.nan, math.nan)
        mean = float(dollars.sum() / forced.sum())
        groups = self.state if self.states > 1 else np.arange(self.n)
        off = np.bincount(groups, dollars - mean * forced)[np.unique(groups)]
        if len(off) < 2:
            return Estimate(mean, math.nan, math.nan)
        spread = len(off) / (len(off) - 1) * float((off**2).sum())
        error = ERRORS * math.sqrt(spread) / float(forced.sum())
        return Estimate(mean, mean - error, mean + error)


def pool_states(found: Sequence[Reproduction]) -> Reproduction:
    """Put what was measured in several states together.

    Parameters
    ----------
    found : sequence of Reproduction
        One or more, of the same markets, counted in the same way.

    Returns
    -------
    Reproduction

    Raises
    ------
    ValueError
        If there are none, or they differ in how they were measured.
    """
    kinds = {(each.markets, each.generations, each.side, each.horizon_hours) for each in found}
    if len(kinds) != 1:
        raise ValueError(
            "states to be put together: must be one or more, with the same markets, generations, "
            "side and horizon"
        )
    first = found[0]
    return Reproduction(
        markets=first.markets,
        generations=first.generations,
        side=first.side,
        horizon_hours=first.horizon_hours,
        state=np.repeat(np.arange(len(found)), [each.n for each in found]),
        account=np.concatenate([each.account for each in found]),
        forced_usd=np.concatenate([each.forced_usd for each in found]),
        offspring_usd=np.concatenate([each.offspring_usd for each in found]),
        refused=sum(each.refused for each in found),
    )

"""The cascades of a run that count as events: large, quick, from market to market and deep."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from marketsim.results.cascades import Cascade

if TYPE_CHECKING:
    import pandas as pd

#: Share of open interest, hours, markets and generations a cascade has to reach to be large.
SHARE, HOURS, MARKETS, GENERATIONS = 0.05, 2.0, 2, 4


@dataclass(frozen=True, eq=False)
class LargeCascade:
    """A cascade, and those hours of it in which most was liquidated.

    Attributes
    ----------
    cascade : Cascade
    step : int
        At which these hours begin, with a liquidation.
    size_usd : float
        Notional liquidated in them, at mark.
    share : float
        The same over the open interest of all markets before them.
    markets : tuple of str
        Those liquidated in, in the run's order.
    generations : int
        From the first to the last of them, both counted.
    side : str
        Of most that was liquidated: long or short.
    """

    cascade: Cascade
    step: int
    size_usd: float
    share: float
    markets: tuple[str, ...]
    generations: int
    side: str

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {
            "number": self.cascade.number,
            "step": self.step,
            "size_usd": self.size_usd,
            "share": self.share,
            "markets": list(self.markets),
            "generations": self.generations,
            "side": self.side,
        }


def find_large_cascades(
    cascades: Sequence[Cascade],
    liquidations: "pd.DataFrame",
    series: "pd.DataFrame",
    step_minutes: float,
    *,
    share: float = SHARE,
    hours: float = HOURS,
    markets: int = MARKETS,
    generations: int = GENERATIONS,
) -> list[LargeCascade]:
    """Pick the cascades that are large within hours; a cascade counts once, by its worst hours.

    Parameters
    ----------
    cascades : sequence of Cascade
    liquidations, series : pandas.DataFrame
        Tables of the run; `series` is that of markets.
    step_minutes : float
    share : float
        Least notional liquidated within the hours, over the open interest before them.
    hours : float
    markets, generations : int
        Least number of markets and of generations within the hours.

    Returns
    -------
    list of LargeCascade
        In order of time.

    Raises
    ------
    ValueError
        If a bound is out of range.
    """
    _check(share, hours, markets, generations)
    interest = series.groupby("step")["open_interest_usd"].sum()
    rows = _Rows(
        step=liquidations["step"].to_numpy(),
        usd=liquidations["notional_usd"].to_numpy(),
        market=liquidations["market"].astype(str).to_numpy(),
        is_long=(liquidations["side"] == "long").to_numpy(),
    )
    found = []
    for each in cascades:
        worst = _worst_hours(each, rows, interest, hours * 60.0 / step_minutes)
        is_far = len(worst.markets) >= markets and worst.generations >= generations
        if worst.share >= share and is_far:
            found.append(worst)
    return sorted(found, key=lambda each: (each.step, each.cascade.number))


def _check(share: float, hours: float, markets: int, generations: int) -> None:
    if not share >= 0.0:
        raise ValueError(f"share = {share!r}: must be 0 or more, a fraction of open interest")
    if not 0.0 < hours < math.inf:
        raise ValueError(f"hours = {hours!r}: must be a number above 0")
    for name, value in (("markets", markets), ("generations", generations)):
        if not value >= 1:
            raise ValueError(f"{name} = {value!r}: must be 1 or more")


class _Rows(NamedTuple):
    """Columns of the table of liquidations."""

    step: Any
    usd: Any
    market: Any
    is_long: Any


def _worst_hours(
    cascade: Cascade, rows: _Rows, interest: "pd.Series", width: float
) -> LargeCascade:
    """Find the `width` steps of a cascade in which most is liquidated, the first of equals."""
    order = np.argsort(rows.step[cascade.liquidations], kind="stable")
    members = cascade.liquidations[order]
    step = rows.step[members]
    total = np.concatenate([[0.0], np.cumsum(rows.usd[members])])
    end = np.searchsorted(step, step + width, side="right")
    size = total[end] - total[:-1]
    first = int(size.argmax())
    here = slice(first, end[first])
    sold, generation = members[here], cascade.generation[order][here]
    names = set(rows.market[sold[rows.usd[sold] > 0.0]])
    long = float(rows.usd[sold[rows.is_long[sold]]].sum())
    # Open interest as the last row before them has it.
    row = max(int(np.searchsorted(interest.index, step[first])) - 1, 0)
    before = float(interest.iloc[row])
    return LargeCascade(
        cascade=cascade,
        step=int(step[first]),
        size_usd=float(size[first]),
        share=float(size[first]) / before if before > 0.0 else math.nan,
        markets=tuple(name for name in cascade.markets if name in names),
        generations=int(generation.max() - generation.min()) + 1,
        side="long" if 2.0 * long >= size[first] else "short",
    )

"""What markets do in the hours around a large cascade, and since when a state had lasted."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from marketsim.results.large_cascades import LargeCascade
from marketsim.tape.result import Floats

if TYPE_CHECKING:
    import pandas as pd

    from marketsim.results.run import Run

#: What is followed. The first three and `reproduction` are of the side that is liquidated: positive
#: where that side is crowded, dear, paying; R on paper is that of marks moving against it.
SERIES = (
    "herd_index",
    "premium",
    "funding_rate",
    "leverage",
    "open_interest",
    "depth",
    "reproduction",
    "liquidated",
)
#: Hours over which a course is averaged before its age is told.
SMOOTHED = 6


def course_around(run: "Run", event: LargeCascade, before: int, after: int) -> dict[str, Floats]:
    """Follow the markets a large cascade reached, hour by hour.

    Parameters
    ----------
    run : Run
        With the tables `depth` and `reproduction` recorded; without, those courses are NaN.
    event : LargeCascade
    before, after : int
        Hours.

    Returns
    -------
    dict of ndarray, (before + after,)
        By the names of `SERIES`: means over the hours that end ``1 - before, ..., after`` hours
        after the cascade's step; the last of the first `before` ends where it begins. Premium in
        bp of the index, funding in bp per 8 h; open interest and depth (USD within 50 bp of the
        mid, both sides) of these markets; `liquidated` USD in the hour over open interest. NaN
        where the run does not reach.
    """
    start = event.step * float(run.summary["step_minutes"]) / 60.0
    sign = 1.0 if event.side == "long" else -1.0

    def hourly(values: "pd.Series") -> Floats:
        return _hourly_means(values, start, before, after)

    rows = run.markets[run.markets["market"].isin(event.markets)].groupby("hours")
    mean = rows[["herd_index", "premium", "funding_rate", "leverage"]].mean()
    total = rows[["open_interest_usd", "liquidated_usd"]].sum()
    interest = hourly(total["open_interest_usd"])
    rows_an_hour = 1.0 / float(np.diff(total.index[:2])[0]) if len(total) > 1 else np.nan
    sold = rows_an_hour * hourly(total["liquidated_usd"])
    found = {
        "herd_index": sign * hourly(mean["herd_index"]),
        "premium": sign * 1e4 * hourly(mean["premium"]),
        "funding_rate": sign * 1e4 * hourly(mean["funding_rate"]),
        "leverage": hourly(mean["leverage"]),
        "open_interest": interest,
        "depth": hourly(_depth(run, event.markets)),
        "reproduction": hourly(_reproduction(run, event.side)),
        "liquidated": sold / np.where(interest > 0.0, interest, np.nan),
    }
    return {name: found[name] for name in SERIES}


def _depth(run: "Run", markets: tuple[str, ...]) -> "pd.Series":
    if "depth" not in run.tables:
        return _nothing()
    here = run.depth[run.depth["market"].isin(markets)].set_index("hours")
    rests: pd.Series = here["bid_usd_50bp"] + here["ask_usd_50bp"]
    return rests.groupby(level=0).sum()


def _reproduction(run: "Run", side: str) -> "pd.Series":
    if "reproduction" not in run.tables:
        return _nothing()
    table = run.reproduction
    against = table[table["side"] == ("falls" if side == "long" else "rises")]
    found: pd.Series = against.set_index("hours")["reproduction_on_paper"]
    return found


def _nothing() -> "pd.Series":
    import pandas as pd

    return pd.Series(dtype=np.float64)


def _hourly_means(values: "pd.Series", start: float, before: int, after: int) -> Floats:
    """Average what is known at the end of, or within, each hour around `start`; NaN: nothing is."""
    known = values[np.isfinite(values)]
    offset = known.index.to_numpy(np.float64) - start
    # A row that ends with an hour belongs to it, in spite of the last digit of its time.
    place = np.ceil(offset - 1e-9).astype(np.int64) + before - 1
    num = before + after
    is_here = (place >= 0) & (place < num)
    count = np.bincount(place[is_here], minlength=num)
    total = np.bincount(place[is_here], known.to_numpy()[is_here], num)
    mean: Floats = np.divide(total, count, out=np.full(num, np.nan), where=count > 0)
    return mean


def hours_held(course: ArrayLike) -> float:
    """Tell for how many hours a state had lasted at the end of a course.

    Parameters
    ----------
    course : array_like
        Hour by hour.

    Returns
    -------
    float
        Hours since the mean of six hours was last below half of its last value: at most the length
        of what is known; 0 if the last value is not positive, NaN if it is not known.

    Examples
    --------
    >>> hours_held([0.0] * 20 + [1.0] * 12)
    10.0
    >>> hours_held([1.0] * 20 + [-1.0] * 12)
    0.0
    """
    values: Any = np.asarray(course, np.float64)
    if len(values) < SMOOTHED:
        return float("nan")
    smooth = np.lib.stride_tricks.sliding_window_view(values, SMOOTHED).mean(axis=1)
    last = smooth[-1]
    if not np.isfinite(last):
        return float("nan")
    if last <= 0.0:
        return 0.0
    is_lower = ~(smooth >= 0.5 * last)
    lower = np.flatnonzero(is_lower)
    return float(len(smooth) - 1 - lower[-1]) if len(lower) else float(len(smooth))

"""An event study: the mean course of a series around the cascades of many runs."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from marketsim.report.canvas import FigureError, hours_axis, legend, say, tick_text
from marketsim.report.numbers import counted
from marketsim.report.plots.reading import chosen_market, rows_of, step_minutes
from marketsim.report.style import Theme
from marketsim.results.cascades import Cascade, of_several
from marketsim.results.run import Run
from marketsim.scenario.errors import one_of
from marketsim.study.statistics import LEVEL, bootstrap_means

#: Series that are drawn as the change from the first liquidation, in percent.
PRICES = ("mark_price", "index_price", "last_price", "open_interest_usd", "open_interest")
#: Series that are drawn in basis points.
RATES = ("premium", "funding_rate", "predicted_rate", "spot_spread")
#: Points of the course, at most.
MAX_POINTS = 240


def draw(
    axes: Axes,
    runs: list[Run],
    theme: Theme,
    *,
    series: str = "mark_price",
    market: str | None = None,
    before: float = 3.0,
    after: float = 6.0,
) -> list[Axes]:
    """Draw the mean of a series around the largest cascade of each run, with its interval.

    The series is that of the market most was liquidated in, unless one is named. Of a single run
    all cascades of two accounts and more count; they are not independent of each other.
    """
    hours, courses = around(runs, series, market, before, after)
    if not len(courses):
        say(axes, "No cascade took down two accounts or more.")
        return [axes]
    means = bootstrap_means(courses)
    value, low, high = np.array([tuple(each) for each in means]).T
    color = theme.ink
    band = axes.fill_between(hours, low, high, color=theme.long, alpha=0.3, linewidth=0)
    (line,) = axes.plot(hours, value, color=color)
    is_many = len(runs) > 1
    many = counted(len(courses), "run" if is_many else "cascade")
    mean = f"mean of {many}{'' if is_many else ' of one run'}"
    entries: list[tuple[Any, str]] = [(line, mean)]
    if np.isfinite(low).any():
        name = f"{100 * LEVEL:.0f} % interval{'' if is_many else ', as if independent'}"
        entries.append((band, name))
    legend(axes, entries)
    width = mpl.rcParams["lines.linewidth"]
    axes.axvline(0.0, color=theme.short, linewidth=0.6 * width, linestyle="--")
    if value[np.isfinite(value)].min(initial=0.0) <= 0.0:
        axes.axhline(0.0, color=theme.muted, linewidth=0.4 * width)
    axes.set_ylabel(_label(series))
    axes.yaxis.set_major_formatter(tick_text)
    hours_axis(axes, "hours since the first liquidation of the cascade")
    axes.margins(x=0.0)
    return [axes]


def around(
    runs: list[Run], series: str, market: str | None, before: float, after: float
) -> tuple[Any, Any]:
    """Return the course of a series around cascades.

    Parameters
    ----------
    runs : list of Run
    series : str
        A column of the table of markets.
    market : str or None
    before, after : float
        Hours.

    Returns
    -------
    hours : ndarray, (k,)
        From the first liquidation on.
    courses : ndarray, (n, k)
        A row per cascade; NaN where its run does not reach.

    Raises
    ------
    FigureError
        If there is no such series or market, or no time.
    """
    if not (before >= 0.0 and after > 0.0):
        raise FigureError(f"before {before:g}, after {after:g}: both in hours, after above 0")
    numbers = runs[0].markets.select_dtypes("number").columns
    names = [str(name) for name in numbers if name not in {"step", "hours"}]
    if series not in names:
        raise FigureError(f"series {series!r}: {one_of(series, names)}")
    every = max(step_minutes(run) / 60.0 for run in runs)
    every *= max(1.0, np.ceil((before + after) / every / MAX_POINTS))
    hours = every * np.arange(-np.floor(before / every), np.floor(after / every) + 1.0)
    courses = [
        _course(run, cascade, series, market, hours)
        for run in runs
        for cascade in _events(run, runs)
    ]
    return hours, np.array(courses).reshape(len(courses), len(hours))


def _events(run: Run, runs: list[Run]) -> list[Cascade]:
    """Return the cascades of a run that count: its largest, or of a run alone all."""
    spread = of_several(run.cascades())
    return spread[:1] if len(runs) > 1 else spread


def _course(run: Run, cascade: Cascade, series: str, market: str | None, hours: Any) -> Any:
    rows = run.liquidations.iloc[cascade.liquidations]
    usd = rows.groupby(rows["market"].astype(str))["notional_usd"].sum()
    name = chosen_market(run, market) if market is not None else str(usd.idxmax())
    table = rows_of(run.markets, name)
    start = cascade.start_step * step_minutes(run) / 60.0
    values = np.interp(start + hours, table["hours"], table[series], left=np.nan, right=np.nan)
    if series in RATES:
        return 1e4 * values
    if series in PRICES:
        first = float(np.interp(start, table["hours"], table[series]))
        return 100.0 * (values / first - 1.0) if first else np.full(len(values), np.nan)
    return values


def _label(series: str) -> str:
    words = series.replace("_usd", "").replace("_", " ")
    if series in PRICES:
        return f"change of {words}, %"
    if series in RATES:
        return f"{words}, bp"
    return f"{words}, USD" if series.endswith("_usd") else words

"""A run and its twin: the price of one thin behind the other's, and what lies between."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from marketsim.report.canvas import FigureError, hours_axis, legend, plain
from marketsim.report.numbers import number
from marketsim.report.plots.reading import chosen_market, rows_of
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run


def draw(axes: Axes, runs: list[Run], theme: Theme, *, market: str | None = None) -> list[Axes]:
    """Draw the mark of a market, that of the twin as a ghost, and what lies between them.

    The area between them is what one rule did to the price. Left out, the market is the one in
    which the two differ most.
    """
    run, twin = runs
    shared = [name for name in run.market_names if name in twin.market_names]
    if not shared:
        raise FigureError(f"{run.path} and {twin.path} have no market in common")
    if market is not None or len(shared) == 1:
        name = chosen_market(run, market or shared[0])
        if name not in shared:
            raise FigureError(f"market {name!r}: not in both runs, which share {', '.join(shared)}")
    else:
        name = max(shared, key=lambda each: _apart(run, twin, each))
    hours, real, ghost = _together(run, twin, name)
    width = mpl.rcParams["lines.linewidth"]
    area = axes.fill_between(hours, real, ghost, color=theme.short, alpha=0.25, linewidth=0)
    (thin,) = axes.plot(hours, ghost, color=theme.muted, linewidth=0.5 * width)
    (thick,) = axes.plot(hours, real, color=theme.ink, linewidth=0.9 * width)
    usd = [float(rows_of(each.liquidations, name)["notional_usd"].sum()) for each in runs]
    labels = _labels(run, twin)
    more = usd[0] - usd[1]
    short_name = shortened(name, 10)
    between = (
        f"{number(abs(more), 3)} USD {'more' if more >= 0 else 'less'} liquidated in {short_name}"
    )
    legend(
        axes,
        [
            (thick, f"{labels[0]}: {number(usd[0], 3)} USD liquidated in {short_name}"),
            (thin, f"{labels[1]}, the ghost: {number(usd[1], 3)} USD"),
        ],
    )
    _say_between(axes, hours, real, ghost, between, theme)
    area.set_label(plain(between))
    axes.set_ylabel(plain(f"mark of {name}, USD"))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    hours_axis(axes)
    return [axes]


def _together(run: Run, twin: Run, market: str) -> tuple[Any, Any, Any]:
    """Return the hours that both runs have, and the marks then."""
    one, other = (
        rows_of(each.markets, market).set_index("hours")["mark_price"] for each in (run, twin)
    )
    both = one.index.intersection(other.index)
    if not len(both):
        raise FigureError(f"{run.path} and {twin.path} have no time in common")
    return both.to_numpy(), one.loc[both].to_numpy(), other.loc[both].to_numpy()


def _apart(run: Run, twin: Run, market: str) -> float:
    _, real, ghost = _together(run, twin, market)
    return float(np.abs(real / ghost - 1.0).mean())


def _labels(run: Run, twin: Run) -> list[str]:
    """Name the two by what differs: scenario, seed or folder."""
    for names in (
        [run.scenario, twin.scenario],
        [f"seed {run.seed}", f"seed {twin.seed}"],
        [run.path.name, twin.path.name],
    ):
        if names[0] != names[1]:
            return [shortened(name, 22) for name in names]
    return ["run", "twin"]


def _say_between(axes: Axes, hours: Any, real: Any, ghost: Any, text: str, theme: Theme) -> None:
    """Write what the area is worth beside its widest place."""
    gap = np.abs(real - ghost)
    if not gap.any():
        return
    n = int(np.argmax(gap))
    is_late = n > len(hours) // 2
    axes.annotate(
        plain(text),
        (hours[n], 0.5 * (real[n] + ghost[n])),
        (-1.5 if is_late else 1.5, -2.2 if real[n] < ghost[n] else 2.2),
        textcoords="offset fontsize",
        ha="right" if is_late else "left",
        va="center",
        fontsize="small",
        color=theme.short,
        bbox={"boxstyle": "round,pad=0.15", "fc": theme.paper, "ec": "none", "alpha": 0.8},
        arrowprops={"arrowstyle": "-", "color": theme.short, "linewidth": 0.8},
    )

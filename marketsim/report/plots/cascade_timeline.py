"""One cascade: what was liquidated when and where, generation by generation."""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from marketsim.report.canvas import FigureError, heading, hours_axis, in_usd, legend, say, split
from marketsim.report.numbers import counted, number
from marketsim.report.plots.reading import MAX_LINES, place_of, step_minutes
from marketsim.report.style import Theme, shortened
from marketsim.results.cascades import Cascade
from marketsim.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

#: Bars along the time of a cascade, at most.
MAX_BARS = 120
#: Whole numbers of minutes a bar may stand for.
BAR_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)
#: A cascade that is over within so many steps is shown round by round.
FEW_STEPS = 3
#: Share of the dollars that may come after the end of the axis.
TAIL = 0.05
#: Generations that are told apart; deeper ones share the last row.
MAX_GENERATIONS = 8


def draw(axes: Axes, run: Run, theme: Theme, *, cascade: int = 1) -> list[Axes]:
    """Draw a cascade (1 is the largest): dollars by market over time, and their generations."""
    chosen = chosen_cascade(run, cascade)
    if chosen is None:
        say(axes, "Nobody was liquidated.")
        return [axes]
    clock = _Clock(cascade_rows(run, chosen), step_minutes(run))
    rows, width = clock.rows, clock.width
    usd = rows.groupby("market")["usd"].sum()
    names = [name for name in usd.sort_values(ascending=False).index if usd[name] > 0.0]
    dollars, generations = split(axes, [3.0, 2.0])
    total: Any = 0.0
    bars = clock.bars
    entries = []
    for name in names[::-1]:
        mine = rows[rows["market"] == name].groupby("bar")["usd"].sum().reindex(bars).fillna(0.0)
        color = theme.market(place_of(run, name))
        (*_, patch) = dollars.bar(
            bars,
            mine,
            width,
            bottom=total,
            color=color,
            align="edge",
            edgecolor=theme.paper,
            linewidth=0.15 * mpl.rcParams["lines.linewidth"],
        )
        entries.append((patch, f"{shortened(name, 14)} {number(usd[name], 3)} USD"))
        total = total + mine.to_numpy()
    heading(dollars, _sentence(chosen))
    legend(dollars, _largest(entries[::-1], names, usd))
    in_usd(dollars, f"per {clock.unit}")
    _bubbles(generations, rows, names, width, run, theme)
    hours_axis(generations, clock.label)
    generations.xaxis.set_major_locator(MaxNLocator(integer=True))
    generations.set_xlim(-0.04 * clock.end, 1.02 * clock.end)
    return [dollars, generations]


def _largest(
    entries: list[tuple[Any, str]], names: list[str], usd: "pd.Series[float]"
) -> list[tuple[Any, str]]:
    """Return the entries there is room for, and what the other markets come to."""
    rest = names[MAX_LINES:]
    if not rest:
        return entries
    others = f"{counted(len(rest), 'other')} {number(float(usd[rest].sum()), 3)} USD"
    return [*entries[:MAX_LINES], (Line2D([], [], linestyle=""), others)]


def chosen_cascade(run: Run, number_: int) -> Cascade | None:
    """Return a cascade by its number, 1 the largest; None if nobody was liquidated.

    Raises
    ------
    FigureError
        If there is no such cascade.
    """
    found = run.cascades()
    if not found and number_ == 1:
        return None
    if not 1 <= number_ <= len(found):
        raise FigureError(f"cascade {number_}: {run.path} has cascades 1 to {len(found)}")
    return found[number_ - 1]


def cascade_rows(run: Run, cascade: Cascade) -> "pd.DataFrame":
    """Return the liquidations of a cascade: minutes since its first, market, generation, USD."""
    rows = run.liquidations.iloc[cascade.liquidations]
    minutes = (rows["step"] - cascade.start_step) * step_minutes(run)
    return rows.assign(
        market=rows["market"].astype(str),
        minutes=minutes,
        generation=np.minimum(cascade.generation, MAX_GENERATIONS - 1),
        usd=rows["notional_usd"],
    )


def _bubbles(
    axes: Axes, rows: "pd.DataFrame", names: list[str], width: float, run: Run, theme: Theme
) -> None:
    """Draw a row of dots for each generation, in it one level for each market."""
    dots = rows.groupby(["bar", "generation", "market"])["usd"].sum().reset_index()
    area = 1.4 * mpl.rcParams["font.size"] ** 2 / max(float(dots["usd"].max()), 1e-9)
    levels = {name: 0.5 * (n + 0.5) / len(names) - 0.25 for n, name in enumerate(names)}
    for name in names:
        mine = dots[dots["market"] == name]
        axes.scatter(
            mine["bar"] + 0.5 * width,
            mine["generation"] + levels[name],
            s=area * mine["usd"],
            color=theme.market(place_of(run, name)),
            alpha=0.8,
            linewidth=0,
        )
    deepest = int(rows["generation"].max())
    labels = [str(n) for n in range(deepest + 1)]
    if deepest == MAX_GENERATIONS - 1:
        labels[-1] += "+"
    axes.set_yticks(range(deepest + 1), labels)
    axes.set_ylim(deepest + 0.5, -0.5)
    axes.set_ylabel("generation")


def _sentence(cascade: Cascade) -> str:
    alone = "none pushed by another"  # one shock or one pool took all of them
    depth = alone if cascade.depth == 1 else counted(cascade.depth, "generation")
    return (
        f"{number(cascade.size_usd, 3)} USD, {counted(cascade.num_accounts, 'account')}, "
        f"{depth}; began with: {cascade.root}"
    )


class _Clock:
    """The time of a cascade: minutes, or rounds of liquidation if it is over within a few steps.

    Its last dollars may come long after the others; the axis ends with all but `TAIL` of them.
    """

    def __init__(self, rows: "pd.DataFrame", step: float) -> None:
        share = rows["usd"].cumsum() / max(float(rows["usd"].sum()), 1e-9)
        core = rows[share.shift(fill_value=0.0) < 1.0 - TAIL]
        self.is_rounds = core["step"].nunique() <= FEW_STEPS
        if self.is_rounds:
            rounds = rows.groupby(["step", "round"], sort=True).ngroup()
            self.width, self.unit = 1.0, "round"
            self.rows = rows.assign(bar=rounds.astype(float))
            since = "rounds"
        else:
            self.width = _bar_minutes(step, float(core["minutes"].max()) + step)
            self.unit = _minutes(self.width)
            self.rows = rows.assign(bar=np.floor(rows["minutes"] / self.width) * self.width)
            since = "minutes since the first liquidation"
        self.end = float(self.rows["bar"].loc[core.index].max()) + self.width
        self.bars = np.arange(0.0, float(self.rows["bar"].max()) + 0.5 * self.width, self.width)
        late = float(self.rows["usd"][self.rows["bar"] >= self.end].sum() / rows["usd"].sum())
        span = (
            f" within {_minutes(step * core['step'].nunique(), article='a ')}"
            if self.is_rounds
            else ""
        )
        self.label = since + span + (f" ({100.0 * late:.1g} % later)" if late > 0.0 else "")


def _bar_minutes(step: float, span: float) -> float:
    """Return the minutes of a bar: a step, or a round number that leaves few enough bars."""
    for minutes in (step, *BAR_MINUTES):
        if minutes >= step and span / minutes <= MAX_BARS:
            return float(minutes)
    return span / MAX_BARS


def _minutes(minutes: float, article: str = "") -> str:
    if minutes >= 60.0 and minutes % 60.0 == 0.0:
        return "hour" if minutes == 60.0 else f"{minutes / 60.0:g} hours"
    return f"{article}minute" if minutes == 1.0 else f"{minutes:.3g} min"

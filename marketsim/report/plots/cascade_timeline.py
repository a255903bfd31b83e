"""One cascade: what was liquidated when and where, generation by generation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from marketsim.report.canvas import FigureError, heading, hours_axis, in_usd, legend, say, split
from marketsim.report.numbers import counted, number
from marketsim.report.plots.reading import MAX_LINES, place_of, step_minutes
from marketsim.report.style import Theme, shortened
from marketsim.results.cascades import Cascade, of_several
from marketsim.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

#: Bars along the time of a cascade, at most.
MAX_BARS = 120
#: Whole numbers of minutes a bar may stand for.
BAR_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)
#: Cascades that are all over within so many steps are shown round by round.
FEW_STEPS = 3
#: Share of the dollars that may come after the end of the axis.
TAIL = 0.05
#: Generations that are told apart; deeper ones share the last row.
MAX_GENERATIONS = 8
#: Rows from which on not every label has room.
CROWDED = 6


class Scale(NamedTuple):
    """What cascades beside each other share: the time axis and the size of dots.

    Time is rounds, if all are over within a few steps, else minutes.
    """

    is_rounds: bool
    width: float  #: of a bar, minutes; of a round, 1
    end: float  #: where the last of them ends with all but `TAIL` of its dollars
    largest_usd: float  #: of one dot


def common_scale(runs: Sequence[Run], *, cascade: int = 1) -> Scale | None:
    """Return what cascades beside each other share; None without any."""
    chosen = [(run, chosen_cascade(run, cascade)) for run in runs]
    drawn = [
        (cascade_rows(run, each), step_minutes(run)) for run, each in chosen if each is not None
    ]
    return _choose_scale(drawn) if drawn else None


def draw(
    axes: Axes, run: Run, theme: Theme, scale: Scale | None = None, *, cascade: int = 1
) -> list[Axes]:
    """Draw a cascade (1 is the largest): dollars by market over time, and their generations."""
    chosen = chosen_cascade(run, cascade)
    if chosen is None:
        say(axes, nothing_to_show(run))
        return [axes]
    sold, step = cascade_rows(run, chosen), step_minutes(run)
    clock = _Clock(sold, step, scale or _choose_scale([(sold, step)]))
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
    _bubbles(generations, clock, names, run, theme)
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
    """Return a cascade of several accounts by its number, 1 the largest; None if there is none.

    Raises
    ------
    FigureError
        If there is no such cascade.
    """
    found = of_several(run.cascades())
    if not found and number_ == 1:
        return None
    if not 1 <= number_ <= len(found):
        known = f"has cascades 1 to {len(found)}" if found else "has none of several accounts"
        raise FigureError(f"cascade {number_}: {run.path} {known}")
    return found[number_ - 1]


def nothing_to_show(run: Run) -> str:
    """Say why a run has no cascade to be drawn."""
    return "No cascade of several accounts." if len(run.liquidations) else "Nobody was liquidated."


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


def _bubbles(axes: Axes, clock: "_Clock", names: list[str], run: Run, theme: Theme) -> None:
    """Draw a row of dots for each generation, in it one level for each market."""
    dots = _dots(clock.rows)
    area = 1.4 * mpl.rcParams["font.size"] ** 2 / max(clock.largest_usd, 1e-9)
    levels = {name: 0.5 * (n + 0.5) / len(names) - 0.25 for n, name in enumerate(names)}
    for name in names:
        mine = dots[dots["market"] == name]
        axes.scatter(
            mine["bar"] + 0.5 * clock.width,
            mine["generation"] + levels[name],
            s=area * mine["usd"],
            color=theme.market(place_of(run, name)),
            alpha=0.8,
            linewidth=0,
        )
    deepest = int(clock.rows["generation"].max())
    few = 1 if deepest < CROWDED else 2  # every second row is labelled, and the last
    labels = [str(n) if n % few == 0 and n + few <= deepest else "" for n in range(deepest)]
    labels.append(f"{deepest}+" if deepest == MAX_GENERATIONS - 1 else f"{deepest}")
    axes.set_yticks(range(deepest + 1), labels)
    axes.set_ylim(deepest + 0.5, -0.9)  # room for half of the largest dot
    axes.set_ylabel("generation")


def _sentence(cascade: Cascade) -> str:
    alone = "none pushed by another"  # one shock or one pool took all of them
    depth = alone if cascade.depth == 1 else counted(cascade.depth, "generation")
    return (
        f"{number(cascade.size_usd, 3)} USD, {counted(cascade.num_accounts, 'account')}, "
        f"{depth}; began with: {cascade.root}"
    )


def _choose_scale(drawn: Sequence[tuple["pd.DataFrame", float]]) -> Scale:
    """Choose from the rows of cascades and the minutes of their steps."""
    cores = [_core(rows) for rows, _ in drawn]
    is_rounds = all(core["step"].nunique() <= FEW_STEPS for core in cores)
    step = max(step for _, step in drawn)
    span = max(float(core["minutes"].max()) for core in cores) + step
    width = 1.0 if is_rounds else _bar_minutes(step, span)
    placed = [rows.assign(bar=_bar_of(rows, is_rounds, width)) for rows, _ in drawn]
    last = [
        float(rows["bar"].loc[core.index].max()) for rows, core in zip(placed, cores, strict=True)
    ]
    largest = max(float(_dots(rows)["usd"].max()) for rows in placed)
    return Scale(is_rounds, width, max(last) + width, largest)


def _dots(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Sum up the dollars of each bar, generation and market."""
    return rows.groupby(["bar", "generation", "market"])["usd"].sum().reset_index()


def _bar_of(rows: "pd.DataFrame", is_rounds: bool, width: float) -> "pd.Series[float]":
    """Return where the bar of each liquidation begins."""
    if is_rounds:
        return rows.groupby(["step", "round"], sort=True).ngroup().astype(float)
    begins: pd.Series[float] = np.floor(rows["minutes"] / width) * width
    return begins


def _core(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows without the last `TAIL` of the dollars, which may come long after."""
    share = rows["usd"].cumsum() / max(float(rows["usd"].sum()), 1e-9)
    return rows[share.shift(fill_value=0.0) < 1.0 - TAIL]


class _Clock:
    """The time of a cascade on a scale."""

    def __init__(self, rows: "pd.DataFrame", step: float, scale: Scale) -> None:
        self.width, self.end, self.largest_usd = scale.width, scale.end, scale.largest_usd
        self.rows = rows.assign(bar=_bar_of(rows, scale.is_rounds, scale.width))
        if scale.is_rounds:
            self.unit = "round"
            steps = _core(rows)["step"].nunique()
            since = f"rounds within {_minutes(step * steps, article='a ')}"
        else:
            self.unit = _minutes(self.width)
            since = "minutes since the first liquidation"
        self.bars = np.arange(0.0, float(self.rows["bar"].max()) + 0.5 * self.width, self.width)
        late = float(self.rows["usd"][self.rows["bar"] >= self.end].sum() / rows["usd"].sum())
        came = f"; {100.0 * late:.1g}\u00a0% of the dollars came later" if late > 0.0 else ""
        self.label = since + came


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

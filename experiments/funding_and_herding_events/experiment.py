"""What comes before a large cascade: the herd, funding, or neither?"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np

from marketsim.report.canvas import find_look, finish, new_figure, save_figure, tick_text
from marketsim.report.experiment import Check, above, below, every, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd

BASE = "base"
LOOK = find_look("slide")


class Panel(NamedTuple):
    """A course of the event study, as it is drawn."""

    title: str
    unit: str
    scale: float


PANELS = {
    "herd_index": Panel("herd index", "to the liquidated side", 1.0),
    "premium": Panel("premium", "bp, against that side", 1.0),
    "funding_rate": Panel("funding", "bp per 8 h, paid by it", 1.0),
    "leverage": Panel("leverage", "notional / equity", 1.0),
    "open_interest": Panel("open interest", "% of 2 days before", 100.0),
    "depth": Panel("depth within 50 bp", "% of 2 days before", 100.0),
    "reproduction": Panel("R on paper", "marks against that side", 1.0),
    "liquidated": Panel("liquidated", "% of OI an hour", 100.0),
}
NUMBER = "large cascades"
LONG = "of them longs, %"
LARGEST = "largest, % of OI in 2 h"
MARKETS = "markets reached"
GENERATIONS = "generations"
FIGURES = {
    NUMBER: ("large.number", 1.0),
    LONG: ("large.long_share", 100.0),
    LARGEST: ("any.largest", 100.0),
    MARKETS: ("any.markets", 1.0),
    GENERATIONS: ("any.generations", 1.0),
}


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Name the figures of a run that are compared between twins."""
    found = runs.copy()
    for name, (figure, scale) in FIGURES.items():
        found[name] = scale * runs[figure]
    return found


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds: the figures of each variant, and the courses around its cascades."""
    import pandas as pd

    figures = cell_means(effects(runs), [], list(FIGURES)).assign(hour=np.nan)
    base = runs[runs["variant"] == BASE]
    courses = []
    for cell, hour in enumerate(_hours(runs), 1):
        columns = {
            f"around.{name}.{hour}": f"around {panel.title}" for name, panel in PANELS.items()
        }
        here = base.assign(cell=cell).rename(columns=columns)
        for name, panel in PANELS.items():
            here[columns[f"around.{name}.{hour}"]] *= panel.scale
        courses.append(cell_means(here, [], list(columns.values())).assign(hour=float(hour)))
    return pd.concat([figures, *courses], ignore_index=True)


def _hours(runs: "pd.DataFrame") -> list[int]:
    name = next(iter(PANELS))
    mark = f"around.{name}."
    return sorted(int(each.removeprefix(mark)) for each in runs if str(each).startswith(mark))


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against the predictions."""
    found = effects(runs)
    base = found[found["variant"] == BASE]
    return [
        _happen(base),
        *(_less(found, twin, what) for twin, what in _WORDS.items()),
        _herd_first(base),
        _paid(base),
        _builds(base),
        _breaks(base),
        _flips(base),
        _draws_the_fund(base),
    ]


#: Each twin, and what is said of it; of the last the base is the lesser.
_WORDS = {
    "isolated": "With isolated margin against cross margin",
    "no_herding": "Without herding",
    "eight_hourly": "With hourly funding against every eight hours",
}


def _happen(base: "pd.DataFrame") -> Check:
    enough = int((base[NUMBER] >= 2).sum())
    return Check(
        "At least two large cascades in at least 8 of 10 seeds",
        "the scenario's claim",
        f"in {enough} of {len(base)} seeds; {written(bootstrap_mean(base[NUMBER]))} a run",
        enough >= 0.8 * len(base),
    )


def _less(found: "pd.DataFrame", twin: str, what: str) -> Check:
    said, answers = [], []
    for figure in (NUMBER, LARGEST, MARKETS):
        one, other = (
            found[found["variant"] == variant].set_index("seed")[figure].sort_index()
            for variant in ((twin, BASE) if twin == "eight_hourly" else (BASE, twin))
        )
        change = paired_difference(one, other).difference
        said.append(f"{figure}: {written(change)}")
        answers.append(below(change, 0.0))
    return Check(
        f"{what}: fewer large cascades, the largest smaller, cascades of 1 % in fewer markets",
        "the story",
        "; ".join(said),
        every(answers),
    )


def _herd_first(base: "pd.DataFrame") -> Check:
    there = bootstrap_mean(base["held.herd_index_share"])
    lead = bootstrap_mean(base["held.herd_index"] - base["held.off_pin"])
    ages = [bootstrap_mean(base[f"held.{name}"]) for name in ("herd_index", "premium", "off_pin")]
    return Check(
        "The herd is on the side that is liquidated in more than half of the cascades, and had "
        "been for longer than funding was off its pin",
        "the story",
        f"on that side in {written(there, 100.0, ' %')}; herd {written(ages[0], unit=' h')}, "
        f"premium {written(ages[1], unit=' h')}, funding {written(ages[2], unit=' h')}; herd less "
        f"funding {written(lead, unit=' h')}",
        every([above(there, 0.5), above(lead, 0.0)]),
    )


def _paid(base: "pd.DataFrame") -> Check:
    there = bootstrap_mean(base["held.off_pin_share"])
    held = bootstrap_mean(base["held.off_pin"])
    return Check(
        "That side paid funding off its pin for more than an hour, in more than half of them",
        "the story",
        f"in {written(there, 100.0, ' %')}; for {written(held, unit=' h')}",
        every([above(there, 0.5), above(held, 1.0)]),
    )


def _builds(base: "pd.DataFrame") -> Check:
    said, answers = [], []
    for name in ("herd_index", "premium", "leverage", "open_interest", "reproduction"):
        change = _change(base, name, "week")
        said.append(f"{PANELS[name].title} {written(change)}")
        answers.append(above(change, 0.0))
    change = _change(base, "depth", "before")
    said.append(f"{PANELS['depth'].title} {written(change)}")
    answers.append(below(change, 0.0))
    return Check(
        "From a week to the day before, herd index, premium, leverage, open interest and R rise; "
        "from two days to the day before, depth falls",
        "the story",
        "; ".join(said),
        every(answers),
    )


def _breaks(base: "pd.DataFrame") -> Check:
    said, answers = [], []
    for name in ("herd_index", "premium", "funding_rate"):
        change = _change(base, name, "after")
        said.append(f"{PANELS[name].title} {written(change)}")
        answers.append(below(change, 0.0))
    return Check(
        "From the day before to the day after, herd index, premium and funding of that side fall",
        "the story",
        "; ".join(said),
        every(answers),
    )


def _flips(base: "pd.DataFrame") -> Check:
    hours = [f"around.funding_rate.{hour}" for hour in range(2, 7)]
    soon = bootstrap_mean(base[hours].mean(axis=1))
    share = bootstrap_mean(base["after.flipped_share"])
    later = bootstrap_mean(base["around.funding_rate.48"])
    return Check(
        "Funding flips: over the second to the sixth hour after, that side is paid; so it is in an "
        "hour of the day after in more than half of the cascades; after two days it pays again",
        "the story",
        f"{written(soon, unit=' bp')}; in {written(share, 100.0, ' %')}; after two days "
        f"{written(later, unit=' bp')}",
        every([below(soon, 0.0), above(share, 0.5), above(later, 0.0)]),
    )


def _draws_the_fund(base: "pd.DataFrame") -> Check:
    drawn = bootstrap_mean(base["fund.drawn"])
    return Check(
        "At its lowest the insurance fund has lost more than half of what it began with",
        "the story",
        written(drawn, 100.0, " %"),
        above(drawn, 0.5),
    )


def _change(base: "pd.DataFrame", name: str, part: str) -> Interval:
    return bootstrap_mean(PANELS[name].scale * base[f"change.{name}.{part}"])


@mpl.rc_context(LOOK.settings)
def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw the event study, a panel for each course."""
    figure = new_figure(LOOK)
    figure.set_size_inches(LOOK.size.width, 2.2 * LOOK.size.height)
    grid = figure.subplots(4, 2, sharex=True)
    theme = LOOK.theme
    for axes, panel in zip(grid.flat, PANELS.values(), strict=True):
        here = table[table["metric"] == f"around {panel.title}"].sort_values("hour")
        axes.fill_between(
            here["hour"], here["low"], here["high"], color=theme.long, alpha=0.3, linewidth=0
        )
        axes.plot(here["hour"], here["value"], color=theme.ink)
        axes.axvline(0.0, color=theme.short, linewidth=0.6 * LOOK.size.line, linestyle="--")
        axes.set_title(f"{panel.title}, {panel.unit}", fontsize="small")
        axes.yaxis.set_major_formatter(tick_text)
        axes.margins(x=0.0)
    for axes in grid[-1]:
        axes.set_xticks(range(-144, 49, 48))
        axes.set_xlabel("hours since the cascade began")
    finish(figure, "Around a large cascade: mean over seeds, 95 % interval", "", LOOK)
    save_figure(figure, path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    base = effects(runs)
    base = base[base["variant"] == BASE]
    enough = int((base[NUMBER] >= 2).sum())
    paid = bootstrap_mean(base["held.off_pin"])
    lead = bootstrap_mean(base["held.herd_index"] - base["held.off_pin"])
    return (
        f"From ordinary news alone `boom` has two large cascades or more in {enough} of "
        f"{len(base)} seeds ({written(bootstrap_mean(base[NUMBER]))} in 60 days); when one begins "
        f"that side has paid funding off its pin for {written(paid, unit=' h')}, and the herd has "
        f"been on it for {written(lead, unit=' h')} more."
    )

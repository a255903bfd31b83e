"""Is the R that is computed the R that is measured, and does a nudge run away at 1?"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.report.canvas import save_figure
from marketsim.report.charts import line_figure
from marketsim.report.experiment import Check, above, below, every, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_groups

if TYPE_CHECKING:
    import pandas as pd

CLASS = "R computed is"
PARAMETERS = [CLASS]
MEASURED, COMPUTED, ON_PAPER = "R measured", "R computed", "R on paper"
FURTHER, LIQUIDATED = "further fall after a nudge", "liquidated by a nudge, % of OI"
FIGURES = {
    MEASURED: ("mean", 1.0),
    COMPUTED: ("computed", 1.0),
    ON_PAPER: ("on_paper", 1.0),
    FURTHER: ("nudged_further_fall", 1.0),
    LIQUIDATED: ("nudged_liquidated_share", 100.0),
}
#: What is called agreement.
SLOPES = 0.8, 1.25
#: Where classes of states by R computed end.
ENDS = 0.01, 0.1, 0.3, 1.0, 3.0


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Name the figures of a state; one in which nothing was liquidated by force is left out."""
    found = runs.copy()
    for name, (figure, scale) in FIGURES.items():
        found[name] = scale * runs[f"reproduction_measured.{figure}"]
    known = found[[MEASURED, COMPUTED]].notna().all(axis=1)
    return found[known].reset_index(drop=True)


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over the states of each class of R computed."""
    found = effects(runs)
    place = np.searchsorted(ENDS, found[COMPUTED], side="right")
    names = [f"below {ENDS[0]:g}"]
    names += [f"{low:g} to {high:g}" for low, high in itertools.pairwise(ENDS)]
    names += [f"{ENDS[-1]:g} and more"]
    found = found.assign(**{"cell": place, CLASS: [names[n] for n in place]})
    return cell_means(found, PARAMETERS, list(FIGURES))


def resampled(found: "pd.DataFrame", figure: Callable[["pd.DataFrame"], float]) -> Interval:
    """Measure a figure of all states, with its bootstrap interval over seeds, taken whole."""
    return bootstrap_groups(found["seed"], lambda rows: figure(found.iloc[rows]))


def slope(found: "pd.DataFrame", name: str) -> float:
    """Slope of R measured on another R where there is one, through zero, by least squares."""
    known = found[found[name].notna()]
    x, y = known[name].to_numpy(), known[MEASURED].to_numpy()
    square = float(x @ x)
    return float(x @ y) / square if square > 0.0 else float("nan")


def rank_correlation(found: "pd.DataFrame", one: str, other: str) -> float:
    """Spearman's rank correlation of two figures."""
    ranks = [found[name].rank().to_numpy() for name in (one, other)]
    if min(map(np.ptp, ranks)) == 0.0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def bend(found: "pd.DataFrame") -> float:
    """Mean further fall after a nudge where R computed is 1 or more, less where it is below .5."""
    high, low = found[found[COMPUTED] >= 1.0], found[found[COMPUTED] < 0.5]
    return float(high[FURTHER].mean() - low[FURTHER].mean())


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the states against card R1."""
    found = effects(runs)
    small = found[found[COMPUTED] < 1.0]
    slow = found[found["venue.mark.rule"] != "last"]
    return [
        _agrees(found, "over all states"),
        _agrees(small, "over the states in which R computed is below 1"),
        _agrees(slow, "over the states whose mark is no last price"),
        _ranks(found),
        _paper(found),
        _bends(found, ""),
        _bends(
            found[found["venue.mark.rule"] == "last"], ", among states whose mark is the last price"
        ),
    ]


def _agrees(found: "pd.DataFrame", where: str) -> Check:
    ends = resampled(found, lambda part: slope(part, COMPUTED))
    low, high = SLOPES
    return Check(
        f"R measured is R computed: slope {low:g} to {high:g} {where}",
        "R1",
        f"slope {written(ends)}, {len(found):,} states",
        every([above(ends, low), below(ends, high)]),
    )


def _ranks(found: "pd.DataFrame") -> Check:
    rho = resampled(found, lambda part: rank_correlation(part, COMPUTED, MEASURED))
    return Check(
        "States with a larger R computed have a larger R measured: Spearman's rho above .5",
        "R1",
        f"rho {written(rho)}",
        above(rho, 0.5),
    )


def _paper(found: "pd.DataFrame") -> Check:
    ends = resampled(found, lambda part: slope(part, ON_PAPER))
    return Check(
        "R on paper is too large: slope of R measured on it below .8",
        "R1 (n (1 - rho) with a book that recovers)",
        f"slope {written(ends)}",
        below(ends, SLOPES[0]),
    )


def _bends(found: "pd.DataFrame", among: str) -> Check:
    more = resampled(found, bend)
    share = float((found[COMPUTED] >= 1.0).mean())
    return Check(
        "A nudge of 1 % goes on where R is 1 or more: marks fall further than where it is below .5"
        f"{among}",
        "R1 (bends at R = 1)",
        f"by {written(more, 100.0, ' % of the nudge')} more; R is 1 or more in {share:.0%} of "
        "the states",
        above(more, 0.0),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw R measured, and what a nudge does, over R computed: means of the classes."""
    keys: list[Any] = ["cell"]
    by_name = {name: table[table["metric"] == name].set_index(keys) for name in FIGURES}
    parts = [
        by_name[name].assign(x=by_name[COMPUTED]["value"], group=name).reset_index()
        for name in (MEASURED, FURTHER)
    ]
    import pandas as pd

    figure = line_figure(
        pd.concat(parts), COMPUTED, "R measured; share of the nudge", is_joined=False
    )
    axes = figure.axes[0]
    axes.axvline(1.0, color="0.5", linestyle="--")
    axes.axline((0.0, 0.0), (1.0, 1.0), color="0.5", linestyle=":")
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_yscale("symlog", linthresh=0.1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(left=0.0)
    save_figure(figure, path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    computed, paper = (
        resampled(found, lambda part, name=name: slope(part, name)) for name in (COMPUTED, ON_PAPER)
    )
    return (
        f"Over {len(found):,} states of five scenarios R measured is {written(computed)} times R "
        f"computed, and {written(paper)} times R on paper."
    )

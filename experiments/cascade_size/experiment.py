"""Does R before a shock say how far the cascade will go?"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from marketsim.report.canvas import save_figure
from marketsim.report.charts import line_figure
from marketsim.report.experiment import Check, above, below, every, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import (
    BOOTSTRAP_SEED,
    LEVEL,
    Interval,
    bootstrap_mean,
    paired_difference,
)

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = ["fall", "move", "depth_capital", "alignment", "cross_share"]
#: Falls of BTC.
SMALL, LARGE = -0.05, -0.2
R = "R before the shock"
SIZE = "liquidated, % of OI"
ELSEWHERE = "liquidated elsewhere, % of OI"
FALL = "fall elsewhere, %"
FIGURES = {
    R: ("reproduction_number_before_shock", 1.0),
    SIZE: ("liquidated_share", 100.0),
    ELSEWHERE: ("unshocked.liquidated_share", 100.0),
    FALL: ("unshocked.mark_fall", 100.0),
}
RESAMPLES = 1000


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Name the figures of a run that are looked at; runs without R are left out."""
    found = runs.copy()
    for name, (figure, scale) in FIGURES.items():
        found[name] = scale * runs[figure]
    return found[found[R].notna()].reset_index(drop=True)


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds."""
    return cell_means(effects(runs), PARAMETERS, list(FIGURES))


def rank_correlation(found: "pd.DataFrame", figure: str, within: bool = False) -> Interval:
    """Spearman's rank correlation of R with a figure, with its bootstrap interval over seeds.

    Seeds are resampled whole, so that runs which share their luck stay together.

    Parameters
    ----------
    found : pandas.DataFrame
    figure : str
    within : bool, optional
        Of what is left when the mean rank of each cell is taken off: seed against seed.
    """
    rank, other = (found[name].rank() for name in (R, figure))
    if within:
        rank, other = (
            each - each.groupby(found["cell"]).transform("mean") for each in (rank, other)
        )
    groups = [np.flatnonzero(found["seed"] == seed) for seed in found["seed"].unique()]
    one, two = rank.to_numpy(), other.to_numpy()
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([groups[n] for n in rng.integers(len(groups), size=len(groups))])
        drawn.append(_correlation(one[rows], two[rows]))
    low, high = np.nanquantile(drawn, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return Interval(_correlation(one, two), float(low), float(high))


def _correlation(one: "np.ndarray", two: "np.ndarray") -> float:
    if np.ptp(one) == 0.0 or np.ptp(two) == 0.0:
        return float("nan")
    return float(np.corrcoef(one, two)[0, 1])


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against card C1 and the claim of the design."""
    found = effects(runs)
    small, large, matched = _kinds(found)
    return [
        _predicts(small, SIZE, "Before a fall of 5 %, R ranks what is liquidated in all markets"),
        _predicts(small, ELSEWHERE, "... and what is liquidated in GOLD and OIL"),
        _predicts(large, SIZE, "Before a fall of 20 %, R ranks what is liquidated in all markets"),
        _predicts(large, ELSEWHERE, "... and what is liquidated in GOLD and OIL"),
        _linear(small, large),
        _seed_by_seed(small),
        _rises(small),
        _deep(small),
        _predicts(matched, SIZE, "R at moves of 20 % ranks what a fall of 20 % liquidates"),
        _predicts(matched, ELSEWHERE, "... and what it liquidates in GOLD and OIL"),
        _rises_matched(matched),
    ]


def _kinds(found: "pd.DataFrame") -> "list[pd.DataFrame]":
    """Return the runs of the small and the large fall with R at small moves, and with its own."""
    kinds = [(SMALL, -SMALL), (LARGE, -SMALL), (LARGE, -LARGE)]
    return [found[(found["fall"] == fall) & (found["move"] == move)] for fall, move in kinds]


def _predicts(found: "pd.DataFrame", figure: str, what: str) -> Check:
    rho = rank_correlation(found, figure)
    return Check(
        f"{what}: Spearman's rho above .5",
        "DESIGN 8; C1",
        f"rho {written(rho)} over {len(found):,} runs",
        above(rho, 0.5),
    )


def _linear(small: "pd.DataFrame", large: "pd.DataFrame") -> Check:
    ends = [rank_correlation(each, SIZE) for each in (small, large)]
    apart = ends[0].low > ends[1].high
    return Check(
        "R is about small moves: it ranks what a fall of 5 % does better than what one of 20 % "
        "does",
        "C1 (a linear response)",
        f"rho {written(ends[0])} and {written(ends[1])}",
        True if apart else False if ends[0].high < ends[1].low else None,
    )


def _seed_by_seed(found: "pd.DataFrame") -> Check:
    rho = rank_correlation(found, SIZE, within=True)
    return Check(
        "Of runs of the same setting, too, those with a larger R see more liquidated: rho within "
        "cells above 0 (5 %)",
        "DESIGN 8",
        f"rho {written(rho)}",
        above(rho, 0.0),
    )


def _rises(found: "pd.DataFrame") -> Check:
    dials = {
        "cross share (1 against 0)": ("cross_share", 0.0, 1.0),
        "alignment (1 against 0)": ("alignment", 0.0, 1.0),
        "open interest over depth (25k against 100k)": ("depth_capital", 100_000.0, 25_000.0),
    }
    said, answers = [], []
    for name, (parameter, low, high) in dials.items():
        ends = [found[found[parameter] == value].groupby("seed")[R].mean() for value in (low, high)]
        change = paired_difference(*ends).difference
        said.append(f"{name}: {written(change)}")
        answers.append(above(change, 0.0))
    return Check(
        "R rises with cross share, alignment and open interest over depth",
        "C1 (n = OI x g / D)",
        "; ".join(said),
        every(answers),
    )


def _rises_matched(found: "pd.DataFrame") -> Check:
    deep, thin = found["depth_capital"].max(), found["depth_capital"].min()
    ends = {
        "cross share (1 against 0, aligned books)": (
            {"depth_capital": deep, "alignment": 1.0, "cross_share": 0.0},
            {"depth_capital": deep, "alignment": 1.0, "cross_share": 1.0},
        ),
        "alignment (1 against 0, all on cross margin)": (
            {"depth_capital": deep, "alignment": 0.0, "cross_share": 1.0},
            {"depth_capital": deep, "alignment": 1.0, "cross_share": 1.0},
        ),
        "open interest over depth (25k against 100k, aligned, cross)": (
            {"depth_capital": deep, "alignment": 1.0, "cross_share": 1.0},
            {"depth_capital": thin, "alignment": 1.0, "cross_share": 1.0},
        ),
    }
    said, answers = [], []
    for name, cells in ends.items():
        low, high = (
            found[(found[list(cell)] == list(cell.values())).all(axis=1)].set_index("seed")[R]
            for cell in cells
        )
        change = paired_difference(low, high).difference
        said.append(f"{name}: {written(change)}")
        answers.append(above(change, 0.0))
    return Check(
        "R at moves of 20 % rises with cross share x alignment x open interest over depth (the "
        "first two at 100k)",
        "C1, DESIGN 8",
        "; ".join(said),
        every(answers),
    )


def _deep(found: "pd.DataFrame") -> Check:
    deep = found[found["depth_capital"] == found["depth_capital"].max()]
    mean = bootstrap_mean(deep.groupby("seed")[R].mean())
    return Check(
        "Deep markets are far from running away: R below .5 at 100k",
        "real market shapes: R about .1-.3",
        written(mean),
        below(mean, 0.5),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw what was liquidated over R, a point per setting: means over seeds."""
    keys = ["cell", "fall", "move"]
    sides = [table[table["metric"] == name].set_index(keys) for name in (R, SIZE)]
    both = sides[1].assign(x=sides[0]["value"]).reset_index()
    names = [f"fall {-100 * row.fall:g} %, R at {100 * row.move:g} %" for row in both.itertuples()]
    figure = line_figure(
        both.assign(group=names), R, "liquidated, % of open interest", is_joined=False
    )
    axes = figure.axes[0]
    axes.set_xscale("symlog", linthresh=0.1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)
    save_figure(figure, path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    small, large, matched = _kinds(found)
    return (
        f"R before the shock ranks the size of the cascade with Spearman's rho "
        f"{written(rank_correlation(small, SIZE))} if it is measured at moves of the size of the "
        f"shock, 5 % ({len(small):,} runs of all settings), and "
        f"{written(rank_correlation(matched, SIZE))} at 20 %; R at 5 % does not rank what a fall "
        f"of 20 % does ({written(rank_correlation(large, SIZE))})."
    )

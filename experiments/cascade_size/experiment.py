"""Does R before a shock say how far the cascade will go, or does what the fall seizes?"""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from marketsim.report.canvas import find_look, finish, new_figure, save_figure, tick_text
from marketsim.report.experiment import Check, above, below, every, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import (
    Interval,
    bootstrap_groups,
    bootstrap_mean,
    paired_difference,
)

if TYPE_CHECKING:
    import pandas as pd

#: Variants: the fall of BTC, and the moves that R on paper is of.
VARIANTS = {"small": (-0.05, 0.05), "large": (-0.2, 0.05), "matched": (-0.2, 0.2)}
PARAMETERS = ["fall", "move", "depth_capital", "alignment", "cross_share"]
LOOK = find_look("slide")
ON_PAPER, COMPUTED = "R on paper", "R computed"
SEIZED = "seized on paper, % of OI"
SIZE = "liquidated, % of OI"
ELSEWHERE = "liquidated elsewhere, % of OI"
FALL = "fall elsewhere, %"
BEYOND = "BTC beyond its index, points"
BEYOND_ELSEWHERE = "others beyond their index, points"
FIGURES = (ON_PAPER, COMPUTED, SEIZED, SIZE, ELSEWHERE, FALL, BEYOND, BEYOND_ELSEWHERE)


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Name the figures of a run that are looked at; runs without R on paper are left out."""
    found = runs.copy()
    found["fall"], found["move"] = (
        [VARIANTS[variant][place] for variant in runs["variant"]] for place in (0, 1)
    )
    found[ON_PAPER] = runs["reproduction_on_paper_before_shock"]
    found[COMPUTED] = runs["reproduction_number_before_shock"]
    is_small = runs["variant"] == "small"
    found[SEIZED] = 100.0 * runs["seized.small"].where(is_small, runs["seized.large"])
    found[SIZE] = 100.0 * runs["liquidated_share"]
    found[ELSEWHERE] = 100.0 * runs["unshocked.liquidated_share"]
    found[FALL] = 100.0 * runs["unshocked.mark_fall"]
    for name, where in ((BEYOND, "markets.BTC"), (BEYOND_ELSEWHERE, "unshocked")):
        found[name] = 100.0 * (runs[f"{where}.mark_fall"] - runs[f"{where}.index_fall"])
    return found[found[[ON_PAPER, COMPUTED]].notna().all(axis=1)].reset_index(drop=True)


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds."""
    return cell_means(effects(runs), PARAMETERS, list(FIGURES))


def rank_correlation(
    found: "pd.DataFrame", predictor: str, figure: str, within: bool = False
) -> Interval:
    """Spearman's rank correlation of two figures, with its bootstrap interval over seeds.

    Parameters
    ----------
    found : pandas.DataFrame
    predictor, figure : str
    within : bool, optional
        Of what is left when the mean rank of each cell is taken off: seed against seed.
    """
    one, two = (_ranks(found, name, within) for name in (predictor, figure))
    return bootstrap_groups(found["seed"], lambda rows: _correlation(one[rows], two[rows]))


def better(found: "pd.DataFrame", figure: str, one: str, other: str) -> Interval:
    """By how much the rank correlation of a figure with `one` is above that with `other`."""
    ranks = {name: _ranks(found, name) for name in (figure, one, other)}

    def gap(rows: "np.ndarray") -> float:
        ends = [_correlation(ranks[name][rows], ranks[figure][rows]) for name in (one, other)]
        return ends[0] - ends[1]

    return bootstrap_groups(found["seed"], gap)


def _ranks(found: "pd.DataFrame", name: str, within: bool = False) -> "np.ndarray":
    rank = found[name].rank()
    if within:
        rank = rank - rank.groupby(found["cell"]).transform("mean")
    return rank.to_numpy()


def _correlation(one: "np.ndarray", two: "np.ndarray") -> float:
    if np.ptp(one) == 0.0 or np.ptp(two) == 0.0:
        return float("nan")
    return float(np.corrcoef(one, two)[0, 1])


#: A figure, what should rank it better than what, and in words.
DUELS = (
    (
        SIZE,
        SEIZED,
        ON_PAPER,
        "What the fall seizes on paper ranks what is liquidated better than R on paper at moves of "
        "its size",
    ),
    (
        SIZE,
        SEIZED,
        COMPUTED,
        "... and better than R computed, which is of one liquidation more",
    ),
    (
        BEYOND,
        ON_PAPER,
        SEIZED,
        "R on paper ranks how far the mark of BTC falls beyond its index better than what is "
        "seized, which knows no book",
    ),
)


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against card C1 and the claim of the design."""
    found = effects(runs)
    small, large, matched = (found[found["variant"] == each] for each in VARIANTS)
    alike = {"5 %": small, "20 %": matched}
    return [
        _predicts(small, SIZE, "Before a fall of 5 %, R on paper at 5 % ranks what is liquidated"),
        _predicts(small, ELSEWHERE, "... and what is liquidated in GOLD and OIL"),
        _predicts(large, SIZE, "Before a fall of 20 %, R on paper at 5 % ranks what is liquidated"),
        _predicts(large, ELSEWHERE, "... and what is liquidated in GOLD and OIL"),
        _linear(small, large),
        _seed_by_seed(small),
        _rises(small),
        _deep(small),
        _predicts(matched, SIZE, "R on paper at 20 % ranks what a fall of 20 % liquidates"),
        _predicts(matched, ELSEWHERE, "... and what it liquidates in GOLD and OIL"),
        _rises_matched(matched),
        _trivial(alike),
        *(_beats(alike, *duel) for duel in DUELS),
        _overshoot(alike),
    ]


def _predicts(found: "pd.DataFrame", figure: str, what: str) -> Check:
    rho = rank_correlation(found, ON_PAPER, figure)
    return Check(
        f"{what}: Spearman's rho above .5",
        "DESIGN 8; C1",
        f"rho {written(rho)} over {len(found):,} runs",
        above(rho, 0.5),
    )


def _trivial(alike: "dict[str, pd.DataFrame]") -> Check:
    rhos = {fall: rank_correlation(found, SEIZED, SIZE) for fall, found in alike.items()}
    return Check(
        "What the fall seizes on paper ranks what is liquidated: rho above .5, for both falls",
        "arithmetic",
        "; ".join(f"{fall}: rho {written(rho)}" for fall, rho in rhos.items()),
        every([above(rho, 0.5) for rho in rhos.values()]),
    )


def _beats(alike: "dict[str, pd.DataFrame]", figure: str, one: str, other: str, what: str) -> Check:
    said, answers = [], []
    for fall, found in alike.items():
        ends = [written(rank_correlation(found, name, figure)) for name in (one, other)]
        gap = better(found, figure, one, other)
        said.append(f"{fall}: rho {ends[0]} and {ends[1]}, apart {written(gap)}")
        answers.append(above(gap, 0.0))
    return Check(
        f"{what}, for both falls", "C1 (triggers over depth)", "; ".join(said), every(answers)
    )


def _overshoot(alike: "dict[str, pd.DataFrame]") -> Check:
    rhos = {fall: rank_correlation(found, COMPUTED, BEYOND) for fall, found in alike.items()}
    return Check(
        "R computed ranks how far the mark of BTC falls beyond its index: rho above 0, for both "
        "falls",
        "DESIGN 8",
        "; ".join(f"{fall}: rho {written(rho)}" for fall, rho in rhos.items()),
        every([above(rho, 0.0) for rho in rhos.values()]),
    )


def _linear(small: "pd.DataFrame", large: "pd.DataFrame") -> Check:
    ends = [rank_correlation(each, ON_PAPER, SIZE) for each in (small, large)]
    apart = ends[0].low > ends[1].high
    return Check(
        "R on paper is about small moves: at 5 % it ranks what a fall of 5 % does better than what "
        "one of 20 % does",
        "C1 (a linear response)",
        f"rho {written(ends[0])} and {written(ends[1])}",
        True if apart else False if ends[0].high < ends[1].low else None,
    )


def _seed_by_seed(found: "pd.DataFrame") -> Check:
    rho = rank_correlation(found, ON_PAPER, SIZE, within=True)
    return Check(
        "Of runs of the same setting, too, those with a larger R on paper see more liquidated: rho "
        "within cells above 0 (5 %)",
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
        ends = [
            found[found[parameter] == value].groupby("seed")[ON_PAPER].mean()
            for value in (low, high)
        ]
        change = paired_difference(*ends).difference
        said.append(f"{name}: {written(change)}")
        answers.append(above(change, 0.0))
    return Check(
        "R on paper rises with cross share, alignment and open interest over depth",
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
            found[(found[list(cell)] == list(cell.values())).all(axis=1)].set_index("seed")[
                ON_PAPER
            ]
            for cell in cells
        )
        change = paired_difference(low, high).difference
        said.append(f"{name}: {written(change)}")
        answers.append(above(change, 0.0))
    return Check(
        "R on paper at moves of 20 % rises with cross share x alignment x open interest over depth "
        "(the first two at 100k)",
        "C1, DESIGN 8",
        "; ".join(said),
        every(answers),
    )


def _deep(found: "pd.DataFrame") -> Check:
    deep = found[found["depth_capital"] == found["depth_capital"].max()]
    mean = bootstrap_mean(deep.groupby("seed")[ON_PAPER].mean())
    return Check(
        "Deep markets are far from running away: R on paper below .5 at 100k",
        "real market shapes: R about .1-.3",
        written(mean),
        below(mean, 0.5),
    )


@mpl.rc_context(LOOK.settings)
def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw what a fall did over what was known before it, a point per setting: means over seeds."""
    shown = table.pivot_table(index=["cell", "fall", "move"], columns="metric", values="value")
    shown = shown.reset_index()
    figure = new_figure(LOOK)
    figure.set_size_inches(1.4 * LOOK.size.width, 1.6 * LOOK.size.height)
    grid = figure.subplots(2, 3, sharex="col", sharey="row")
    colors = {"small": LOOK.theme.long, "matched": LOOK.theme.short}
    for figure_name, row in zip((SIZE, BEYOND), grid, strict=True):
        for predictor, axes in zip((COMPUTED, ON_PAPER, SEIZED), row, strict=True):
            for variant, color in colors.items():
                fall, move = VARIANTS[variant]
                here = shown[(shown["fall"] == fall) & (shown["move"] == move)]
                label = f"fall of {-100.0 * fall:g} %"
                axes.plot(here[predictor], here[figure_name], "o", color=color, label=label)
            axes.yaxis.set_major_formatter(tick_text)
            axes.xaxis.set_major_formatter(tick_text)
        row[0].set_ylabel(figure_name)
        row[0].set_ylim(bottom=0.0)
    grid[0, 1].set_xscale("symlog", linthresh=0.1)
    grid[0, 1].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    grid[0, 1].set_xlim(0.0, 1.3 * shown[ON_PAPER].max())
    titles = (COMPUTED, "R on paper, at the size of the fall", SEIZED)
    for axes, title in zip(grid[-1], titles, strict=True):
        axes.set_xlabel(title)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    finish(figure, "What a fall did, over what was known right before it", "", LOOK)
    save_figure(figure, path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    small, _, matched = (found[found["variant"] == each] for each in VARIANTS)
    said = {
        name: " and ".join(written(rank_correlation(each, name, SIZE)) for each in (small, matched))
        for name in (SEIZED, ON_PAPER, COMPUTED)
    }
    return (
        f"What falls of 5 and 20 % seize on paper ranks what they liquidate with Spearman's rho "
        f"{said[SEIZED]}, R on paper at moves of that size with {said[ON_PAPER]}, R computed with "
        f"{said[COMPUTED]}."
    )

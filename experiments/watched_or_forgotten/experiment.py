"""Set and forget against looking after a position: what it does for one, and for everybody."""

from pathlib import Path
from typing import TYPE_CHECKING

from marketsim.report.canvas import save_figure
from marketsim.report.charts import bar_figure
from marketsim.report.experiment import Check, above, below, every, near, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = ["fall"]
HABITS = ("watched", "buffer", "stop_loss", "tranches", "all")
#: Buffers, in multiples of maintenance beyond it, and who keeps them by which look.
BUFFERS = {
    "buffer_one": "buffer of 1, hourly",
    "buffer_4_one": "buffer of 4, hourly",
    "buffer_9_one": "buffer of 9, hourly",
    "quick_1_one": "buffer of 1, every 5 min",
    "quick_4_one": "buffer of 4, every 5 min",
    "quick_9_one": "buffer of 9, every 5 min",
    "quick_9_everybody": "buffer of 9, every 5 min, everybody's",
}
OWN = "own liquidated, %"
RUINED = "own ruined, %"
RETURN = "own return, %"
EVERYBODY = "liquidated in all, % of OI"
FALL = "fall of the marks, %"
MEAN_R = "mean R"
TOP_R = "largest R"
FIGURES = {
    OWN: ("populations.mine.liquidated_share", 100.0),
    RUINED: ("populations.mine.ruined_share", 100.0),
    RETURN: ("populations.mine.total_return", 100.0),
    EVERYBODY: ("liquidated_share", 100.0),
    FALL: ("mark_fall", 100.0),
    MEAN_R: ("reproduction_number_mean", 1.0),
    TOP_R: ("reproduction_number_max", 1.0),
}


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Name the figures of a run that are looked at."""
    found = runs.copy()
    for name, (figure, scale) in FIGURES.items():
        found[name] = scale * runs[figure]
    return found


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds."""
    return cell_means(effects(runs), PARAMETERS, list(FIGURES))


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against cards L6, L7 and C1."""
    found = effects(runs)
    return [
        _watching(found),
        _helps(found, "buffer", 0.0, "A buffer lowers the own probability of liquidation", "L6"),
        _helps(
            found,
            "stop_loss",
            0.5,
            "A stop-loss at 5 %, which comes before the liquidation price below about 17x, more "
            "than halves it",
            "L6",
        ),
        _helps(found, "tranches", 0.0, "So does entering in four tranches, if by less", "L7"),
        _helps(
            found,
            "quick_9",
            0.5,
            "A buffer that is one, 9 times maintenance kept by a look every 5 minutes, more than "
            "halves it",
            "L6",
        ),
        _ordered(found),
        _private(found),
        _system(found),
    ]


def _cell(found: "pd.DataFrame", variant: str, figure: str) -> "pd.Series":
    """Return a figure by seed, in the downturn."""
    here = found[(found["variant"] == variant) & (found["fall"] == found["fall"].min())]
    return here.set_index("seed")[figure]


def _against(found: "pd.DataFrame", variant: str, figure: str) -> Interval:
    base = _cell(found, "forgotten", figure)
    return paired_difference(base, _cell(found, variant, figure).reindex(base.index)).difference


def _both(found: "pd.DataFrame", variant: str, figure: str, unit: str = " %") -> str:
    ends = [bootstrap_mean(_cell(found, each, figure)) for each in ("forgotten", variant)]
    change = _against(found, variant, figure)
    return (
        f"{written(ends[0], unit=unit)} forgotten, {written(ends[1], unit=unit)} with it; "
        f"difference {written(change)}"
    )


def _watching(found: "pd.DataFrame") -> Check:
    return Check(
        "Looking alone does not help: watched every hour without a rule, own liquidations stay "
        "within 5 points",
        "L7 (the same barrier)",
        _both(found, "watched_one", OWN),
        near(_against(found, "watched_one", OWN), 0.0, 5.0),
    )


def _helps(found: "pd.DataFrame", habit: str, share: float, what: str, source: str) -> Check:
    base, own = (_cell(found, each, OWN) for each in ("forgotten", f"{habit}_one"))
    less = bootstrap_mean(own - (1.0 - share) * base)
    return Check(what, source, _both(found, f"{habit}_one", OWN), below(less, 0.0))


def _ordered(found: "pd.DataFrame") -> Check:
    said, answers = [], []
    for habit in ("buffer", "quick"):
        small, large = (_cell(found, f"{habit}_{size}_one", OWN) for size in (4, 9))
        answers.append(below(paired_difference(small, large).difference, 0.0))
        said.append(f"9 against 4, {BUFFERS[f'{habit}_9_one'].split(', ')[1]}: ")
        said[-1] += written(paired_difference(small, large).difference)
    for size in (4, 9):
        slow, quick = (_cell(found, f"{habit}_{size}_one", OWN) for habit in ("buffer", "quick"))
        answers.append(below(paired_difference(slow, quick).difference, 0.0))
        said.append(f"5 against 60 minutes, buffer of {size}: ")
        said[-1] += written(paired_difference(slow, quick).difference)
    return Check(
        "The larger the buffer and the more often it is looked after, the fewer liquidations: 9 "
        "against 4 times, 5 against 60 minutes",
        "L6, L7",
        "; ".join(said),
        every(answers),
    )


def _private(found: "pd.DataFrame") -> Check:
    one, everybody = (_cell(found, f"stop_loss_{who}", OWN) for who in ("one", "everybody"))
    return Check(
        "Stops of everybody are no better for one than stops of one's own: own liquidations do not "
        "fall when all others have a stop-loss too",
        "each stop sells into the same fall",
        f"{written(bootstrap_mean(one), unit=' %')} alone, "
        f"{written(bootstrap_mean(everybody), unit=' %')} with all others; difference "
        f"{written(paired_difference(one, everybody).difference)}",
        above(paired_difference(one, everybody).difference, -2.0),
    )


def _system(found: "pd.DataFrame") -> Check:
    base = _cell(found, "forgotten", MEAN_R)
    said, answers = [], []
    for habit in ("buffer", "stop_loss"):
        other = _cell(found, f"{habit}_everybody", MEAN_R).reindex(base.index)
        # A side of a book that is all but empty makes R as large as it likes: ranks, not means.
        lower = bootstrap_mean(other < base)
        said.append(
            f"{habit.replace('_', '-')}: median {other.median():.3g}, lower in "
            f"{written(lower, 100.0, ' %')} of the seeds"
        )
        answers.append(above(lower, 0.5))
    return Check(
        "Buffers and stop-losses of everybody lower the reproduction number R: with the same seed "
        "it is lower in most",
        "C1 (fewer buffers near the boundary)",
        f"median {base.median():.3g} forgotten; " + "; ".join(said),
        every(answers),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw own liquidations by habit, of one alone and of everybody."""
    names = {"forgotten": "forgotten"}
    for habit in HABITS:
        for who, label in (("one", "mine"), ("everybody", "everybody's")):
            names[f"{habit}_{who}"] = f"{habit.replace('_', '-')}, {label}"
    names |= BUFFERS
    rows = table[(table["metric"] == OWN) & (table["fall"] == table["fall"].min())]
    rows = rows.set_index("variant")
    bars = {
        name: Interval(*map(float, rows.loc[each, ["value", "low", "high"]]))
        for each, name in names.items()
    }
    save_figure(bar_figure(bars, "own accounts liquidated, %"), path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    parts = {
        habit: written(bootstrap_mean(_cell(found, habit, OWN)), unit=" %")
        for habit in (
            "forgotten",
            "watched_one",
            "buffer_one",
            "quick_9_one",
            "stop_loss_one",
            "tranches_one",
        )
    }
    return (
        f"In a 30 % downturn {parts['forgotten']} of forgotten positions' owners are liquidated, "
        f"{parts['watched_one']} of those who only watch, {parts['buffer_one']} with a buffer of "
        f"the maintenance margin, {parts['quick_9_one']} with one of 9 times kept every 5 minutes, "
        f"{parts['tranches_one']} who enter in tranches, {parts['stop_loss_one']} with a stop-loss."
    )

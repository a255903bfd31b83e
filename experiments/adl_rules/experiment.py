"""Auto-deleveraging: what queues and pro-rata rules take, from whom, and what prices do without."""

from pathlib import Path
from typing import TYPE_CHECKING

from marketsim.report.canvas import save_figure
from marketsim.report.charts import bar_figure
from marketsim.report.experiment import Check, above, below, every, near, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_mean

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = ["fall", "rule"]
#: The rules, as they are drawn.
NAMES = {
    "hyperliquid": "queue of Hyperliquid",
    "binance": "queue of Binance",
    "random": "random queue",
    "pro_rata": "pro rata by contracts",
    "pro_rata_profit": "pro rata by profit",
}
QUEUE, PRO_RATA = "hyperliquid", "pro_rata"
TAKEN = "taken at the wave / needed"
HOUR = "taken an hour later / needed"
SHARE = "largest share of one position, median wave"
NEEDED = "needed, % of OI of BTC"
FALL = "fall of BTC, without ADL - with, points"


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row per cell and seed: what was taken over what was needed, from whom.

    And how much further BTC falls in the twin in which nobody is deleveraged.
    """
    keys = ["cell", *PARAMETERS, "seed"]
    bare, insured = (
        runs[runs["variant"] == variant].set_index(keys) for variant in ("bare", "insured")
    )
    both = bare.index.intersection(insured.index)
    bare, insured = bare.loc[both], insured.loc[both]
    found = both.to_frame(index=False).assign(variant="bare")
    needed = bare["waves.needed_usd"].where(bare["waves.needed_usd"] > 0.0)
    found[TAKEN] = (bare["waves.taken_usd"] / needed).to_numpy()
    found[HOUR] = (bare["waves.taken_60min_usd"] / needed).to_numpy()
    found[SHARE] = bare["waves.largest_share"].to_numpy()
    found[NEEDED] = (100.0 * needed / bare["markets.BTC.open_interest_usd"]).to_numpy()
    further = insured["markets.BTC.mark_fall"] - bare["markets.BTC.mark_fall"]
    found[FALL] = (100.0 * further).to_numpy()
    return found


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average the effects over seeds."""
    return cell_means(effects(runs), PARAMETERS, [NEEDED, TAKEN, HOUR, SHARE, FALL])


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against card E1."""
    found = effects(runs)
    return [_taken(found), _queue(found), _pro_rata(found), _later(found), _path(found)]


def _cells(found: "pd.DataFrame", figure: str, rule: str | None = None) -> list[Interval]:
    """Return the mean of each cell of one rule, or of all."""
    here = found if rule is None else found[found["rule"] == rule]
    return [bootstrap_mean(part[figure]) for _, part in here.groupby(PARAMETERS)]


def _taken(found: "pd.DataFrame") -> Check:
    cells = _cells(found, TAKEN)
    worst = max(cells, key=lambda cell: abs(cell.value - 1.0))
    return Check(
        "What is taken at the wave is what was needed, to 1 %, under every rule",
        "E1 (closing at the bankruptcy price)",
        f"furthest from 1: {written(worst)}",
        every([near(cell, 1.0, 0.01) for cell in cells]),
    )


def _queue(found: "pd.DataFrame") -> Check:
    cells = _cells(found, SHARE, QUEUE)
    least = min(cells, key=lambda cell: cell.value)
    return Check(
        "Down a queue the median wave closes more than half of one account's position",
        "E1 (.87)",
        f"at least {written(least)}",
        every([above(cell, 0.5) for cell in cells]),
    )


def _pro_rata(found: "pd.DataFrame") -> Check:
    cells = _cells(found, SHARE, PRO_RATA)
    most = max(cells, key=lambda cell: cell.value)
    return Check(
        "Pro rata by contracts the median wave closes less than a tenth of anybody's position",
        "E1 (.045)",
        f"at most {written(most)}",
        every([below(cell, 0.1) for cell in cells]),
    )


def _later(found: "pd.DataFrame") -> Check:
    gaps = []
    for _, part in found.groupby("fall"):
        by_rule = part.pivot_table(index="seed", columns="rule", values=HOUR)
        gaps.append(bootstrap_mean(by_rule[QUEUE] - by_rule[PRO_RATA]))
    widest = max(gaps, key=lambda gap: abs(gap.value))
    return Check(
        "Who pays does not change how much: what was taken by the marks of an hour later differs "
        "between the queue and pro rata by less than a fifth of what was needed",
        "E1 (horizons)",
        f"queue - pro rata: {written(widest)} of what was needed",
        every([near(gap, 0.0, 0.2) for gap in gaps]),
    )


def _path(found: "pd.DataFrame") -> Check:
    cells = _cells(found, FALL)
    widest = max(cells, key=lambda cell: abs(cell.value))
    return Check(
        "A fixed price path is wrong, but not by much: without deleveraging BTC falls by less than "
        "half a point more or less",
        "E1 (their counterfactual holds the path fixed)",
        f"at most {written(widest, unit=' points')}",
        every([near(cell, 0.0, 0.5) for cell in cells]),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw the largest share of one position in the median wave, by rule and fall."""
    shown = table[table["metric"] == SHARE]
    bars = {
        f"{NAMES[row.rule]}, {-100.0 * row.fall:.0f} % fall": Interval(row.value, row.low, row.high)
        for row in shown.itertuples()
    }
    save_figure(bar_figure(bars, "largest share closed of one position, median wave"), path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    queue, all_alike = (_by_seed(found[found["rule"] == rule], SHARE) for rule in (QUEUE, PRO_RATA))
    further = [
        f"{written(_by_seed(part, FALL))} (fall of {-100.0 * fall:.0f} %)"
        for fall, part in found.groupby("fall", sort=False)
    ]
    return (
        f"In the median wave a queue closes {written(queue)} of one account's position, pro rata "
        f"{written(all_alike)}; without deleveraging BTC falls further by {' and '.join(further)} "
        f"points."
    )


def _by_seed(found: "pd.DataFrame", figure: str) -> Interval:
    """Average over seeds; what else varies shares their luck."""
    return bootstrap_mean(found.groupby("seed")[figure].mean())

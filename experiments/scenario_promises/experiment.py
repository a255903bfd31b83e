"""Do the shipped scenarios show what they promise, seed by seed?"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from marketsim.report.canvas import save_figure
from marketsim.report.charts import bar_figure
from marketsim.report.experiment import DIGITS, Check
from marketsim.report.numbers import number
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

#: Of the seeds, in how many a promise is kept, and below how many there is no verdict.
KEPT, FEWEST = 0.8, 5
SHARE, VALUE = "kept, % of seeds", "mean"


class Promise(NamedTuple):
    """A figure of a scenario that lies between two bounds."""

    variant: str
    words: str
    figure: str
    low: float
    high: float
    unit: str
    source: str

    @property
    def name(self) -> str:
        """Name it is drawn under."""
        return f"{self.variant}: {self.words}{',' * bool(self.unit)}{self.unit}"

    def holds(self, runs: "pd.DataFrame") -> "pd.Series":
        """Tell for each run whether it is kept; what was not measured is not."""
        return runs[self.figure].between(self.low, self.high)


CONTAGION = "SCIENCE C1 (through pools into thin books)"
SPIKE = "funding is dear for days, not always"
LIVES = "limits of plausibility"
NIGHT = "public facts of 10 October 2025"
PROMISES = (
    Promise("contagion", "forced orders, of causes", "forced_weight", 0.2, 1.0, "", CONTAGION),
    Promise("contagion", "generations", "largest_cascade_depth", 4.0, np.inf, "", CONTAGION),
    Promise(
        "contagion", "both unstruck marks below index", "beyond.least", 1.5, 100.0, " %", CONTAGION
    ),
    Promise("contagion", "at the cap before the news", "cap.before", 0.0, 0.0, "", CONTAGION),
    Promise("contagion", "depth over open interest", "depth_share", 0.005, 0.05, "", "SCIENCE B4"),
    Promise(
        "isolated", "any unstruck mark below index", "beyond.most", -np.inf, 0.3, " %", CONTAGION
    ),
    Promise("funding-spike", "settlements at the cap", "cap.share", 0.01, 0.1, "", SPIKE),
    Promise("funding-spike", "longest spike", "cap.longest_days", 1.0, 14.0, " days", SPIKE),
    Promise("funding-spike", "liquidated at the flip", "cap.flip", 1.0, np.inf, " x a day", SPIKE),
    Promise("herding", "turnover a day", "turnover_day", 1.0, 20.0, " x OI", LIVES),
    Promise("herding", "worst return a week", "week.worst", -30.0, 30.0, " %", LIVES),
    Promise("herding", "best return a week", "week.best", -30.0, 30.0, " %", LIVES),
    Promise("october-10", "open interest gone", "crash.open_interest_drop", 0.25, 0.5, "", NIGHT),
    Promise("october-10", "longs, of what was sold", "crash.long_share", 0.74, 0.94, "", NIGHT),
    Promise("october-10", "deleveraged, of what was sold", "crash.adl_share", 0.2, 0.6, "", NIGHT),
    Promise(
        "october-10", "first deleveraging after", "crash.adl_delay_min", 0.0, 5.0, " min", NIGHT
    ),
    Promise("october-10", "BTC's lowest premium", "premium.lowest", -40.0, 0.0, " bp", NIGHT),
    Promise("october-10", "BTC's highest premium", "premium.highest", -40.0, 25.0, " bp", NIGHT),
    Promise("october-10", "half-life of it", "premium.half_life_h", 1.0, 1.5, " h", NIGHT),
)


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds: each figure, and in how many of them it is where it was promised."""
    import pandas as pd

    parts = []
    for cell, promise in enumerate(PROMISES):
        here = runs[runs["variant"] == promise.variant]
        figures = {SHARE: 100.0 * promise.holds(here), VALUE: here[promise.figure]}
        parts.append(here.assign(cell=cell, promise=promise.name, **figures))
    return cell_means(pd.concat(parts), ["promise"], [SHARE, VALUE])


def check(runs: "pd.DataFrame") -> list[Check]:
    """Count the seeds in which each promise is kept."""
    return [_check(promise, runs[runs["variant"] == promise.variant]) for promise in PROMISES]


def _check(promise: Promise, runs: "pd.DataFrame") -> Check:
    kept = promise.holds(runs)
    known = runs[promise.figure].dropna()
    low, middle, high = known.quantile([0.0, 0.5, 1.0]) if len(known) else (np.nan,) * 3
    values = f"{number(low, DIGITS)} to {number(high, DIGITS)}{promise.unit}"
    return Check(
        f"`{promise.variant}`, {promise.words}: {_between(promise)} in {KEPT:.0%} of the seeds",
        promise.source,
        f"in {int(kept.sum())} of {len(runs)}; median {number(middle, DIGITS)}, {values}",
        bool(kept.mean() >= KEPT) if len(runs) >= FEWEST else None,
    )


def _between(promise: Promise) -> str:
    low, high = (number(end, DIGITS) for end in (promise.low, promise.high))
    if promise.low == promise.high:
        return low
    if promise.high == np.inf:
        return f"{low}{promise.unit} or more"
    return (
        f"at most {high}{promise.unit}"
        if promise.low == -np.inf
        else f"{low} to {high}{promise.unit}"
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw in how many seeds each promise is kept."""
    shown = table[table["metric"] == SHARE]
    bars = {row.promise: Interval(row.value, row.low, row.high) for row in shown.itertuples()}
    save_figure(bar_figure(bars, "% of seeds in which it is as promised"), path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = check(runs)
    broken = [
        f"{promise.variant}: {promise.words} ({each.found.partition(';')[0]})"
        for promise, each in zip(PROMISES, found, strict=True)
        if each.holds is False
    ]
    rest = f"; not: {', '.join(broken)}" if broken else ""
    kept = sum(each.holds is True for each in found)
    return f"{kept} of {len(found)} promises are kept in {KEPT:.0%} of the seeds{rest}."

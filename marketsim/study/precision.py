"""Whether a sweep's intervals are narrow enough to answer, and how many runs would do.

An interval is as narrow as is asked for where its half is at most a tenth of what it is measured
by: of a share of the variance 1, of an elementary effect the largest one, of a difference the
largest mean in any cell, of means of cells their range over the design. A difference whose interval
leaves zero out has answered already. Halves shrink with the square root of the number of runs.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from marketsim.study.statistics import MIN_POINTS
from marketsim.sweep.design import POWERS_OF_TWO, SAMPLED, Design
from marketsim.sweep.sampling import count_cells
from marketsim.tape.moments import present

if TYPE_CHECKING:
    import pandas as pd

#: Half of an interval, in parts of what it is measured by, that answers.
TOLERANCE = 0.1
#: Fewest of a design's `size` and `replicates` that give intervals at all.
FEWEST = {"latin": MIN_POINTS, "sobol": MIN_POINTS}


class Wide(NamedTuple):
    """Intervals of a metric that are too wide to answer."""

    table: str  #: "means", "differences" or "sensitivities"
    metric: str
    of: str  #: variant of means and differences, index of sensitivities
    num_wide: int  #: intervals that are too wide
    num_all: int  #: of so many
    half: float  #: of the widest; NaN: there is no interval yet
    aim: float  #: what it has to be at most
    field: str  #: of the design that is to be raised: "size" or "replicates"
    now: int
    needed: int
    runs: int  #: of the whole design then


def constant_metrics(runs: "pd.DataFrame", metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Name the metrics that have the same value, or none, in every run.

    Parameters
    ----------
    runs : pandas.DataFrame
    metrics : tuple of str

    Returns
    -------
    tuple of str
    """
    known = {name: present(runs[name]) for name in metrics} if len(runs) > 1 else {}
    return tuple(name for name, values in known.items() if not len(values) or not np.ptp(values))


def find_wide(
    design: Design,
    means: "pd.DataFrame",
    differences: "pd.DataFrame",
    sensitivities: "pd.DataFrame",
    constant: tuple[str, ...],
) -> list[Wide]:
    """List the intervals that are too wide to answer, the widest of each metric.

    Parameters
    ----------
    design : Design
    means, differences, sensitivities : pandas.DataFrame
        As `marketsim.study.analysis.SweepAnalysis` has them. What answers of a drawn design are its
        sensitivities, of one with variants their differences, of others the means.
    constant : tuple of str
        Metrics to be left out.

    Returns
    -------
    list of Wide
    """
    if design.kind in SAMPLED:
        found = _sensitivities(design, sensitivities)
    elif len(design.variants) > 1:
        found = _differences(design, differences)
    else:
        found = _means(design, means)
    return [each for each in found if each.metric not in constant]


def _sensitivities(design: Design, table: "pd.DataFrame") -> Iterator[Wide]:
    if not len(table):
        return
    assert design.size is not None
    for names, part in table.groupby(["metric", "index"], sort=False):
        metric, index = map(str, names)
        half = _half(part)
        aim = TOLERANCE * (float(part["value"].max()) if index == "mu_star" else 1.0)
        needed = _needed(design.size, half, aim, FEWEST.get(design.kind, 2))
        if needed > design.size:
            if design.kind in POWERS_OF_TWO:
                needed = 2 ** math.ceil(math.log2(needed))
            runs = _num_runs(design.model_copy(update={"size": needed}))
            halves = 0.5 * (part["high"] - part["low"])
            wide = len(part) - int((halves <= aim).sum())
            where = ("sensitivities", metric, index, wide, len(part))
            yield Wide(*where, half, aim, "size", design.size, needed, runs)


def _differences(design: Design, table: "pd.DataFrame") -> Iterator[Wide]:
    if not len(table):
        return
    for names, part in table.groupby(["metric", "variant"], sort=False):
        means = np.abs(part[["base", "twin"]].to_numpy(np.float64))
        scale = float(np.max(means, initial=0.0, where=~np.isnan(means)))
        is_open = ~((part["low"] > 0.0) | (part["high"] < 0.0))
        metric, variant = map(str, names)
        where = ("differences", metric, variant)
        halves = 0.5 * (part["high"] - part["low"]).where(is_open, 0.0)
        yield from _replicates(design, where, halves, part["pairs"], TOLERANCE * scale)


def _means(design: Design, table: "pd.DataFrame") -> Iterator[Wide]:
    if not len(table):
        return
    for names, part in table.groupby(["metric", "variant"], sort=False):
        value = part["value"]
        scale = float(value.max() - value.min()) or float(value.abs().max())
        metric, variant = map(str, names)
        where = ("means", metric, variant)
        halves = 0.5 * (part["high"] - part["low"])
        yield from _replicates(design, where, halves, part["runs"], TOLERANCE * scale)


def _replicates(
    design: Design,
    where: tuple[str, str, str],
    halves: "pd.Series",
    counts: "pd.Series",
    aim: float,
) -> Iterator[Wide]:
    """Find the row whose interval wants most replicates."""
    if not aim > 0.0:  # there is no such figure, or none that is not zero
        return
    now = design.replicates
    wanted = [
        (_needed(int(count), float(half), aim, 2), float(half))
        for count, half in zip(counts, halves, strict=True)
    ]
    needed, half = max(wanted, key=lambda each: each[0])
    if needed > now:
        runs = _num_runs(design.model_copy(update={"replicates": needed}))
        count = sum(each > now for each, _ in wanted)
        yield Wide(*where, count, len(wanted), half, aim, "replicates", now, needed, runs)


def _half(part: "pd.DataFrame") -> float:
    halves = 0.5 * (part["high"] - part["low"]).to_numpy(np.float64)
    return float(halves.max())  # NaN if any is


def _needed(now: int, half: float, aim: float, fewest: int) -> int:
    """Return how many it takes to make a half interval as narrow as is aimed at."""
    if math.isnan(half) or math.isnan(aim):
        return max(fewest, now)
    return max(math.ceil(now * (half / aim) ** 2), fewest) if half > aim else now


def _num_runs(design: Design) -> int:
    return count_cells(design) * len(design.variant_names) * design.replicates

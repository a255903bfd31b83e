"""What a sweep says: means of cells, paired differences, sensitivities and phase tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from marketsim.run.progress import Progress
from marketsim.scenario.coercion import at_home
from marketsim.scenario.errors import one_of
from marketsim.study.precision import Wide, constant_metrics, find_wide
from marketsim.study.statistics import (
    Interval,
    bootstrap_means,
    first_order_indices,
    morris_indices,
    paired_difference,
    sobol_indices,
)
from marketsim.sweep.design import MORRIS_LEVELS, SAMPLED, Design
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import read_manifest
from marketsim.sweep.metrics import HEADLINE, choose_metrics
from marketsim.sweep.sampling import Cells
from marketsim.sweep.table import load_sweep
from marketsim.sweep.worker import OK

if TYPE_CHECKING:
    import pandas as pd

#: More metrics than this are not analysed unless they are asked for.
MAX_METRICS = 24


class Phase(NamedTuple):
    """A metric over two parameters."""

    variant: str
    metric: str
    rows: str
    columns: str
    table: "pd.DataFrame"  #: as `phase_table` returns it


@dataclass(frozen=True, eq=False)
class SweepAnalysis:
    """What a sweep says."""

    design: Design
    metrics: tuple[str, ...]
    base: str  #: variant the others are compared with
    num_runs: int  #: of the design, counted in every cell and variant
    num_ok: int  #: stored and not failed
    num_failed: int
    means: "pd.DataFrame"  #: as `cell_means` returns it
    differences: "pd.DataFrame"  #: as `paired_differences`, beside it the parameters
    sensitivities: "pd.DataFrame"  #: as `sensitivities` returns it
    phases: list[Phase]
    constant: tuple[str, ...]  #: metrics that nothing moves
    wide: list[Wide]  #: intervals that are too wide to answer


def analyze_sweep(
    path: str | Path,
    metrics: Sequence[str] | None = None,
    base: str | None = None,
    progress: Progress | None = None,
) -> SweepAnalysis:
    """Analyse a sweep, finished or not; runs that failed or are missing do not count.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.
    metrics : sequence of str, optional
        Names or patterns. By default all that were kept, of more than `MAX_METRICS` those of
        `marketsim.sweep.metrics.HEADLINE`.
    base : str, optional
        Variant the others are compared with; the first by default.
    progress : callable, optional

    Returns
    -------
    SweepAnalysis

    Raises
    ------
    SweepFolderError
        If there is no sweep, no run of it, no such metric or no such variant.
    """
    runs, manifest = load_sweep(path), read_manifest(at_home(path))
    design = manifest.design
    variants = design.variant_names
    base = variants[0] if base is None else base
    if base not in variants:
        msg = f"variant '{base}': {one_of(base, variants)}"
        raise SweepFolderError(msg)
    good = runs[runs["status"] == OK]
    if good.empty:
        msg = f"{path}: none of its runs is done; marketsim sweep goes on with them"
        raise SweepFolderError(msg)
    chosen = _choose(metrics, manifest.metrics)
    means = cell_means(good, design.parameter_names, chosen, progress)
    differences = _differences(good, design, chosen, base)
    indices = sensitivities(good, design, chosen)
    constant = constant_metrics(good, chosen)
    return SweepAnalysis(
        design=design,
        metrics=chosen,
        base=base,
        num_runs=len(Cells(design)) * len(variants) * design.replicates,
        num_ok=len(good),
        num_failed=len(runs) - len(good),
        means=means,
        differences=differences,
        sensitivities=indices,
        phases=list(phases(means, design, chosen)),
        constant=constant,
        wide=find_wide(design, means, differences, indices, constant),
    )


def _choose(patterns: Sequence[str] | None, kept: tuple[str, ...]) -> tuple[str, ...]:
    if patterns is None:
        headline = tuple(name for name in HEADLINE if name in kept)
        return headline if len(kept) > MAX_METRICS and headline else kept
    try:
        return choose_metrics(patterns, kept)
    except ValueError as error:
        raise SweepFolderError(str(error)) from None


def cell_means(
    runs: "pd.DataFrame",
    parameters: Sequence[str],
    metrics: Sequence[str],
    progress: Progress | None = None,
) -> "pd.DataFrame":
    """Average every metric over the replicates of each cell and variant.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row per run, with columns ``cell``, ``variant`` and those named below.
    parameters, metrics : sequence of str
        Columns of what was varied and of what was measured; a run that failed has no (NaN) metrics.
    progress : callable, optional

    Returns
    -------
    pandas.DataFrame
        A row per cell, variant and metric: the parameters, ``runs`` (with the metric), ``value``
        and the ends of its bootstrap interval, ``low`` and ``high``.
    """
    import pandas as pd

    rows = []
    groups = runs.groupby(["cell", "variant"], sort=True)
    for number, ((cell, variant), part) in enumerate(groups):
        place = {"cell": cell, "variant": variant} | part[list(parameters)].iloc[0].to_dict()
        table = part[list(metrics)]
        counts = table.notna().sum()
        for metric, found in zip(metrics, bootstrap_means(table), strict=True):
            rows.append(place | {"metric": metric, "runs": int(counts[metric])} | found._asdict())
        if progress is not None:
            progress(number + 1, len(groups))
    return pd.DataFrame(rows)


def paired_differences(
    runs: "pd.DataFrame", metrics: Sequence[str], base: str, twin: str
) -> "pd.DataFrame":
    """Measure in each cell what a variant changes, from its pairs of runs of the same seed.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row per run, with columns ``cell``, ``variant``, ``seed`` and the metrics.
    metrics : sequence of str
    base, twin : str
        Variants.

    Returns
    -------
    pandas.DataFrame
        A row per cell and metric: ``pairs`` with both metrics, the means of ``base`` and ``twin``,
        ``difference`` (twin - base) with the ends of its t interval, ``low`` and ``high``, and
        ``variance_ratio`` as `marketsim.study.statistics.variance_ratio` defines it.
    """
    import pandas as pd

    columns = ["cell", "seed", *metrics]
    one, other = (runs.loc[runs["variant"] == variant, columns] for variant in (base, twin))
    both = one.merge(other, on=["cell", "seed"], suffixes=("|base", "|twin"), validate="1:1")
    rows = []
    for cell, part in both.groupby("cell"):
        for metric in metrics:
            found = paired_difference(part[f"{metric}|base"], part[f"{metric}|twin"])
            rows.append(
                {
                    "cell": cell,
                    "metric": metric,
                    "pairs": found.num_pairs,
                    "base": found.base,
                    "twin": found.twin,
                    "difference": found.difference.value,
                    "low": found.difference.low,
                    "high": found.difference.high,
                    "variance_ratio": found.variance_ratio,
                }
            )
    return pd.DataFrame(rows)


def phase_table(means: "pd.DataFrame", metric: str, rows: str, columns: str) -> "pd.DataFrame":
    """Lay a metric out over two parameters.

    Parameters
    ----------
    means : pandas.DataFrame
        As `cell_means` returns it.
    metric : str
    rows, columns : str
        Parameters. Of several cells at the same two values the mean is shown.

    Returns
    -------
    pandas.DataFrame
        Values of `rows` by values of `columns`; NaN where there is no run.
    """
    chosen = means[means["metric"] == metric]
    return chosen.pivot_table(index=rows, columns=columns, values="value", aggfunc="mean")


def _differences(
    runs: "pd.DataFrame", design: Design, metrics: Sequence[str], base: str
) -> "pd.DataFrame":
    """Compare every other variant with the base, in every cell."""
    import pandas as pd

    parts = [
        paired_differences(runs, metrics, base, twin).assign(variant=twin)
        for twin in design.variant_names
        if twin != base
    ]
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame()
    names = list(design.parameter_names)
    cells = runs.groupby("cell")[names].first().reset_index() if names else runs[["cell"]]
    found = pd.concat(filled, ignore_index=True)
    first = ["cell", "variant", *names]
    order = [*first, *(name for name in found if name not in first)]
    return found.merge(cells.drop_duplicates("cell"), on="cell", how="left")[order]


def sensitivities(runs: "pd.DataFrame", design: Design, metrics: Sequence[str]) -> "pd.DataFrame":
    """Say how much each parameter of a drawn design matters for each metric.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row per run, with columns ``cell``, ``variant`` and the metrics.
    design : Design
        Of kind "morris": index ``mu_star``, in units of the metric over a whole range. Of kind
        "saltelli": indices ``first`` and ``total``; of kind "latin" or "sobol" the index ``first``:
        shares of the variance. Of other kinds the result is empty.
    metrics : sequence of str
        Averaged over the replicates of a cell.

    Returns
    -------
    pandas.DataFrame
        A row per variant, metric, index and parameter: ``value``, ``low``, ``high``.
    """
    import pandas as pd

    rows = []
    if design.kind in SAMPLED:
        cells = Cells(design)
        means = runs.groupby(["variant", "cell"])[list(metrics)].mean()
        for variant in means.index.unique("variant"):
            table = means.loc[variant].reindex(range(len(cells)))
            for metric in metrics:
                for index, found in _indices(design, cells, table[metric]).items():
                    place = {"variant": variant, "metric": metric, "index": index}
                    rows += [
                        place | {"parameter": name} | interval._asdict()
                        for name, interval in found.items()
                    ]
    return pd.DataFrame(rows)


def _indices(design: Design, cells: Cells, output: "pd.Series") -> dict[str, dict[str, Interval]]:
    names = design.parameter_names
    if design.kind == "saltelli":
        return sobol_indices(names, output)
    if design.kind == "morris":
        return {"mu_star": morris_indices(names, cells.shares(), output, MORRIS_LEVELS)}
    return {"first": first_order_indices(names, cells.shares(), output)}


def phases(means: "pd.DataFrame", design: Design, metrics: Sequence[str]) -> Iterator[Phase]:
    """Lay every metric out over every two parameters that take several levels."""
    if design.kind in SAMPLED:
        return
    varied = [name for name in design.parameter_names if len(means[name].unique()) > 1]
    for variant in design.variant_names:
        part = means[means["variant"] == variant]
        for metric in metrics:
            for columns, rows in combinations(varied, 2):
                table = phase_table(part, metric, rows, columns)
                yield Phase(variant, metric, rows, columns, table)

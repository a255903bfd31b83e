"""Tables about a finished sweep, from the table of its runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketsim.sweep.statistics import bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd


def cell_means(
    runs: "pd.DataFrame", parameters: Sequence[str], metrics: Sequence[str]
) -> "pd.DataFrame":
    """Average every metric over the replicates of each cell and variant.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row per run, with columns ``cell``, ``variant`` and those named below.
    parameters, metrics : sequence of str
        Columns of what was varied and of what was measured; a run that failed has no (NaN) metrics.

    Returns
    -------
    pandas.DataFrame
        A row per cell, variant and metric: the parameters, ``runs`` (with the metric), ``value``
        and the ends of its bootstrap interval, ``low`` and ``high``.
    """
    import pandas as pd

    rows = []
    for (cell, variant), part in runs.groupby(["cell", "variant"], dropna=False):
        place = {"cell": cell, "variant": variant} | part.iloc[0][list(parameters)].to_dict()
        for metric in metrics:
            found = bootstrap_mean(part[metric])
            count = int(part[metric].notna().sum())
            rows.append(place | {"metric": metric, "runs": count} | found._asdict())
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
        ``variance_ratio`` as `marketsim.sweep.statistics.variance_ratio` defines it.
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

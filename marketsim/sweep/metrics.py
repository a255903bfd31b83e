"""The metrics of a run in a sweep: its figures, flat, each under its path in the run's summary."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from marketsim.results.summary import run_figures
from marketsim.scenario.errors import nearest
from marketsim.tape.result import RunResult

#: What is looked at first, of the whole venue.
HEADLINE = (
    "liquidated_usd",
    "liquidated_share",
    "accounts_liquidated_share",
    "accounts_ruined_share",
    "mark_fall",
    "unshocked.liquidated_share",
    "unshocked.mark_fall",
    "spilled_usd",
    "largest_cascade_usd",
    "reproduction_number_max",
    "premium_std_bp",
    "funding_mean_bp_8h",
    "funding_at_cap_share",
    "herd_index_abs",
    "volume_usd",
    "insurance_fund_usd",
    "adl_usd",
)
#: The same, of each market and population.
PARTS = (
    "markets.*.liquidated_share",
    "markets.*.mark_fall",
    "populations.*.total_return",
    "populations.*.liquidated_share",
    "populations.*.ruined_share",
)


def run_metrics(result: RunResult) -> dict[str, float]:
    """Flatten the figures of a run; what does not exist is NaN.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict of float
        By dotted path: ``liquidated_share``, ``markets.BTC.premium_std_bp``,
        ``populations.carry.sharpe_net``. What each is and its unit,
        `marketsim.results.summary.run_figures` says; the names are the same for every run of the
        same markets and populations, however short.
    """
    return dict(_flat(run_figures(result), ""))


def _flat(figures: dict[str, Any], prefix: str) -> Iterable[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, int | float | np.number):
            yield f"{prefix}{name}", np.nan if value is None else float(value)


def choose_metrics(patterns: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Choose metrics by name or pattern.

    Parameters
    ----------
    patterns : sequence of str
        Names, or patterns in which ``*`` and ``?`` stand for any characters, dots included.
    available : sequence of str
        Names there are.

    Returns
    -------
    tuple of str
        In the order of `available`, each once.

    Raises
    ------
    ValueError
        If nothing fits a pattern; it names the nearest.

    Examples
    --------
    >>> choose_metrics(["markets.*.volume_usd"], ["fees_usd", "markets.BTC.volume_usd"])
    ('markets.BTC.volume_usd',)
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = [name for name in available if fnmatchcase(name, pattern)]
        if not found:
            hint = nearest(pattern, available)
            raise ValueError(f"'{pattern}' is no metric of these runs{hint}")
        chosen.update(found)
    return tuple(name for name in available if name in chosen)

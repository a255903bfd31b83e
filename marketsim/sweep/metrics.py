"""The figures of a run as one flat table of names and numbers."""

import fnmatch
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from marketsim.record.result import RunResult
from marketsim.record.summary import summarise
from marketsim.scenario.spot import nearest

#: Entries of a summary that are no figures of the run: what it was asked, and how long it took.
NOT_FIGURES = ("scenario", "seed", "steps", "step_minutes", "digest", "wall_s", "notes")


def run_metrics(result: RunResult) -> dict[str, float]:
    """Flatten a run's summary: dotted names, what does not exist is NaN."""
    summary = summarise(result)
    return dict(_flat({key: value for key, value in summary.items() if key not in NOT_FIGURES}))


def _flat(node: dict[str, Any], *path: str) -> Iterator[tuple[str, float]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flat(value, *path, key)
        elif value is None or isinstance(value, int | float):
            yield ".".join((*path, key)), math.nan if value is None else float(value)


def choose_metrics(patterns: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that any of some names or glob patterns means, in order."""
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not found:
            msg = f'"{pattern}": there is no such figure{nearest(pattern, names)}'
            raise ValueError(msg)
        chosen |= dict.fromkeys(found)
    return tuple(chosen)

"""Twins: the same runs with one thing changed, and what the change does to every figure."""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketsim.scenario.coercion import path_of
from marketsim.scenario.schema import Scenario
from marketsim.scenario.writer import resolved_toml
from marketsim.study.analysis import paired_differences
from marketsim.sweep.design import Design, DesignError, parse_design
from marketsim.sweep.manifest import read_manifest
from marketsim.sweep.metrics import HEADLINE, PARTS, choose_metrics
from marketsim.sweep.plan import Plan
from marketsim.sweep.runner import SweepProgress, run_sweep
from marketsim.sweep.table import load_sweep
from marketsim.sweep.worker import OK, Task, name_metrics

if TYPE_CHECKING:
    import pandas as pd

BASE, TWIN = "base", "twin"
#: Metrics that are shown unless others are asked for.
HEADLINE_AND_PARTS = (*HEADLINE, *PARTS)
#: Pairs of runs that are made unless others are asked for.
SEEDS = 20


def compare(
    scenario: str | Path | Scenario,
    changes: Mapping[str, Any],
    *,
    seeds: int = SEEDS,
    first_seed: int = 0,
    days: float | None = None,
    set_: Mapping[str, Any] | None = None,
    metrics: Sequence[str] = HEADLINE_AND_PARTS,
    workers: int | None = None,
    executor: Executor | None = None,
    out: str | Path | None = None,
    progress: SweepProgress | None = None,
) -> "pd.DataFrame":
    """Run a scenario and its twin with the same luck and measure what the change does.

    Both of a pair draw the same random numbers, trader by trader, so that they differ because of
    the change alone.

    Parameters
    ----------
    scenario : str, Path or Scenario
        Name of a scenario of the library, path of a TOML file, or a scenario.
    changes : mapping
        New values by the dotted path of a field: what the twin has and the base has not.
    seeds : int, optional
        Pairs of runs, of the seeds from `first_seed` on.
    first_seed : int, optional
    days : float, optional
        Days simulated, if not the scenario's.
    set_ : mapping, optional
        New values by path for both.
    metrics : sequence of str, optional
        Names or patterns; by default the headline figures of the venue, its markets and
        populations. ``["*"]`` is all of them.
    workers : int, optional
        Worker processes; by default one for every core.
    executor : concurrent.futures.Executor, optional
        Runs them elsewhere.
    out : str or Path, optional
        Folder that keeps the runs, as that of a sweep; an unfinished comparison goes on there.
    progress : callable, optional
        Called with a `SweepReport` after every run.

    Returns
    -------
    pandas.DataFrame
        A row per metric: ``pairs`` in which both runs have it, the means of ``base`` and ``twin``,
        ``difference`` (twin - base) with the ends of its 95 % t interval, ``low`` and ``high``, and
        ``variance_ratio``: how many times more pairs of independent seeds would need for the same
        interval. ``attrs`` counts the ``failed`` runs and the ``identical`` pairs, in which the
        change made no difference at all.

    Raises
    ------
    DesignError
        If nothing is changed, the base or the twin is no valid scenario, or a metric is unknown.
    SweepFolderError
        If `out` holds something else, or runs made from files that have changed since.
    """
    if not isinstance(changes, Mapping):
        need = 'must be fields and their new values, such as {"days": 7}'
        raise TypeError(f"changes = {changes!r}: {need}")
    if not changes:
        raise DesignError(["changes: state at least one field and its new value"], "compare")
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="marketsim-")))
        if isinstance(scenario, Scenario):
            file = temporary / "scenario.toml"
            file.write_text(resolved_toml(scenario), encoding="utf-8")
            scenario = file
        design = parse_design(
            {
                "name": "compare",
                "base": str(scenario),
                "kind": "pairs",
                "replicates": seeds,
                "seed": first_seed,
                "days": days,
                "set": dict(set_ or {}),
                "variants": {BASE: {}, TWIN: dict(changes)},
            },
            "compare",
        )
        folder = temporary / "runs" if out is None else path_of("out", out)
        if metrics != HEADLINE_AND_PARTS:
            _choose(metrics, _name_metrics(design))  # before the runs, not after them
        run_sweep(
            design, folder, workers=workers, executor=executor, most_runs=None, progress=progress
        )
        return _differences(load_sweep(folder), _choose(metrics, read_manifest(folder).metrics))


def _name_metrics(design: Design) -> tuple[str, ...]:
    """Name the metrics of the base and the twin, from a first step of each."""
    plan = Plan(design)
    names: dict[str, None] = {}
    for point in plan.shapes:
        task = Task("", plan.tables, point.changes, design.seed, (), None, (), plan.inputs)
        names |= dict.fromkeys(name_metrics(task)[1])
    return tuple(names)


def _choose(patterns: Sequence[str], available: Sequence[str]) -> list[str]:
    """Choose metrics in the order of the patterns."""
    try:
        found = [name for pattern in patterns for name in choose_metrics([pattern], available)]
    except ValueError as error:
        raise DesignError([str(error)], "compare") from None
    return list(dict.fromkeys(found))


def _differences(runs: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    good = runs[runs["status"] == OK]
    found = paired_differences(good, metrics, BASE, TWIN).drop(columns="cell", errors="ignore")
    digests = good.groupby("seed")["digest"].agg(["size", "nunique"])
    identical = int(((digests["size"] == 2) & (digests["nunique"] == 1)).sum())
    found.attrs = {"failed": len(runs) - len(good), "identical": identical}
    return found

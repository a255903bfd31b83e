"""Calibration: dials of a scenario turned, batch by batch, until its runs have target statistics.

A batch of trials is chosen from what all earlier batches have found, run as a sweep in a folder of
its own, and told to the search together. So the trials depend on the file of targets alone: not on
the number of workers, not on which of them was faster, not on how often the search was interrupted.
"""

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from marketsim.run.cores import count_workers
from marketsim.run.progress import Progress
from marketsim.scenario.coercion import path_of
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.inputs import Input, InputLog, compare_inputs, read_inputs
from marketsim.scenario.schema import Scenario
from marketsim.scenario.wording import show
from marketsim.scenario.writer import resolved_toml
from marketsim.study.targets import STARTUP_TRIALS, Search, load_targets
from marketsim.sweep.cluster import connected
from marketsim.sweep.design import Design, parse_design
from marketsim.sweep.differences import list_differences, refuse, refuse_changed
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import LOGS
from marketsim.sweep.plan import Plan, resolve_scenario
from marketsim.sweep.pool import WorkerPool
from marketsim.sweep.runner import SweepReport, run_sweep
from marketsim.sweep.table import load_sweep
from marketsim.sweep.worker import OK, warm_up
from marketsim.tape.files import SEAL, atomic, is_sealed, read_record, seal

if TYPE_CHECKING:
    import optuna
    import pandas as pd

FILE = "sweep.json"
FORMAT = "marketsim-calibration"
TRIALS_FILE = "trials.csv"
BEST_FILE = "best.toml"
BATCHES = "batches"


class Trial(NamedTuple):
    """One setting of the dials and what its runs have shown."""

    number: int
    dials: dict[str, Any]  #: value of each dial
    found: dict[str, float]  #: mean of each target's metric; empty if there is none
    distance: float  #: as `distance_of` returns it; NaN if it could not be measured
    error: str  #: why not


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a search has found."""

    search: Search
    folder: Path
    trials: tuple[Trial, ...]
    best: Trial
    scenario: Scenario  #: the base with the best dials

    @property
    def table(self) -> "pd.DataFrame":
        """A row per trial: ``trial``, its dials, its metrics, ``distance`` and ``error``."""
        return tabulate(self.trials, self.search)


class TrialsFailedError(RuntimeError):
    """No trial could be measured."""


def calibrate(
    targets: Search | str | Path,
    out: str | Path,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
    stated_in: Iterable[Input] = (),
) -> Calibration:
    """Fit dials of a scenario to target statistics; an unfinished search goes on.

    Parameters
    ----------
    targets : Search, str or Path
        A search, or its file.
    out : str or Path
        Folder of the search: its runs, its trials (`trials.csv`) and the scenario with the best
        dials (`best.toml`).
    workers : int, optional
        Worker processes; by default one for every core. What is found does not depend on it.
    executor : concurrent.futures.Executor, optional
        Runs them elsewhere; the caller shuts it down.
    cluster : str, optional
        Runs them on a cluster; see `marketsim.sweep.cluster.connected`.
    progress : callable, optional
    stated_in : iterable of Input, optional
        The files a loaded search was read from, to be kept with it.

    Returns
    -------
    Calibration

    Raises
    ------
    DesignError
        If the search cannot be made: a wrong field, a dial whose ends are no valid scenario, a
        target that is no metric.
    SweepFolderError
        If the folder is another search's, its runs were made from files that have changed since,
        it is in use, or the disk is full.
    InputChangedError
        If a file changes meanwhile; what was done before stays.
    TrialsFailedError
        If no trial could be measured.
    """
    num_workers = count_workers(workers)
    with InputLog() as read:
        search = targets if isinstance(targets, Search) else load_targets(targets)
    folder = path_of("out", out).resolve()
    plan = check_dials(search, (*stated_in, *read))
    tables = plan.tables
    _claim(folder, search, plan)
    trials: list[Trial] = []
    with ExitStack() as stack:
        stack.enter_context(InputLog(plan.inputs, "when the calibration began"))
        if cluster is not None:
            executor = stack.enter_context(connected(cluster, search.name, folder / LOGS))
            num_workers = executor.num_workers or num_workers
        if executor is None:
            executor = WorkerPool(min(num_workers, search.batch * search.replicates), warm_up)
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        batches = _Batches(search, folder, tables, executor, num_workers, progress)
        for batch in _search(search, batches):
            trials += batch
            with atomic(folder / TRIALS_FILE) as stream:
                stream.write(tabulate(trials, search).to_csv(index=False).encode())
    measured = [trial for trial in trials if not math.isnan(trial.distance)]
    if not measured:
        raise TrialsFailedError(f"no trial could be measured; the first: {trials[0].error}")
    best = min(measured, key=lambda trial: trial.distance)
    words = [("name", search.name), ("description", _describe(search, best))]
    scenario = resolve_scenario(tables, [*_changes(search, best.dials), *words])
    with atomic(folder / BEST_FILE) as stream:
        stream.write(resolved_toml(scenario).encode())
    return Calibration(search, folder, tuple(trials), best, scenario)


def distance_of(search: Search, found: dict[str, float]) -> float:
    """Sum up how far statistics are off: the weighted root mean square, in scales.

    Parameters
    ----------
    search : Search
    found : dict
        By target.

    Returns
    -------
    float
        0 if all are met.
    """
    each = [
        (target.weight, target.distance(found[name])) for name, target in search.targets.items()
    ]
    total = sum(weight for weight, _ in each)
    return math.sqrt(sum(weight * off * off for weight, off in each) / total)


def tabulate(trials: Sequence[Trial], search: Search) -> "pd.DataFrame":
    """Lay trials out, a row for each.

    Parameters
    ----------
    trials : sequence of Trial
    search : Search

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                **trial.dials,
                **{name: trial.found.get(name, math.nan) for name in search.targets},
                "distance": trial.distance,
                "error": trial.error,
            }
            for trial in trials
        ]
    )


def _search(search: Search, batches: "_Batches") -> Iterator[list[Trial]]:
    """Ask for a batch, have it run, tell the search; the same file asks the same every time."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            constant_liar=True,
            seed=search.seed,
        )
    study = optuna.create_study(sampler=sampler)
    for first in range(0, search.num_trials, search.batch):
        asked = [study.ask() for _ in range(search.batch)]
        trials = batches.run(first, [_turn(search, each) for each in asked])
        for each, trial in zip(asked, trials, strict=True):
            if math.isnan(trial.distance):
                study.tell(each, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(each, trial.distance)
        yield trials


def _turn(search: Search, asked: "optuna.Trial") -> dict[str, Any]:
    """Let the search choose every dial: a level, or a share of the way through a range."""
    found = {}
    for name, dial in search.dials.items():
        if dial.levels is not None:
            place = asked.suggest_categorical(name, list(range(len(dial.levels))))
            found[name] = dial.levels[place]
        else:
            found[name] = dial.value(asked.suggest_float(name, 0.0, 1.0))
    return found


class _Batches:
    """Runs trials, a batch at a time, each batch as a sweep."""

    def __init__(
        self,
        search: Search,
        folder: Path,
        tables: dict[str, Any],
        executor: Executor,
        workers: int,
        progress: Progress | None,
    ) -> None:
        self.search = search
        self.folder = folder
        self.tables = tables
        self.executor = executor
        self.workers = workers
        self.progress = progress

    def run(self, first: int, dials: Sequence[dict[str, Any]]) -> list[Trial]:
        """Measure settings of the dials; `first` is the number of the first."""
        search = self.search
        errors = [self._problem(each) for each in dials]
        valid = [place for place, error in enumerate(errors) if not error]
        measured: dict[int, Trial] = {}
        if valid:
            design = _design(search, [dials[place] for place in valid])
            target = self.folder / BATCHES / f"{first:06d}"
            run_sweep(
                design,
                target,
                workers=self.workers,
                executor=self.executor,
                most_runs=None,
                progress=lambda report: self._advance(first, report),
            )
            runs = load_sweep(target)
            for cell, place in enumerate(valid):
                rows = runs[runs["cell"] == cell]
                measured[place] = _measure(search, first + place, dials[place], rows)
        return [
            measured.get(place) or Trial(first + place, each, {}, math.nan, errors[place])
            for place, each in enumerate(dials)
        ]

    def _problem(self, dials: dict[str, Any]) -> str:
        """Say why a setting is no valid scenario, though the ends of every dial are."""
        try:
            resolve_scenario(self.tables, _changes(self.search, dials))
        except ScenarioError as error:
            return str(error)
        return ""

    def _advance(self, first: int, report: SweepReport) -> None:
        if self.progress is not None:
            done = first * self.search.replicates + report.stored + report.done
            self.progress(done, self.search.num_trials * self.search.replicates)


def _measure(search: Search, number: int, dials: dict[str, Any], runs: "pd.DataFrame") -> Trial:
    """Average a trial's statistics over its runs; all of them have to have them."""
    failed = runs[runs["status"] != OK]
    if len(failed):
        return Trial(number, dials, {}, math.nan, str(failed["error"].iloc[0]))
    found = {name: float(np.mean(runs[name].to_numpy(np.float64))) for name in search.targets}
    missing = [name for name, value in found.items() if math.isnan(value)]
    if missing:
        return Trial(number, dials, found, math.nan, f"a run has no {missing[0]}")
    return Trial(number, dials, found, distance_of(search, found), "")


def _changes(search: Search, dials: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        change
        for name, value in dials.items()
        for change in search.dials[name].changes(name, value)
    ]


def _design(search: Search, dials: Sequence[dict[str, Any]]) -> Design:
    """Return the sweep of some trials."""
    return parse_design(
        {
            **_shared(search),
            "kind": "table",
            "replicates": search.replicates,
            "metrics": list(search.targets),
            "table": [dict(_changes(search, each)) for each in dials],
        },
        search.name,
    )


def _shared(search: Search) -> dict[str, Any]:
    names = ("name", "base", "days", "set", "seed")
    return {name: getattr(search, name) for name in names}


def check_dials(search: Search, stated_in: Iterable[Input] = ()) -> Plan:
    """Check the scenario at the ends of all dials.

    Parameters
    ----------
    search : Search
    stated_in : iterable of Input, optional
        The files the search was read from.

    Returns
    -------
    Plan
        Of one point; it has the base scenario, and every file that the runs will need.

    Raises
    ------
    DesignError
    """
    corners = {name: dial.model_dump(exclude_none=True) for name, dial in search.dials.items()}
    design = parse_design(
        {**_shared(search), "kind": "latin", "size": 1, "parameters": corners}, search.name
    )
    return Plan(design, stated_in=stated_in)


def _claim(folder: Path, search: Search, plan: Plan) -> None:
    """Begin a folder, or check that it is this search's; only `trials` may have changed."""
    import optuna

    facts = {
        "search": search.model_dump(mode="json", exclude={"name", "description", "trials"}),
        "base": plan.tables,
        "model": plan.model,
        "optuna": optuna.__version__,
    }
    file = folder / FILE
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            msg = f"{folder}: is not the folder of a calibration and not empty; choose another"
            raise SweepFolderError(msg)
        record = {"format": FORMAT, **facts, "inputs": [each._asdict() for each in plan.inputs]}
        with atomic(file) as stream:
            stream.write(json.dumps(seal(record), indent=1).encode())
        return
    there = read_record(file, SweepFolderError)
    if there.get("format") != FORMAT:
        raise SweepFolderError(f"{folder}: is not the folder of a calibration; choose another")
    if not is_sealed(there):
        msg = f"{file}: damaged, or changed since the search was begun; choose another folder"
        raise SweepFolderError(msg)
    there = {name: value for name, value in there.items() if name not in ("format", SEAL)}
    inputs = read_inputs(there.pop("inputs", None), file, SweepFolderError)
    changed = compare_inputs(inputs, plan.inputs)
    if lines := list_differences(there, facts):
        lines = [*(text for _, text in changed), *lines]
        refuse(folder, "holds another search; choose another folder", lines)
    refuse_changed(folder, changed)


def _describe(search: Search, best: Trial) -> str:
    dials = ", ".join(f"{name} = {show(value)}" for name, value in best.dials.items())
    return f"{search.base} with {dials}"[:200]

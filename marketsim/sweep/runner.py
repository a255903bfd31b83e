"""The runner: a plan's runs handed out to an executor, and what comes back stored."""

import queue
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.compute as pc

from marketsim.run.cores import count_workers
from marketsim.scenario.coercion import path_of
from marketsim.scenario.errors import ScenarioWarning
from marketsim.scenario.inputs import Input, InputChangedError, InputLog
from marketsim.sweep.claims import claimed
from marketsim.sweep.cluster import ClusterExecutor, connected
from marketsim.sweep.design import Design, DesignError, load_design, parse_design
from marketsim.sweep.lock import Seat, Shard, SweepFolderError, locked
from marketsim.sweep.manifest import (
    LOGS,
    Manifest,
    claim,
    extend,
    record_result,
    write_manifest,
)
from marketsim.sweep.measure import MeasureError
from marketsim.sweep.metrics import choose_metrics
from marketsim.sweep.plan import MAX_RUNS, Plan, PlannedRun, Point
from marketsim.sweep.pool import WorkerLostError, WorkerPool
from marketsim.sweep.store import Store, drop_runs, stored_keys
from marketsim.sweep.table import count_runs, result_hash
from marketsim.sweep.turns import Turn, Turns, clear_warm_ups, warm_up_folder
from marketsim.sweep.worker import (
    OK,
    QUARANTINED,
    Outcome,
    Task,
    failed,
    name_metrics,
    run_task,
    warm_up,
)
from marketsim.tape.files import FolderError

#: Runs, seconds and bytes of series after which what is done is written.
FLUSH_RUNS = 256
FLUSH_SECONDS = 5.0
FLUSH_BYTES = 2**25
#: Runs handed out at a time, for each worker: enough to last while a part is written; and where
#: drivers share a sweep few, so that the last runs are left to whoever is free.
WINDOW, SHARED_WINDOW = 16, 2
#: Warm-ups that are made at a time, for each worker.
MAKING = 2
#: Seconds between two looks at the workers while there is nothing else to do, and at the warm-up
#: that others wait for.
LOOK_SECONDS, SHORT_LOOK_SECONDS = 1.0, 0.1

#: Called with the report after every run.
SweepProgress: TypeAlias = Callable[["SweepReport"], None]


@dataclass
class SweepReport:
    """How far a sweep, or a shard of it, has come."""

    folder: Path
    planned: int  #: runs of the whole sweep
    total: int  #: runs of the shard
    stored: int  #: runs of the shard that were there at the start, or that other drivers made
    done: int = 0  #: runs made now, failed ones included
    failures: int = 0  #: failed runs among all that are stored
    result: str = ""  #: hash of the results, once the whole sweep is complete
    inputs: tuple[Input, ...] = ()  #: the files the runs are made from, as they are now
    recorded: str = ""  #: the hash it had when it was complete for the first time

    @property
    def is_complete(self) -> bool:
        """Whether every run of the shard is stored."""
        return self.stored + self.done == self.total

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        inputs = [each._asdict() for each in self.inputs]
        return asdict(self) | {"folder": str(self.folder), "inputs": inputs}


class TooManyFailuresError(RuntimeError):
    """As many runs failed as the user would put up with."""


class StoreError(RuntimeError):
    """What was done cannot be written: the disk is full, or has gone."""


class ExecutorLostError(RuntimeError):
    """The workers are gone, all of them: the cluster was closed, or cannot be reached."""


def run_sweep(
    design: Design | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    cluster: str | None = None,
    shard: Shard | None = None,
    max_failures: int | None = None,
    most_runs: int | None = MAX_RUNS,
    retry: bool = False,
    progress: SweepProgress | None = None,
    stated_in: Iterable[Input] = (),
) -> SweepReport:
    """Make the runs of a design that are not stored yet.

    A script that calls this has to do so under ``if __name__ == "__main__":``, as its workers load
    it too.

    Parameters
    ----------
    design : Design, mapping, str or Path
        A design, as tables nested like those of its file, or the file.
    out : str or Path
        Folder of the sweep; made if missing, gone on with if it is this design's. A design with
        more replicates than the folder has adds them.
    workers : int, optional
        Worker processes; by default one for every core this process may use.
    executor : concurrent.futures.Executor, optional
        Runs them elsewhere; the caller shuts it down.
    cluster : str, optional
        Runs them on a cluster; see `marketsim.sweep.cluster.connected`.
    shard : Shard, optional
        Part of the runs; all by default.
    max_failures : int, optional
        Stop when so many runs have failed.
    most_runs : int, optional
        Refuse a design of more runs; None: any number.
    retry : bool, optional
        Make the runs again that failed, and those of damaged parts. Only without a shard.
    progress : callable, optional
        Called with the report after every run.
    stated_in : iterable of Input, optional
        The files a loaded design was read from, to be kept with the runs.

    Returns
    -------
    SweepReport

    Raises
    ------
    DesignError
        If the design cannot be run.
    TypeError, ValueError
        If the workers are no whole number above 0.
    SweepFolderError
        If the folder is another design's, its runs were made from files that have changed since,
        or it is in use or damaged.
    InputChangedError
        If a file changes meanwhile; runs made before stay.
    StoreError
        If the disk is full; what was written before stays.
    TooManyFailuresError
        If `max_failures` runs failed.
    ExecutorLostError
        If the executor's workers are gone.
    ClusterError
        If the cluster cannot be used, or SLURM's jobs end before they work.

    Warns
    -----
    ScenarioWarning
        If part of the base scenario has no effect.
    ClusterWarning
        If nobody works, as all of a cluster's workers have ended or none has begun.
    """
    num_workers = count_workers(workers)
    if isinstance(design, Mapping):
        design = parse_design(dict(design))
    elif not isinstance(design, Design):
        with InputLog() as read:
            design = load_design(design)
        stated_in = tuple(read)
    plan = Plan(design, most_runs, stated_in)
    for notice in plan.notices:
        warnings.warn(f"{design.base}: {notice}", ScenarioWarning, stacklevel=2)
    folder = path_of("out", out).resolve()
    claim(folder, plan)
    shard = shard or Shard()
    with ExitStack() as stack:
        seat = stack.enter_context(locked(folder, shard))
        manifest = claim(folder, plan)  # once more: another driver may have begun it meanwhile
        if manifest is not None and manifest.num_runs < len(plan):
            manifest = extend(folder, plan)
        if retry and manifest is not None:
            drop_runs(folder, lambda runs: pc.equal(runs["status"], OK))
        numbers = shard.numbers(len(plan))
        todo = numbers[~np.isin(plan.keys[numbers], stored_keys(folder))]
        counts = count_runs(folder)
        failures = counts.total() - counts[OK]
        stored = len(numbers) - len(todo)
        report = SweepReport(
            folder, len(plan), len(numbers), stored, failures=failures, inputs=plan.inputs
        )
        if len(todo) or manifest is None:
            warm_ups = stack.enter_context(warm_up_folder(folder, seat.label))
            if cluster is not None:
                executor = stack.enter_context(connected(cluster, design.name, folder / LOGS))
                num_workers = executor.num_workers or num_workers
            if executor is None:
                executor = WorkerPool(min(num_workers, max(len(todo), 1)), warm_up)
                stack.callback(executor.shutdown, wait=False, cancel_futures=True)
            team = _Team(executor, seat)
            manifest = manifest or _begin(folder, plan, team)
            driver = _Driver(plan, team, Store(folder, manifest, seat.label), report, progress)
            numbers = claimed(folder, plan.keys, seat.label, stack) if shard.is_shared else todo
            window = (SHARED_WINDOW if shard.is_shared else WINDOW) * num_workers
            turns = Turns(numbers, plan.warm_up, todo, warm_ups, window, MAKING * num_workers)
            driver.make(turns, window, max_failures)
    made = count_runs(folder).total()
    if shard.is_shared:
        report.stored = max(made - report.done, 0)  # the others' as well
    if made == len(plan):
        clear_warm_ups(folder)
        report.result = result_hash(folder)
        report.recorded = record_result(folder, manifest, report.result)
    return report


class _Team:
    """The executor, and what the driver tells of it in the sweep's folder."""

    def __init__(self, executor: Executor, seat: Seat) -> None:
        self.executor = executor
        self._seat = seat
        self._told: Any = None

    def submit(self, function: Callable[..., Any], task: Task) -> Future[Any]:
        """Queue a call.

        Raises
        ------
        ExecutorLostError
        """
        try:
            return self.executor.submit(function, task)
        except RuntimeError as error:  # it is broken, or was shut down
            raise _lost(error) from error

    def look(self) -> None:
        """Let a cluster see to its workers, and tell who works.

        Raises
        ------
        ExecutorLostError
        """
        if isinstance(self.executor, ClusterExecutor):
            try:
                crew = self.executor.look()
            except BrokenExecutor as error:
                raise _lost(error) from error
            if crew != self._told:
                self._told = crew
                self._seat.tell(**crew._asdict())


class _Driver:
    """Hands runs out, a bounded number at a time, and stores what comes back."""

    def __init__(
        self,
        plan: Plan,
        team: _Team,
        store: Store,
        report: SweepReport,
        progress: SweepProgress | None,
    ) -> None:
        self.plan = plan
        self.team = team
        self.store = store
        self.report = report
        self.progress = progress
        self._back: queue.SimpleQueue[tuple[Future[Outcome], PlannedRun, Task, Turn]] = (
            queue.SimpleQueue()
        )
        self._flushed = time.monotonic()

    def make(self, turns: Turns, window: int, max_failures: int | None) -> None:
        """Make runs as their turn comes; what is done is stored however this ends."""
        under_way = new_failures = 0
        try:
            while True:
                while under_way < window and (turn := turns.take()) is not None:
                    self._hand_out(turn)
                    under_way += 1
                if not under_way:
                    return
                outcome = self._next(turns)
                if outcome is None:
                    continue
                under_way -= 1
                new_failures += outcome.status != OK
                if max_failures is not None and new_failures >= max_failures:
                    msg = f"{new_failures} runs failed, the last: {outcome.error}"
                    raise TooManyFailuresError(msg)
        except ExecutorLostError:
            self._take_in_what_is_done()
            raise
        finally:
            with _stored():
                self.store.close()

    def _hand_out(self, turn: Turn) -> None:
        run = self.plan.run(turn.number)
        task = _task(self.plan, run.point, run.key, run.seed, self.store.manifest)
        task = task._replace(warm_up=turn.file)
        future = self.team.submit(run_task, task)
        future.add_done_callback(lambda done: self._back.put((done, run, task, turn)))

    def _next(self, turns: Turns) -> Outcome | None:
        """Store the next run that is done; None if nothing came before something else is due."""
        self.team.look()
        left = self._flushed + FLUSH_SECONDS - time.monotonic()
        patience = SHORT_LOOK_SECONDS if turns.holds else LOOK_SECONDS
        try:
            future, run, task, turn = self._back.get(timeout=min(max(left, 0.0), patience))
        except queue.Empty:
            if left <= 0:
                self._flush()
            return None
        outcome = _outcome(future, task)
        turns.done(turn)
        self.store.add(run, outcome)
        self.report.done += 1
        self.report.failures += outcome.status != OK
        if self.store.num_waiting >= FLUSH_RUNS or self.store.bytes_waiting >= FLUSH_BYTES:
            self._flush()
        if self.progress is not None:
            self.progress(self.report)
        return outcome

    def _take_in_what_is_done(self) -> None:
        """Keep the runs that came back beside the one that tells that the workers are gone."""
        while not self._back.empty():
            future, run, *_ = self._back.get()
            if not future.cancelled() and future.exception() is None:
                self.store.add(run, future.result())
                self.report.done += 1

    def _flush(self) -> None:
        with _stored():
            self.store.flush()
        self._flushed = time.monotonic()


@contextmanager
def _stored() -> Iterator[None]:
    try:
        yield
    except SweepFolderError:  # a part was damaged meanwhile: no room mends that
        raise
    except FolderError as error:
        msg = f"{error}; what was written before is there: make room and run the same command"
        raise StoreError(msg) from error


def _task(plan: Plan, point: Point, key: str, seed: int, manifest: Manifest | None) -> Task:
    metrics = manifest.metrics if manifest is not None else ()
    measured, kept = plan.design.measure, plan.design.keep
    return Task(key, plan.tables, point.changes, seed, metrics, measured, kept, plan.inputs)


def _outcome(future: Future[Outcome], task: Task) -> Outcome:
    """Return what a run left; one that cost its workers the life is set aside."""
    try:
        return future.result()
    except InputChangedError:
        raise
    except Exception as error:
        if isinstance(error, WorkerLostError) or type(error).__name__ == "KilledWorker":
            return failed(task, QUARANTINED, error)
        # `run_task` keeps what a run raises, so this is a line to the workers that broke.
        raise _lost(error) from error


def _lost(error: BaseException) -> ExecutorLostError:
    why = f": {error}" if str(error) else ""
    return ExecutorLostError(f"the workers are gone{why}; the same command goes on with the rest")


def _begin(folder: Path, plan: Plan, team: _Team) -> Manifest:
    """Find the names of the figures, from a run of no steps of each kind of scenario, and begin."""
    names: dict[str, None] = {}
    for point in plan.shapes:
        task = _task(plan, point, "", plan.design.seed, None)
        try:
            future = team.submit(name_metrics, task)
            while not future.done():
                team.look()
                wait([future], LOOK_SECONDS)
            model, found = future.result()
        except (CancelledError, BrokenExecutor) as error:
            raise _lost(error) from error
        except MeasureError as error:
            raise DesignError([f"measure: {error}"], plan.design.name) from error
        if model != plan.model:
            msg = f"the workers have marketsim {model}, this is {plan.model}: install the same"
            raise ExecutorLostError(msg)
        names |= dict.fromkeys(found)
    try:
        metrics = choose_metrics(plan.design.metrics, tuple(names))
    except ValueError as error:
        raise DesignError([f"metrics: {error}"], plan.design.name) from None
    return write_manifest(folder, plan, metrics)

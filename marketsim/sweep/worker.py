"""One run of a sweep, as a worker makes it: tables and changes in, figures and a digest out."""

import contextlib
import io
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from marketsim.model.opening import open_simulation
from marketsim.run.shared_warm_up import open_warmed
from marketsim.scenario.inputs import Input, InputChangedError, InputLog
from marketsim.sweep.plan import model_version, resolve_scenario

if TYPE_CHECKING:
    from marketsim.run.simulation import Simulation
    from marketsim.scenario.schema import Scenario
    from marketsim.tape.result import RunResult

#: What became of a run.
OK, ERROR, QUARANTINED = "ok", "error", "quarantined"
#: Characters of an error that are kept.
LONGEST_ERROR = 500


class Task(NamedTuple):
    """All a worker needs to make one run."""

    key: str
    tables: dict[str, Any]  #: of the base scenario
    changes: tuple[tuple[str, Any], ...]
    seed: int
    metrics: tuple[str, ...]  #: names of the figures wanted
    measure: str | None  #: file of a function that measures further figures
    keep: tuple[str, ...]  #: "series", "events"
    inputs: tuple[Input, ...]  #: files the run is made from, as the driver has read them
    warm_up: Path | None = None  #: file of a warm-up it shares, there or to be left there


class Outcome(NamedTuple):
    """What a run left."""

    key: str
    status: str
    error: str
    digest: str  #: "" unless the run came to its end
    figures: tuple[float, ...]  #: in the order of the task's `metrics`; NaN where there is none
    wall_s: float
    kept: dict[str, bytes]  #: Parquet, by "series" and "events"


def warm_up() -> None:
    """Load what runs need, so that the first is not slower than the rest."""
    import marketsim.run.simulation
    import marketsim.sweep.metrics  # noqa: F401


def run_task(task: Task) -> Outcome:
    """Make a run; whatever it raises becomes an outcome.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Outcome

    Raises
    ------
    InputChangedError
        If a file is not as the driver has read it: no fault of the run.
    """
    from marketsim.agents.fence import prints_to_stderr
    from marketsim.tape.digest import digest_result

    began = time.perf_counter()
    try:
        # Of the base's warnings the driver has told.
        with warnings.catch_warnings(action="ignore"), prints_to_stderr():
            simulation = _open(task, _resolve(task))
            simulation.run(simulation.scenario.num_steps)
            result = simulation.result()
            if result.conservation_error:
                msg = f"the books are off by {result.conservation_error} atoms"
                raise ArithmeticError(msg)
            figures = _figures(task, result)
            kept = {name: _pack(name, task.key, result) for name in task.keep}
            digest = digest_result(result)
    except InputChangedError:
        raise
    except Exception as error:
        return failed(task, ERROR, error, time.perf_counter() - began)
    values = tuple(float(figures.get(name, np.nan)) for name in task.metrics)
    return Outcome(task.key, OK, "", digest, values, time.perf_counter() - began, kept)


def failed(task: Task, status: str, error: BaseException, wall_s: float = np.nan) -> Outcome:
    """Return the outcome of a run that did not come to its end.

    Parameters
    ----------
    task : Task
    status : str
        `ERROR` or `QUARANTINED`.
    error : BaseException
    wall_s : float, optional
        Seconds it took.

    Returns
    -------
    Outcome
    """
    text = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
    return Outcome(task.key, status, text, "", (np.nan,) * len(task.metrics), wall_s, {})


def name_metrics(task: Task) -> tuple[str, tuple[str, ...]]:
    """Return the worker's version of the model and the names of a scenario's figures.

    Parameters
    ----------
    task : Task

    Returns
    -------
    tuple of (str, tuple of str)

    Raises
    ------
    InputChangedError
        If a file is not as the driver has read it.
    MeasureError
        If the design's own function fails on a run of no steps.
    """
    scenario = _resolve(task)
    with warnings.catch_warnings(action="ignore"):
        record = scenario.record.model_copy(update={"warm_up": 0.0})
        scenario = scenario.model_copy(update={"record": record})
        # A step compiles the kernels once for all workers; should it fail, the run will tell.
        with contextlib.suppress(Exception):
            _open(task, scenario).run(1)
        simulation = _open(task, scenario)
        return model_version(), tuple(_figures(task, simulation.result()))


def _figures(task: Task, result: "RunResult") -> dict[str, float]:
    """Return the figures of every run, and those that the design measures itself."""
    from marketsim.sweep.measure import measured_figures
    from marketsim.sweep.metrics import run_metrics

    figures = run_metrics(result)
    if task.measure is None:
        return figures
    return figures | measured_figures(task.measure, result, figures, task.inputs)


def _resolve(task: Task) -> "Scenario":
    """Work out the scenario; where it has a base of its own, from the file the driver has read."""
    with InputLog(task.inputs, "when the sweep was planned"):
        return resolve_scenario(task.tables, task.changes)


def _open(task: Task, scenario: "Scenario") -> "Simulation":
    """Open a run from the very files that the driver has read."""
    with InputLog(task.inputs, "when the sweep was planned"):
        if task.warm_up is not None:
            return open_warmed(scenario, task.seed, task.warm_up)
        return open_simulation(scenario, task.seed)


def _pack(name: str, key: str, result: Any) -> bytes:
    """Write the market series or the liquidations of a run as Parquet, in single precision."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from marketsim.results.folder import to_arrow
    from marketsim.results.tables import markets
    from marketsim.tape.events import liquidations
    from marketsim.tape.files import PARQUET

    source, build = ("markets", markets) if name == "series" else ("liquidations", liquidations)
    small = {
        column: values.astype(np.float32) if values.dtype == np.float64 else values
        for column, values in build(result).items()
    }
    table = to_arrow(source, small)
    keys = pa.array(np.full(table.num_rows, key)).dictionary_encode()
    stream = io.BytesIO()
    pq.write_table(table.add_column(0, "key", keys), stream, **PARQUET)
    return stream.getvalue()

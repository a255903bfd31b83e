"""Runs of a sweep, made again: a sweep keeps figures of its runs, not their tables."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from marketsim.model.opening import open_simulation
from marketsim.results.held import HeldRun, hold_run
from marketsim.run.progress import Progress
from marketsim.scenario.coercion import at_home
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.schema import Scenario
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import FILE
from marketsim.sweep.rerun import StoredRun, find_run
from marketsim.sweep.table import load_sweep

#: Runs made again of one sweep, at most; evenly spread over its cells.
MAX_RUNS = 40


def is_sweep(folder: Path) -> bool:
    """Tell whether a folder is one of a sweep."""
    return (at_home(folder) / FILE).is_file()


def sweep_scenarios(folder: Path) -> list[Scenario]:
    """Return the scenarios of the runs that `sweep_runs` makes."""
    return [each.scenario for each in _chosen(folder)]


def sweep_runs(folder: Path, progress: Progress | None = None) -> list[HeldRun]:
    """Make runs of a sweep again, in memory; their digests must be those the sweep has.

    Parameters
    ----------
    folder : Path
    progress : callable, optional
        Called with (runs made, runs in all).

    Returns
    -------
    list of HeldRun
        At most `MAX_RUNS`.

    Raises
    ------
    SweepFolderError
        If it is no sweep, it holds no finished run, or a run comes out differently.
    InputChangedError
        If a file the sweep was made from has changed since.
    """
    chosen = list(_chosen(folder))
    if not chosen:
        raise SweepFolderError(f"{folder}: no run of it has come to its end")
    made = []
    for found in chosen:
        with InputLog(found.inputs, f"when the sweep in {folder} was begun"):
            simulation = open_simulation(found.scenario, found.seed)
        simulation.run(simulation.num_steps)
        run = replace(hold_run(simulation.result()), path=folder / found.key)
        if run.digest != found.digest:
            msg = (
                f"{folder}: run {found.key} has another digest when made again: marketsim "
                f"{found.model} made it"
            )
            raise SweepFolderError(msg)
        made.append(run)
        if progress is not None:
            progress(len(made), len(chosen))
    return made


def _chosen(folder: Path) -> Iterator[StoredRun]:
    runs = load_sweep(folder)
    keys = runs.loc[runs["status"] == "ok", "key"].drop_duplicates().to_numpy()
    places = np.unique(np.linspace(0, len(keys) - 1, min(len(keys), MAX_RUNS)).round().astype(int))
    for key in keys[places] if len(keys) else []:
        yield find_run(folder, str(key))

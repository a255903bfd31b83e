"""A finished run, done again up to a step: runs are deterministic, so it is the same run."""

import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketsim.model.opening import open_simulation
from marketsim.results.run import SCENARIO_FILE, Run
from marketsim.results.tables import markets
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.files import RunFolderError

if TYPE_CHECKING:
    import pandas as pd


def rerun(run: Run, num_steps: int, progress: Progress | None = None) -> Simulation:
    """Do the first steps of a finished run again.

    Parameters
    ----------
    run : Run
    num_steps : int
        At most as many as the run has.
    progress : callable, optional
        Called with (steps done, steps asked) now and then.

    Returns
    -------
    Simulation

    Raises
    ------
    RunFolderError
        If the folder is damaged, or the prices are not those that were recorded: another version
        made them.
    InputChangedError
        If a file the run was made from has changed since.
    """
    scenario = read_scenario(run)
    with InputLog(run.inputs, f"when {run.path} was made"):
        simulation = open_simulation(scenario, run.seed)
    simulation.run(num_steps, progress)
    if num_steps:
        _compare(run, simulation)
    return simulation


def read_scenario(run: Run) -> Scenario:
    """Return the scenario of a finished run.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Scenario

    Raises
    ------
    RunFolderError
        If its file does not hold what the run wrote.
    """
    return parse_scenario(tomllib.loads(run.scenario_text), str(run.path / SCENARIO_FILE))


def read_columns(run: Run, name: str, columns: Sequence[str]) -> "pd.DataFrame":
    """Return a table of a run that must have these columns.

    Parameters
    ----------
    run : Run
    name : str
    columns : sequence of str

    Returns
    -------
    pandas.DataFrame
        With all of its columns.

    Raises
    ------
    RunFolderError
        If the table cannot be read or lacks one.
    """
    table: pd.DataFrame = getattr(run, name)
    if missing := [column for column in columns if column not in table]:
        msg = (
            f"{run.path / name}.parquet: no column {', '.join(missing)}: damaged, or written by "
            f"another version ({_versions(run)})"
        )
        raise RunFolderError(msg)
    return table


def _compare(run: Run, simulation: Simulation) -> None:
    """Refuse to go on if index or mark differ from what the run recorded."""
    import pandas as pd

    columns = ["step", "market", "index_price", "mark_price"]
    recorded = read_columns(run, "markets", columns)
    recorded = recorded.loc[recorded["step"] < simulation.step_count, columns]
    table = markets(simulation.result())
    again = pd.DataFrame({name: table[name] for name in columns})
    both = recorded.astype({"market": str}).merge(
        again, how="left", on=["step", "market"], suffixes=("", "_again")
    )
    for name in columns[2:]:
        wrong = both[both[name] != both[f"{name}_again"]]
        if len(wrong):
            row = wrong.iloc[0]
            msg = (
                f"{run.path}: step {row['step']}: the {name.replace('_', ' ')} of {row['market']} "
                f"was {row[name]:.10g}, done again it is {row[f'{name}_again']:.10g}: another "
                f"version made this run ({_versions(run)}); use that one, or make the run anew"
            )
            raise RunFolderError(msg)


def _versions(run: Run) -> str:
    return ", ".join(f"{name} {version}" for name, version in run.versions.items())

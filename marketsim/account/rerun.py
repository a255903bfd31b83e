"""A finished run, done again up to a step: runs are deterministic, so it is the same run."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from marketsim.model.opening import open_simulation
from marketsim.results.folder import to_arrow
from marketsim.results.record import SCENARIO_FILE
from marketsim.results.run import Run
from marketsim.results.tables import build_tables, markets
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.files import RunFolderError
from marketsim.tape.result import RunResult

if TYPE_CHECKING:
    import pandas as pd

#: Tables that a setting of a scenario's record decides about, by the beginning of its name.
RECORDED_BY = {
    "fills": ("fills",),
    "causes": ("causes",),
    "series": ("markets", "steps"),
    "population": ("population_series",),
    "snapshot": ("snapshots",),
    "contagion": ("contagion", "reproduction"),
    "depth": ("depth",),
    "book": ("book",),
    "heatmap": ("liquidation_heatmap",),
}


@dataclass(frozen=True)
class RemadeRun(Run):
    """A run that was made again with more written down; all else is that of the run before.

    Attributes
    ----------
    before : Run
    added : mapping of DataFrame
        By name, the tables that it lacks or has coarser.
    """

    before: Run = field(repr=False)
    added: "Mapping[str, pd.DataFrame]" = field(repr=False)

    @cached_property
    def scenario_text(self) -> str:
        """The resolved scenario, TOML, as it was before."""
        return self.before.scenario_text

    def table(self, name: str) -> "pd.DataFrame":
        """Return one table afresh, as `Run.table` does."""
        return self.added[name].copy() if name in self.added else self.before.table(name)


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
    simulation = open_again(run)
    simulation.run(num_steps, progress)
    if num_steps:
        _compare(run, simulation)
    return simulation


def rerun_with(run: Run, record: Mapping[str, Any], progress: Progress | None = None) -> RunResult:
    """Make a finished run again, to its end, with other settings of its record.

    Parameters
    ----------
    run : Run
    record : mapping
        Settings of the scenario's ``record``, such as ``snapshot_minutes``; the others stay.
    progress : callable, optional
        Called with (steps done, steps asked) now and then.

    Returns
    -------
    RunResult

    Raises
    ------
    RunFolderError
        If the folder is damaged, or a table is not what was recorded: another version made it.
    InputChangedError
        If a file the run was made from has changed since.
    ScenarioError
        If a setting is wrong.
    """
    simulation = open_again(run, record)
    simulation.run(int(run.summary["steps"]), progress)
    result = simulation.result()
    check_tables(run, result, record)
    return result


def open_again(run: Run, record: Mapping[str, Any] | None = None) -> Simulation:
    """Open a finished run at its start, with the inputs it was made from.

    Parameters
    ----------
    run : Run
    record : mapping, optional
        Settings of the scenario's ``record`` to be changed.

    Returns
    -------
    Simulation

    Raises
    ------
    InputChangedError
        If a file the run was made from has changed since.
    """
    scenario = read_scenario(run, record)
    with InputLog(run.inputs, f"when {run.path} was made"):
        return open_simulation(scenario, run.seed)


def check_tables(run: Run, result: RunResult, record: Mapping[str, Any] | None = None) -> None:
    """Refuse a run made again whose tables are not those of the folder.

    Parameters
    ----------
    run : Run
    result : RunResult
        Of the whole run, made again.
    record : mapping, optional
        Settings that were changed; the tables they decide about may differ.

    Raises
    ------
    RunFolderError
        If another table does.
    """
    free = {name for setting in record or () for name in _decided_by(setting)}
    again = build_tables(result)
    while isinstance(run, RemadeRun):  # what was added since is not what it recorded
        run = run.before
    for name in run.tables:
        if name in free:
            continue
        if name not in again:
            msg = f"{run.path}: the table {name} is empty when done again: {_other_version(run)}"
            raise RunFolderError(msg)
        _refuse_difference(run, name, run.table(name), to_arrow(name, again[name]).to_pandas())


def remake(run: Run, record: Mapping[str, Any], progress: Progress | None = None) -> RemadeRun:
    """Make a finished run again, as `rerun_with` does, and lay what it adds over its folder.

    Parameters
    ----------
    run : Run
    record : mapping
        Settings of the scenario's ``record``; the others stay.
    progress : callable, optional
        Called with (steps done, steps asked) now and then.

    Returns
    -------
    RemadeRun
        The same run, the tables that these settings decide about included.
    """
    built = build_tables(rerun_with(run, record, progress))
    names = [name for setting in record for name in _decided_by(setting) if name in built]
    return lay_over(run, {name: to_arrow(name, built[name]).to_pandas() for name in names})


def lay_over(run: Run, added: "Mapping[str, pd.DataFrame]") -> RemadeRun:
    """Lay tables over those of a run's folder.

    Parameters
    ----------
    run : Run
    added : mapping of DataFrame
        By name.
    """
    content = {each.name: getattr(run, each.name) for each in fields(Run)}
    content["tables"] = tuple(dict.fromkeys([*run.tables, *added]))
    return RemadeRun(**content, before=run, added=added)


def _decided_by(setting: str) -> tuple[str, ...]:
    return RECORDED_BY[setting.partition("_")[0]]


def read_scenario(run: Run, record: Mapping[str, Any] | None = None) -> Scenario:
    """Return the scenario of a finished run.

    Parameters
    ----------
    run : Run
    record : mapping, optional
        Settings of its ``record`` to be changed.

    Returns
    -------
    Scenario

    Raises
    ------
    RunFolderError
        If its file does not hold what the run wrote.
    """
    tables = tomllib.loads(run.scenario_text)
    tables["record"] = {**tables.get("record", {}), **(record or {})}
    return parse_scenario(tables, str(run.path / SCENARIO_FILE))


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
    columns = ["step", "market", "index_price", "mark_price"]
    recorded = read_columns(run, "markets", columns)
    recorded = recorded.loc[recorded["step"] < simulation.step_count, columns]
    table = markets(simulation.result())
    again = to_arrow("markets", {name: table[name] for name in columns}).to_pandas()
    _refuse_difference(run, "markets", recorded, again.iloc[: len(recorded)])


def _refuse_difference(
    run: Run, name: str, recorded: "pd.DataFrame", again: "pd.DataFrame"
) -> None:
    """Refuse to go on if a table is not, to the last digit, what the run recorded.

    Raises
    ------
    RunFolderError
    """
    import pandas as pd

    made = _other_version(run)
    if list(recorded) != list(again) or len(recorded) != len(again):
        msg = f"{run.path}: the table {name} has other rows or columns when done again: {made}"
        raise RunFolderError(msg)
    for column in recorded:
        then, now = _plain(recorded[column]), _plain(again[column])
        wrong = (then != now) & ~(pd.isna(then) & pd.isna(now))
        if wrong.any():
            row, value, other = recorded.iloc[int(wrong.argmax())], then[wrong][0], now[wrong][0]
            whose = [str(row[who]) for who in ("market", "population", "account") if who in row]
            when = f"step {row['step']}: " if "step" in row else ""
            msg = (
                f"{run.path}: {name}: {when}the {str(column).replace('_', ' ')} of "
                f"{whose[0] if whose else 'the venue'} was {_written(value)}, done again it is "
                f"{_written(other)}: {made}"
            )
            raise RunFolderError(msg)


def _plain(column: "pd.Series[Any]") -> Any:
    """Return a column as numbers, or as text."""
    return (
        column.to_numpy() if column.dtype.kind in "biufM" else column.astype(str).to_numpy(object)
    )


def _written(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _other_version(run: Run) -> str:
    return f"another version made this run ({_versions(run)}); use that one, or make the run anew"


def _versions(run: Run) -> str:
    return ", ".join(f"{name} {version}" for name, version in run.versions.items())

"""A finished run that is held in memory: the tables of a run folder, without the folder."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketsim.results.folder import to_arrow, write_run
from marketsim.results.run import Run, load_run
from marketsim.results.summary import summarise
from marketsim.results.tables import build_tables
from marketsim.scenario.inputs import Input
from marketsim.tape.events import Table
from marketsim.tape.files import RunFolderError
from marketsim.tape.result import RunResult

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class HeldRun(Run):
    """A finished run in memory; `save` makes a run folder of it."""

    result: RunResult = field(repr=False)
    columns: dict[str, Table] = field(repr=False)  #: what `build_tables` makes of it

    @cached_property
    def scenario_text(self) -> str:
        """The resolved scenario, TOML."""
        return self.result.scenario_text

    def table(self, name: str) -> "pd.DataFrame":
        """Return one table afresh, as it would be read from the run's folder.

        Raises
        ------
        RunFolderError
            If this run has no such table.
        """
        if name not in self.columns:
            raise RunFolderError(f"{self.path}: no table {name!r}, only {', '.join(self.tables)}")
        found: pd.DataFrame = to_arrow(name, self.columns[name]).to_pandas()
        return found

    def save(self, path: str | Path, force: bool = False) -> Run:
        """Write the run as a folder, completely or not at all.

        Parameters
        ----------
        path : str or Path
        force : bool
            Replace an existing run folder.

        Returns
        -------
        Run
            As read from there.

        Raises
        ------
        RunFolderError
            If the folder exists, cannot be written, or the disk is full.
        """
        return load_run(write_run(self.result, path, force, summary=self.summary))


def hold_run(result: RunResult, summary: dict[str, Any] | None = None) -> HeldRun:
    """Return a result as a run in memory.

    Parameters
    ----------
    result : RunResult
    summary : dict, optional
        What `summarise` returned for it, if it is at hand.
    """
    summary = summary or summarise(result)
    columns = build_tables(result)
    return HeldRun(
        path=Path(f"{result.scenario}-{result.seed}"),
        scenario=result.scenario,
        seed=result.seed,
        digest=summary["digest"],
        notes=tuple(result.notes),
        summary=summary,
        versions={},
        tables=tuple(columns),
        inputs=tuple(Input(*each) for each in result.inputs),
        hashes={},
        result=result,
        columns=columns,
    )

"""Reading a run folder back: pandas tables, loaded and verified when first asked for."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketsim.results import by_report
from marketsim.results.record import (
    RECORD_FILE,
    SCENARIO_FILE,
    describe,
    listed_files,
    refuse_changed,
    table_file,
)
from marketsim.scenario.coercion import path_of, whole_number
from marketsim.scenario.inputs import Input, read_inputs
from marketsim.tape.files import RunFolderError, is_sealed, open_verified

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    import xarray

    from marketsim.contagion.exposure import Exposure
    from marketsim.contagion.matrix import Contagion
    from marketsim.results.cascades import Cascade
    from marketsim.results.large_cascades import LargeCascade


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Attributes
    ----------
    path : Path
    seed : int
    digest : str
        Hash of the results.
    summary : dict
        As `marketsim run --json` prints it.
    notes : tuple of str
        What the user must know, such as how gaps of a history were bridged.
    versions : dict
        Of Python and the packages that made it.
    inputs : tuple of Input
        The files it was made from, each with the hash of its content.
    tables : tuple of str
    hashes : dict
        What every file of the folder must hold, by its name.
    """

    path: Path
    scenario: str
    seed: int
    digest: str
    notes: tuple[str, ...]
    summary: dict[str, Any] = field(repr=False)
    versions: dict[str, str] = field(repr=False)
    tables: tuple[str, ...] = field(repr=False)
    inputs: tuple[Input, ...] = field(repr=False)
    hashes: dict[str, str] = field(repr=False)

    @cached_property
    def scenario_text(self) -> str:
        """The resolved scenario, TOML."""
        file = self.path / SCENARIO_FILE
        with open_verified(file, self.hashes[SCENARIO_FILE], RunFolderError) as stream:
            return stream.read().decode()

    @property
    def market_names(self) -> tuple[str, ...]:
        """Names of the markets, in the run's order."""
        return tuple(self.summary["markets"])

    @cached_property
    def markets(self) -> "pd.DataFrame":
        """One row per step and market, as it ended: prices, premium, funding, open interest.

        `hours` and `time` of every table are those of the END of a step.
        """
        return self.table("markets")

    @cached_property
    def steps(self) -> "pd.DataFrame":
        """One row per step: insurance fund, fees, deleveraging, books."""
        return self.table("steps")

    @cached_property
    def funding(self) -> "pd.DataFrame":
        """One row per market and funding settlement."""
        return self.table("funding")

    @cached_property
    def funding_heatmap(self) -> "pd.DataFrame":
        """One row per settlement time, the rate and average premium of each market as columns."""
        return self.table("funding_heatmap")

    @cached_property
    def liquidations(self) -> "pd.DataFrame":
        """One row per liquidation order: who, what was sold where, who took the rest."""
        return self.table("liquidations")

    @cached_property
    def causes(self) -> "pd.DataFrame":
        """One row per liquidation and cause: what its pool lost since it was last safe, weight."""
        return self.table("causes")

    @cached_property
    def deleveragings(self) -> "pd.DataFrame":
        """One row per account made to close against a liquidation."""
        return self.table("deleveragings")

    @cached_property
    def populations(self) -> "pd.DataFrame":
        """One row per population: capital and profit by cause."""
        return self.table("populations")

    @cached_property
    def population_series(self) -> "pd.DataFrame":
        """One row per population and hour (or as recorded): equity, fees, exposure by market."""
        return self.table("population_series")

    @cached_property
    def accounts(self) -> "pd.DataFrame":
        """One row per account, at start and end; the insurance fund is the last."""
        return self.table("accounts")

    @cached_property
    def depth(self) -> "pd.DataFrame":
        """One row per market and moment: USD near the mid, if the scenario recorded it."""
        return self.table("depth")

    @cached_property
    def book(self) -> "pd.DataFrame":
        """One row per market, moment, side and price, if the scenario recorded whole books."""
        return self.table("book")

    @cached_property
    def snapshots(self) -> "pd.DataFrame":
        """One row per account and moment, if the scenario asked for snapshots."""
        return self.table("snapshots")

    @cached_property
    def fills(self) -> "pd.DataFrame":
        """One row per fill, if the scenario recorded them."""
        return self.table("fills")

    @cached_property
    def arrivals(self) -> "pd.DataFrame":
        """One row per trader who came, took profit or left, if the scenario's come and go."""
        return self.table("arrivals")

    @cached_property
    def reproduction(self) -> "pd.DataFrame":
        """One row per side and moment: the reproduction number, if the scenario recorded it."""
        return self.table("reproduction")

    @cached_property
    def liquidation_heatmap(self) -> "pd.DataFrame":
        """One row per moment, market, side and price band, if the scenario recorded it."""
        return self.table("liquidation_heatmap")

    @cached_property
    def plot(self) -> Any:
        """Figures of the run, a method for each kind: ``run.plot.funding_heatmap(ax=None)``."""
        return by_report.plots(self)

    def _repr_html_(self) -> str:
        return by_report.html(self)

    def cascades(self, min_weight: float = 0.05) -> "list[Cascade]":
        """Group the liquidations into cascades.

        Those of several accounts come first, then those of a single one; both from the largest on.

        Parameters
        ----------
        min_weight : float
            Liquidations tied by a smaller weight than this count as independent.

        Raises
        ------
        RunFolderError
            If the run did not record causes, or a table is damaged.
        """
        from marketsim.contagion.strikes import read_strikes
        from marketsim.results.cascades import find_cascades

        strikes = read_strikes(self.scenario_text)
        causes = self._known_causes()
        return find_cascades(self.liquidations, causes, self.market_names, strikes, min_weight)

    def large_cascades(
        self, share: float = 0.05, hours: float = 2.0, markets: int = 2, generations: int = 4
    ) -> "list[LargeCascade]":
        """List the cascades of at least a share of open interest within hours, in order of time.

        Parameters
        ----------
        share : float
            Of the open interest of all markets before them.
        hours : float
        markets, generations : int
            Least number of markets and of generations within the hours.

        Raises
        ------
        RunFolderError
            If the run did not record causes, or a table is damaged.
        ValueError
            If a bound is out of range.
        """
        from marketsim.results.large_cascades import find_large_cascades

        return find_large_cascades(
            self.cascades(),
            self.liquidations,
            self.markets,
            float(self.summary["step_minutes"]),
            share=share,
            hours=hours,
            markets=markets,
            generations=generations,
        )

    def adl_waves(self) -> "pd.DataFrame":
        """Return the waves of auto-deleveraging: what each needed, what it took, from whom.

        A row per step in which anybody was deleveraged; columns as
        `marketsim.results.waves.tabulate_waves` has them.
        """
        import pandas as pd

        from marketsim.results.waves import tabulate_waves

        minutes = float(self.summary["step_minutes"])
        tables = (self.liquidations, self.deleveragings, self.markets)
        return pd.DataFrame(tabulate_waves(*tables, minutes))

    def dollar_matrix(self) -> "pd.DataFrame":
        """Return what was liquidated in each market (rows) for losses in each (columns), USD.

        Raises
        ------
        RunFolderError
            If the run did not record causes, or a table is damaged.
        """
        from marketsim.results.cascades import dollar_matrix

        return dollar_matrix(self.liquidations, self._known_causes(), self.market_names)

    def graph(self, min_weight: float = 0.0) -> "networkx.DiGraph":
        """Return who caused whose liquidation as a directed graph.

        Parameters
        ----------
        min_weight : float
            Edges of a smaller weight are left out.

        Raises
        ------
        RunFolderError
            If the run did not record causes, or a table is damaged.
        """
        from marketsim.contagion.graph import build_graph
        from marketsim.results.cascades import tie_table

        ties = tie_table(self._known_causes(), min_weight)
        return build_graph(self.liquidations, ties, scenario=self.scenario, seed=self.seed)

    def contagion(self) -> "Contagion":
        """Return the contagion matrices and reproduction numbers, moment by moment.

        Raises
        ------
        RunFolderError
            If the run did not record them, or a table is damaged.
        """
        from marketsim.results.contagion import read_contagion

        if "contagion" not in self.tables:
            raise RunFolderError(
                f'{self.path}: no contagion matrices, its record.contagion_minutes is "never": set '
                "it (--set record.contagion_minutes=60) and run again"
            )
        return read_contagion(self.table("contagion"), self.market_names, self.path)

    def exposure(self, step: int | None = None) -> "Exposure":
        """Return the positions of all accounts at the end, or at the last snapshot up to a step.

        Raises
        ------
        RunFolderError
            If no snapshot was taken by that step, or a table is damaged.
        TypeError, ValueError
            If the step is no whole number of 0 or more.
        """
        if step is not None and whole_number("step", step) < 0:
            raise ValueError(f"step = {step}: must be 0 or more")
        from marketsim.results.contagion import read_exposure

        end = int(self.summary["steps"])
        if step is None or step >= end:
            return read_exposure(self.accounts, self.accounts, self.markets, end, end=True)
        if "snapshots" not in self.tables:
            raise RunFolderError(
                f'{self.path}: no snapshots, its record.snapshot_minutes is "never": the positions '
                "are known at the end only"
            )
        known = self.snapshots["step"]
        moment = int(known[known <= step].max())
        rows = self.snapshots[known == moment]
        return read_exposure(self.accounts, rows, self.markets, moment, end=False)

    def heatmap(self, market: str) -> "pd.DataFrame":
        """Return a market's liquidation heat map: notional (USD) by price band and hour.

        Raises
        ------
        RunFolderError
            If the run did not record it, a table is damaged, or there is no such market.
        """
        from marketsim.results.contagion import read_heatmap

        if market not in self.market_names:
            names = ", ".join(self.market_names)
            raise RunFolderError(f"{self.path}: no market {market!r}; there are {names}")
        if "liquidation_heatmap" not in self.tables:
            raise RunFolderError(
                f'{self.path}: no liquidation heat map, its record.heatmap_minutes is "never": set '
                "it (--set record.heatmap_minutes=60) and run again (or nobody ever held a "
                "position)"
            )
        return read_heatmap(self.liquidation_heatmap, market)

    def to_xarray(self, table: str = "markets") -> "xarray.Dataset":
        """Lay a table out as labelled arrays: the markets' over time x market, with units.

        Parameters
        ----------
        table : str
            One of `marketsim.results.arrays.GRIDS` that the run has.

        Returns
        -------
        xarray.Dataset
            As `marketsim.results.arrays.to_dataset` says.

        Raises
        ------
        RunFolderError
            If the run has no such table, it is damaged, or a list of events.
        MissingPackageError
            If xarray is not installed.
        """
        from marketsim.results.arrays import to_dataset

        facts: dict[str, str | int] = {"scenario": self.scenario, "seed": self.seed}
        return to_dataset(self.table(table), table, **facts, digest=self.digest)

    def _known_causes(self) -> "pd.DataFrame":
        from marketsim.results.cascades import check_causes

        check_causes(self.causes, self.liquidations, self.path)
        return self.causes

    def table(self, name: str) -> "pd.DataFrame":
        """Read one table afresh.

        Parameters
        ----------
        name : str
            One of `tables`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        RunFolderError
            If this run has no such table, or its file does not hold what the run wrote.
        """
        import pandas as pd

        if name not in self.tables:
            msg = f"{self.path}: no table {name!r}, only {', '.join(self.tables)}"
            raise RunFolderError(msg)
        file = table_file(name)
        with open_verified(self.path / file, self.hashes[file], RunFolderError) as stream:
            return pd.read_parquet(stream, use_threads=False, page_checksum_verification=True)


def load_run(path: str | Path) -> Run:
    """Open a run folder.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Run

    Raises
    ------
    RunFolderError
        If there is no run folder, a file is missing or cut short, or another version wrote it.
    TypeError, ValueError
        If the path is none, or empty.
    """
    folder = path_of("path", path)
    record = describe(folder)
    files = listed_files(record)
    for name, facts in files.items():
        file = folder / name
        if not file.is_file():
            msg = f"{file}: missing, the run folder is damaged"
            raise RunFolderError(msg)
        if file.stat().st_size != facts["bytes"]:
            msg = f"{file}: {file.stat().st_size:,} bytes instead of {facts['bytes']:,}, damaged"
            raise RunFolderError(msg)
    hashes = {name: facts["hash"] for name, facts in files.items()}
    if not is_sealed(record):
        refuse_changed(folder, hashes)
    return Run(
        path=folder,
        scenario=record["scenario"],
        seed=record["seed"],
        digest=record["digest"],
        notes=tuple(record["notes"]),
        summary=record["summary"],
        versions=record["versions"],
        tables=tuple(record["tables"]),
        inputs=read_inputs(record["inputs"], folder / RECORD_FILE, RunFolderError),
        hashes=hashes,
    )

"""The runs of a sweep as a user holds them: a pandas frame that can become labelled arrays."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from marketsim.results.arrays import describe, load_xarray, plain
from marketsim.results.columns import figure_unit
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.query import query_sweep

if TYPE_CHECKING:
    import xarray

#: Kinds of a design whose cells are all combinations of levels.
GRIDS = ("grid", "pairs")


class SweptRuns(pd.DataFrame):
    """One row per run of each cell and variant, as `marketsim.load_sweep` says."""

    @property
    def _constructor(self) -> "type[SweptRuns]":
        return SweptRuns

    def to_xarray(  # type: ignore[misc]  # pandas' own lays every column along the index
        self, *, series: bool = False
    ) -> "xarray.Dataset":
        """Lay the runs out as arrays: parameters x variant x replicate.

        Parameters
        ----------
        series : bool, optional
            Also the market series of every run, x time x market, of a sweep that keeps them.

        Returns
        -------
        xarray.Dataset
            A variable for each figure, with its ``units``. The cells of a grid lie along its
            parameters, those of other designs along ``cell``. Where there is no run, ``status`` is
            "" and numbers are NaN; the other rows are these runs, all their digits.

        Raises
        ------
        SweepFolderError
            If the series are asked for and were not kept.
        ValueError
            If columns that say where a run lies are missing, or a run is there twice.
        MissingPackageError
            If xarray is not installed.
        """
        parameters = list(self.attrs["parameters"])
        places = [*parameters, "cell", "variant", "replicate"]
        missing = [name for name in (*places, "seed") if name not in self]
        if missing:
            names = ", ".join(missing)
            raise ValueError(f"runs: columns {names} are missing: keep them, they place the runs")
        if self.duplicated(["cell", "variant", "replicate"]).any():
            raise ValueError("runs: some are there twice: take drop_duplicates() first")
        is_grid = bool(parameters) and self.attrs["kind"] in GRIDS
        is_grid = is_grid and not self.duplicated([*parameters, "variant", "replicate"]).any()
        cells = parameters if is_grid else ["cell"]
        across = ["cell"] if is_grid else parameters
        grid = _Grid(self, [*cells, "variant", "replicate"])
        coords: dict[str, Any] = {name: (name, known) for name, known in grid.labels.items()}
        coords |= {name: _Grid(self, cells).variable(self[name]) for name in across}
        coords["seed"] = _Grid(self, ["replicate"]).variable(self["seed"])
        variables = {
            name: (*grid.variable(self[name]), _units(name))
            for name in map(str, self)
            if name not in coords
        }
        if series:
            more, variables_of_series = self._series(grid)
            coords |= more
            variables |= variables_of_series
        facts = {name: self.attrs[name] for name in ("sweep", "model")}
        return load_xarray().Dataset(variables, coords, facts)

    def _series(self, grid: "_Grid") -> tuple[dict[str, Any], dict[str, Any]]:
        """Read the kept series; return the coordinates they add, and the variables."""
        folder = Path(self.attrs["folder"])
        if "series" not in self.attrs["keep"]:
            raise SweepFolderError(f'{folder}: keeps no series; a design has keep = ["series"]')
        rows = query_sweep(folder, "SELECT * FROM series ORDER BY step")
        # Points of the same scenario share their runs, and so their keys.
        placed = pd.DataFrame({"key": self["key"], "place": grid.place})
        rows = placed.merge(rows, on="key")
        along = _Grid(rows, ["hours", "market"])
        shape, dims = (*grid.shape, *along.shape), (*grid.labels, "time", "market")
        place = rows["place"].to_numpy() * along.size + along.place
        moments = _Grid(rows, ["hours"])
        clock = {name: moments.variable(rows[name])[1] for name in ("hours", "step")}
        coords = {
            "time": ("time", clock["hours"], describe("markets", "hours")),
            "hours": ("time", clock["hours"], describe("markets", "hours")),
            "step": ("time", clock["step"], describe("markets", "step")),
            "market": ("market", along.labels["market"]),
        }
        skipped = ("key", "place", "hours", "step", "time", "market")
        variables = {
            f"series.{name}": (
                dims,
                _scattered(plain(rows[name]), place, shape),
                describe("markets", name),
            )
            for name in map(str, rows)
            if name not in skipped
        }
        return coords, variables


class _Grid:
    """Where the rows of a frame lie among all combinations of some of its columns.

    Attributes
    ----------
    labels : dict of ndarray
        What each column takes, in the order of appearance.
    place : ndarray
        Of each row, in the flat grid.
    """

    def __init__(self, rows: pd.DataFrame, names: list[str]) -> None:
        self.labels: dict[str, Any] = {}
        codes = []
        for name in names:
            code, known = pd.factorize(plain(rows[name]), use_na_sentinel=False)
            self.labels[name] = known
            codes.append(code)
        self.shape = tuple(map(len, self.labels.values()))
        self.size = int(np.prod(self.shape))
        self.place = np.ravel_multi_index(codes, self.shape) if len(rows) else np.zeros(0, np.int64)

    def variable(self, column: "pd.Series[Any]") -> tuple[tuple[str, ...], Any]:
        """Lay a column out: dimensions and values."""
        return tuple(self.labels), _scattered(plain(column), self.place, self.shape)


def _scattered(values: Any, place: Any, shape: tuple[int, ...]) -> Any:
    """Put values into a grid; where none is, "" or NaN, which makes floats of whole numbers."""
    size = int(np.prod(shape))
    if values.dtype == object:
        found = np.full(size, "", object)
    else:
        is_full = len(np.unique(place)) == size
        kind = values.dtype if is_full else np.result_type(values.dtype, np.float32)
        found = np.empty(size, kind) if is_full else np.full(size, np.nan, kind)
    found[place] = values
    return found.reshape(shape)


def _units(name: str) -> dict[str, str]:
    unit = figure_unit(name)
    return {"units": unit} if unit else {}

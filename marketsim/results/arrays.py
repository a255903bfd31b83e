"""Tables of a run as labelled arrays (xarray), every variable with its unit."""

from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.results.columns import describe_column
from marketsim.tape.files import RunFolderError

if TYPE_CHECKING:
    import pandas as pd
    import xarray

#: Dimensions of the tables that are grids, beside time where they have hours; other tables are
#: lists of events.
GRIDS = {
    "markets": ("market",),
    "steps": (),
    "funding_heatmap": (),
    "populations": ("population",),
    "population_series": ("population",),
    "accounts": ("account",),
    "contagion": ("side", "market", "cause"),
    "reproduction": ("side",),
    "depth": ("market",),
    "snapshots": ("account",),
}
#: Columns that say when a row is true, along the dimension of time.
CLOCK = ("time", "hours", "step")


class MissingPackageError(ImportError):
    """An optional package that is not installed."""


def load_xarray() -> Any:
    """Return xarray.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise MissingPackageError(
            f"to_xarray needs xarray: pip install 'marketsim-perps[xarray]' ({error})"
        ) from error
    return xarray


def to_dataset(frame: "pd.DataFrame", table: str, **facts: str | int) -> "xarray.Dataset":
    """Lay a table of a run out as arrays.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    table : str
        Its name.
    **facts
        Attributes of the whole.

    Returns
    -------
    xarray.Dataset
        A variable for each column, over `GRIDS` and, where the table has hours, over ``time``: in
        UTC where the run replays a calendar, else in hours since the start. ``units`` and
        ``description`` are attributes of each. ``to_dataframe`` brings every row back.

    Raises
    ------
    RunFolderError
        If the table is a list of events and no grid.
    """
    if table not in GRIDS:
        raise RunFolderError(
            f"table {table!r} is a list of events, which are no arrays: take it as pandas has it; "
            f"arrays are made of {', '.join(GRIDS)}"
        )
    lengthwise = ("hours", *GRIDS[table]) if "hours" in frame else GRIDS[table]
    labels = {name: frame[name].unique() for name in lengthwise}
    shape = tuple(map(len, labels.values()))
    each = np.meshgrid(*map(np.arange, shape), indexing="ij")
    for (name, known), place in zip(labels.items(), each, strict=True):
        if len(frame) != place.size or (frame[name] != known.take(place.reshape(-1))).any():
            raise RunFolderError(f"table {table!r}: damaged, its rows are no grid")
    dims = tuple("time" if name == "hours" else name for name in lengthwise)
    coords: dict[str, Any] = {
        name: (name, np.asarray(known), describe(table, name))
        for name, known in labels.items()
        if name != "hours"
    }
    if "hours" in frame:
        rows = frame.iloc[:: len(frame) // max(shape[0], 1) or 1]
        coords |= _clock(rows, table)
    variables = {
        name: (dims, plain(frame[name]).reshape(shape), describe(table, name))
        for name in map(str, frame)
        if name not in (*CLOCK, *labels)
    }
    return load_xarray().Dataset(variables, coords, {"table": table, **facts})


def _clock(rows: "pd.DataFrame", table: str) -> dict[str, Any]:
    """Return the coordinates along time, of one row for each moment."""
    found = {name: ("time", rows[name].to_numpy(), describe(table, name)) for name in CLOCK[1:]}
    if "time" in rows:
        moments = rows["time"].dt.tz_localize(None).to_numpy()  # arrays know no time zones
        about = {"description": describe_column(table, "time").text, "time_zone": "UTC"}
        return {"time": ("time", moments, about), **found}
    return {"time": found["hours"], **found}


def plain(column: "pd.Series") -> Any:
    """Return a column's values as numbers or Python's texts."""
    is_text = column.dtype.kind not in "biuf"
    return column.astype(object).to_numpy() if is_text else column.to_numpy()


def describe(table: str, name: str) -> dict[str, str]:
    """Return the attributes of a column's variable: its unit, if it has one, and what it says."""
    column = describe_column(table, name)
    units = {"units": column.unit} if column.unit else {}
    return {**units, "description": column.text}

"""What a run recorded of contagion, read back from its tables."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.contagion.exposure import Exposure
from marketsim.contagion.matrix import Contagion, ContagionMatrix
from marketsim.contagion.recorder import SIDES
from marketsim.tape.files import RunFolderError
from marketsim.tape.moments import finite
from marketsim.tape.result import Floats

if TYPE_CHECKING:
    import pandas as pd


def read_contagion(table: "pd.DataFrame", markets: tuple[str, ...], path: Path) -> Contagion:
    """Read the contagion matrices of a run.

    Parameters
    ----------
    table : DataFrame
        Of contagion matrices.
    markets : tuple of str
    path : Path
        Of the run, for the error.

    Raises
    ------
    RunFolderError
        If the table is damaged.
    """
    each = len(SIDES) * len(markets) ** 2
    if len(table) % each:
        raise RunFolderError(f"{path}: the table of contagion matrices is damaged")
    shape = (-1, len(SIDES), len(markets), len(markets))
    matrices, on_paper, recovery = (
        table[name].to_numpy().reshape(shape) for name in ("m", "m_on_paper", "recovery")
    )
    return Contagion(
        markets=markets,
        steps=table["step"].to_numpy()[::each],
        hours=table["hours"].to_numpy()[::each],
        matrices=matrices,
        on_paper=on_paper,
        recovery=recovery[:, 0, :, 0],
    )


def read_exposure(
    accounts: "pd.DataFrame", rows: "pd.DataFrame", series: "pd.DataFrame", step: int, *, end: bool
) -> Exposure:
    """Read the positions of a run at one moment.

    Parameters
    ----------
    accounts : DataFrame
        The table of accounts.
    rows : DataFrame
        What they held: the table of accounts itself at the end, else the snapshot of the moment.
    series : DataFrame
        The table of markets.
    step : int
        Steps done.
    end : bool
        Whether the moment is the end of the run.
    """
    markets = tuple(dict.fromkeys(series["market"].astype(str)))
    before = series[series["step"] < max(step, 1)]
    last = before.groupby("market", sort=False, observed=True)["mark_price"].last()
    held, equity = ("size_end_", "equity_end_usd") if end else ("size_", "equity_usd")
    size = rows[[f"{held}{name}" for name in markets]].to_numpy(np.float64)[:-1]
    traders = accounts.iloc[:-1]
    return Exposure(
        markets=markets,
        population=tuple(traders["population"].astype(str)),
        notional=size * last[list(markets)].to_numpy(np.float64),
        pool=traders[[f"pool_{name}" for name in markets]].to_numpy(np.int64),
        equity=rows[equity].to_numpy(np.float64)[:-1],
        step=step,
    )


def read_heatmap(table: "pd.DataFrame", market: str) -> "pd.DataFrame":
    """Read a market's liquidation heat map: notional (USD) by price band and hour.

    Parameters
    ----------
    table : DataFrame
        The heat map of all markets.
    market : str

    Returns
    -------
    pandas.DataFrame
        Index: lower edges of the price bands, USD; columns: hours; longs and shorts together.
    """
    own = table[table["market"].astype(str) == market]
    grid = own.pivot_table(index="band", columns="hours", values="notional_usd", aggfunc="sum")
    edges = own.groupby("band")["low_price"].min()
    bands = np.arange(grid.index.min(), grid.index.max() + 1) if len(grid) else grid.index
    grid = grid.reindex(bands).fillna(0.0)
    known = edges.reindex(bands).to_numpy(np.float64)
    grid.index = np.exp(_filled(np.log(known)))
    grid.index.name = "price"
    return grid


def summarise_contagion(contagion: Contagion, exposure: Exposure) -> dict[str, Any]:
    """Sum up what a run recorded of contagion in numbers that JSON can hold.

    Parameters
    ----------
    contagion : Contagion
        Of one moment at least.
    exposure : Exposure
        Of its end.

    Returns
    -------
    dict
        What does not exist is None.
    """
    numbers, on_paper = contagion.reproduction_number, contagion.reproduction_on_paper
    return {
        "moments": len(contagion.steps),
        "steps": contagion.steps.tolist(),
        "reproduction_number": {side: [finite(value) for value in numbers[side]] for side in SIDES},
        "reproduction_on_paper": {
            side: [finite(value) for value in on_paper[side]] for side in SIDES
        },
        "mean_on_paper": {side: finite(on_paper[side].mean()) for side in SIDES},
        "recovery": _recovery(contagion),
        "mean": {side: finite(numbers[side].mean()) for side in SIDES},
        "peak": {side: _peak(contagion.peak(side), side) for side in SIDES},
        "concentration": [
            {
                str(key): finite(value) if isinstance(value, float) else value
                for key, value in row.items()
            }
            for row in exposure.concentration().to_dict("records")
        ],
        "overlap": _nested(exposure.overlap()),
        "alignment": _nested(exposure.alignment()),
    }


def _recovery(contagion: Contagion) -> dict[str, float | None]:
    """Return the share of an impact each book took back in a step, as measured at the end."""
    if contagion.recovery is None:
        return dict.fromkeys(contagion.markets)
    return dict(zip(contagion.markets, contagion.recovery[-1].tolist(), strict=True))


def _peak(matrix: ContagionMatrix, side: str) -> dict[str, Any]:
    number = matrix.reproduction_number(side)
    known = math.isfinite(number)
    return {
        "step": matrix.step,
        "reproduction_number": finite(number),
        "reproduction_on_paper": finite(matrix.reproduction_on_paper(side)),
        "matrix": _nested(matrix.table(side)),
        "leaders": matrix.leaders(side) if known else None,
        "amplification": _nested(matrix.amplification(side)) if number < 1.0 else None,
    }


def _nested(table: "pd.DataFrame") -> dict[str, dict[str, float | None]]:
    """Return a square table as numbers by row and column."""
    return {
        str(row): {str(column): finite(table.loc[row, column]) for column in table.columns}
        for row in table.index
    }


def _filled(values: Floats) -> Floats:
    """Fill gaps between known values straight."""
    known = np.isfinite(values)
    places = np.arange(len(values))
    return np.interp(places, places[known], values[known]) if known.any() else values

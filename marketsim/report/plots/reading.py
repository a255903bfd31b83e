"""What figures take from a run: a market's rows, whom an option names, times."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.report.canvas import FigureError
from marketsim.results.run import Run
from marketsim.scenario.errors import one_of

if TYPE_CHECKING:
    import pandas as pd

#: Lines of markets that can be told apart in one figure.
MAX_LINES = 5
#: Letters of a market's name in a legend.
MARKET = 18


def rows_of(table: "pd.DataFrame", market: str) -> "pd.DataFrame":
    """Return a market's rows of a table."""
    return table[table["market"].astype(str) == market]


def place_of(run: Run, market: str) -> int:
    """Return a market's place in the run's list, which gives it its colour."""
    return run.market_names.index(market)


def chosen_market(run: Run, market: str | None) -> str:
    """Return the market asked for; left out, the one most was liquidated in.

    Raises
    ------
    FigureError
        If there is no such market.
    """
    return chosen_markets(run, market)[0]


def chosen_markets(run: Run, market: str | None, most: int = MAX_LINES) -> list[str]:
    """Return the market asked for; left out, all, or those most was liquidated in.

    Parameters
    ----------
    run : Run
    market : str or None
    most : int, optional
        How many there is room for.

    Returns
    -------
    list of str
        The market most was liquidated in first if there is no room for all, or else in the run's
        order.

    Raises
    ------
    FigureError
        If there is no such market.
    """
    names = run.market_names
    if market is not None:
        if market not in names:
            raise FigureError(f"market {market!r}: {one_of(market, names)}")
        return [market]
    usd = liquidated_by_market(run)
    if most >= len(names) > 1 and most > 1:
        return list(names)
    return sorted(names, key=lambda name: -usd[name])[:most]


def liquidated_by_market(run: Run) -> dict[str, float]:
    """Return what was liquidated in each market, USD."""
    rows = run.liquidations
    usd = rows.groupby(rows["market"].astype(str))["notional_usd"].sum()
    return {name: float(usd.get(name, 0.0)) for name in run.market_names}


def left_out(run: Run, shown: Sequence[str]) -> str:
    """Say which part of a run's markets a figure shows; nothing if it shows all or one."""
    total = len(run.market_names)
    return "" if len(shown) in {1, total} else f" ({len(shown)} of {total} markets)"


def step_minutes(run: Run) -> float:
    """Return the minutes of a step."""
    return float(run.summary["step_minutes"])


def whole_hours(run: Run) -> float:
    """Return how long the run is, hours."""
    return float(run.summary["steps"]) * step_minutes(run) / 60.0


def edges(times: Any, end: float) -> Any:
    """Return the edges of cells that each hold from their time to the next, the last to the end."""
    times = np.asarray(times, np.float64)
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return np.append(times, max(end, times[-1] + 1e-6) if end > times[-1] else times[-1] + usual)


def atoms(usd: Any) -> Any:
    """Return amounts that were written in USD as whole atoms, as they were."""
    from marketsim.engine.state import ATOMS

    return np.rint(np.asarray(usd, np.float64) * ATOMS).astype(np.int64)

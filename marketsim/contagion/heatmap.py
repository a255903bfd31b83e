"""The liquidation heat map: how much would be liquidated where, and how that changes with time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from marketsim.engine.triggers import find_triggers
from marketsim.record.result import Floats, Integers
from marketsim.record.run import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

    from marketsim.record.run import Run
    from marketsim.simulation import Simulation


@dataclass(frozen=True, eq=False)
class LiquidationMap:
    """The marks at which a market's positions would be liquidated, other marks as they are.

    Attributes
    ----------
    market : str
    account : ndarray, (positions,)
    trigger : ndarray, (positions,)
        Ticks: the first mark that takes the position's pool below maintenance.
    size : ndarray, (positions,)
        Lots, long > 0.
    mark_ticks : int
    tick_size, lot_size : float
        USD and coins.
    """

    market: str
    account: Integers
    trigger: Integers
    size: Integers
    mark_ticks: int
    tick_size: float
    lot_size: float

    def seized_lots(self, ticks: int) -> int:
        """Return the lots of the positions that a jump of the mark to `ticks` would seize."""
        low, high = sorted((ticks, self.mark_ticks))
        hit = (self.trigger >= low) & (self.trigger <= high)
        # A fall seizes longs, a rise shorts; pools below maintenance already go either way.
        side = np.where(self.size > 0, -1, 1)
        hit &= (side * (ticks - self.mark_ticks) > 0) | (self.trigger == self.mark_ticks)
        return int(np.abs(self.size[hit]).sum())

    def seized_usd(self, price: float) -> float:
        """Return what a jump of the mark to `price` (USD) would seize, USD at that price."""
        ticks = round(price / self.tick_size)
        return self.seized_lots(ticks) * self.lot_size * ticks * self.tick_size


def measure(simulation: "Simulation", market: str) -> LiquidationMap:
    """Find the triggers of a market in a simulation as it stands.

    Raises
    ------
    KeyError
        If there is no such market.
    """
    if market not in simulation.market_names:
        raise KeyError(f"no market {market!r}; there are {', '.join(simulation.market_names)}")
    m = simulation.market_names.index(market)
    trigger = find_triggers(simulation.state)[:, m]
    account = np.flatnonzero(trigger)
    row = simulation.state.market[m]
    return LiquidationMap(
        market=market,
        account=account,
        trigger=trigger[account],
        size=np.asarray(simulation.state.position["size"][account, m]),
        mark_ticks=int(row.mark_ticks),
        tick_size=float(row.tick_size),
        lot_size=float(row.lot_size),
    )


def read_heatmap(run: "Run", market: str) -> "pd.DataFrame":
    """Read a market's liquidation heat map: notional (USD) by price band and hour.

    Returns
    -------
    pandas.DataFrame
        Index: lower edges of the price bands, USD; columns: hours; longs and shorts together.

    Raises
    ------
    RunFolderError
        If the run did not record it, a table is damaged, or there is no such market.
    """
    markets = tuple(run.summary["markets"])
    if market not in markets:
        raise RunFolderError(f"{run.path}: no market {market!r}; there are {', '.join(markets)}")
    if "liquidation_heatmap" not in run.tables:
        raise RunFolderError(
            f'{run.path}: no liquidation heat map, its record.heatmap_minutes is "never": set it '
            "(--set record.heatmap_minutes=60) and run again (or nobody ever held a position)"
        )
    table = run.liquidation_heatmap
    own = table[table["market"].astype(str) == market]
    grid = own.pivot_table(index="band", columns="hours", values="notional_usd", aggfunc="sum")
    edges = own.groupby("band")["low_price"].min()
    bands = np.arange(grid.index.min(), grid.index.max() + 1) if len(grid) else grid.index
    grid = grid.reindex(bands).fillna(0.0)
    known = edges.reindex(bands).to_numpy(np.float64)
    grid.index = np.exp(_filled(np.log(known)))
    grid.index.name = "price"
    return grid


def _filled(values: Floats) -> Floats:
    """Fill gaps between known values straight."""
    known = np.isfinite(values)
    places = np.arange(len(values))
    return np.interp(places, places[known], values[known]) if known.any() else values

"""The liquidation heat map: how much would be liquidated where, and how that changes with time."""

from dataclasses import dataclass

import numpy as np

from marketsim.contagion.triggers import find_triggers
from marketsim.engine.state import State
from marketsim.tape.result import Integers


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


def measure_triggers(state: State, markets: tuple[str, ...], market: str) -> LiquidationMap:
    """Find the triggers of one of a venue's markets as things stand.

    Parameters
    ----------
    state : State
    markets : tuple of str
        Names of all.
    market : str

    Raises
    ------
    KeyError
        If there is no such market.
    """
    if market not in markets:
        raise KeyError(f"no market {market!r}; there are {', '.join(markets)}")
    m = markets.index(market)
    trigger = find_triggers(state)[:, m]
    account = np.flatnonzero(trigger)
    row = state.market[m]
    return LiquidationMap(
        market=market,
        account=account,
        trigger=trigger[account],
        size=np.asarray(state.position["size"][account, m]),
        mark_ticks=int(row.mark_ticks),
        tick_size=float(row.tick_size),
        lot_size=float(row.lot_size),
    )

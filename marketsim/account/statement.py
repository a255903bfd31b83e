"""An account's margin maths, line by line: what each pool holds, must hold, and can still lose.

Every number comes from the engine's own kernels, on a copy of the account alone: the venue's rules,
the marks, one trader and the insurance fund. Re-marking the copy answers "what if".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from marketsim.engine import margin, pools
from marketsim.engine.paper import TRADER as ME
from marketsim.engine.paper import move_in, paper_venue, trial_copy
from marketsim.engine.state import ATOMS, MAX_PRICE_TICKS, ONE, State
from marketsim.results import by_report

#: The move by which every market is tried, as a fraction.
MOVE = 0.01


@dataclass(frozen=True)
class MarketMove:
    """What the moves of one market alone do to a pool."""

    market: str
    up_usd: float  #: change of the buffer if the market rises by 1 %
    down_usd: float  #: and if it falls by 1 %
    exhausted_at: float | None  #: USD: first mark at which the pool is seized; None: there is none
    exhausted_by: float | None  #: that move, as a fraction of the mark


@dataclass(frozen=True)
class PositionStatement:
    """One position; USD and coins."""

    market: str
    size: float  #: coins, long > 0
    entry_price: float
    index_price: float
    mark_price: float
    profit_usd: float  #: size x (mark - entry)
    notional_usd: float
    tier: int  #: from 1
    initial_margin_fraction: float
    maintenance_margin_fraction: float
    initial_usd: float
    maintenance_usd: float
    liquidation_price: float | None  #: first mark at which its pool is seized, others as they are
    maintenance_price: float | None  #: at which that pool by its own means meets its maintenance
    bankruptcy_price: float | None


@dataclass(frozen=True)
class Holding:
    """Coins or stablecoins that back the main pool."""

    name: str  #: market of the coin, "stablecoins" for those
    amount: float
    value_usd: float


@dataclass(frozen=True)
class PoolStatement:
    """One pool: what it is worth against what it must hold."""

    name: str
    pool: int  #: number in the venue it was taken from
    cash_usd: float  #: wallet: without what the open positions are worth
    holdings: tuple[Holding, ...]
    holdings_usd: float  #: after the haircut
    profit_usd: float  #: of the open positions
    equity_usd: float  #: cash + holdings after the haircut + profit
    initial_usd: float
    maintenance_usd: float
    buffer_usd: float  #: equity - maintenance
    notional_usd: float
    leverage: float | None  #: notional / equity
    draw_left_usd: float  #: what it may still draw from the main pool
    positions: tuple[PositionStatement, ...]
    moves: tuple[MarketMove, ...]

    @property
    def is_liquidatable(self) -> bool:
        """Whether the pool is below its maintenance margin."""
        return self.buffer_usd < 0.0


@dataclass(frozen=True)
class Statement:
    """An account at one moment, pool by pool; pools without money or positions are left out."""

    equity_usd: float  #: of all pools, after haircuts
    buffer_usd: float  #: of all pools with a position
    pools: tuple[PoolStatement, ...]

    def _repr_html_(self) -> str:
        return by_report.html(self)

    @property
    def positions(self) -> tuple[PositionStatement, ...]:
        """All positions, pool by pool."""
        return tuple(position for pool in self.pools for position in pool.positions)


class Account:
    """A copy of one account: the rules, marks and pools of its venue, and nobody else.

    Parameters
    ----------
    state : State
        The venue; it is left as it is.
    account : int
    market_names : tuple of str
    atoms : int, optional
        In one USD of that venue.

    Attributes
    ----------
    state : State
        A venue on paper, see `marketsim.engine.paper`.
    numbers : dict of int
        Number in the venue of each pool of the trader by its number in `state`, the main one first.
    """

    def __init__(
        self, state: State, account: int, market_names: tuple[str, ...], atoms: int = ATOMS
    ) -> None:
        self.market_names = market_names
        self.atoms = atoms
        self.state = paper_venue(state)
        move_in(state, account, self.state)
        places = [ME, *self.state.position["pool"][ME].tolist()]
        numbers = [account, *state.position["pool"][account].tolist()]
        own = dict(zip(places, numbers, strict=True))
        self.numbers = dict(sorted(own.items(), key=itemgetter(1)))

    @property
    def places(self) -> list[int]:
        """Pools of the copy that are the trader's, in the order of the venue."""
        return list(self.numbers)

    def marked(self, moves: Mapping[int, int]) -> State:
        """Return the copy with the marks of some markets, and their indices, moved to these ticks.

        Cash and pools of what is returned are its own.
        """
        trial = trial_copy(self.state)
        for m, ticks in moves.items():
            market = trial.market[m]
            index = int(market.index_ticks) * ticks / int(market.mark_ticks)
            market.index_ticks = min(max(round(index), 1), MAX_PRICE_TICKS)
            market.mark_ticks = ticks
        return trial

    def moved(self, m: int, move: float) -> int:
        """Mark of market `m` after a relative move, in ticks."""
        ticks = round(int(self.state.market[m].mark_ticks) * (1.0 + move))
        return min(max(ticks, 1), MAX_PRICE_TICKS)

    def buffer(self, place: int, moves: Mapping[int, int]) -> int:
        """Equity less maintenance of a pool by its own means, atoms."""
        state = self.marked(moves)
        pools.assess_pool(state, place)
        return int(state.pool[place].equity - state.pool[place].maintenance)

    def is_seized(self, place: int, m: int, ticks: int) -> bool:
        """Tell whether a margin pass at this mark of market `m` seizes a pool; draws included."""
        state = self.marked({m: ticks})
        margin.assess_pools(state)
        pool = state.pool[place]
        return bool(margin.is_short(int(pool.equity), int(pool.maintenance)))

    def first_seizure(self, place: int, m: int, side: int) -> int | None:
        """Find the first mark up (`side` 1) or down (-1), in ticks, at which a pool is seized."""
        safe = int(self.state.market[m].mark_ticks)
        seized = MAX_PRICE_TICKS if side > 0 else 1
        if self.is_seized(place, m, safe):
            return safe
        if not self.is_seized(place, m, seized):
            return None
        while abs(seized - safe) > 1:
            middle = (safe + seized) // 2
            if self.is_seized(place, m, middle):
                seized = middle
            else:
                safe = middle
        return seized


def state_account(account: Account) -> Statement:
    """Write an account's margin maths down.

    Parameters
    ----------
    account : Account

    Returns
    -------
    Statement
    """
    pools.update_open_interest_ratios(account.state)
    written = [_state_pool(account, place) for place in account.places]
    held = [pool for pool in written if pool.positions or pool.equity_usd or pool.cash_usd]
    return Statement(
        equity_usd=sum(pool.equity_usd for pool in held),
        buffer_usd=sum(pool.buffer_usd for pool in held if pool.positions),
        pools=tuple(held),
    )


def pool_name(market_names: tuple[str, ...], markets: Any, is_main: bool, draw_limit: int) -> str:
    """Name a pool by its margin mode and what it holds."""
    if is_main:
        return "main pool (cross)"
    names = "+".join(market_names[m] for m in markets)
    return f"{names} ({'isolated' if draw_limit == 0 else 'partial'})"


def _state_pool(account: Account, place: int) -> PoolStatement:
    state, atoms = account.state, account.atoms
    pools.assess_pool(state, place)
    pool = state.pool[place]
    inside = np.flatnonzero(np.asarray(state.position["pool"][ME]) == place)
    held = [int(m) for m in inside if state.position[ME, m].size != 0]
    exposed = _exposed(account, place)
    moves = tuple(_try_moves(account, place, m) for m in exposed)
    seized_at = {m: move.exhausted_at for m, move in zip(exposed, moves, strict=True)}
    positions = tuple(_state_position(account, m, seized_at[m]) for m in held)
    holdings, worth = _state_holdings(account) if place == ME else ((), 0)
    entry = sum(int(state.position[ME, m].entry_cost) for m in held)
    notional = sum((position.notional_usd for position in positions), 0.0)
    equity, maintenance = int(pool.equity), int(pool.maintenance)
    draw_left = int(state.draw[place].limit - state.draw[place].drawn)
    return PoolStatement(
        name=pool_name(account.market_names, inside, place == ME, int(state.draw[place].limit)),
        pool=account.numbers[place],
        cash_usd=(int(pool.cash) + entry) / atoms,
        holdings=holdings,
        holdings_usd=worth / atoms,
        profit_usd=(equity - int(pool.cash) - entry - worth) / atoms,
        equity_usd=equity / atoms,
        initial_usd=int(pools.initial_margin(state, place)) / atoms,
        maintenance_usd=maintenance / atoms,
        buffer_usd=(equity - maintenance) / atoms,
        notional_usd=notional,
        leverage=notional * atoms / equity if equity > 0 else None,
        draw_left_usd=draw_left / atoms if place != ME else 0.0,
        positions=positions,
        moves=moves,
    )


def _exposed(account: Account, place: int) -> list[int]:
    """List the markets whose moves change a pool that holds positions."""
    state = account.state
    position = state.position[ME]
    held = (np.asarray(position["pool"]) == place) & (np.asarray(position["size"]) != 0)
    if not held.any():
        return []
    if place == ME and state.venue[0].spot_haircut < ONE:
        held |= state.spot[ME] != 0
    return [int(m) for m in np.flatnonzero(held)]


def _state_position(account: Account, m: int, seized_at: float | None) -> PositionStatement:
    state, atoms = account.state, account.atoms
    market, position = state.market[m], state.position[ME, m]
    tick, size, unit = float(market.tick_size), int(position.size), int(market.tick_atoms)
    marked = size * int(market.mark_ticks) * unit
    number = int(pools.bracket(state, m, abs(marked)))
    tier = state.tier[m, number]
    return PositionStatement(
        market=account.market_names[m],
        size=size * float(market.lot_size),
        entry_price=int(position.entry_cost) / (size * unit) * tick,
        index_price=float(market.index_price),
        mark_price=int(market.mark_ticks) * tick,
        profit_usd=(marked - int(position.entry_cost)) / atoms,
        notional_usd=abs(marked) / atoms,
        tier=number + 1,
        initial_margin_fraction=int(tier.initial_fraction) / ONE,
        maintenance_margin_fraction=int(tier.maintenance_fraction) / ONE,
        initial_usd=int(pools.initial_requirement(state, ME, m, size)) / atoms,
        maintenance_usd=int(pools.maintenance_requirement(state, m, size)) / atoms,
        liquidation_price=seized_at,
        maintenance_price=_price(pools.liquidation_price(state, ME, m), tick),
        bankruptcy_price=_price(pools.bankruptcy_price(state, ME, m), tick),
    )


def _state_holdings(account: Account) -> tuple[tuple[Holding, ...], int]:
    """List coins and stablecoins at market value, and their value as collateral in atoms."""
    state, atoms = account.state, account.atoms
    found = []
    stable = int(state.stable[ME])
    if stable:
        worth = stable / atoms * int(state.totals[0].stable_price) / ONE
        found.append(Holding("stablecoins", stable / atoms, worth))
    for m, name in enumerate(account.market_names):
        market, lots = state.market[m], int(state.spot[ME, m])
        if lots:
            worth = lots * int(market.index_ticks) * int(market.tick_atoms) / atoms
            found.append(Holding(name, lots * float(market.lot_size), worth))
    return tuple(found), int(pools.haircut_holdings(state, ME))


def _try_moves(account: Account, place: int, m: int) -> MarketMove:
    before = account.buffer(place, {})
    up, down = (account.buffer(place, {m: account.moved(m, s * MOVE)}) - before for s in (1, -1))
    market = account.state.market[m]
    ticks = account.first_seizure(place, m, 1 if up < down else -1)
    return MarketMove(
        market=account.market_names[m],
        up_usd=up / account.atoms,
        down_usd=down / account.atoms,
        exhausted_at=None if ticks is None else ticks * float(market.tick_size),
        exhausted_by=None if ticks is None else ticks / int(market.mark_ticks) - 1.0,
    )


def _price(ticks: float, tick_size: float) -> float | None:
    """Convert a price in ticks to USD; no price, or none above zero, is None."""
    return float(ticks) * tick_size if math.isfinite(ticks) and ticks > 0 else None

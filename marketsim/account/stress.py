"""A shock on a portfolio: what is liquidated first, at which price, under each margin mode.

Prices move in a straight line in log price, as a scenario's crash does, from 0 to the full shock.
The venue's own margin pass and waterfall decide. There is no price impact: mark and index are one,
and what is liquidated is closed at the mark, by the venue's rules of size, limit and fee.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from marketsim.account.portfolio import (
    NEUTRAL,
    OWNER,
    Portfolio,
    load_portfolio,
    open_portfolio,
    side_pools,
)
from marketsim.account.statement import Account, Statement, pool_name, state_account
from marketsim.engine import ledger, margin, mark, paper, pools, step
from marketsim.engine.state import MAX_PRICE_TICKS, Cause, State
from marketsim.run.loop import make_room
from marketsim.scenario.coercion import is_number, whole_number
from marketsim.scenario.errors import ScenarioError, one_of
from marketsim.scenario.population import MODES, Mode

if TYPE_CHECKING:
    import pandas as pd

#: Points of a path on which a pool is tested; between two the tick is found by bisection.
GRID = 1000
#: Shares of the path at which the equity is reported.
POINTS = tuple(share / 20 for share in range(21))
#: Steps a venue is given to finish a liquidation it does in parts.
MAX_STEPS = 10_000
#: Jumps that a shock may come in.
MAX_JUMPS = 100_000


@dataclass(frozen=True)
class Seizure:
    """One position taken from the owner: when its liquidation began, and what came of it."""

    market: str
    pool: str
    side: str  #: long or short
    share: float  #: of the shock, from 0 to 1
    step: int | None  #: of the path, from 0, where it has a given number of steps
    mark_price: float  #: at which it began, USD
    prices: dict[str, float]  #: of all markets then
    equity_usd: float  #: of the pool then
    maintenance_usd: float
    size: float  #: coins held before, signed
    closed: float  #: coins closed by the end of the path, unsigned
    last_price: float  #: mark at the last order that closed some of it
    num_orders: int
    fee_usd: float


@dataclass(frozen=True)
class ModeStress:
    """What a shock does under one margin mode."""

    mode: Mode
    start: Statement
    end: Statement
    seizures: tuple[Seizure, ...]  #: in the order in which they began
    equity_start_usd: float  #: nothing haircut
    equity_end_usd: float
    held_end_usd: float  #: equity at the end if nothing had been liquidated; may be negative
    penalty_usd: float  #: liquidation fees, less what the insurance fund paid
    needed_usd: float  #: cash to add, where it is needed, so that nothing is liquidated
    points: tuple[tuple[float, float], ...]  #: (share of the shock, equity in USD)

    @property
    def loss_usd(self) -> float:
        """What the owner has lost at the end of the shock."""
        return self.equity_start_usd - self.equity_end_usd


@dataclass(frozen=True)
class CannotStart:
    """A margin mode under which the portfolio cannot be, before anything happens."""

    mode: Mode
    reason: str


@dataclass(frozen=True)
class Stress:
    """A portfolio under a shock, margin mode by margin mode."""

    portfolio: str
    venue: str
    prices: dict[str, float]  #: of all markets before it, USD
    shocks: dict[str, float]  #: relative move of each market
    num_steps: int | None  #: of the path; None: continuous
    deposit_usd: float
    modes: tuple[ModeStress, ...]
    cannot_start: tuple[CannotStart, ...]  #: the modes left out

    @property
    def table(self) -> "pd.DataFrame":
        """One row per margin mode: equity before and after, loss, penalty and cash needed, USD."""
        import pandas as pd

        names = ["equity_start_usd", "equity_end_usd", "loss_usd", "penalty_usd", "needed_usd"]
        rows = [
            {
                "mode": each.mode,
                **{name: getattr(each, name) for name in names},
                "liquidated": len(each.seizures),
            }
            for each in self.modes
        ]
        return pd.DataFrame(rows, columns=["mode", *names, "liquidated"])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, for JSON."""
        content = asdict(self)
        for written, mode in zip(content["modes"], self.modes, strict=True):
            written["loss_usd"] = mode.loss_usd
        return content


def stress(
    portfolio: Portfolio | str | Path,
    shocks: Mapping[str, float],
    *,
    modes: Sequence[str] | None = None,
    num_steps: int | None = None,
) -> Stress:
    """Let a shock hit a portfolio under several margin modes.

    Parameters
    ----------
    portfolio : Portfolio, str or Path
        A portfolio, or its TOML file.
    shocks : mapping of str to float
        Relative move by market, above -1: -0.2 is a fall by 20 %. The rest stays where it is.
    modes : sequence of str, optional
        Of cross, isolated and partial; if left out, all under which the portfolio can be.
    num_steps : int, optional
        The path jumps in so many steps, as a run does that takes so many minutes. Left out: it is
        continuous, and every price is exact to the tick.

    Returns
    -------
    Stress

    Raises
    ------
    ScenarioError
        If a market or mode does not exist, a price would leave its range, or a mode asked for, or
        every mode, cannot start: its pools hold more cash than there is, or are liquidatable before
        anything happens.
    TypeError, ValueError
        If the shocks are no mapping of markets to numbers, the modes one text, or `num_steps` no
        whole number from 1 to `MAX_JUMPS`.

    Examples
    --------
    >>> from marketsim.account.portfolio import parse_portfolio
    >>> btc = {"price": 100.0, "tick_size": 0.01, "lot_size": 0.01, "max_leverage": 10.0}
    >>> portfolio = parse_portfolio(
    ...     {
    ...         "markets": {"BTC": btc},
    ...         "collateral": {"cash": 20.0},
    ...         "positions": {"BTC": {"size": 1.0}},
    ...     }
    ... )
    >>> [cross] = stress(portfolio, {"BTC": -0.3}, modes=["cross"]).modes
    >>> round(cross.seizures[0].mark_price, 2)  # 80 / 0.95 = 84.2105...
    84.21
    """
    if not isinstance(portfolio, Portfolio):
        portfolio = load_portfolio(portfolio)
    _check_shocks(portfolio, shocks)
    if num_steps is not None and not 1 <= whole_number("num_steps", num_steps) <= MAX_JUMPS:
        raise ValueError(f"num_steps = {num_steps}: must be 1 or more, at most {MAX_JUMPS:,}")
    found = [
        _stress_mode(portfolio, mode, shocks, num_steps) for mode in _check_modes(portfolio, modes)
    ]
    started = tuple(each for each in found if isinstance(each, ModeStress))
    refused = tuple(each for each in found if isinstance(each, CannotStart))
    if refused and (modes or not started):
        raise ScenarioError([each.reason for each in refused], portfolio.name)
    return Stress(
        portfolio=portfolio.name,
        venue=portfolio.venue.preset,
        prices={name: portfolio.price(name) for name in portfolio.markets},
        shocks={name: float(shocks.get(name, 0.0)) for name in portfolio.markets},
        num_steps=num_steps,
        deposit_usd=portfolio.deposit_usd,
        modes=started,
        cannot_start=refused,
    )


def _check_modes(portfolio: Portfolio, modes: Sequence[str] | None) -> tuple[Mode, ...]:
    """Return the margin modes meant, each once; None means all."""
    known: dict[str, Mode] = {mode: mode for mode in MODES}
    if not (modes is None or isinstance(modes, list | tuple)):
        raise TypeError(f'modes = {modes!r}: must be a list, such as ["cross", "isolated"]')
    for mode in modes or ():
        if mode not in known:
            raise ScenarioError([f'mode "{mode}": {one_of(str(mode), MODES)}'], portfolio.name)
    return tuple(known[mode] for mode in dict.fromkeys(modes or MODES))


class _Path:
    """The prices of a shock, from share 0 to 1."""

    def __init__(self, state: State, portfolio: Portfolio, shocks: Mapping[str, float]) -> None:
        self.names = tuple(portfolio.markets)
        self._start = np.array([portfolio.price(name) for name in self.names])
        self._log = np.array([math.log1p(shocks.get(name, 0.0)) for name in self.names])
        self._tick = np.array(state.market["tick_size"])

    def ticks(self, share: float) -> Any:
        """Index of every market at a share of the shock, ticks."""
        price = [p * math.exp(share * r) for p, r in zip(self._start, self._log, strict=True)]
        return np.floor(np.array(price) / self._tick + 0.5).astype(np.int64)

    def write(self, state: State, share: float) -> None:
        """Put index and mark of every market where the shock has brought them."""
        ticks = self.ticks(share)
        state.market["index_ticks"] = state.market["mark_ticks"] = ticks
        state.market["index_price"] = ticks * self._tick

    def first(self, trial: Any, safe: float, seized: float) -> float:
        """Narrow the share at which `trial` turns true down to one tick of one market."""
        while np.abs(self.ticks(seized) - self.ticks(safe)).sum() > 1:
            middle = 0.5 * (safe + seized)
            if middle in (safe, seized):
                break
            if trial(middle):
                seized = middle
            else:
                safe = middle
        return seized


class _Event(NamedTuple):
    """Where on the path a row of `State.liquidation` was written."""

    row: int
    share: float
    step: int | None
    prices: dict[str, float]


class _Stressed:
    """A portfolio's venue while a shock passes over it."""

    def __init__(self, portfolio: Portfolio, mode: Mode, shocks: Mapping[str, float]) -> None:
        self.atoms = portfolio.atoms
        self.state = open_portfolio(portfolio, mode)
        self.path = _Path(self.state, portfolio, shocks)
        self.events: list[_Event] = []
        self._steps = 0

    def is_short(self, share: float) -> bool:
        """Tell whether a margin pass there would seize a pool; nothing is changed."""
        trial = paper.trial_copy(self.state)
        self.path.write(trial, share)
        return int(margin.assess_pools(trial)) > 0

    def go(self, share: float) -> None:
        """Move to a share at which every pool is safe: what has to be drawn is drawn."""
        self.path.write(self.state, share)
        margin.assess_pools(self.state)

    def sweep(self, start: float, stop: float) -> None:
        """Move from one share to another, stopping at every tick at which a pool is seized."""
        while self.is_short(stop):
            share = start if self.is_short(start) else self.path.first(self.is_short, start, stop)
            if not self.seize(share, None):
                break
            start = share
        self.go(stop)

    def seize(self, share: float, number: int | None) -> bool:
        """Let the venue liquidate until every pool is safe; return whether it closed anything."""
        self.path.write(self.state, share)
        first = int(self.state.totals[0].num_liquidations)
        for _ in range(MAX_STEPS):
            before = int(self.state.totals[0].num_liquidations)
            self.clear(share, number)
            if int(self.state.totals[0].num_liquidations) == before:
                break
        return int(self.state.totals[0].num_liquidations) > first

    def clear(self, share: float, number: int | None) -> None:
        """Let one step of the venue pass, with the other side bidding at the mark."""
        state = self.state = make_room(self.state)
        step.begin_counts(state, self._steps)
        self._steps += 1
        mark.snapshot_mid(state)
        paper.offer_marks(state, OWNER, NEUTRAL)
        before = int(state.totals[0].num_liquidations)
        step.clear_step(state, np.empty(0, np.int64))
        paper.withdraw_offers(state, NEUTRAL)
        marks = state.market["mark_ticks"] * state.market["tick_size"]
        prices = dict(zip(self.path.names, marks.tolist(), strict=True))
        for row in range(before, int(state.totals[0].num_liquidations)):
            self.events.append(_Event(row, share, number, prices))

    def equity(self) -> float:
        """Return what the owner has, nothing haircut, USD."""
        return int(ledger.account_equity(self.state)[OWNER]) / self.atoms

    def statement(self) -> Statement:
        """Write the owner's margin maths down."""
        return state_account(Account(self.state, OWNER, self.path.names, self.atoms))


def _stress_mode(
    portfolio: Portfolio, mode: Mode, shocks: Mapping[str, float], num_steps: int | None
) -> ModeStress | CannotStart:
    if problem := portfolio.cash_problem(mode):
        return CannotStart(mode, problem)
    run = _Stressed(portfolio, mode, shocks)
    start = run.statement()
    if problem := _start_problem(start, mode):
        return CannotStart(mode, problem)
    equity_start = run.equity()
    needed = _needed(portfolio, mode, shocks, num_steps)
    points = [(0.0, equity_start)]
    if num_steps is None:
        shares = np.unique([*(k / GRID for k in range(GRID + 1)), *POINTS])
        for before, after in zip(shares[:-1].tolist(), shares[1:].tolist(), strict=True):
            run.sweep(before, after)
            if after in POINTS:
                points.append((after, run.equity()))
    else:
        for number in range(num_steps):
            share = (number + 1) / num_steps
            run.path.write(run.state, share)
            run.clear(share, number)
            points.append((share, run.equity()))
        run.seize(1.0, num_steps)
        points[-1] = (1.0, run.equity())
    flow = run.state.flow[OWNER]
    lost = flow[[Cause.LIQUIDATION_FEE, Cause.TAKEOVER, Cause.ADL, Cause.SOCIALISED]].sum()
    held = _Stressed(portfolio, mode, shocks)
    held.path.write(held.state, 1.0)
    return ModeStress(
        mode=mode,
        start=start,
        end=run.statement(),
        seizures=tuple(_seizures(run)),
        equity_start_usd=equity_start,
        equity_end_usd=run.equity(),
        held_end_usd=held.equity(),
        penalty_usd=-int(lost) / run.atoms,
        needed_usd=needed,
        points=tuple(points),
    )


def _seizures(run: _Stressed) -> Iterator[Seizure]:
    """Gather the liquidation rows of each position."""
    state, names = run.state, run.path.names
    found: dict[int, list[_Event]] = {}
    for event in run.events:
        row = state.liquidation[event.row]
        if row.account == OWNER:
            found.setdefault(int(row.market), []).append(event)
    for m, events in found.items():
        first = state.liquidation[events[0].row]
        rows = [state.liquidation[event.row] for event in events]
        tick, lot = float(state.market[m].tick_size), float(state.market[m].lot_size)
        p = int(first.pool)
        inside = np.flatnonzero(np.asarray(state.position["pool"][OWNER]) == p)
        yield Seizure(
            market=names[m],
            pool=pool_name(names, inside, p == OWNER, int(state.draw[p].limit)),
            side="long" if first.size_before > 0 else "short",
            share=events[0].share,
            step=events[0].step,
            mark_price=int(first.mark_ticks) * tick,
            prices=events[0].prices,
            equity_usd=int(first.equity) / run.atoms,
            maintenance_usd=int(first.maintenance) / run.atoms,
            size=int(first.size_before) * lot,
            closed=abs(int(first.size_before) - int(rows[-1].size_after)) * lot,
            last_price=int(rows[-1].mark_ticks) * tick,
            num_orders=len(rows),
            fee_usd=sum(int(row.fee) for row in rows) / run.atoms,
        )


def _needed(
    portfolio: Portfolio, mode: Mode, shocks: Mapping[str, float], num_steps: int | None
) -> float:
    """Return the least cash, put where it is needed, with which no pool is ever short, USD.

    A side pool first draws what it lacks from the main pool, within its limit; the main pool must
    then keep its own maintenance margin.
    """
    run = _Stressed(portfolio, mode, shocks)
    state = run.state
    side = side_pools(state)
    limit = np.array([int(state.draw[p].limit) for p in side], dtype=object)
    worst = np.zeros(len(side), dtype=object)
    main = 0
    for k in range((num_steps or GRID) + 1):
        run.path.write(state, k / (num_steps or GRID))
        for n, p in enumerate(side):
            worst[n] = max(worst[n], _lack(state, p))
        drawn = sum(min(lack, most) for lack, most in zip(worst, limit, strict=True))
        main = max(main, _lack(state, OWNER) + drawn)
    beyond = sum(max(lack - most, 0) for lack, most in zip(worst, limit, strict=True))
    return float(main + beyond) / run.atoms


def _lack(state: State, p: int) -> int:
    """Maintenance margin less equity of a pool by its own means, atoms."""
    pools.assess_pool(state, p)
    return int(state.pool[p].maintenance - state.pool[p].equity)


def _start_problem(start: Statement, mode: Mode) -> str | None:
    """Say which pool is liquidatable before anything happens, if one is."""
    for pool in start.pools:
        if pool.is_liquidatable and pool.draw_left_usd < -pool.buffer_usd:
            return (
                f"already liquidatable under {mode} margin: {pool.name} has {pool.equity_usd:,.2f} "
                f"USD of equity for {pool.maintenance_usd:,.2f} USD of maintenance margin, "
                f"{-pool.buffer_usd:,.2f} USD too little; add collateral or leave that mode out"
            )
    return None


def _check_shocks(portfolio: Portfolio, shocks: Mapping[str, float]) -> None:
    if not isinstance(shocks, Mapping):
        raise TypeError(f'shocks = {shocks!r}: must be moves by market, such as {{"BTC": -0.2}}')
    problems = []
    for name, size in shocks.items():
        if name not in portfolio.markets:
            problems.append(f"shock {name}: no such market; {one_of(str(name), portfolio.markets)}")
        elif not is_number(size):
            raise TypeError(
                f"shocks[{name!r}] = {size!r}: must be a number, -0.2 is a fall by 20 %"
            )
        elif not (math.isfinite(size) and -1.0 < size <= 100.0):
            problems.append(f"shock {name} = {size:g}: must lie above -100 % and up to 10,000 %")
        else:
            end = portfolio.price(name) * (1.0 + size) / portfolio.markets[name].tick_size
            if not 1.0 <= end <= MAX_PRICE_TICKS:
                problems.append(f"shock {name} = {size:g}: the price leaves the range of its ticks")
    if problems:
        raise ScenarioError(problems, portfolio.name)

"""R measured: one liquidation is forced in a copy of the market, and what follows is counted.

Both copies have the same luck, so what differs follows from it. An account near the edge is made
short of maintenance for one step, by money that is taken out of its pool and brought back after
it; the venue's own waterfall does the rest. To count what that liquidation causes *itself*, those
it causes are not carried out: from then on nobody is liquidated in either copy, and a pool counts
when it first falls below maintenance, with what it would have to sell.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marketsim.contagion.offspring import GENERATIONS, Generations, Reproduction, Side
from marketsim.contagion.recorder import SIDES
from marketsim.contagion.response import sales_of
from marketsim.engine import ledger, margin, paper
from marketsim.engine.pools import drawable
from marketsim.engine.state import ATOMS, State
from marketsim.run.attributes import RunAttributes
from marketsim.run.branch import branch
from marketsim.run.progress import Progress
from marketsim.scenario.coercion import is_number, whole_number
from marketsim.scenario.wording import show
from marketsim.streams import Stream, uniform
from marketsim.tape.result import Floats, Integers

#: Share of the pools with positions that stands near the edge: so many, nearest to maintenance.
NEAR_EDGE = 0.2
#: Of its maintenance margin, what a pool is left with to be liquidated.
LEFT = 0.9


@dataclass
class _Way:
    """How a copy goes on: how long, and what is counted on the way."""

    num_steps: int
    counts_first: bool
    short_before: Integers  #: pools that are being closed already
    liquidates: Integers  #: of each market, by its rule


@dataclass
class _Seen:
    """What was liquidated in a copy, or would have been: atoms by pool and market."""

    forced: Floats
    followed: Floats
    fell: set[int] = field(default_factory=set)


def measure_reproduction(
    original: Any,
    n: int = 50,
    horizon: float = 1.0,
    key: int = 0,
    *,
    edge: float = NEAR_EDGE,
    side: Side | None = None,
    generations: Generations = "first",
    progress: Progress | None = None,
) -> Reproduction:
    """Measure how many dollars are liquidated for each dollar liquidated, as things stand.

    Parameters
    ----------
    original : Simulation or PerpMarket
        Left as it is.
    n : int, optional
        Accounts to liquidate, each in a copy of its own; all near the edge if those are fewer.
    horizon : float, optional
        Hours in which what follows is counted.
    key : int, optional
        Another one draws other accounts.
    edge : float, optional
        Share of the pools with positions from which they are drawn: those whose equity over
        maintenance margin is least. At least the `n` nearest.
    side : {"falls", "rises"}, optional
        Only pools that are long on balance, or short.
    generations : {"first", "all"}, optional
        Count what the liquidation causes itself, or what those cause in turn as well.
    progress : callable, optional
        Called with (copies done, copies asked).

    Returns
    -------
    Reproduction

    Raises
    ------
    ValueError
        If an argument is out of range, or the scenario ends before the horizon.
    TypeError
        If `n` or `key` is no whole number.
    """
    run: RunAttributes = getattr(original, "simulation", original)
    way = _check(run, n, horizon, key, edge, side, generations)
    pools = _draw(run, n, key, edge, side)
    base = _go_on(branch(original, None, None), way, None)
    forced, followed = [], []
    for count, p in enumerate(pools.tolist(), 1):
        seen = _go_on(branch(original, None, None), way, p)
        others = np.arange(len(seen.followed)) != p
        forced.append(seen.forced[p])
        followed.append((seen.followed - base.followed)[others].sum(axis=0))
        if progress is not None:
            progress(count, len(pools))
    shape = (-1, len(run.market_names))
    usd = np.array(forced).reshape(shape) / ATOMS
    done = usd.sum(axis=1) > 0.0
    return Reproduction(
        markets=run.market_names,
        generations=generations,
        side=side,
        horizon_hours=way.num_steps * run.scenario.step_minutes / 60.0,
        state=np.zeros(int(done.sum()), np.int64),
        account=np.asarray(run.state.pool["owner"])[pools[done]],
        forced_usd=usd[done],
        offspring_usd=np.array(followed).reshape(shape)[done] / ATOMS,
        refused=int((~done).sum()),
    )


def _check(
    run: RunAttributes, n: Any, horizon: Any, key: Any, edge: Any, side: Any, generations: Any
) -> _Way:
    """Refuse what cannot be measured."""
    if whole_number("n", n) < 1:
        raise ValueError(f"n = {show(n)}: must be 1 or more")
    if not 0 <= whole_number("key", key) < 2**24:
        raise ValueError(f"key = {show(key)}: must lie in [0, {2**24 - 1}]")
    if not (is_number(horizon) and 0.0 < horizon < math.inf):
        raise ValueError(f"horizon = {show(horizon)}: must be a number of hours above 0")
    if not (is_number(edge) and 0.0 < edge <= 1.0):
        raise ValueError(f"edge = {show(edge)}: must lie in (0, 1]")
    if side is not None and side not in SIDES:
        raise ValueError(f"side = {show(side)}: must be 'falls', 'rises' or None")
    if generations not in GENERATIONS:
        raise ValueError(f"generations = {show(generations)}: must be 'first' or 'all'")
    step_minutes = run.scenario.step_minutes
    num_steps = max(round(60.0 * horizon / step_minutes), 1)
    left = run.num_steps - run.step_count
    if not run.scenario.is_open and num_steps > left:
        hours = left * step_minutes / 60.0
        raise ValueError(f"horizon = {show(horizon)}: the scenario ends in {hours:g} h")
    short = _short_pools(run.state, np.asarray(run.state.market["liquidates"]))[1]
    return _Way(num_steps, generations == "first", short, run.state.market["liquidates"].copy())


def _draw(run: RunAttributes, n: int, key: int, edge: float, side: Side | None) -> Integers:
    """Draw pools near the edge, by a key of the state and the market's seed."""
    state = run.state
    trial, short = _short_pools(state, np.asarray(state.market["liquidates"]))
    net = np.zeros(len(trial.pool))
    held = np.zeros(len(trial.pool), bool)
    market = trial.market
    value = trial.position["size"] * (market["mark_ticks"] * market["tick_atoms"])
    for m in np.flatnonzero(market["liquidates"]):
        at = trial.position["pool"][:, m]
        np.add.at(net, at, value[:, m])
        held[at[value[:, m] != 0]] = True
    held[len(state.account) - 1] = False  # the fund
    held[short] = False
    if side is not None:
        held &= net > 0.0 if side == "falls" else net < 0.0
    found = np.flatnonzero(held)
    ratio = trial.pool["equity"][found] / np.maximum(trial.pool["maintenance"][found], 1)
    nearest = found[np.argsort(ratio, kind="stable")]
    nearest = nearest[: max(math.ceil(edge * len(nearest)), n)]
    luck = [
        uniform(run.seed, Stream.PROBE.value, p, int(run.tape.clock[0].step), key) for p in nearest
    ]
    return nearest[np.argsort(luck, kind="stable")][:n]


def _short_pools(state: State, liquidates: Any) -> tuple[State, Integers]:
    """Assess all pools on a copy; return it, and the pools that are below maintenance."""
    trial = paper.trial_copy(state)
    trial.market["liquidates"] = liquidates
    count = margin.assess_pools(trial)
    return trial, np.array(trial.short[:count])


def _go_on(copy: Any, way: _Way, p: int | None) -> _Seen:
    """Let a copy run, with pool `p` liquidated by force in its first step."""
    run: RunAttributes = getattr(copy, "simulation", copy)
    first = int(run.state.totals[0].num_liquidations)
    rounds = int(run.state.venue[0].max_rounds)
    if way.counts_first:
        run.state.venue[0].max_rounds = 1
    taken = _make_short(run, p) if p is not None else 0
    copy.run(1)
    if p is not None:
        _bring_back(run.state, p, taken)
    forced = _liquidated(run.state, first)
    if not way.counts_first:
        if way.num_steps > 1:
            copy.run(way.num_steps - 1)
        return _Seen(forced, _liquidated(run.state, first))
    run.state.venue[0].max_rounds = rounds
    seen = _Seen(forced, np.zeros_like(forced), set(way.short_before.tolist()))
    _count_short(run.state, way, seen)
    for _ in range(way.num_steps - 1):
        run.state.market["liquidates"] = 0
        copy.run(1)
        _count_short(run.state, way, seen)
    return seen


def _make_short(run: RunAttributes, p: int) -> int:
    """Take as much out of a pool as leaves it below maintenance; return how much.

    Its trader does not look before it is liquidated, or might save it.
    """
    state = run.state
    trial, _ = _short_pools(state, np.asarray(state.market["liquidates"]))
    pool = trial.pool[p]
    i = int(pool.owner)
    amount = int(pool.equity) - math.floor(LEFT * int(pool.maintenance))
    if p != i:
        amount += int(drawable(trial, p))
    ledger.lend_outside(state, p, amount)
    soonest = int(run.tape.clock[0].step) + 1
    run.traders.next_wake[i] = max(int(run.traders.next_wake[i]), soonest)
    return amount


def _bring_back(state: State, p: int, amount: int) -> None:
    """Bring the money back, into the main pool if the pool is closed."""
    owner = int(state.pool[p].owner)
    ledger.lend_outside(state, owner if ledger.is_flat(state, p) else p, -amount)


def _liquidated(state: State, first: int) -> Floats:
    """Add up what was liquidated since a row, at the mark: (P, M) atoms."""
    rows = state.liquidation[first : int(state.totals[0].num_liquidations)]
    total = np.zeros((len(state.pool), len(state.market)))
    lots = np.abs(rows["size_after"] - rows["size_before"])
    atoms = state.market["tick_atoms"][rows["market"]]
    np.add.at(total, (rows["pool"], rows["market"]), lots * rows["mark_ticks"] * atoms)
    return total


def _count_short(state: State, way: _Way, seen: _Seen) -> None:
    """Count the pools that are below maintenance for the first time, with what they must sell."""
    trial, short = _short_pools(state, way.liquidates)
    fresh = np.array([p for p in short.tolist() if p not in seen.fell], np.int64)
    seen.followed[fresh] = np.abs(sales_of(trial, fresh))
    seen.fell.update(fresh.tolist())

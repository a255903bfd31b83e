"""R measured: one liquidation is forced in a copy of the market, and what follows is counted.

A copy with it and one without have the same luck, so what differs follows from it; every pair has
a luck of its own, from here on. An account near the edge is made short of maintenance by money that
is taken out of its pool and brought back afterwards; the venue's own waterfall does the rest, as
the last thing in the step that is over. To count what that liquidation causes *itself*, those it
causes are not carried out: from then on nobody is liquidated in either copy, and a pool counts when
it first falls below maintenance, with what it would have to sell.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marketsim.contagion.chance import HORIZON_HOURS
from marketsim.contagion.computed import compute_contagion, edge_weights
from marketsim.contagion.offspring import GENERATIONS, Generations, Reproduction, Side
from marketsim.contagion.recorder import SIDES
from marketsim.contagion.response import sales_of
from marketsim.engine import ledger, margin, paper, step
from marketsim.engine.pools import drawable
from marketsim.engine.state import ATOMS, State
from marketsim.run.attributes import RunAttributes
from marketsim.run.branch import branch
from marketsim.run.progress import Progress
from marketsim.scenario.coercion import is_number, whole_number
from marketsim.scenario.wording import show
from marketsim.streams import Stream, bits, uniform
from marketsim.tape.result import Floats, Integers

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
    horizon: float = HORIZON_HOURS,
    key: int = 0,
    *,
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
        Liquidations, each in a copy of its own. Whose is drawn anew for each, by the chance to be
        liquidated soon, see `marketsim.contagion.computed.edge_weights`.
    horizon : float, optional
        Hours in which what follows is counted.
    key : int, optional
        Another one draws other accounts.
    side : {"falls", "rises"}, optional
        Only pools that sell, or only those that buy.
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
    way = _check(run, n, horizon, key, side, generations)
    pools = _draw(run, n, key, side)
    forced, followed = [], []
    for count, p in enumerate(pools.tolist(), 1):
        luck = int(bits(run.seed, Stream.PROBE.value, count, run.step_count, key)) >> 1
        base = _go_on(_copy(original, luck), way, None)
        seen = _go_on(_copy(original, luck), way, p)
        most = max(len(seen.followed), len(base.followed))
        more = _of_pools(seen.followed, most) - _of_pools(base.followed, most)
        forced.append(seen.forced[p])
        followed.append(more.sum(axis=0) - more[p])
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


def _copy(original: Any, luck: int) -> Any:
    """Copy a market whose luck will be another one."""
    copy = branch(original, None, None)
    run: RunAttributes = getattr(copy, "simulation", copy)
    run.seed = luck
    run.tape.clock[0].seed = luck
    return copy


def _check(run: RunAttributes, n: Any, horizon: Any, key: Any, side: Any, generations: Any) -> _Way:
    """Refuse what cannot be measured."""
    if whole_number("n", n) < 1:
        raise ValueError(f"n = {show(n)}: must be 1 or more")
    if not 0 <= whole_number("key", key) < 2**24:
        raise ValueError(f"key = {show(key)}: must lie in [0, {2**24 - 1}]")
    if not (is_number(horizon) and 0.0 < horizon < math.inf):
        raise ValueError(f"horizon = {show(horizon)}: must be a number of hours above 0")
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


def _draw(run: RunAttributes, n: int, key: int, side: Side | None) -> Integers:
    """Draw pools near the edge, by a key of the state and the market's seed."""
    state = run.state
    found = compute_contagion(state, paper.paper_venue(state), run._rules.spot.reflexivity)
    sides = range(len(SIDES)) if side is None else [SIDES.index(side)]
    weight = np.zeros(len(state.pool))
    for each in sides:
        part = edge_weights(found, each)
        weight += part * found.forced[each].sum() / max(part.sum(), math.ulp(0.0))
    if not weight.any():
        return np.zeros(0, np.int64)
    total = np.cumsum(weight)
    now = run.step_count
    luck = [uniform(run.seed, Stream.PROBE.value, -count, now, key) for count in range(1, n + 1)]
    drawn: Integers = np.searchsorted(total, np.array(luck) * total[-1], side="right")
    return drawn


def _short_pools(state: State, liquidates: Any) -> tuple[State, Integers]:
    """Assess all pools on a copy; return it, and the pools that are below maintenance."""
    trial = paper.trial_copy(state)
    trial.market["liquidates"] = liquidates
    count = margin.assess_pools(trial)
    return trial, np.array(trial.short[:count])


def _go_on(copy: Any, way: _Way, p: int | None) -> _Seen:
    """Let a copy run, with pool `p` liquidated by force before it does."""
    run: RunAttributes = getattr(copy, "simulation", copy)
    first = int(run.state.totals[0].num_liquidations)
    if p is not None:
        taken = _make_short(run.state, p)
        step.liquidate_one(run.state, p)
        _bring_back(run.state, p, taken)
    forced = _liquidated(run.state, first)
    if not way.counts_first:
        copy.run(way.num_steps)
        return _Seen(forced, _liquidated(run.state, first))
    seen = _Seen(forced, np.zeros_like(forced), set(way.short_before.tolist()))
    _count_short(run.state, way, seen)
    for _ in range(way.num_steps):
        run.state.market["liquidates"] = 0
        copy.run(1)
        _count_short(run.state, way, seen)
    return seen


def _make_short(state: State, p: int) -> int:
    """Take as much out of a pool as leaves it below maintenance; return how much."""
    trial, _ = _short_pools(state, np.asarray(state.market["liquidates"]))
    pool = trial.pool[p]
    amount = int(pool.equity) - math.floor(LEFT * int(pool.maintenance))
    if p != int(pool.owner):
        amount += int(drawable(trial, p))
    ledger.lend_outside(state, p, amount)
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
    seen.followed = _of_pools(seen.followed, len(state.pool))
    seen.followed[fresh] = np.abs(sales_of(trial, fresh))
    seen.fell.update(fresh.tolist())


def _of_pools(followed: Floats, num_pools: int) -> Floats:
    """Add pools that were opened meanwhile, as newcomers open theirs, of which nothing is known."""
    return np.pad(followed, ((0, num_pools - len(followed)), (0, 0)))

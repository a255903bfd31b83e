r"""The contagion matrix as computed: what one liquidation sets off, from the state alone.

A pool is *near the edge* by its `chance` :math:`p_a` to be liquidated within `HORIZON_HOURS` by the
ordinary movement of the marks, as measured so far. What it would sell in market k, :math:`S_{ak}`,
walks k's book as it stands; the mark goes with it along a path, by the venue's rule and the
recovery measured of that book; and that path adds :math:`\Delta_{ab}` to the chance of every other
pool b. Dollars liquidated in j for each dollar liquidated in k, of pools from which the book takes
something:

.. math:: K_{jk} = \frac{\sum_a p_a \sum_{b \ne a} \Delta_{ab} S_{bj}}{\sum_a p_a S_{ak}}, \qquad
    M_{jk} = \frac{I_j}{I_k} K_{jk}

with :math:`I_k` the furthest k's mark goes for a dollar liquidated in it, so that M says the same
in moves of the marks: how far j follows a move of k. Both have the same spectral radius, R. For
even thresholds and an even book that recovers nothing, M is that on paper
(`marketsim.contagion.response`).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.contagion.chance import Walks, added_chance, chance, horizon_steps, walks
from marketsim.contagion.response import FALLS, RISES, seize_on_paper
from marketsim.contagion.sale import mark_path, walk_book
from marketsim.contagion.triggers import find_trigger
from marketsim.engine import liquidation, margin, paper
from marketsim.engine._jit import kernel
from marketsim.engine.pools import bracket, drawable
from marketsim.engine.recovery import mark_covariance
from marketsim.engine.state import MAX_PRICE_TICKS, NONE, ONE, State, widen

#: What a walk is beyond a threshold, on average, in the step that crosses it, in what it moves by
#: in one: D. Siegmund (1979), "Corrected diffusion approximations in certain random walk problems",
#: Adv. Appl. Probab. 11.
OVERSHOOT = 0.5826
#: Pushes within a factor of two of each other count as their mean, down to one of the largest's
#: 2^-7.
_NUM_CLASSES = 8
#: A pool whose chance is less sets nothing off.
_LEAST_CHANCE = 1e-9
#: An R below which it has no mode to speak of.
_LEAST_NUMBER = 1e-3


class Computed(NamedTuple):
    """What is known of liquidations at the edge, falls first, then rises."""

    response: NDArray[np.float64]  #: (2, M, M) M: market that follows, market that moves
    forced: NDArray[np.float64]  #: (2, M) atoms likely to be liquidated soon
    impact: NDArray[np.float64]  #: (2, M) I: how far the mark goes, a fraction an atom
    likely: NDArray[np.float64]  #: (P,) chance to be liquidated soon
    #: (P, M) atoms that the books take of what a pool sells, buying < 0
    filled: NDArray[np.float64]


def compute_contagion(state: State, lone: State, reflexivity: float) -> Computed:
    """Compute the contagion matrices of falling and of rising marks, and what they rest on.

    An entry is 0 where no liquidation moves a mark. Pools without positions, those below
    maintenance already and the insurance fund have no chance.

    Parameters
    ----------
    state : State
        Left as it is.
    lone : State
        Its paper venue, as `marketsim.engine.paper.paper_venue` makes it and `follow` keeps it.
    reflexivity : float
        Share of a perp's displacement that spot follows, 0 to 1.
    """
    num_markets, num_pools = len(state.market), len(state.pool)
    found = Computed(
        response=np.zeros((2, num_markets, num_markets)),
        forced=np.zeros((2, num_markets)),
        impact=np.zeros((2, num_markets)),
        likely=np.zeros(num_pools),
        filled=np.zeros((num_pools, num_markets)),
    )
    steps = horizon_steps(float(state.venue[0].step_hours))
    edge = _Edge(
        cost=np.zeros((num_pools, num_markets)),
        step=np.zeros(num_pools),
        spare=np.zeros(num_pools),
        is_known=np.zeros(num_pools, np.bool_),
        sold=np.zeros((num_pools, num_markets)),
        terms=np.zeros((num_pools, num_markets, 2)),
        path=np.zeros((num_pools, num_markets, steps + 1)),
        furthest=np.zeros((num_pools, num_markets)),
    )
    _compute(paper.with_own_pools(state), lone, reflexivity, walks(steps), edge, found)
    return found


def edge_weights(found: Computed, side: int) -> NDArray[np.float64]:
    """Return how likely each pool is the next that a cascade liquidates, (P,), on no scale.

    By its chance, and so that the dollars liquidated are spread over markets as in the mode of K
    that lasts: what follows a dollar of them is then its spectral radius. By chance alone where
    next to nothing follows. 0 for pools from which the books would take nothing.

    Parameters
    ----------
    found : Computed
    side : int
        FALLS or RISES.
    """
    taken = np.maximum(found.filled if side == FALLS else -found.filled, 0.0)
    total = taken.sum(axis=1)
    share = np.divide(taken, total[:, None], out=np.zeros_like(taken), where=taken > 0.0)
    forced, impact = found.forced[side], found.impact[side]
    values, modes = np.linalg.eig(found.response[side])
    lasts = int(np.argmax(np.abs(values)))
    if abs(values[lasts]) < _LEAST_NUMBER:
        return np.where(total > 0.0, found.likely, 0.0)
    felt = impact > 0.0
    mode = np.abs(modes[:, lasts])
    scale = np.divide(mode, impact * forced, out=np.zeros(len(mode)), where=felt)
    weight: NDArray[np.float64] = found.likely * (share @ scale)
    return weight


class _Edge(NamedTuple):
    """Where the pools stand, and what they would sell: found as it is needed."""

    cost: NDArray[np.float64]  #: (P, M) atoms that a fall of each mark by 1 costs a pool
    step: NDArray[np.float64]  #: (P,) atoms: what it has beyond maintenance moves by so much a step
    spare: NDArray[np.float64]  #: (P,) of these, what it has; only where `step` is not 0
    is_known: NDArray[np.bool_]  #: (P,) whether the next two are found
    sold: NDArray[np.float64]  #: (P, M) atoms, buying negative
    terms: NDArray[np.float64]  #: (P, M, 2) of the orders, see `seize_on_paper`
    path: NDArray[np.float64]  #: (P, M, steps + 1) how far it would push each mark
    furthest: NDArray[np.float64]  #: (P, M) the most of that, at least 0


class _Pushes(NamedTuple):
    """The pools that push one market's mark to one side, in classes by how far."""

    group: NDArray[np.int64]  #: (P,) class, NONE for all others
    mass: NDArray[np.float64]  #: (classes,) their chances, summed up
    path: NDArray[np.float64]  #: (classes, steps + 1) mean


@kernel
def _compute(
    state: State, lone: State, reflexivity: float, walk: Walks, edge: _Edge, found: Computed
) -> None:
    """Compute it of a venue whose pools may be assessed, with a paper one to close on."""
    num_pools, num_markets = len(state.pool), len(state.market)
    _place_pools(state, walk, edge, found.likely)
    for p in range(num_pools):
        if found.likely[p] > _LEAST_CHANCE:
            _sell_pool(state, lone, p, edge)
            _push_marks(state, reflexivity, p, edge, found.filled)
    pushes = _Pushes(
        np.empty(num_pools, np.int64),
        np.empty(_NUM_CLASSES),
        np.empty((_NUM_CLASSES, walk.path.shape[1] + 1)),
    )
    for side in (FALLS, RISES):
        sign = 1.0 if side == FALLS else -1.0
        forced, impact = found.forced[side], found.impact[side]
        for k in range(num_markets):
            for p in range(num_pools):
                if sign * found.filled[p, k] > 0.0:
                    # what the book does not take goes the rest of the waterfall
                    forced[k] += found.likely[p] * abs(edge.sold[p, k])
                    impact[k] += found.likely[p] * edge.furthest[p, k]
            if impact[k] > 0.0:
                impact[k] /= forced[k]
                _sort_pushes(sign, k, edge, found, pushes)
                _pass_on(state, lone, sign, k, walk, edge, pushes, found)
                for j in range(num_markets):
                    found.response[side, j, k] /= forced[k]
        for k in range(num_markets):
            if impact[k] > 0.0:
                for j in range(num_markets):
                    found.response[side, j, k] *= impact[j] / impact[k]


@kernel
def _pass_on(
    state: State,
    lone: State,
    sign: float,
    k: int,
    walk: Walks,
    edge: _Edge,
    pushes: _Pushes,
    found: Computed,
) -> None:
    """Add to column `k` of a side's matrix what the pushes of k's mark liquidate, atoms."""
    side = FALLS if sign > 0.0 else RISES
    for c in range(_NUM_CLASSES):
        if pushes.mass[c] == 0.0:
            continue
        path = pushes.path[c]
        top = _furthest(path)
        for p in range(len(edge.step)):
            if sign * edge.cost[p, k] <= 0.0 or edge.step[p] == 0.0:
                continue
            unit = sign * edge.cost[p, k] / edge.step[p]
            if edge.spare[p] > walk.reach + unit * top:
                continue
            others = pushes.mass[c] - (found.likely[p] if pushes.group[p] == c else 0.0)
            added = others * added_chance(edge.spare[p], unit, path, walk)
            if not edge.is_known[p]:
                _sell_pool(state, lone, p, edge)
            for j in range(len(state.market)):
                found.response[side, j, k] += added * sign * edge.sold[p, j]


@kernel
def _place_pools(state: State, walk: Walks, edge: _Edge, likely: Any) -> None:
    """Find how far every pool stands above maintenance, and its chance; assesses the pools."""
    margin.value_pools(state)
    num_markets = len(state.market)
    for p in range(len(state.pool)):
        i = widen(state.pool[p].owner)
        if i == len(state.account) - 1:
            continue
        for m in range(num_markets):
            position = state.position[i, m]
            if position.pool == p and position.size != 0:
                market = state.market[m]
                value = position.size * market.mark_ticks * market.tick_atoms
                tier = state.tier[m, bracket(state, m, abs(value))]
                edge.cost[p, m] = value - abs(value) * (tier.maintenance_fraction / ONE)
        cost = edge.cost[p]
        variance = 0.0
        for m in range(num_markets):
            for k in range(num_markets):
                if cost[m] != 0.0 and cost[k] != 0.0:
                    variance += cost[m] * cost[k] * mark_covariance(state, m, k)
        spare = state.pool[p].equity - state.pool[p].maintenance + drawable(state, p)
        if spare >= 0 and variance > 0.0:
            edge.step[p] = math.sqrt(variance)
            edge.spare[p] = spare / edge.step[p]
            likely[p] = chance(edge.spare[p], walk)


@kernel
def _sell_pool(state: State, lone: State, p: int, edge: _Edge) -> None:
    """Sell on paper what a pool must when a step of ordinary movement takes it below maintenance.

    The mark that matters most to it goes just so far.
    """
    edge.is_known[p] = True
    i = widen(state.pool[p].owner)
    k, most = widen(NONE), 0.0
    for m in range(len(state.market)):
        weight = abs(edge.cost[p, m]) * math.sqrt(mark_covariance(state, m, m))
        if weight > most and state.market[m].liquidates != 0:
            k, most = widen(m), weight
    if k == NONE:
        return
    trigger = find_trigger(state, i, k)
    if trigger == 0:
        return
    side = 1.0 if state.position[i, k].size > 0 else -1.0
    further = trigger * (1.0 - side * OVERSHOOT * math.sqrt(mark_covariance(state, k, k)))
    ticks = int(min(max(math.floor(further + 0.5), 1.0), float(MAX_PRICE_TICKS)))
    seize_on_paper(state, lone, i, k, ticks, edge.sold[p], edge.terms[p])


@kernel
def _push_marks(state: State, reflexivity: float, p: int, edge: _Edge, filled: Any) -> None:
    """Walk every book with what a pool sells in it, and follow the marks."""
    fund = float(liquidation.fund_available(state))
    for m in range(len(state.market)):
        market = state.market[m]
        value = market.mark_ticks * market.tick_atoms
        sold, terms = edge.sold[p, m], edge.terms[p, m]
        lots = int(abs(sold) / value + 0.5)
        if lots == 0:
            continue
        side = 1 if sold > 0.0 else -1
        limit, bankruptcy = terms[0] * market.mark_ticks, terms[1] * market.mark_ticks
        taken = walk_book(state, m, side, lots, limit, bankruptcy, fund)
        filled[p, m] = float(side * taken.lots) * value
        if taken.lots > 0:
            path = edge.path[p, m]
            mark_path(state, m, side, taken, state.recovery[m].share, reflexivity, path)
            edge.furthest[p, m] = _furthest(path)


@kernel
def _furthest(path: Any) -> float:
    """Return the largest number of a path, at least 0: a mark that only goes the other way.

    NumPy's way takes half a second to compile.
    """
    most = 0.0
    for u in range(len(path)):
        most = max(most, path[u])
    return most


@kernel
def _sort_pushes(sign: float, k: int, edge: _Edge, found: Computed, pushes: _Pushes) -> None:
    """Put the pools that push market k's mark to a side into classes by how far they push it."""
    pushes.path[:] = 0.0
    pushes.mass[:] = 0.0
    pushes.group[:] = NONE
    most = 0.0
    for p in range(len(pushes.group)):
        if sign * found.filled[p, k] > 0.0:
            most = max(most, edge.furthest[p, k])
    for p in range(len(pushes.group)):
        if sign * found.filled[p, k] > 0.0 and edge.furthest[p, k] > 0.0:
            c = min(int(math.log2(most / edge.furthest[p, k])), _NUM_CLASSES - 1)
            pushes.group[p] = c
            pushes.mass[c] += found.likely[p]
            for t in range(pushes.path.shape[1]):
                pushes.path[c, t] += found.likely[p] * edge.path[p, k, t]
    for c in range(_NUM_CLASSES):
        if pushes.mass[c] > 0.0:
            for t in range(pushes.path.shape[1]):
                pushes.path[c, t] /= pushes.mass[c]

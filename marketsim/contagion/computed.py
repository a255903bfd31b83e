r"""The contagion matrix as computed: what one liquidation sets off, from the state alone.

A pool is *near the edge* by its `chance` :math:`p_a` to be liquidated within `HORIZON_HOURS` by the
ordinary movement of the marks, as measured so far. What it would sell in market k, :math:`S_{ak}`,
walks k's book as it stands; the mark goes with it along a path, by the venue's rule and the recovery
measured of that book; and that path adds :math:`\Delta_{ab}` to the chance of every other pool b.
Dollars liquidated in j for each dollar liquidated in k:

.. math:: K_{jk} = \frac{\sum_a p_a \sum_{b \ne a} \Delta_{ab} S_{bj}}{\sum_a p_a S_{ak}}, \qquad
    M_{jk} = \frac{I_j}{I_k} K_{jk}

with :math:`I_k` the furthest k's mark goes for a dollar liquidated in it, so that M says the same
in moves of the marks: how far j follows a move of k. Both have the same spectral radius, R. For even
thresholds and an even book that recovers nothing, M is that on paper
(`marketsim.contagion.response`).
"""

import math
from typing import Any

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


def liquidation_chances(state: State) -> NDArray[np.float64]:
    """Return each pool's chance to be liquidated soon by the ordinary movement of the marks.

    Parameters
    ----------
    state : State
        Left as it is.

    Returns
    -------
    ndarray, (P,)
        0 for pools without positions, those below maintenance already, and the fund's.
    """
    trial = paper.with_own_pools(state)
    steps = horizon_steps(float(state.venue[0].step_hours))
    shape = len(state.pool), len(state.market)
    cost, stand, likely = np.zeros(shape), np.zeros((shape[0], 2)), np.zeros(shape[0])
    _place_pools(trial, walks(steps), cost, stand, likely)
    return likely


def compute_response(state: State, lone: State, reflexivity: float, response: Any) -> None:
    """Compute the contagion matrices of falling and of rising marks.

    Parameters
    ----------
    state : State
        Left as it is.
    lone : State
        Its paper venue, as `marketsim.engine.paper.paper_venue` makes it and `follow` keeps it.
    reflexivity : float
        Share of a perp's displacement that spot follows, 0 to 1.
    response : ndarray, (2, M, M)
        Overwritten: by side (FALLS, RISES), market that follows, market that moves. 0 where no
        liquidation moves a mark.
    """
    steps = horizon_steps(float(state.venue[0].step_hours))
    _compute(paper.with_own_pools(state), lone, reflexivity, walks(steps), response)


@kernel
def _compute(state: State, lone: State, reflexivity: float, walk: Walks, response: Any) -> None:
    """Compute the matrices of a venue whose pools may be assessed, with a paper one to close on."""
    num_pools, num_markets = len(state.pool), len(state.market)
    num_moments = walk.path.shape[1] + 1
    cost = np.zeros((num_pools, num_markets))
    stand = np.zeros((num_pools, 2))
    likely = np.zeros(num_pools)
    _place_pools(state, walk, cost, stand, likely)
    sold = np.zeros((num_pools, num_markets))
    filled = np.zeros((num_pools, num_markets))
    path = np.zeros((num_pools, num_markets, num_moments))
    furthest = np.zeros((num_pools, num_markets))
    is_known = np.zeros(num_pools, np.bool_)
    terms = np.zeros((num_markets, 2))
    for p in range(num_pools):
        if likely[p] > _LEAST_CHANCE:
            is_known[p] = True
            terms[:] = 0.0
            _sell_pool(state, lone, p, cost[p], sold[p], terms)
            _push_marks(state, reflexivity, sold[p], terms, filled[p], path[p])
            for m in range(num_markets):
                furthest[p, m] = path[p, m].max()
    group = np.empty(num_pools, np.int64)
    mean = np.empty((_NUM_CLASSES, num_moments))
    mass = np.empty(_NUM_CLASSES)
    impact = np.empty(num_markets)
    response[:] = 0.0
    for side in (FALLS, RISES):
        sign = 1.0 if side == FALLS else -1.0
        impact[:] = 0.0
        for k in range(num_markets):
            forced = 0.0
            for p in range(num_pools):
                if likely[p] > _LEAST_CHANCE and sign * sold[p, k] > 0.0:
                    forced += likely[p] * filled[p, k]
                    impact[k] += likely[p] * furthest[p, k]
            if impact[k] == 0.0:
                continue
            impact[k] /= forced
            _sort_pushes(sign, k, likely, sold, path, furthest, group, mean, mass)
            for c in range(_NUM_CLASSES):
                if mass[c] == 0.0:
                    continue
                top = mean[c].max()
                for p in range(num_pools):
                    unit = sign * cost[p, k]
                    if unit <= 0.0 or stand[p, 1] == 0.0:
                        continue
                    unit /= stand[p, 1]
                    if stand[p, 0] > walk.reach + unit * top:
                        continue
                    others = mass[c] - (likely[p] if group[p] == c else 0.0)
                    added = others * added_chance(stand[p, 0], unit, mean[c], walk)
                    if not is_known[p]:
                        is_known[p] = True
                        terms[:] = 0.0
                        _sell_pool(state, lone, p, cost[p], sold[p], terms)
                    for j in range(num_markets):
                        response[side, j, k] += added * sign * sold[p, j] / forced
        for j in range(num_markets):
            for k in range(num_markets):
                if impact[k] > 0.0:
                    response[side, j, k] *= impact[j] / impact[k]


@kernel
def _place_pools(state: State, walk: Walks, cost: Any, stand: Any, likely: Any) -> None:
    """Find how far every pool stands above maintenance.

    Overwrites ``cost`` (P, M), what a fall of each mark by 1 costs it, atoms; ``stand`` (P, 2),
    what it has beyond maintenance, in what that moves by in a step, and the latter, atoms, 0 for a
    pool that is not looked at; ``likely`` (P,), its chance. Assesses the pools.
    """
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
                cost[p, m] = value - abs(value) * (tier.maintenance_fraction / ONE)
        variance = 0.0
        for m in range(num_markets):
            for k in range(num_markets):
                if cost[p, m] != 0.0 and cost[p, k] != 0.0:
                    variance += cost[p, m] * cost[p, k] * mark_covariance(state, m, k)
        spare = state.pool[p].equity - state.pool[p].maintenance + drawable(state, p)
        if spare >= 0 and variance > 0.0:
            stand[p, 1] = math.sqrt(variance)
            stand[p, 0] = spare / stand[p, 1]
            likely[p] = chance(stand[p, 0], walk)


@kernel
def _sell_pool(state: State, lone: State, p: int, cost: Any, sold: Any, terms: Any) -> None:
    """Sell on paper what a pool must when a step of ordinary movement takes it below maintenance.

    The mark that matters most to it goes just so far. Adds to `sold` and `terms` as
    `seize_on_paper` does.
    """
    i = widen(state.pool[p].owner)
    k, most = widen(NONE), 0.0
    for m in range(len(state.market)):
        weight = abs(cost[m]) * math.sqrt(mark_covariance(state, m, m))
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
    seize_on_paper(state, lone, i, k, ticks, sold, terms)


@kernel
def _push_marks(
    state: State, reflexivity: float, sold: Any, terms: Any, filled: Any, path: Any
) -> None:
    """Walk every book with what a pool sells in it.

    Overwrites ``filled`` (M,), what the books take, atoms, and ``path`` (M, steps + 1), how far
    each mark goes the sale's way.
    """
    fund = float(liquidation.fund_available(state))
    for m in range(len(state.market)):
        market = state.market[m]
        value = market.mark_ticks * market.tick_atoms
        lots = int(abs(sold[m]) / value + 0.5)
        if lots == 0:
            continue
        side = 1 if sold[m] > 0.0 else -1
        limit, bankruptcy = terms[m, 0] * market.mark_ticks, terms[m, 1] * market.mark_ticks
        taken = walk_book(state, m, side, lots, limit, bankruptcy, fund)
        filled[m] = float(taken.lots) * value
        if taken.lots > 0:
            recovered = state.recovery[m].share
            mark_path(state, m, side, taken, recovered, reflexivity, path[m])


@kernel
def _sort_pushes(
    sign: float,
    k: int,
    likely: Any,
    sold: Any,
    path: Any,
    furthest: Any,
    group: Any,
    mean: Any,
    mass: Any,
) -> None:
    """Put the pools that push market k's mark to a side into classes by how far they push it.

    Overwrites ``group`` (P,), NONE for the others, ``mass`` (classes,), their chances summed up,
    and ``mean`` (classes, steps + 1), the mean path of each.
    """
    mean[:] = 0.0
    mass[:] = 0.0
    group[:] = NONE
    most = 0.0
    for p in range(len(group)):
        if likely[p] > _LEAST_CHANCE and sign * sold[p, k] > 0.0:
            most = max(most, furthest[p, k])
    for p in range(len(group)):
        if likely[p] > _LEAST_CHANCE and sign * sold[p, k] > 0.0 and furthest[p, k] > 0.0:
            c = min(int(math.log2(most / furthest[p, k])), _NUM_CLASSES - 1)
            group[p] = c
            mass[c] += likely[p]
            mean[c] += likely[p] * path[p, k]
    for c in range(_NUM_CLASSES):
        if mass[c] > 0.0:
            mean[c] /= mass[c]

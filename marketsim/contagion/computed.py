r"""The contagion matrix as computed: what one liquidation sets off, from the state alone.

A pool is *near the edge* by its `chance` :math:`p_a` to be liquidated within `HORIZON_HOURS` by the
ordinary movement of the marks, as measured so far. What it would sell in market k, :math:`S_{ak}`,
walks k's book as it stands; the mark goes with it along a path, by the venue's rule and the recovery
measured of that book; and that path adds :math:`\Delta_{ab}` to the chance of every other pool b.
Dollars liquidated in j for each dollar liquidated in k, of pools from which the book takes something:

.. math:: K_{jk} = \frac{\sum_a p_a \sum_{b \ne a} \Delta_{ab} S_{bj}}{\sum_a p_a S_{ak}}, \qquad
    M_{jk} = \frac{I_j}{I_k} K_{jk}

with :math:`I_k` the furthest k's mark goes for a dollar liquidated in it, so that M says the same
in moves of the marks: how far j follows a move of k. Both have the same spectral radius, R. For even
thresholds and an even book that recovers nothing, M is that on paper
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
    filled: NDArray[
        np.float64
    ]  #: (P, M) atoms that the books take of what a pool sells, buying < 0


def compute_contagion(state: State, lone: State, reflexivity: float) -> Computed:
    """Compute the contagion matrices of falling and of rising marks, and what they rest on.

    An entry is 0 where no liquidation moves a mark. Pools without positions, those below maintenance
    already and the insurance fund have no chance.

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
    _compute(paper.with_own_pools(state), lone, reflexivity, walks(steps), found)
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
        return found.likely * (total > 0.0)
    felt = impact > 0.0
    mode = np.abs(modes[:, lasts])
    scale = np.divide(mode, impact * forced, out=np.zeros(len(mode)), where=felt)
    weight: NDArray[np.float64] = found.likely * (share @ scale)
    return weight


@kernel
def _compute(state: State, lone: State, reflexivity: float, walk: Walks, found: Computed) -> None:
    """Compute it of a venue whose pools may be assessed, with a paper one to close on."""
    response, likely, filled = found.response, found.likely, found.filled
    num_pools, num_markets = len(state.pool), len(state.market)
    num_moments = walk.path.shape[1] + 1
    cost = np.zeros((num_pools, num_markets))
    stand = np.zeros((num_pools, 2))
    _place_pools(state, walk, cost, stand, likely)
    sold = np.zeros((num_pools, num_markets))
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
    for side in (FALLS, RISES):
        sign = 1.0 if side == FALLS else -1.0
        impact = found.impact[side]
        for k in range(num_markets):
            forced = 0.0
            for p in range(num_pools):
                if likely[p] > _LEAST_CHANCE and sign * filled[p, k] > 0.0:
                    # what the book does not take goes the rest of the waterfall
                    forced += likely[p] * abs(sold[p, k])
                    impact[k] += likely[p] * furthest[p, k]
            found.forced[side, k] = forced
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

    Overwrites ``filled`` (M,), what the books take, atoms, buying negative, and ``path`` (M, steps + 1), how far
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
        filled[m] = float(side * taken.lots) * value
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

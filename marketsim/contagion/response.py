"""How the venue would answer a small move: the contagion matrix, from the state alone.

A market's mark is moved on paper against those who hold it. Pools that fall below maintenance are
closed on paper by the venue's own rules, leg by leg, at the moved marks; what they must sell in
each market, over what its book holds, is how far that market would follow. Nothing changes in the
state: what a look at a pool needs to alter is put back before the next one.
"""

import math
from typing import Any

import numpy as np

from marketsim.engine import liquidation
from marketsim.engine._jit import kernel
from marketsim.engine.book import find_level, next_price
from marketsim.engine.formulas.requirements import waterfall_stage
from marketsim.engine.pools import assess_pool, haircut_holdings, maintenance_requirement
from marketsim.engine.state import MAX_PRICE_TICKS, NONE, MarkRule, Stage, State, widen

#: Sides of a response: marks fall, marks rise.
FALLS, RISES = 0, 1
#: Atoms by which rounding may bring a pool nearer to maintenance than its notional says.
_ROUNDING = 4
#: What a pool has left to sell after so many steps does not count.
_MAX_STEPS = 1000


@kernel
def measure_response(state: State, reflexivity: float, delta: float, response: Any) -> None:
    r"""Measure the contagion matrices of falling and of rising marks.

    .. math:: M_{jk} = \lambda \frac{S_j}{D_j \, \delta}

    with S_j the notional that pools seized by a move of market k's mark by :math:`\delta` must sell
    in j (net; what they must buy counts against it, and for a rise the other way round), D_j the
    `depth` of the side of j's book it goes to and :math:`\lambda` the `pass_through`. So x = M s
    is how far all marks follow a small move s, and R, the spectral radius of M, says whether
    that dies out.

    Pools that are below maintenance already are being closed whatever moves, and do not count.
    Holdings keep their value: only the mark moves. NaN where somebody must sell into an empty side.

    Parameters
    ----------
    state : State
        Left as it is.
    reflexivity : float
        Share of a perp's displacement that spot follows, 0 to 1.
    delta : float
        Relative move; also how far down the book the depth is counted.
    response : ndarray, (2, M, M)
        Overwritten: by side (FALLS, RISES), market that follows, market that moves.

    References
    ----------
    Linear threshold response as in G. Gai and S. Kapadia (2010), "Contagion in financial networks",
    Proc. R. Soc. A 466, with marked-to-market losses in place of defaulted loans.
    """
    num_markets = len(state.market)
    room = margin_room(state)
    sold = np.zeros((2, num_markets, num_markets))
    moved = np.empty((2, num_markets), np.int64)
    shift = np.empty((2, num_markets), np.int64)
    for k in range(num_markets):
        market = state.market[k]
        for side in (FALLS, RISES):
            moved[side, k] = moved_mark(market.mark_ticks, delta if side == RISES else -delta)
            shift[side, k] = abs(moved[side, k] - market.mark_ticks) * market.tick_atoms
    for i in range(len(state.account) - 1):
        for k in range(num_markets):
            size = state.position[i, k].size
            if size != 0:
                side = FALLS if size > 0 else RISES
                p = widen(state.position[i, k].pool)
                # The requirement changes by less than the notional: fractions are below one.
                reach = 2 * abs(size) * shift[side, k] + _ROUNDING
                if 0 <= room[p] < reach:
                    _seize_on_paper(state, p, k, moved[side, k], room, sold[side, :, k])
    passed = pass_through(state, reflexivity)
    for j in range(num_markets):
        bids, asks = depth(state, j, 1, delta), depth(state, j, -1, delta)
        for side in (FALLS, RISES):
            sign = passed if side == FALLS else -passed
            for k in range(num_markets):
                step = abs(moved[side, k] / state.market[k].mark_ticks - 1.0)
                net = sold[side, j, k]
                response[side, j, k] = 0.0
                if net != 0.0:
                    response[side, j, k] = sign * net / ((bids if net > 0.0 else asks) * step)


@kernel
def moved_mark(mark: int, change: float) -> int:
    """Return a mark moved by a relative change, in ticks: at least by one, within the range."""
    ticks = int(math.floor(mark * (1.0 + change) + 0.5))
    if ticks == mark:
        ticks += 1 if change > 0.0 else -1
    return min(max(ticks, 1), MAX_PRICE_TICKS)


@kernel
def pass_through(state: State, reflexivity: float) -> float:
    """Return the share of a displacement of the book that the mark follows if it lasts.

    All of it where the mark contains the last price or an average of mid - index, whatever time the
    average takes; under `INDEX` what spot follows. A book that heals before its average has seen it
    passes on less.
    """
    return reflexivity if state.venue[0].mark_rule == MarkRule.INDEX else 1.0


@kernel
def depth(state: State, m: int, side: int, reach: float) -> float:
    """Return what the book holds, atoms per unit of relative move; nan if that side is empty.

    The notional of all orders within `reach` (a fraction) of the best price, over `reach`; bids for
    `side` +1, asks for -1.
    """
    market = state.market[m]
    price = widen(market.best_bid if side > 0 else market.best_ask)
    if price == 0:
        return math.nan
    last = price * (1.0 - side * reach)
    total = 0.0
    while price != 0 and (price - last) * side >= 0.0:
        total += float(state.level[find_level(state, m, price)].volume) * price
        price = widen(next_price(state, m, price, -side))
    return total * market.tick_atoms / reach


@kernel
def margin_room(state: State) -> Any:
    """Return equity less maintenance margin of every pool at the present marks, atoms.

    Unlike `margin.assess_pools` it leaves the pools' own record of their last assessment alone.

    Returns
    -------
    array of int64, shape (P,)
    """
    room = np.empty(len(state.pool), np.int64)
    for p in range(len(state.pool)):
        room[p] = state.pool[p].cash
    for i in range(len(state.account)):
        room[i] += haircut_holdings(state, i)
        for m in range(len(state.market)):
            position = state.position[i, m]
            size = position.size
            if size != 0:
                market = state.market[m]
                value = size * market.mark_ticks * market.tick_atoms
                room[position.pool] += value - maintenance_requirement(state, m, size)
    return room


@kernel
def drawable(state: State, p: int, room: Any) -> int:
    """Return what a side pool may still draw from its main pool, atoms.

    `room` is that of `margin_room`.
    """
    owner = state.pool[p].owner
    draw = state.draw[p]
    if p == owner or draw.limit == 0:
        return 0
    spare: int = room[owner]
    return max(min(draw.limit - draw.drawn, spare), 0)


@kernel
def _seize_on_paper(state: State, p: int, k: int, ticks: int, room: Any, sold: Any) -> None:
    """Close a pool on paper if a move of mark `k` to `ticks` takes it below maintenance.

    Adds what it must sell to ``sold`` (M,), atoms at the moved marks, buying negative.
    """
    i = widen(state.pool[p].owner)
    num_markets = len(state.market)
    pool, account, market = state.pool[p], state.account[i], state.market[k]
    cash, equity, maintenance = pool.cash, pool.equity, pool.maintenance
    counted, step = account.liquidated_atoms, account.liquidated_step
    loss, mark = account.fund_loss_atoms, market.mark_ticks
    market.mark_ticks = ticks
    assess_pool(state, p)
    short = pool.maintenance - pool.equity
    spare = drawable(state, p, room)
    if short > spare:
        size = np.empty(num_markets, np.int64)
        chunk_step = np.empty(num_markets, np.int64)
        for m in range(num_markets):
            size[m] = state.position[i, m].size
            chunk_step[m] = state.chunk_step[i, m]
        pool.cash += max(min(-pool.equity, spare), 0)
        _close_on_paper(state, p, room[len(state.account) - 1], sold)
        for m in range(num_markets):
            state.position[i, m].size = size[m]
            state.chunk_step[i, m] = chunk_step[m]
    market.mark_ticks = mark
    account.liquidated_atoms, account.liquidated_step = counted, step
    account.fund_loss_atoms = loss
    pool.cash, pool.equity, pool.maintenance = cash, equity, maintenance


@kernel
def _close_on_paper(state: State, p: int, available: int, sold: Any) -> None:
    """Take a pool through the rounds of the coming steps, until it is safe or nothing goes on."""
    totals = state.totals[0]
    now = totals.step
    for _ in range(_MAX_STEPS):
        totals.step += 1  # limits and cooldowns are per step
        has_closed = False
        for _ in range(state.venue[0].max_rounds):
            if not _close_round_on_paper(state, p, available, sold):
                break
            has_closed = True
        if not has_closed:
            break
    totals.step = now


@kernel
def _close_round_on_paper(state: State, p: int, available: int, sold: Any) -> bool:
    """Try each leg once, as `waterfall.liquidate_pool`; tell whether anything was closed."""
    i = widen(state.pool[p].owner)
    tried = np.zeros(len(state.market), np.bool_)
    is_seized = False
    has_closed = False
    while True:
        assess_pool(state, p)
        if not liquidation.may_close(state, p, is_seized):
            break
        m = liquidation.next_leg(state, p, tried)
        if m == NONE:
            break
        tried[m] = True
        is_seized = True
        before = widen(state.position[i, m].size)
        sold[m] += _close_leg_on_paper(state, p, m, available)
        has_closed = has_closed or state.position[i, m].size != before
    return has_closed


@kernel
def _close_leg_on_paper(state: State, p: int, m: int, available: int) -> float:
    """Make one attempt at a leg, at the mark; return what goes to the book, atoms sold.

    As in `waterfall.liquidate_leg`: the fund at once in the backstop stage, else the book if the
    order's limit allows the mark, else fund or counterparties if the pool is bankrupt.
    """
    venue = state.venue[0]
    i = widen(state.pool[p].owner)
    pool, position, market = state.pool[p], state.position[i, m], state.market[m]
    size = widen(position.size)
    side = 1 if size > 0 else -1
    stage = waterfall_stage(pool.equity, pool.maintenance, venue.backstop_ratio)
    takes_over = stage == Stage.BACKSTOP and venue.fund_takeover != 0
    if not takes_over or not liquidation.can_take_over(state, i, m, available):
        limit = liquidation.limit_price(state, i, m)
        if (market.mark_ticks - limit) * side >= 0:
            lots = liquidation.order_size(state, i, m)
            value = side * lots * market.mark_ticks * market.tick_atoms
            delta = liquidation.fund_delta(state, i, m, -side * lots, market.mark_ticks)
            liquidation.count_use(state, i, abs(value), max(-delta, 0))
            if lots < abs(size):
                state.chunk_step[i, m] = state.totals[0].step
            pool.cash += value - delta
            position.size -= side * lots
            return float(value)
        if pool.equity >= 0:
            return 0.0
    pool.cash += liquidation.closing_cash(state, i, m, -size)
    position.size = 0
    return 0.0

"""How the venue would answer a small move: the contagion matrix, from the state alone.

A market's mark is moved against those who hold it. Pools that fall below maintenance go, each by
itself, through the venue's own waterfall on paper, where someone takes at the moved marks what
their orders offer; what they must sell in each market, over what its book holds, is how far that
market would follow.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.contagion.triggers import is_seized_at
from marketsim.engine import margin, paper, step, waterfall
from marketsim.engine._jit import kernel, spliced
from marketsim.engine.book import find_level, next_price
from marketsim.engine.records import Indices
from marketsim.engine.state import MAX_PRICE_TICKS, MarkRule, State, widen

#: Sides of a response: marks fall, marks rise.
FALLS, RISES = 0, 1
#: Atoms by which rounding may bring a pool nearer to maintenance than its notional says.
_ROUNDING = 4
#: What a pool has left to sell after so many steps does not count.
_MAX_STEPS = 1000


def measure_response(
    state: State, lone: State, reflexivity: float, delta: float, response: Any
) -> None:
    r"""Measure the contagion matrices on paper of falling and of rising marks.

    .. math:: M_{jk} = \lambda \frac{S_j}{D_j \, \delta}

    with S_j the notional that pools seized by a move of market k's mark by :math:`\delta` must sell
    in j (net; what they must buy counts against it, and for a rise the other way round), D_j the
    `depth` of the side of j's book it goes to and :math:`\lambda` the `pass_through`. So x = M s
    is how far all marks follow a small move s, and R, the spectral radius of M, says whether
    that dies out.

    Pools that are below maintenance already are being closed whatever moves, and do not count. Each
    pool finds the insurance fund as it stands, but for the moved mark.
    Holdings keep their value: only the mark moves. NaN where somebody must sell into an empty side.

    Parameters
    ----------
    state : State
        Left as it is.
    lone : State
        Its paper venue, as `marketsim.engine.paper.paper_venue` makes it and `follow` keeps it.
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
    _measure(paper.with_own_pools(state), lone, reflexivity, delta, response)


@kernel
def _measure(state: State, lone: State, reflexivity: float, delta: float, response: Any) -> None:
    """Measure the matrices of a venue whose pools may be assessed, with a paper one to close on."""
    num_markets = len(state.market)
    margin.value_pools(state)
    sold = np.zeros((2, num_markets, num_markets))
    moved = np.empty((2, num_markets), np.int64)
    shift = np.empty((2, num_markets), np.int64)
    terms = np.zeros((num_markets, 2))
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
                pool = state.pool[state.position[i, k].pool]
                # The requirement changes by less than the notional: fractions are below one.
                reach = 2 * abs(size) * shift[side, k] + _ROUNDING
                if 0 <= pool.equity - pool.maintenance < reach:
                    if is_seized_at(state, i, k, moved[side, k]):
                        seize_on_paper(state, lone, i, k, moved[side, k], sold[side, :, k], terms)
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
    average takes; under `INDEX` what spot follows. See `marketsim.contagion.sale.mark_path` for one
    that does not last.
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


@spliced
def seize_on_paper(
    state: State, lone: State, i: int, k: int, ticks: int, sold: Any, terms: Any
) -> None:
    """Close the pool in which account `i` holds market `k`, with that mark at `ticks`.

    It goes through the rounds of the coming steps, until it is safe or nothing goes on. The paper
    venue `lone` is left as they leave it, but for its mark and book. Adds what the pool's orders
    sell to ``sold`` (M,), atoms, buying negative, and sets ``terms`` (M, 2) where they are
    zero: the limit of the first order and its bankruptcy price, over the mark.
    """
    totals, market = lone.totals[0], lone.market[k]
    mark = market.mark_ticks
    market.mark_ticks = ticks
    paper.move_in(state, i, lone)
    paper.offer_marks(lone, widen(paper.TRADER), widen(paper.NEUTRAL))
    p = widen(lone.position[paper.TRADER, k].pool)
    for _ in range(_MAX_STEPS):
        totals.num_liquidations = totals.num_deleverages = 0
        step.begin_counts(lone, totals.step + 1)  # limits and cooldowns are per step
        for round_number in range(lone.venue[0].max_rounds):
            if not _close_round(lone, p, round_number):
                break
        if totals.num_liquidations == 0:
            break
        for number in range(totals.num_liquidations):
            record = lone.liquidation[number]
            sold[record.market] += float(record.book_cash)
            if terms[record.market, 0] == 0.0:
                terms[record.market, 0] = record.limit_ticks / record.mark_ticks
                terms[record.market, 1] = record.bankruptcy_price / record.mark_ticks
    paper.withdraw_offers(lone, widen(paper.NEUTRAL))
    market.mark_ticks = mark


@spliced
def _close_round(lone: State, p: int, round_number: int) -> bool:
    """Take a pool through a margin pass and the waterfall; tell whether anything was closed."""
    if margin.assess_pools(lone) == 0:
        return False
    before = lone.totals[0].num_liquidations
    waterfall.liquidate_pool(lone, p, round_number)
    waterfall.deleverage(lone)
    return bool(lone.totals[0].num_liquidations > before)


def sales_of(state: State, pools: Indices) -> NDArray[np.float64]:
    """Return what pools that are below maintenance must sell, (pools, M) atoms, buying negative.

    Each by itself, on paper, at the marks as they are. The state's pools must be assessed.
    """
    sold = np.zeros((len(pools), len(state.market)))
    if len(pools):
        _sell_on_paper(state, paper.paper_venue(state), np.asarray(pools, np.int64), sold)
    return sold


@kernel
def _sell_on_paper(state: State, lone: State, pools: Indices, sold: Any) -> None:
    terms = np.zeros((len(state.market), 2))
    for n in range(len(pools)):
        i = widen(state.pool[pools[n]].owner)
        for k in range(len(state.market)):
            position = state.position[i, k]
            if position.pool == pools[n] and position.size != 0:
                mark = widen(state.market[k].mark_ticks)
                seize_on_paper(state, lone, i, k, mark, sold[n], terms)
                break

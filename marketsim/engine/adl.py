"""Stage 9: what neither book nor insurance fund took is closed against the market's other side.

Auto-deleveraging (ADL) never crosses markets. A first pass down the venue's ranking closes at the
bankruptcy price and skips whoever it would leave below margin; what is still open is closed at the
mark, and the loss that remains is shared (`socialise`). Where a venue's rule is no ranking, all on
the other side bear their part (`pro_rata`).
"""

import numpy as np

from marketsim.engine import ledger
from marketsim.engine._jit import kernel
from marketsim.engine.formulas.closing import bankruptcy_cash
from marketsim.engine.formulas.ranks import score_binance, score_bitmex, score_hyperliquid
from marketsim.engine.formulas.requirements import change_is_accepted
from marketsim.engine.pools import (
    assess_pool,
    initial_margin,
    initial_requirement,
    maintenance_requirement,
)
from marketsim.engine.ranking import order_by
from marketsim.engine.records import Indices
from marketsim.engine.state import MAX_ROWS_PER_STEP, Cause, RankRule, State, widen


@kernel
def score(state: State, i: int, m: int) -> float:
    """Rank of account `i` in market `m`'s deleveraging queue: highest first.

    Reads the pool's last assessment. Hyperliquid documents its index for longs; for shorts the
    price ratio is turned round, so that profit ranks high on both sides.
    """
    rule = state.venue[0].rank_rule
    if rule >= RankRule.RANDOM:  # ranked by priority: drawn at random, or none before another
        return float(state.account[i].priority)
    market = state.market[m]
    position = state.position[i, m]
    pool = state.pool[position.pool]
    size = position.size
    value = float(size * market.mark_ticks * market.tick_atoms)
    entry = float(position.entry_cost)
    equity = float(pool.equity)
    if rule == RankRule.BINANCE:
        profit = value - entry
        return score_binance(profit, abs(value), equity - profit)
    if rule == RankRule.BITMEX:
        share = maintenance_requirement(state, m, size) / max(pool.maintenance, 1)
        return score_bitmex(value, value - equity * share, entry)
    if size > 0:
        return score_hyperliquid(value, entry, abs(value), equity)
    return score_hyperliquid(entry, value, abs(value), equity)


@kernel
def queue(state: State, i: int, m: int) -> Indices:
    """List the accounts on the other side of account `i`'s position, first to deleverage first.

    Ties go by the accounts' fixed random priority.

    Returns
    -------
    array of int64
    """
    size = state.position[i, m].size
    num_accounts = len(state.account)
    count = 0
    for j in range(num_accounts):
        if state.position[j, m].size * size < 0:
            count += 1
    found: Indices = np.empty(count, np.int64)
    rank = np.empty(count, np.float64)
    priority = np.empty(count, np.int64)
    n = 0
    for j in range(num_accounts):
        if state.position[j, m].size * size < 0:
            found[n] = j
            priority[n] = -state.account[j].priority
            n += 1
    for n in range(count):
        assess_pool(state, state.position[found[n], m].pool)
        rank[n] = -score(state, found[n], m)
    return found[order_by(rank, priority)]


@kernel
def _is_accepted(state: State, i: int, m: int, change: int, cash: int) -> bool:
    """Tell whether closing `change` lots for `cash` atoms leaves a pool no worse."""
    p = widen(state.position[i, m].pool)
    market = state.market[m]
    pool = state.pool[p]
    size = state.position[i, m].size
    equity = pool.equity + cash + change * market.mark_ticks * market.tick_atoms
    maintenance = (
        pool.maintenance
        - maintenance_requirement(state, m, size)
        + maintenance_requirement(state, m, size + change)
    )
    initial = (
        initial_margin(state, p)
        - initial_requirement(state, i, m, size)
        + initial_requirement(state, i, m, size + change)
    )
    return change_is_accepted(pool.equity, pool.maintenance, equity, initial, maintenance)


@kernel
def close_pair(state: State, i: int, j: int, m: int, lots: int, at_mark: bool) -> int:
    """Close `lots` of bankrupt account `i` against account `j`; return the lots closed (or 0).

    At account `i`'s bankruptcy price, if both changes are accepted; or at the mark.
    """
    size = state.position[i, m].size
    other = state.position[j, m].size
    if size * other >= 0 or lots <= 0 or lots > min(abs(size), abs(other)):
        return 0
    market = state.market[m]
    change = -lots if size > 0 else lots
    marked = change * market.mark_ticks * market.tick_atoms
    p = widen(state.position[i, m].pool)
    assess_pool(state, p)
    assess_pool(state, widen(state.position[j, m].pool))
    cash = -marked
    if not at_mark:
        pool = state.pool[p]
        before = maintenance_requirement(state, m, size)
        after = maintenance_requirement(state, m, size + change)
        cash = bankruptcy_cash(change, marked, pool.equity, before - after, pool.maintenance)
        if not _is_accepted(state, i, m, change, cash):
            return 0
        if not _is_accepted(state, j, m, -change, -cash):
            return 0
    ledger.book_transfer(state, i, m, change, cash, Cause.ADL)
    ledger.book_transfer(state, j, m, -change, -cash, Cause.ADL)
    ledger.return_free_cash(state, widen(state.position[j, m].pool))
    return lots


@kernel
def close_against(state: State, number: int, j: int, lots: int, at_mark: bool) -> int:
    """Close `lots` of a liquidated leg against account `j` as `close_pair` does; write it down."""
    totals = state.totals[0]
    record = state.liquidation[number]
    i = widen(record.account)
    m = widen(record.market)
    market = state.market[m]
    if totals.num_deleverages - totals.step_deleverages >= MAX_ROWS_PER_STEP:
        return 0
    side = 1 if state.position[i, m].size > 0 else -1
    held = widen(state.position[j, m].size)
    gained = held * market.mark_ticks * market.tick_atoms - state.position[j, m].entry_cost
    p = widen(state.position[i, m].pool)
    before = state.pool[p].cash
    closed = close_pair(state, i, j, m, lots, at_mark)
    if closed == 0:
        return 0
    received = state.pool[p].cash - before
    value = closed * market.mark_ticks * market.tick_atoms
    entry = state.deleverage[totals.num_deleverages]
    entry.step = totals.step
    entry.liquidation = number
    entry.market = m
    entry.account = j
    entry.size_before = held
    entry.profit = gained
    entry.size = side * closed
    entry.cash = -received
    entry.cost = received - side * value
    totals.num_deleverages += 1
    totals.adl_atoms += value
    record.adl_size += closed
    record.adl_cost += entry.cost
    record.size_after -= side * closed
    market.liquidated_atoms += value
    market.volume += closed
    return closed


@kernel
def deleverage(state: State, number: int, ranked: Indices, at_mark: bool) -> None:
    """Close what is left of a liquidated leg down a ranked queue."""
    record = state.liquidation[number]
    i = widen(record.account)
    m = widen(record.market)
    for j in ranked:
        left = abs(state.position[i, m].size)
        if left == 0:
            return
        close_against(state, number, j, min(left, abs(state.position[j, m].size)), at_mark)

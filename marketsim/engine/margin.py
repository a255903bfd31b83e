"""Stage 7: every pool's equity against its requirement, and the acceptance of trades."""

import numpy as np

from marketsim.engine import ledger
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.formulas.requirements import change_is_accepted, is_liquidatable
from marketsim.engine.pools import (
    assess_pool,
    drawable,
    free_margin,
    haircut_holdings,
    initial_margin,
    initial_requirement,
    maintenance_of,
    maintenance_requirement,
)
from marketsim.engine.ranking import order_by
from marketsim.engine.records import Indices
from marketsim.engine.state import State, widen


@kernel
def trade_is_accepted(state: State, i: int, m: int, change: int, price: int, fee: int) -> bool:
    """Tell whether account `i` may trade `change` lots at `price` ticks for `fee` atoms.

    Initial margin is met afterwards, or risk is not worse. A side pool may be topped up to its
    initial margin from what the main pool has free.
    """
    market = state.market[m]
    p = widen(state.position[i, m].pool)
    gain = change * (market.mark_ticks - price) * market.tick_atoms - fee
    equity, initial = _after_trade(state, i, p, m, change)
    equity += gain
    if equity >= initial:
        return True
    if p == i:
        equity += haircut_holdings(state, i)
        if equity >= initial:
            return True
    assess_pool(state, p)
    pool = state.pool[p]
    size = state.position[i, m].size
    maintenance = (
        pool.maintenance
        - maintenance_requirement(state, m, size)
        + maintenance_requirement(state, m, size + change)
    )
    if change_is_accepted(pool.equity, pool.maintenance, equity, initial, maintenance):
        return True
    return p != i and extends(size, change) and initial - equity <= free_margin(state, i)


@kernel
def extends(size: int, change: int) -> bool:
    """Tell whether a change makes a position larger or turns it to the other side."""
    return abs(size + change) > abs(size) or size * (size + change) < 0


@inlined
def _after_trade(state: State, i: int, p: int, m: int, change: int) -> tuple[int, int]:
    """Sum up a pool of account `i` for a trade of `change` lots in `m`.

    Equity at the mark, without holdings (seldom needed, and a record of their own to read), and
    initial margin after the trade.
    """
    equity = state.pool[p].cash
    initial = 0
    for n in range(len(state.market)):
        position = state.position[i, n]
        if position.pool == p:
            size = position.size
            if size != 0:
                equity += size * state.market[n].mark_ticks * state.market[n].tick_atoms
            initial += initial_requirement(state, i, n, size + change if n == m else size)
    return equity, initial


@kernel
def fund_pool(state: State, p: int) -> None:
    """Top a side pool up to its initial margin from what the main pool has free."""
    i = state.pool[p].owner
    if p == i:
        return
    assess_pool(state, p)
    short = initial_margin(state, p) - state.pool[p].equity
    if short > 0:
        ledger.move_cash(state, i, p, min(short, free_margin(state, i)))


@kernel
def is_short(equity: int, maintenance: int) -> bool:
    """Tell whether a pool is liquidatable, or holds nothing and owes more than it has."""
    return is_liquidatable(equity, maintenance) or (maintenance == 0 and equity < 0)


@kernel
def assess_pools(state: State) -> int:
    """Set equity and maintenance margin of every pool; return how many are below maintenance.

    A side pool that is short draws from its main pool if that makes it safe, within its draw
    limit and without taking the main pool below its own maintenance. Overwrites `short` and
    `touched`.
    """
    num_accounts = len(state.account)
    for p in range(num_accounts, len(state.pool)):
        _begin_side_pool(state, p)
        state.touched[p] = 1
    count = 0
    for i in range(num_accounts):
        _assess_account(state, i)
        count += _list_short(state, i, count)
    return count + _draw_for_side_pools(state, count)


@kernel
def value_pools(state: State) -> None:
    """Set equity and maintenance margin of every pool by its own means: nothing is drawn."""
    for p in range(len(state.account), len(state.pool)):
        _begin_side_pool(state, p)
    for i in range(len(state.account)):
        _assess_account(state, i)


@kernel
def reassess_pools(state: State) -> int:
    """Do what `assess_pools` does after a pass since which no mark and no index moved.

    Only the pools that were short or were touched since are looked at anew: with many accounts most
    rounds of liquidation touch a few.
    """
    count = 0
    for p in range(len(state.pool)):
        if state.touched[p] != 0:
            assess_pool(state, p)
            if p < len(state.account):
                count += _list_short(state, p, count)
    return count + _draw_for_side_pools(state, count)


@inlined
def _list_short(state: State, p: int, count: int) -> int:
    """Put a pool that is short on the list behind `count` others; return 1 if it is, else 0."""
    pool = state.pool[p]
    is_fund = p == len(state.account) - 1  # `waterfall.close_fund` sees to it
    found = 1 if is_short(pool.equity, pool.maintenance) and not is_fund else 0
    state.short[count] = p
    state.touched[p] = found
    return found


@kernel
def _draw_for_side_pools(state: State, first: int) -> int:
    """Let side pools that are short draw what saves them; list those that still are.

    They go behind the `first` main pools; returns how many they are.
    """
    count = 0
    for p in range(len(state.account), len(state.pool)):
        if state.touched[p] != 0:
            pool = state.pool[p]
            if state.draw[p].limit > 0 and is_short(pool.equity, pool.maintenance):
                _draw(state, p)
            count += _list_short(state, p, first + count)
    return count


@inlined
def _begin_side_pool(state: State, p: int) -> None:
    """Assess a side pool as if it held no position: those come with its owner's."""
    state.pool[p].equity = state.pool[p].cash
    state.pool[p].maintenance = 0


@inlined
def _assess_account(state: State, i: int) -> None:
    """Assess an account's main pool, and add its other positions to their side pools.

    One pass over the positions: of many accounts they do not fit the processor's caches.
    """
    main = state.pool[i]
    main.equity = main.cash + haircut_holdings(state, i)
    main.maintenance = 0
    for m in range(len(state.market)):
        position = state.position[i, m]
        if position.size != 0:
            value = position.size * state.market[m].mark_ticks * state.market[m].tick_atoms
            pool = state.pool[position.pool]
            pool.equity += value
            pool.maintenance += maintenance_of(state, m, abs(value))


@kernel
def _draw(state: State, p: int) -> None:
    """Let a short side pool draw what it lacks from its main pool, all of it or nothing."""
    pool = state.pool[p]
    main = state.pool[pool.owner]
    short = pool.maintenance - pool.equity
    if short <= drawable(state, p):
        ledger.move_cash(state, pool.owner, p, short)
        state.draw[p].drawn += short
        pool.equity += short
        main.equity -= short


@kernel
def riskiest_first(state: State, count: int) -> Indices:
    """List the `count` pools below maintenance by equity / maintenance, lowest first.

    Ties go by the owners' fixed random priority, then by the pool's number.

    Returns
    -------
    array of int64, shape (count,)
    """
    found = state.short[:count]
    priority = np.empty(count, np.int64)
    ratio = np.empty(count, np.float64)
    for n in range(count):
        pool = state.pool[found[n]]
        priority[n] = state.account[pool.owner].priority
        ratio[n] = pool.equity / max(pool.maintenance, 1)
    return found[order_by(ratio, priority)]

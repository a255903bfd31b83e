"""Stages 8 and 9 for one pool: book, insurance fund, auto-deleveraging, socialised loss."""

import math

import numpy as np

from marketsim.engine import (
    adl,
    causes,
    clearing,
    ledger,
    liquidation,
    matching,
    pro_rata,
    recovery,
    socialise,
)
from marketsim.engine._jit import kernel
from marketsim.engine.formulas.requirements import waterfall_stage
from marketsim.engine.pools import assess_pool
from marketsim.engine.records import Indices
from marketsim.engine.state import NONE, ONE, RankRule, Stage, State, widen


@kernel
def liquidate_pool(state: State, p: int, round_number: int) -> None:
    """Close the legs of a pool, one attempt each, until it is safe again or all were tried."""
    liquidation.cancel_orders(state, p)
    liquidation.draw_loss(state, p)
    causes.open_seizure(state, p)
    tried = np.zeros(len(state.market), np.bool_)
    is_seized = False
    while liquidation.has_room(state):
        assess_pool(state, p)
        if not liquidation.may_close(state, p, is_seized):
            break
        m = liquidation.next_leg(state, p, tried)
        if m == NONE:
            break
        tried[m] = True
        is_seized = True
        liquidate_leg(state, p, m, round_number)
    causes.close_seizure(state)
    clear_debt(state, p)
    ledger.return_free_cash(state, p)


@kernel
def clear_debt(state: State, p: int) -> None:
    """Settle what a pool without positions owes beyond its collateral; the rest is shared."""
    assess_pool(state, p)
    if state.pool[p].equity < 0:
        loss = liquidation.settle_deficit(state, p, liquidation.fund_available(state))
        if loss > 0:
            socialise.share_loss(state, p, widen(NONE), loss)


@kernel
def liquidate_leg(state: State, p: int, m: int, round_number: int) -> None:
    """Make one attempt at a leg and leave its record."""
    i = widen(state.pool[p].owner)
    pool = state.pool[p]
    stage = waterfall_stage(pool.equity, pool.maintenance, state.venue[0].backstop_ratio)
    stage = max(stage, widen(Stage.MARKET.value))  # seized with all its legs, it may be safe by now
    number = liquidation.open_liquidation(state, p, m, stage, round_number)
    causes.open_impact(state, number)
    record = state.liquidation[number]
    takes_over = state.venue[0].fund_takeover != 0
    if stage == Stage.BACKSTOP and takes_over:
        if liquidation.take_over(state, number, liquidation.fund_available(state)):
            return
    record.order_size = liquidation.order_size(state, i, m)
    fill_leg(state, number)
    if record.book_size > 0:
        if record.order_size < abs(record.size_before):
            state.chunk_step[i, m] = state.totals[0].step
        return
    assess_pool(state, p)
    if pool.equity < 0:
        if takes_over and liquidation.take_over(state, number, liquidation.fund_available(state)):
            return
        liquidation.note_shortfall(state, number)
        return
    liquidation.drop_idle_row(state, number)


@kernel
def fill_leg(state: State, number: int) -> None:
    """Send a leg's order into the book, settling every fill with the insurance fund.

    A fill whose loss the fund (or the account's limit) cannot cover ends the attempt.
    """
    record = state.liquidation[number]
    i = widen(record.account)
    m = widen(record.market)
    p = widen(record.pool)
    side = -1 if record.size_before > 0 else 1
    left = record.order_size
    mid, last = causes.middle(state, m), causes.fresh_last(state, m)
    while left > 0:
        k = matching.next_maker(state, i, m, side, record.limit_ticks)
        if k == NONE:
            break
        lots = min(left, matching.maker_size(state, k))
        price = state.order[k].price
        assess_pool(state, p)
        delta = liquidation.fund_delta(state, i, m, side * lots, price)
        if not liquidation.fill_is_covered(state, i, delta, liquidation.fund_available(state)):
            break
        if clearing.trade_with(state, k, i, lots, widen(0)):
            liquidation.settle_fill(state, number, side * lots, price, delta)
            left -= lots
    causes.note_impact(state, number, mid, last)
    recovery.note_impact(state, m, mid)


@kernel
def deleverage(state: State) -> None:
    """Close every shortfall of this round, market by market and side by side."""
    totals = state.totals[0]
    if totals.num_shortfalls == 0:
        return
    for m in range(len(state.market)):
        for side in (1, -1):
            ranked: Indices = np.empty(0, np.int64)
            for n in range(totals.num_shortfalls):
                entry = state.shortfall[n]
                if entry.market == m and entry.size * side > 0:
                    number = widen(entry.liquidation)
                    if len(ranked) == 0:
                        ranked = adl.queue(state, widen(state.liquidation[number].account), m)
                    for at_mark in (False, True):
                        if state.venue[0].rank_rule >= RankRule.PRO_RATA:
                            pro_rata.deleverage(state, number, ranked, at_mark)
                        else:
                            adl.deleverage(state, number, ranked, at_mark)
                    record = state.liquidation[number]
                    record.size_after = state.position[record.account, m].size
    for n in range(totals.num_shortfalls):
        entry = state.shortfall[n]
        p = widen(entry.pool)
        loss = liquidation.settle_deficit(state, p, liquidation.fund_available(state))
        if loss > 0:
            record = state.liquidation[entry.liquidation]
            record.socialised += socialise.share_loss(state, p, widen(entry.market), loss)
        ledger.return_free_cash(state, p)
    totals.num_shortfalls = 0


@kernel
def unwind_fund(state: State) -> None:
    """Let the insurance fund sell part of what it took over, within the market bound."""
    fund = len(state.account) - 1
    bound = state.venue[0].market_bound / ONE
    for m in range(len(state.market)):
        change = liquidation.unwind_fund(state, m)
        if change != 0:
            side = 1 if change > 0 else -1
            worst = state.market[m].mark_ticks * (1.0 + side * bound)
            limit = int(max(math.floor(worst) if side > 0 else math.ceil(worst), 1.0))
            clearing.take(state, fund, m, side, abs(change), limit)


@kernel
def close_fund(state: State) -> None:
    """Deleverage the insurance fund once its equity is used up, and share what is still missing.

    It is a bankrupt pool like any other, but that the book has had what it holds already: every
    position is a liquidation of the fund's, after the step's last round. So no step leaves it with
    less than nothing.
    """
    fund = len(state.account) - 1
    assess_pool(state, fund)
    pool = state.pool[fund]
    if pool.equity > 0 or (pool.equity == 0 and ledger.is_flat(state, fund)):
        return
    causes.open_seizure(state, fund)
    stage, after_all = widen(Stage.BACKSTOP.value), widen(state.venue[0].max_rounds)
    for m in range(len(state.market)):
        if state.position[fund, m].size != 0 and liquidation.has_room(state):
            number = liquidation.open_liquidation(state, fund, m, stage, after_all)
            causes.open_impact(state, number)
            liquidation.note_shortfall(state, number)
    causes.close_seizure(state)
    deleverage(state)
    assess_pool(state, fund)
    if pool.equity < 0:  # a flat fund's rounding, or there was no room to close it
        socialise.share_loss(state, fund, widen(NONE), -pool.equity)

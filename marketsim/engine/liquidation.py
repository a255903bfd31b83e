"""Stage 8: which leg of a seized pool is closed, how much of it, at what limit, and who pays."""

import math

import numpy as np
from numpy.typing import NDArray

from marketsim.engine import causes, ledger
from marketsim.engine._jit import kernel
from marketsim.engine.book import withdraw_orders
from marketsim.engine.formulas.closing import (
    bankruptcy_cash,
    block_size,
    chunk_portion,
    cover_margin_shortage,
    fillable_price,
    fund_covers,
    liquidation_delta,
    precedes,
    remaining_limit,
)
from marketsim.engine.formulas.integers import mul_div, take_fraction
from marketsim.engine.formulas.requirements import is_liquidatable
from marketsim.engine.pools import (
    assess_pool,
    bracket,
    drawable,
    initial_margin,
    initial_requirement,
    maintenance_requirement,
)
from marketsim.engine.state import (
    MAX_PRICE_TICKS,
    MAX_ROWS_PER_STEP,
    NONE,
    ONE,
    Cause,
    LegRule,
    LimitRule,
    SizeRule,
    State,
    widen,
)


@kernel
def cancel_orders(state: State, p: int) -> None:
    """Withdraw all resting orders of a pool's markets."""
    i = state.pool[p].owner
    for m in range(len(state.market)):
        if state.position[i, m].pool == p:
            withdraw_orders(state, i, m, 0)


@kernel
def closing_cash(state: State, i: int, m: int, change: int) -> int:
    """Bankruptcy cash: what closing `change` lots must bring so that equity is used up pro rata.

    Reads the pool's assessment; the leg bears its share of equity by maintenance margin.
    """
    market = state.market[m]
    position = state.position[i, m]
    pool = state.pool[position.pool]
    before = maintenance_requirement(state, m, position.size)
    after = maintenance_requirement(state, m, position.size + change)
    marked = change * market.mark_ticks * market.tick_atoms
    return bankruptcy_cash(change, marked, pool.equity, before - after, pool.maintenance)


@kernel
def order_size(state: State, i: int, m: int) -> int:
    """Lots of a leg one liquidation order closes, by the venue's size rule."""
    venue = state.venue[0]
    position = state.position[i, m]
    pool = state.pool[position.pool]
    market = state.market[m]
    lots = abs(position.size)
    lot_value = market.mark_ticks * market.tick_atoms
    notional = lots * lot_value
    wanted = lots
    portion = ONE
    least = 0
    if venue.size_rule == SizeRule.PORTION:
        portion = venue.portion
        least = venue.min_notional_atoms
    elif venue.size_rule == SizeRule.JUST_ENOUGH:
        ratio = maintenance_requirement(state, m, position.size) / notional
        short = float(pool.maintenance - pool.equity)
        fee = venue.liquidation_fee / ONE
        enough = cover_margin_shortage(short, float(lot_value), 1.0, ratio, 0.0, fee)
        if 0.0 < enough < lots:
            wanted = int(math.ceil(enough))
    elif venue.size_rule == SizeRule.TIER:
        tier = bracket(state, m, notional)
        if tier > 0:
            wanted = lots - (state.tier[m, tier].floor_atoms - 1) // lot_value
    elif venue.size_rule == SizeRule.CHUNK:
        cooling = state.totals[0].step - state.chunk_step[i, m] <= venue.chunk_cooldown
        portion = chunk_portion(notional, venue.chunk_threshold_atoms, venue.portion, cooling)
    limit = remaining_limit(venue.max_account_notional_atoms, used_notional(state, i))
    if limit == 0:
        return 0
    return block_size(wanted, wanted * lot_value, least, portion, limit, 1)


@kernel
def used_notional(state: State, i: int) -> int:
    """Notional of account `i` liquidated this step, atoms."""
    account = state.account[i]
    return account.liquidated_atoms if account.liquidated_step == state.totals[0].step else 0


@kernel
def used_loss(state: State, i: int) -> int:
    """Atoms the insurance fund paid for account `i` this step."""
    account = state.account[i]
    return account.fund_loss_atoms if account.liquidated_step == state.totals[0].step else 0


@kernel
def count_use(state: State, i: int, notional: int, loss: int) -> None:
    """Count liquidated notional and the fund's loss toward the account's limits of this step."""
    account = state.account[i]
    if account.liquidated_step != state.totals[0].step:
        account.liquidated_step = state.totals[0].step
        account.liquidated_atoms = 0
        account.fund_loss_atoms = 0
    account.liquidated_atoms += notional
    account.fund_loss_atoms += loss


@kernel
def limit_price(state: State, i: int, m: int) -> int:
    """Worst price in ticks for a leg's liquidation order, by the venue's limit rule."""
    venue = state.venue[0]
    market = state.market[m]
    position = state.position[i, m]
    pool = state.pool[position.pool]
    side = 1 if position.size > 0 else -1
    mark = float(market.mark_ticks)
    if venue.limit_rule == LimitRule.MARKET:
        price = mark * (1.0 - side * (venue.market_bound / ONE))
    elif venue.limit_rule == LimitRule.BANKRUPTCY:
        cash = closing_cash(state, i, m, -position.size)
        price = cash / (position.size * market.tick_atoms)
    else:
        notional = abs(position.size) * market.mark_ticks * market.tick_atoms
        fraction = maintenance_requirement(state, m, position.size) / notional
        price = fillable_price(
            mark,
            side,
            pool.equity,
            pool.maintenance,
            fraction,
            venue.bankruptcy_adjustment / ONE,
            venue.spread_ratio / ONE,
        )
    rounded = math.ceil(price - 1e-9) if side > 0 else math.floor(price + 1e-9)
    return int(min(max(rounded, 1.0), float(MAX_PRICE_TICKS)))


@kernel
def may_close(state: State, p: int, is_seized: bool) -> bool:
    """Tell whether a pool has to give another leg; reads its assessment."""
    pool = state.pool[p]
    if is_seized and state.venue[0].legs == LegRule.ALL:
        return True
    return is_liquidatable(pool.equity, pool.maintenance)


@kernel
def next_leg(state: State, p: int, tried: NDArray[np.bool_]) -> int:
    """Return the untried leg to close next, or NONE.

    The one whose limit lies furthest from the mark goes first, then the largest notional.
    """
    i = state.pool[p].owner
    best = NONE
    best_limit = 1.0
    best_notional = 0
    for m in range(len(state.market)):
        position = state.position[i, m]
        if position.pool == p and position.size != 0 and not tried[m]:
            market = state.market[m]
            if market.liquidates == 0:
                continue
            limit = limit_price(state, i, m) / market.mark_ticks
            notional = abs(position.size) * market.mark_ticks * market.tick_atoms
            if precedes(limit, notional, best_limit, best_notional, 1.0):
                best = m
                best_limit = limit
                best_notional = notional
    return best


@kernel
def open_liquidation(state: State, p: int, m: int, stage: int, round_number: int) -> int:
    """Begin the record of an attempt at a leg; return its number."""
    totals = state.totals[0]
    market = state.market[m]
    i = state.pool[p].owner
    size = state.position[i, m].size
    number = totals.num_liquidations
    record = state.liquidation[number]
    record.step = totals.step
    record.round = round_number
    record.account = i
    record.pool = p
    record.market = m
    record.stage = stage
    record.equity = state.pool[p].equity
    record.maintenance = state.pool[p].maintenance
    record.index_ticks = market.index_ticks
    record.mark_ticks = market.mark_ticks
    record.bankruptcy_price = closing_cash(state, i, m, -size) / (size * market.tick_atoms)
    record.limit_ticks = limit_price(state, i, m)
    record.size_before = size
    record.size_after = size
    record.order_size = 0
    record.book_size = 0
    record.book_cash = 0
    record.fee = 0
    record.fund_paid = 0
    record.takeover_size = 0
    record.takeover_cost = 0
    record.adl_size = 0
    record.adl_cost = 0
    record.socialised = 0
    totals.num_liquidations += 1
    market.num_liquidations += 1
    return number


@kernel
def fund_delta(state: State, i: int, m: int, change: int, price: int) -> int:
    """Compute what a fill pays the insurance fund (negative: what the fund pays)."""
    cash = -change * price * state.market[m].tick_atoms
    return liquidation_delta(
        cash, closing_cash(state, i, m, change), state.venue[0].liquidation_fee
    )


@kernel
def fill_is_covered(state: State, i: int, delta: int, available: int) -> bool:
    """Tell whether the fund, and the account's share of it this step, can pay for a fill."""
    if not fund_covers(available, delta):
        return False
    limit = remaining_limit(state.venue[0].max_account_loss_atoms, used_loss(state, i))
    return delta >= 0 or -delta <= limit


@kernel
def settle_fill(state: State, number: int, change: int, price: int, delta: int) -> None:
    """Move the fee (or the fund's payment) of a fill that was just booked and note it."""
    record = state.liquidation[number]
    i = widen(record.account)
    m = widen(record.market)
    p = widen(record.pool)
    fund = len(state.account) - 1
    market = state.market[m]
    if delta >= 0:
        ledger.pay(state, p, fund, Cause.LIQUIDATION_FEE, delta)
        record.fee += delta
    else:
        ledger.pay(state, fund, p, Cause.TAKEOVER, -delta)
        record.fund_paid -= delta
    causes.note_fee(state, i, m, delta)
    count_use(state, i, abs(change) * market.mark_ticks * market.tick_atoms, max(-delta, 0))
    record.book_size += abs(change)
    record.book_cash += -change * price * market.tick_atoms
    note_closed(state, number, change)


@kernel
def drop_idle_row(state: State, number: int) -> None:
    """Take back the newest record if the attempt closed nothing."""
    record = state.liquidation[number]
    if record.size_after == record.size_before:
        state.totals[0].num_liquidations -= 1
        state.market[record.market].num_liquidations -= 1


@kernel
def note_closed(state: State, number: int, change: int) -> None:
    """Count `change` lots as liquidated, at the mark, in its record and the market's totals."""
    record = state.liquidation[number]
    market = state.market[record.market]
    market.liquidated_atoms += abs(change) * market.mark_ticks * market.tick_atoms
    record.size_after += change


@kernel
def can_take_over(state: State, i: int, m: int, available: int) -> bool:
    """Tell whether the fund can pay for a leg at its bankruptcy price and carry it.

    `available` is the fund's equity beyond the initial margin of what it holds; it has to cover
    that of what it would hold.
    """
    fund = len(state.account) - 1
    market = state.market[m]
    size = state.position[i, m].size
    held = state.position[fund, m].size
    cost = closing_cash(state, i, m, -size) - size * market.mark_ticks * market.tick_atoms
    before = initial_requirement(state, fund, m, held)
    load = initial_requirement(state, fund, m, held + size) - before
    return available >= cost + load and abs(held + size) <= market.max_position_lots


@kernel
def take_over(state: State, number: int, available: int) -> bool:
    """Let the insurance fund take a leg at its bankruptcy price, if it can (`can_take_over`)."""
    record = state.liquidation[number]
    i = widen(record.account)
    m = widen(record.market)
    fund = len(state.account) - 1
    market = state.market[m]
    if not can_take_over(state, i, m, available):
        return False
    size = state.position[i, m].size
    cash = closing_cash(state, i, m, -size)
    cost = cash - size * market.mark_ticks * market.tick_atoms
    ledger.book_transfer(state, i, m, -size, cash, Cause.TAKEOVER)
    ledger.book_transfer(state, fund, m, size, -cash, Cause.TAKEOVER)
    record.takeover_size += abs(size)
    record.takeover_cost += cost
    market.volume += abs(size)
    note_closed(state, number, -size)
    return True


@kernel
def note_shortfall(state: State, number: int) -> None:
    """Hand what is left of a leg to auto-deleveraging."""
    totals = state.totals[0]
    record = state.liquidation[number]
    entry = state.shortfall[totals.num_shortfalls]
    entry.liquidation = number
    entry.pool = record.pool
    entry.market = record.market
    entry.size = record.size_after
    totals.num_shortfalls += 1


@kernel
def seize_holdings(state: State, i: int, needed: int) -> None:
    """Sell an account's collateral coins and stablecoins until its main pool has `needed` more."""
    venue = state.venue[0]
    totals = state.totals[0]
    if venue.stable_haircut < ONE and state.stable[i] > 0 and totals.stable_price > 0:
        price = totals.stable_price
        atoms = min(mul_div(needed, ONE, price) + 1, state.stable[i])
        before = state.pool[i].cash
        ledger.trade_stable(state, i, -atoms, price)
        needed -= state.pool[i].cash - before
    if venue.spot_haircut == ONE:
        return
    for m in range(len(state.market)):
        coins = state.spot[i, m]
        if needed > 0 and coins > 0:
            market = state.market[m]
            price = max(
                market.index_ticks - take_fraction(market.index_ticks, venue.spot_haircut), 1
            )
            lots = min(needed // (price * market.tick_atoms) + 1, coins)
            ledger.trade_spot(state, i, m, -lots, price)
            needed -= lots * price * market.tick_atoms


@kernel
def draw_loss(state: State, p: int) -> None:
    """Let a side pool with negative equity draw the loss from its main pool, within its limit."""
    i = widen(state.pool[p].owner)
    assess_pool(state, p)
    pool = state.pool[p]
    if p == i or pool.equity >= 0:
        return
    assess_pool(state, i)
    drawn = min(-pool.equity, drawable(state, p))
    ledger.move_cash(state, i, p, drawn)
    state.draw[p].drawn += drawn
    pool.equity += drawn


@kernel
def settle_deficit(state: State, p: int, available: int) -> int:
    """Clear the negative cash of a flat pool; return what nobody could pay.

    The account's own collateral first, then its main pool's draw, then the insurance fund.
    """
    pool = state.pool[p]
    if pool.cash >= 0 or not ledger.is_flat(state, p):
        return 0
    i = pool.owner
    fund = len(state.account) - 1
    if p == i:
        seize_holdings(state, i, -pool.cash)
    else:
        draw_loss(state, p)
    if pool.cash < 0:
        paid = min(-pool.cash, max(available, 0))
        if paid > 0:
            ledger.pay(state, fund, p, Cause.TAKEOVER, paid)
    return max(-pool.cash, 0)


@kernel
def unwind_fund(state: State, m: int) -> int:
    """Lots (signed change) the insurance fund sells of its position this step."""
    venue = state.venue[0]
    held = state.position[len(state.account) - 1, m].size
    lots = take_fraction(abs(held), venue.fund_unwind)
    lots = min(max(lots, 1), abs(held)) if held != 0 and venue.fund_unwind > 0 else 0
    return -lots if held > 0 else lots


@kernel
def fund_available(state: State) -> int:
    """Equity of the insurance fund beyond the initial margin of what it holds, atoms."""
    fund = len(state.account) - 1
    assess_pool(state, fund)
    return state.pool[fund].equity - initial_margin(state, fund)


@kernel
def has_room(state: State) -> bool:
    """Tell whether this step may still write liquidation rows."""
    totals = state.totals[0]
    return totals.num_liquidations - totals.step_liquidations < MAX_ROWS_PER_STEP

"""Why pools fall below maintenance: what moved the marks, and what each pool lost by it.

The mark of a market is the sum of three parts: the *index* (by news alone), the *forced* part
(what liquidation orders moved the price by while they executed, as far as it lasts) and the rest,
*other* flow. A pool's loss is counted since the last margin pass that found it *safe* (`SAFE_RATIO`
times its maintenance margin or more), position by position: a tally is opened when a position first
changes after that pass, or when a pass finds the pool no longer safe; safe pools cost nothing.

A impact of a liquidation order lasts until other flow takes the price back: once a step, what the
mid recovered against the outstanding impact, of its own accord and not because the index moved, is
taken off, from all liquidations that made the impact in proportion. That proportion is kept as the
sum of its logarithms, so what is left of any liquidation's impact is known later on.

Nothing here changes what is simulated, and nothing is done unless `totals.record_causes` is set.
"""

import math

from marketsim.engine._jit import inlined, kernel
from marketsim.engine.pools import assess_pool, with_basis
from marketsim.engine.state import MAX_ROWS_PER_STEP, MarkRule, State, widen
from marketsim.engine.world import World

#: A pool with this many times its maintenance margin is safe: with a maintenance margin of half
#: the initial one, as on most venues, that is what it may open positions with.
SAFE_RATIO = 2


@kernel
def begin(state: State) -> None:
    """Start recording: every pool counts its losses from here."""
    totals = state.totals[0]
    totals.record_causes = 1
    totals.num_passes = 1  # 0 is that of tallies never opened
    split_marks(state)
    keep_split(state)
    note_prices(state)
    for p in range(len(state.pool)):
        assess_pool(state, p)
        _note_safe(state, p, True)


@kernel
def begin_anew(state: State, i: int) -> None:
    """Let an account's pools count their losses from here: its positions lie in other pools now."""
    if state.totals[0].record_causes == 0:
        return
    for m in range(len(state.market)):
        state.tally[i, m].safe_pass = 0
        for p in (i, widen(state.position[i, m].pool)):
            assess_pool(state, p)
            _note_safe(state, p, True)


@kernel
def note_displacement(state: State, world: World) -> None:
    """Note how far reflexivity holds each index off its news, and how far by forced flow.

    The displacement is a power of mid over fundamental; its forced part is what it would lose if
    the outstanding impact were taken off the mid.
    """
    if state.totals[0].record_causes == 0:
        return
    for m in range(len(world.asset)):
        split = state.split[m]
        market = state.market[m]
        split.displacement = math.exp(world.asset[m].displacement)
        if market.best_bid > 0 and market.best_ask > 0:
            mid = 0.5 * (market.best_bid + market.best_ask)
            rest = max(mid - split.impact_mid, 1.0)
            split.forced_displacement = 1.0 - math.pow(rest / mid, world.factor[0].reflexivity)


@inlined
def middle(state: State, m: int) -> float:
    """Mid in ticks; an empty side is where the last fill was, or the index before there is one."""
    market = state.market[m]
    last = market.last_ticks if market.last_ticks != 0 else market.index_ticks
    bid = market.best_bid if market.best_bid != 0 else last
    ask = market.best_ask if market.best_ask != 0 else last
    return 0.5 * (bid + ask)


@inlined
def fresh_last(state: State, m: int) -> float:
    """Last price in ticks, moved into the spread if the book has left it behind."""
    market = state.market[m]
    last = market.last_ticks if market.last_ticks != 0 else market.index_ticks
    if market.best_bid != 0:
        last = max(last, market.best_bid)
    if market.best_ask != 0:
        last = min(last, market.best_ask)
    return float(last)


@kernel
def fade_impacts(state: State) -> None:
    """Take off each market's outstanding impact what other flow recovered since the last step."""
    totals = state.totals[0]
    if totals.record_causes == 0:
        return
    for m in range(len(state.market)):
        split = state.split[m]
        market = state.market[m]
        impact = split.impact_mid if split.impact_mid != 0.0 else split.impact_last
        if impact != 0.0:
            moved = middle(state, m) - split.seen_mid
            index_moved = market.index_price / market.tick_size - split.seen_index
            back = -moved if impact > 0.0 else moved
            against_index = back + (index_moved if impact > 0.0 else -index_moved)
            recovered = min(back, against_index)
            if recovered >= abs(impact):
                split.impact_mid = 0.0
                split.impact_last = 0.0
                split.fading = 0.0
                split.faded_row = totals.num_liquidations
            elif recovered > 0.0:
                share = 1.0 - recovered / abs(impact)
                split.impact_mid *= share
                split.impact_last *= share
                split.fading += math.log(share)
        if market.best_bid != 0 and market.best_ask != 0:
            weight = state.venue[0].basis_weight
            aim = (
                split.impact_mid - split.forced_displacement * market.index_price / market.tick_size
            )
            split.forced_basis += weight * (aim - split.forced_basis)


@kernel
def note_prices(state: State) -> None:
    """Keep mid and index as a step leaves them, for what recovers in the next one."""
    if state.totals[0].record_causes == 0:
        return
    for m in range(len(state.market)):
        market = state.market[m]
        state.split[m].seen_mid = middle(state, m)
        state.split[m].seen_index = market.index_price / market.tick_size


@kernel
def split_marks(state: State) -> None:
    """Split every mark that was just set: overwrites `split.index` and `split.forced`."""
    if state.totals[0].record_causes == 0:
        return
    rule = state.venue[0].mark_rule
    for m in range(len(state.market)):
        market = state.market[m]
        split = state.split[m]
        index = market.index_price / market.tick_size
        last = market.last_ticks if market.last_ticks != 0 else market.index_ticks
        based = with_basis(state, m)
        split.index = index / split.displacement if split.displacement != 0.0 else index
        split.by_last = 0
        is_median = rule == MarkRule.MEDIAN
        if rule == MarkRule.INDEX_PLUS_BASIS or (is_median and market.mark_ticks == based):
            split.forced = split.forced_displacement * index + split.forced_basis
        elif rule == MarkRule.LAST or (is_median and market.mark_ticks == last):
            split.forced = split.impact_last
            split.by_last = 1
        else:
            split.forced = split.forced_displacement * index


@kernel
def keep_split(state: State) -> None:
    """Keep the marks and their parts as those of the last margin pass."""
    for m in range(len(state.market)):
        split = state.split[m]
        split.pass_mark = state.market[m].mark_ticks
        split.pass_index = split.index
        split.pass_forced = split.forced


@kernel
def note_pass(state: State) -> None:
    """Note which pools the margin pass just made found safe; open the tallies of those that fell.

    Positions that did not change since the pass before get its marks as their reference.
    """
    totals = state.totals[0]
    if totals.record_causes == 0:
        return
    before = totals.num_passes
    totals.num_passes += 1
    for p in range(len(state.pool)):
        pool = state.pool[p]
        number = state.safe[p].number
        is_safe = pool.equity >= SAFE_RATIO * pool.maintenance
        _note_safe(state, p, is_safe)
        if not is_safe and number == before:
            for m in range(len(state.market)):
                if state.position[pool.owner, m].pool == p:
                    open_tally(state, widen(pool.owner), m)
    keep_split(state)


@inlined
def _note_safe(state: State, p: int, is_safe: bool) -> None:
    """Keep when a pool was safe and what it was worth, if it is.

    Written in either case: of many pools the processor does not foresee which are safe.
    """
    totals = state.totals[0]
    safe = state.safe[p]
    safe.equity = state.pool[p].equity if is_safe else safe.equity
    safe.number = totals.num_passes if is_safe else widen(safe.number)
    safe.row = totals.num_liquidations if is_safe else widen(safe.row)


@inlined
def open_tally(state: State, i: int, m: int) -> None:
    """Start a position's tally at the marks of the last pass, unless it runs already."""
    tally = state.tally[i, m]
    number = state.safe[state.position[i, m].pool].number
    if tally.safe_pass != number:
        split = state.split[m]
        tally.safe_pass = number
        tally.mark = split.pass_mark
        tally.mark_index = split.pass_index
        tally.mark_forced = split.pass_forced
        tally.price = 0
        tally.index = 0.0
        tally.forced = 0.0
        tally.funding = 0
        tally.fees = 0


@inlined
def update_tally(state: State, i: int, m: int) -> None:
    """Count what a position lost by the marks' moves so far."""
    open_tally(state, i, m)
    tally = state.tally[i, m]
    split = state.split[m]
    mark = state.market[m].mark_ticks
    value = state.position[i, m].size * state.market[m].tick_atoms
    tally.price -= value * (mark - tally.mark)
    tally.index -= value * (split.index - tally.mark_index)
    tally.forced -= value * (split.forced - tally.mark_forced)
    tally.mark = mark
    tally.mark_index = split.index
    tally.mark_forced = split.forced


@inlined
def note_trade(state: State, i: int, m: int, cost: int) -> None:
    """Count a trade that costs `cost` atoms against the mark, before the position changes."""
    if state.totals[0].record_causes != 0:
        update_tally(state, i, m)
        state.tally[i, m].fees += cost


@inlined
def note_fee(state: State, i: int, m: int, amount: int) -> None:
    """Count a fee of a trade just noted."""
    if state.totals[0].record_causes != 0:
        open_tally(state, i, m)
        state.tally[i, m].fees += amount


@inlined
def note_funding(state: State, i: int, m: int, amount: int) -> None:
    """Count a funding payment (positive: received)."""
    if state.totals[0].record_causes != 0:
        open_tally(state, i, m)
        state.tally[i, m].funding -= amount


@kernel
def note_impact(state: State, number: int, mid: float, last: float) -> None:
    """Note what a liquidation order that filled has moved mid and last price by.

    `mid` and `last` are `middle` and `fresh_last` before it.
    """
    if state.totals[0].record_causes == 0:
        return
    record = state.liquidation[number]
    if record.book_size == 0:
        return
    m = widen(record.market)
    split = state.split[m]
    impact = state.impact[number]
    impact.mid = middle(state, m) - mid
    impact.last = state.market[m].last_ticks - last
    impact.fading = split.fading
    split.impact_mid += impact.mid
    split.impact_last += impact.last


@kernel
def open_impact(state: State, number: int) -> None:
    """Begin the record that goes with that of a liquidation, of the newest seizure."""
    if state.totals[0].record_causes == 0:
        return
    impact = state.impact[number]
    impact.seizure = state.totals[0].num_seizures - 1
    impact.mid = 0.0
    impact.last = 0.0
    impact.fading = 0.0


@kernel
def open_seizure(state: State, p: int) -> None:
    """Write what a pool about to be liquidated has lost since it was last safe, by market."""
    totals = state.totals[0]
    if totals.record_causes == 0:
        return
    assess_pool(state, p)
    pool = state.pool[p]
    i = widen(pool.owner)
    seizure = state.seizure[totals.num_seizures]
    seizure.pool = p
    seizure.first_row = totals.num_liquidations
    seizure.first_loss = totals.num_losses
    seizure.safe_row = state.safe[p].row
    seizure.loss = state.safe[p].equity - pool.equity
    for m in range(len(state.market)):
        position = state.position[i, m]
        is_counted = state.tally[i, m].safe_pass == state.safe[p].number
        if position.pool == p and (position.size != 0 or is_counted):
            update_tally(state, i, m)
            _write_loss(state, i, m)
    seizure.num_losses = totals.num_losses - seizure.first_loss
    totals.num_seizures += 1


@kernel
def _write_loss(state: State, i: int, m: int) -> None:
    totals = state.totals[0]
    tally = state.tally[i, m]
    split = state.split[m]
    loss = state.loss[totals.num_losses]
    loss.seizure = totals.num_seizures
    loss.market = m
    loss.by_last = split.by_last
    loss.first_row = max(state.safe[state.position[i, m].pool].row, split.faded_row)
    loss.size = state.position[i, m].size
    loss.index = int(math.floor(tally.index + 0.5))
    loss.forced = int(math.floor(tally.forced + 0.5))
    loss.other = tally.price - loss.index - loss.forced
    loss.funding = tally.funding
    loss.fees = tally.fees
    totals.num_losses += 1


@kernel
def close_seizure(state: State) -> None:
    """Take back the newest seizure if it liquidated nothing."""
    totals = state.totals[0]
    if totals.record_causes == 0:
        return
    seizure = state.seizure[totals.num_seizures - 1]
    if seizure.first_row == totals.num_liquidations:
        totals.num_losses = seizure.first_loss
        totals.num_seizures -= 1


@kernel
def losses_per_step(state: State) -> int:
    """Bound the rows of `State.loss` one step may write, 0 while nothing is recorded."""
    if state.totals[0].record_causes == 0:
        return 0
    # Every round seizes a pool once at most; every seizure but the newest liquidated something.
    seizures = len(state.pool) * state.venue[0].max_rounds
    return min(seizures, MAX_ROWS_PER_STEP + 1) * len(state.market)

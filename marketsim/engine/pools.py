"""What a pool is worth and what it must hold: tiers, requirements, haircut collateral.

Cross margin is an account's main pool (the pool with the account's number); isolated and partial
modes are side pools that hold one position, or one group of markets.
"""

import math

from marketsim.engine._jit import inlined, kernel
from marketsim.engine.formulas.closing import bankruptcy_cash
from marketsim.engine.formulas.closing import liquidation_price as closed_form
from marketsim.engine.formulas.integers import mul_div, take_fraction_up
from marketsim.engine.formulas.requirements import (
    bracket_requirement,
    open_interest_ratio,
    scaled_initial_fraction,
)
from marketsim.engine.state import MAX_PRICE_TICKS, ONE, State, widen


@inlined
def bracket(state: State, m: int, notional: int) -> int:
    """Return the tier of a notional: the last whose floor it reaches."""
    found = 0
    for tier in range(1, state.market[m].num_tiers):
        if notional < state.tier[m, tier].floor_atoms:
            break
        found = tier
    return found


@inlined
def opens_side_pool(state: State, i: int, m: int) -> bool:
    """Tell whether a market is the first of an account's that lies in some pool beside its main."""
    p = state.position[i, m].pool
    is_known: bool = p == i
    for n in range(m):
        is_known |= state.position[i, n].pool == p
    return not is_known


@kernel
def maintenance_requirement(state: State, m: int, size: int) -> int:
    """Maintenance margin of `size` lots at the mark, atoms."""
    if size == 0:
        return 0
    market = state.market[m]
    return maintenance_of(state, m, abs(size) * market.mark_ticks * market.tick_atoms)


@inlined
def maintenance_of(state: State, m: int, notional: int) -> int:
    """Maintenance margin of a notional, atoms."""
    tier = state.tier[m, bracket(state, m, notional)]
    return bracket_requirement(notional, tier.maintenance_fraction, tier.maintenance_amount)


@inlined
def initial_requirement(state: State, i: int, m: int, size: int) -> int:
    """Compute the initial margin of `size` lots at the mark, atoms.

    The tier's fraction, scaled by open interest, or the account's own 1 / leverage if larger.
    """
    if size == 0:
        return 0
    market = state.market[m]
    notional = abs(size) * market.mark_ticks * market.tick_atoms
    tier = state.tier[m, bracket(state, m, notional)]
    fraction = scaled_initial_fraction(tier.initial_fraction, market.oi_ratio)
    return take_fraction_up(notional, max(fraction, state.own_fraction[i, m]))


@kernel
def update_open_interest_ratios(state: State) -> None:
    """Set how far each market's open interest lies between its caps, 1e-9."""
    for m in range(len(state.market)):
        market = state.market[m]
        notional = market.open_interest * market.mark_ticks * market.tick_atoms
        market.oi_ratio = open_interest_ratio(
            notional, market.oi_lower_atoms, market.oi_upper_atoms
        )


@kernel
def haircut_holdings(state: State, i: int) -> int:
    """Value of an account's coins and stablecoins as collateral of its main pool, atoms."""
    venue = state.venue[0]
    value = 0
    if state.stable[i] != 0:
        price = state.totals[0].stable_price
        worth = mul_div(state.stable[i], price, ONE)
        value += worth - take_fraction_up(worth, venue.stable_haircut)
    if venue.spot_haircut < ONE:
        for m in range(len(state.market)):
            if state.spot[i, m] != 0:
                market = state.market[m]
                worth = state.spot[i, m] * market.index_ticks * market.tick_atoms
                value += worth - take_fraction_up(worth, venue.spot_haircut)
    return value


@kernel
def assess_pool(state: State, p: int) -> None:
    """Set the equity and maintenance margin of one pool."""
    pool = state.pool[p]
    i = pool.owner
    equity = pool.cash
    maintenance = 0
    if p == i:
        equity += haircut_holdings(state, i)
    for m in range(len(state.market)):
        position = state.position[i, m]
        if position.pool == p and position.size != 0:
            market = state.market[m]
            equity += position.size * market.mark_ticks * market.tick_atoms
            maintenance += maintenance_requirement(state, m, position.size)
    pool.equity = equity
    pool.maintenance = maintenance


@kernel
def drawable(state: State, p: int) -> int:
    """Return what a pool may still draw from its account's main pool, atoms.

    Reads the main pool's assessment. A main pool itself has no limit to draw within.
    """
    main = state.pool[state.pool[p].owner]
    draw = state.draw[p]
    return max(min(draw.limit - draw.drawn, main.equity - main.maintenance), 0)


@kernel
def initial_margin(state: State, p: int) -> int:
    """Add up the initial margin of a pool's positions, atoms."""
    i = state.pool[p].owner
    initial = 0
    for m in range(len(state.market)):
        if state.position[i, m].pool == p:
            initial += initial_requirement(state, i, m, state.position[i, m].size)
    return initial


@kernel
def free_margin(state: State, p: int) -> int:
    """Equity of a pool beyond its initial margin, at least 0; refreshes the pool's assessment."""
    assess_pool(state, p)
    return max(state.pool[p].equity - initial_margin(state, p), 0)


@kernel
def wallet(state: State, i: int) -> int:
    """Cash of an account's main pool without what its positions cost, atoms.

    Profit not realised is no part of it, and buys nothing.
    """
    amount: int = state.pool[i].cash
    for m in range(len(state.market)):
        if state.position[i, m].pool == i:
            amount += state.position[i, m].entry_cost
    return amount


@kernel
def withdrawable(state: State, i: int) -> int:
    """Return what an account may take out of its main pool so that its initial margin stays.

    Negative: what it lacks.
    """
    assess_pool(state, i)
    return min(wallet(state, i), state.pool[i].equity - initial_margin(state, i))


@kernel
def liquidation_price(state: State, i: int, m: int) -> float:
    """Mark price in ticks at which a position's pool falls to maintenance, other marks as they are.

    Solves each tier's closed form and takes the one whose price lies in its own tier; nan without
    a position, or where no price liquidates it.
    """
    market = state.market[m]
    position = state.position[i, m]
    p = widen(position.pool)
    assess_pool(state, p)
    pool = state.pool[p]
    value = position.size * market.tick_atoms
    others = pool.maintenance - maintenance_requirement(state, m, position.size)
    cash = float(pool.equity - value * market.mark_ticks - others)
    for n in range(market.num_tiers):
        tier = state.tier[m, n]
        fraction = tier.maintenance_fraction / ONE
        price = closed_form(cash, float(value), fraction, float(tier.maintenance_amount))
        notional = abs(value) * price
        above = n + 1 == market.num_tiers or notional < state.tier[m, n + 1].floor_atoms
        if notional >= tier.floor_atoms and above:
            return price
    return math.nan


@kernel
def bankruptcy_price(state: State, i: int, m: int) -> float:
    """Price in ticks at which closing a position uses up its share of the pool's equity.

    The share goes by maintenance margin; nan without a position.
    """
    market = state.market[m]
    size = state.position[i, m].size
    if size == 0:
        return math.nan
    p = widen(state.position[i, m].pool)
    assess_pool(state, p)
    pool = state.pool[p]
    cash = bankruptcy_cash(
        -size,
        -size * market.mark_ticks * market.tick_atoms,
        pool.equity,
        maintenance_requirement(state, m, size),
        pool.maintenance,
    )
    return cash / (size * market.tick_atoms)


@kernel
def with_basis(state: State, m: int) -> int:
    """Index plus average basis, ticks."""
    market = state.market[m]
    return nearest_tick((market.index_price + market.basis) / market.tick_size)


@kernel
def nearest_tick(price: float) -> int:
    """Round a price in ticks to the nearest whole one within the price tree."""
    return int(min(max(math.floor(price + 0.5), 1.0), float(MAX_PRICE_TICKS)))

"""Stage 2: the spot venues of a market make its index."""

import math

from marketsim.engine._jit import kernel
from marketsim.engine.state import MAX_PRICE_TICKS, NONE, State
from marketsim.engine.world import IndexRule, World


@kernel
def update_index(world: World, state: State, t: int) -> int:
    """Set `index_price` and `index_ticks` of every market from what its sources print.

    A market whose index leaves its range keeps the one before; the run has to stop there.
    Overwrites also the sources' prices and deviations and `asset.spread`. Every market uses the
    same rule. Call it once with ``t = NONE`` before the first step to set the opening index.

    Returns
    -------
    int
        `NONE`, or the first market whose index is not within 1 to `MAX_PRICE_TICKS` ticks.
    """
    is_median = world.factor[0].index_rule == IndexRule.MEDIAN
    outside = NONE
    for m in range(len(world.asset)):
        asset = world.asset[m]
        market = state.market[m]
        first = asset.first_source
        last = first + asset.num_sources
        # deviations from the asset's price are averaged, so sources that agree give it exactly
        total = 0.0
        lowest = math.inf
        highest = 0.0
        for k in range(first, last):
            source = world.source[k]
            if t != NONE and source.deviation_sd > 0.0:
                source.deviation *= source.deviation_persistence
                source.deviation += source.deviation_sd * source.gauss
            if source.is_stale == 0:
                source.price = asset.price * (1.0 + source.deviation) * source.fault_factor
            total += source.weight * (source.price - asset.price)
            lowest = min(lowest, source.price)
            highest = max(highest, source.price)
        index = median_price(world, first, last) if is_median else asset.price + total
        ticks = index / market.tick_size
        # written so that an index that is not a number is outside, too
        if ticks >= 1.0 and ticks <= MAX_PRICE_TICKS:
            asset.spread = (highest - lowest) / index
            market.index_price = index
            market.index_ticks = math.floor(ticks + 0.5)
        elif outside == NONE:
            outside = m
    return outside


@kernel
def median_price(world: World, first: int, last: int) -> float:
    """Return the middle of the prices of sources ``first .. last - 1``, each counting once.

    Of an even number it is the mean of the two middle ones.
    """
    ranked = world.sorted_price
    for k in range(first, last):
        price = world.source[k].price
        place = k
        while place > first and ranked[place - 1] > price:
            ranked[place] = ranked[place - 1]
            place -= 1
        ranked[place] = price
    middle = (first + last) // 2
    if (last - first) % 2 == 1:
        return float(ranked[middle])
    return float(0.5 * (ranked[middle - 1] + ranked[middle]))

"""The order of the stages: one step of the venue from top to bottom.

Stage 3, in which the traders decide, lies between `open_step` and `clear_step` and belongs to
`marketsim.run.loop`.
"""

from marketsim.engine import (
    book,
    causes,
    clearing,
    funding,
    index,
    ledger,
    margin,
    mark,
    near,
    pools,
    recovery,
    spot,
    waterfall,
)
from marketsim.engine._jit import kernel
from marketsim.engine.records import Indices
from marketsim.engine.state import NONE, State
from marketsim.engine.world import World


@kernel
def open_step(state: State, world: World, t: int) -> int:
    """Stages 1 and 2: spot and index move; return the market that left the price range or NONE."""
    begin_counts(state, t)
    funding.take_given_rates(world, state, t)
    lost = spot.move_spot(world, state, t)
    if lost == NONE:
        lost = index.update_index(world, state, t)
    if lost != NONE:
        return lost
    causes.note_displacement(state, world)
    book.expire_orders(state, t)
    mark.snapshot_mid(state)
    return NONE


@kernel
def clear_step(state: State, sequence: Indices) -> None:
    """Stages 4 to 10: the intents in the order of `sequence`, then the venue's own business."""
    for n in range(len(sequence)):
        near.prefetch_intents(state, sequence, n)
        clearing.clear_intent(state, sequence[n])
    causes.fade_impacts(state)
    recovery.measure_recovery(state)
    mark.update_basis(state)
    waterfall.unwind_fund(state)
    for round_number in range(state.venue[0].max_rounds):
        has_moved = mark.update_marks(state)
        causes.split_marks(state)
        pools.update_open_interest_ratios(state)
        if round_number == 0 or has_moved:
            count = margin.assess_pools(state)
        else:
            count = margin.reassess_pools(state)
        causes.note_pass(state)
        if count == 0:
            break
        before = state.totals[0].num_liquidations
        for p in margin.riskiest_first(state, count):
            waterfall.liquidate_pool(state, p, round_number)
        waterfall.deleverage(state)
        if state.totals[0].num_liquidations == before:
            break
    mark.update_marks(state)
    causes.split_marks(state)
    causes.note_prices(state)
    recovery.note_prices(state)
    funding.sample_premium(state)


@kernel
def liquidate_one(state: State, p: int) -> None:
    """Liquidate one pool more, and nobody else, before the step that is over ends."""
    for round_number in range(state.venue[0].max_rounds):
        pools.assess_pool(state, p)
        if state.pool[p].equity >= state.pool[p].maintenance:
            break
        before = state.totals[0].num_liquidations
        waterfall.liquidate_pool(state, p, round_number)
        waterfall.deleverage(state)
        mark.update_marks(state)
        causes.split_marks(state)
        if state.totals[0].num_liquidations == before:
            break
    causes.note_prices(state)


@kernel
def settle_step(state: State) -> None:
    """Pay funding if an interval ends here, close a fund that is used up, balance the books."""
    if funding.is_due(state):
        funding.settle_funding(state)
    waterfall.close_fund(state)
    totals = state.totals[0]
    totals.conservation_error = max(totals.conservation_error, ledger.conservation_error(state))


@kernel
def begin_counts(state: State, t: int) -> None:
    """Set the step and clear what is counted per step."""
    totals = state.totals[0]
    totals.step = t
    totals.num_intents = 0
    totals.step_liquidations = totals.num_liquidations
    totals.step_deleverages = totals.num_deleverages
    for m in range(len(state.market)):
        market = state.market[m]
        market.volume = 0
        market.num_fills = 0
        market.liquidated_atoms = 0
        market.num_liquidations = 0

"""What margin promises a trader, and how its modes are one thing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marketsim.engine import book, clearing, ledger, margin, step, waterfall
from marketsim.engine.state import UNLIMITED
from marketsim.engine.world import allocate_world
from tests.engine.small import PRICE, send, usd
from tests.properties.plans import (
    Plan,
    Step,
    begin,
    first_shortage,
    ladders,
    liquidated,
    lots,
    open_plan,
    paths,
    plans,
    play,
    venues,
)
from tests.properties.profile import tried

ALONE = (1000.0, 1e6)


@st.composite
def lone_traders(draw, *, num_markets=None, move=8):
    """Draw a trader with positions, and a rich one who took the other side and quotes."""
    num_markets = draw(st.integers(1, 3)) if num_markets is None else num_markets
    path = draw(paths(draw(st.integers(1, 8)), num_markets, move=move))
    quotes = draw(ladders(1, num_markets))
    return Plan(
        cash=ALONE,
        steps=tuple(Step(price, quotes) for price in path),
        num_markets=num_markets,
        fund=draw(st.sampled_from([0.0, 1e5])),
        tiers=draw(st.sampled_from(["flat", "tiered"])),
        venue=draw(venues()),
        held=tuple((0, 1, m, draw(lots(90))) for m in range(num_markets)),
    )


@tried(150)
@given(lone_traders(), st.floats(0.0, 3000.0))
def test_more_cash_never_liquidates_sooner(plan, more):
    richer = replace(plan, cash=(1000.0 + more, 1e6))
    assert first_shortage(plan, 0) <= first_shortage(richer, 0)


@tried(100)
@given(lone_traders(num_markets=1), st.floats(0.0, 500.0), st.floats(0.0, 500.0))
def test_more_isolated_margin_never_liquidates_sooner(plan, amount, more):
    plan = replace(plan, side_pools=((0, 0.0, (0,)),))
    poorer = replace(plan, margin=((0, 0, amount),))
    richer = replace(plan, margin=((0, 0, amount + more),))
    assert first_shortage(poorer, 0) <= first_shortage(richer, 0)


@tried(100)
@given(lone_traders(), st.sampled_from([0.0, 30.0, 200.0]), st.floats(0.0, 500.0))
def test_side_pool_costs_the_main_pool_its_draw_limit_at_most(plan, limit, amount):
    """Isolated is a draw limit of nothing: the main pool never pays."""
    group = tuple(range(plan.num_markets))
    plan = replace(plan, side_pools=((0, limit, group),), margin=((0, 0, amount),))
    main = usd(1000.0) - usd(amount)
    for state in play(plan):
        assert state.draw[3].drawn <= usd(limit)
        assert state.pool[0].cash >= main - usd(limit)


@tried(120)
@given(lone_traders(), st.floats(0.0, 1000.0))
def test_group_of_all_markets_with_unlimited_draw_is_liquidated_when_cross_is(plan, amount):
    group = tuple(range(plan.num_markets))
    partial = replace(plan, side_pools=((0, UNLIMITED / 10**6, group),), margin=((0, 0, amount),))
    assert first_shortage(partial, 0) == first_shortage(plan, 0)


@st.composite
def single_markets(draw):
    """Draw a market of one perp in which trader 0 holds a position and sends no orders."""
    plan = draw(plans(side_pools=False, num_markets=1))
    steps = tuple(
        replace(now, intents=tuple(order for order in now.intents if order.account != 0))
        for now in plan.steps
    )
    return replace(plan, steps=steps, stable=(), held=((0, len(plan.cash) - 1, 0, draw(lots(90))),))


@pytest.mark.slow
@tried(120)
@given(single_markets())
def test_cross_pool_of_one_market_is_an_isolated_pool_with_the_same_collateral(plan):
    isolated = replace(plan, side_pools=((0, 0.0, (0,)),), margin=((0, 0, plan.cash[0]),))
    cross_run, isolated_run = play(plan), play(isolated)
    for one, other in zip(cross_run, isolated_run, strict=True):
        assert ledger.account_equity(one).tolist() == ledger.account_equity(other).tolist()
        assert one.position["size"].tolist() == other.position["size"].tolist()
        rows, same = liquidated(one), liquidated(other)
        assert len(rows) == len(same)
        for field in rows.dtype.names:
            if field != "pool":
                assert rows[field].tolist() == same[field].tolist(), field
        fills = one.fill[: one.totals[0].num_fills], other.fill[: other.totals[0].num_fills]
        assert fills[0].tolist() == fills[1].tolist()
        assert one.flow.tolist() == other.flow.tolist()


@tried(300)
@given(
    st.integers(-90, 90).filter(bool),
    st.floats(0.05, 0.12),
    st.sampled_from([None, 0.0, 20.0]),
    st.lists(
        st.tuples(lots(), st.floats(0.0, 1.5), st.integers(-800, 800), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([0, 500_000, 10_000_000]),
)
def test_no_accepted_trade_leaves_a_pool_to_be_liquidated(size, share, limit, trades, fee):
    """At a mark that stays, nobody is below maintenance by an order the venue let through."""
    plan = Plan(
        cash=(2000.0, 1e6),
        steps=(),
        side_pools=() if limit is None else ((0, limit, (0,)),),
        held=((0, 1, 0, size),),
        market={"taker_fee": fee, "maker_fee": fee},
    )
    state = open_plan(plan)
    state.pool[state.position[0, 0].pool].cash += usd(share * abs(size) * 100)
    assume(margin.assess_pools(state) == 0)
    for change, share, offset, is_maker in trades:
        for i in (0, 1) if is_maker else (1, 0):
            send(state, i, change if i == 0 else -int(change * share), PRICE + offset)
        assert margin.assess_pools(state) == 0
        assert not ledger.is_flat(state, len(state.pool) - 1) or state.pool[-1].cash >= 0


@pytest.mark.slow
@tried(150)
@given(plans())
def test_liquidation_ends_and_leaves_no_bankrupt_position(plan):
    """Without limits on rounds and accounts every bankrupt leg finds an end in the same step."""
    unlimited = {
        "max_rounds": 10**9,
        "max_account_notional_atoms": UNLIMITED,
        "max_account_loss_atoms": UNLIMITED,
    }
    plan = replace(plan, venue=plan.venue | unlimited)
    state = open_plan(plan)
    world = allocate_world(plan.num_markets, 1)
    fund = len(plan.cash)
    for t, now in enumerate(plan.steps):
        begin(state, world, now, t, plan.scale)
        step.clear_step(state, np.arange(len(now.intents)))
        margin.assess_pools(state)
        bankrupt = (state.pool["equity"] < 0) & (state.pool["maintenance"] > 0)
        assert set(np.flatnonzero(bankrupt).tolist()) <= {fund}
        step.settle_step(state)
        assert not book.is_full(state)


@pytest.mark.slow
@tried(150)
@given(plans(), st.lists(st.booleans(), min_size=8, max_size=8))
def test_pass_over_touched_pools_is_a_pass_over_all_if_no_mark_moved(plan, hits):
    """Orders and liquidations in between, seized or not, and draws of side pools."""
    state = open_plan(plan)
    world = allocate_world(plan.num_markets, 1)
    for t, now in enumerate(plan.steps):
        begin(state, world, now, t, plan.scale)
        margin.assess_pools(state)
        for n in range(len(now.intents)):
            clearing.clear_intent(state, n)
        for p in margin.riskiest_first(state, margin.reassess_pools(state)):
            if hits[p % len(hits)]:
                waterfall.liquidate_pool(state, p, 0)
        one = copy_of(state)
        count = margin.assess_pools(state)
        assert margin.reassess_pools(one) == count
        assert one.short[:count].tolist() == state.short[:count].tolist()
        assert one.pool.tolist() == state.pool.tolist()
        assert one.draw.tolist() == state.draw.tolist()
        waterfall.deleverage(state)


def copy_of(state):
    """Copy all arrays of a venue."""
    return type(state)(*(array.copy() for array in state))

"""Names and sides do not matter: a relabelled (or mirrored) market has the relabelled run."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marketsim.engine import ledger, liquidation, pools
from marketsim.engine.formulas.closing import liquidation_price
from marketsim.engine.state import ONE, Cause
from tests.engine.small import PRICE, hold, open_venue, set_price, settle_interval, usd
from tests.properties.plans import (
    Plan,
    Step,
    last,
    liquidated,
    lots,
    open_plan,
    orders,
    plans,
    venues,
)
from tests.properties.profile import tried

# Relabelling


def relabel_accounts(plan, name):
    """Give account `i` the number ``name[i]``; it keeps its priority."""
    number = np.argsort(name)

    def moved(values):
        return tuple(values[i] for i in number)

    stable = plan.stable + (0.0,) * (len(plan.cash) - len(plan.stable))
    return replace(
        plan,
        cash=moved(plan.cash),
        priority=moved(plan.priority),
        stable=moved(stable),
        side_pools=tuple((name[i], *rest) for i, *rest in plan.side_pools),
        held=tuple((name[i], name[j], *rest) for i, j, *rest in plan.held),
        margin=tuple((name[i], *rest) for i, *rest in plan.margin),
        steps=tuple(
            replace(
                now,
                intents=tuple(order._replace(account=name[order.account]) for order in now.intents),
            )
            for now in plan.steps
        ),
    )


def relabel_markets(plan, name):
    """Give market `m` the number ``name[m]``."""
    number = np.argsort(name)
    return replace(
        plan,
        tick_atoms=tuple(plan.tick_atoms[m] for m in number),
        side_pools=tuple(
            (i, limit, tuple(name[m] for m in own)) for i, limit, own in plan.side_pools
        ),
        held=tuple((i, j, name[m], size) for i, j, m, size in plan.held),
        margin=tuple((i, name[m], amount) for i, m, amount in plan.margin),
        steps=tuple(
            replace(
                now,
                price=tuple(now.price[m] for m in number),
                intents=tuple(order._replace(market=name[order.market]) for order in now.intents),
            )
            for now in plan.steps
        ),
    )


def history(state):
    """All that happened: fills, liquidations and deleveragings as tables."""
    totals = state.totals[0]
    return (
        state.fill[: totals.num_fills].copy(),
        liquidated(state).copy(),
        state.deleverage[: totals.num_deleverages].copy(),
    )


def assert_same(one, other):
    """Compare tables field by field."""
    for first, second in zip(one, other, strict=True):
        assert len(first) == len(second)
        for field in first.dtype.names:
            assert first[field].tolist() == second[field].tolist(), field


@pytest.mark.slow
@tried(120)
@given(plans(), st.data())
def test_accounts_are_interchangeable(plan, data):
    num_accounts = len(plan.cash)
    plan = replace(plan, priority=tuple(data.draw(st.permutations(range(num_accounts)))))
    name = data.draw(st.permutations(range(num_accounts)))
    one, other = last(plan), last(relabel_accounts(plan, name))
    to = np.array([*name, num_accounts])
    num_main = num_accounts + 1
    pool_to = np.concatenate([to, np.arange(num_main, len(one.pool))])

    expected = history(one)
    for table in expected:
        for field in ("account", "taker", "maker"):
            if field in table.dtype.names:
                table[field] = to[table[field]]
    expected[1]["pool"] = pool_to[expected[1]["pool"]]
    assert_same(expected, history(other))
    for field in ("size", "entry_cost"):
        assert one.position[field].tolist() == other.position[field][to].tolist()
    assert one.spot.tolist() == other.spot[to].tolist()
    assert one.flow.tolist() == other.flow[to].tolist()
    assert one.pool["cash"].tolist() == other.pool["cash"][pool_to].tolist()
    assert one.stable.tolist() == other.stable[to].tolist()
    assert_same([one.market], [other.market])


@st.composite
def separable(draw):
    """Draw a plan in which no two markets lay claim to the same money in an order of their own.

    The insurance fund covers everything and sells nothing, and coins are no collateral.
    """
    plan = draw(plans())
    return replace(
        plan,
        fund=1e7,
        venue=plan.venue | {"fund_unwind": 0, "fund_takeover": 1, "spot_haircut": ONE},
    )


@pytest.mark.slow
@tried(120)
@given(separable(), st.data())
def test_markets_are_interchangeable(plan, data):
    name = data.draw(st.permutations(range(plan.num_markets)))
    one, other = last(plan), last(relabel_markets(plan, name))
    assume(one.totals[0].num_deleverages == 0)
    to = np.array(name)
    expected = history(one)
    for table in expected:
        table["market"] = to[table["market"]]
    assert_same(expected, history(other))
    assert one.spot.tolist() == other.spot[:, to].tolist()
    for field in ("size", "entry_cost"):
        assert one.position[field].tolist() == other.position[field][:, to].tolist()
    assert one.flow.tolist() == other.flow.tolist()
    assert one.pool["cash"].tolist() == other.pool["cash"].tolist()
    assert_same([one.market], [other.market[to]])


# Mirrors

still = st.lists(orders(4, 1, plain=True), max_size=25)


def mirrored(intents):
    """Turn buying into selling at a price as far on the other side of the index."""
    return tuple(order._replace(size=-order.size, offset=-order.offset) for order in intents)


@pytest.mark.slow
@tried(150)
@given(st.lists(still, min_size=1, max_size=3), st.integers(0, 60))
def test_mirrored_orders_trade_at_mirrored_prices(batches, held):
    """At a mark that stays and without fees a market has no up and down."""
    runs = []
    for side in (1, -1):
        steps = tuple(
            Step((PRICE,), tuple(batch) if side > 0 else mirrored(batch)) for batch in batches
        )
        plan = Plan((1000.0, 2000.0, 3000.0, 1e5), steps, held=((0, 3, 0, side * held),))
        runs.append(last(plan))
    one, other = runs
    (fills, _, _), (mirror, _, _) = map(history, runs)
    assert len(fills) == len(mirror)
    for field in ("step", "taker", "maker"):
        assert fills[field].tolist() == mirror[field].tolist()
    assert (-fills["size"]).tolist() == mirror["size"].tolist()
    assert (2 * PRICE - fills["price"]).tolist() == mirror["price"].tolist()
    assert (-one.position["size"]).tolist() == other.position["size"].tolist()
    assert one.flow[:, Cause.SLIPPAGE].tolist() == other.flow[:, Cause.SLIPPAGE].tolist()
    assert ledger.account_equity(one).tolist() == ledger.account_equity(other).tolist()
    assert one.totals[0].outcome.tolist() == other.totals[0].outcome.tolist()
    if one.market[0].best_bid > 0:
        assert other.market[0].best_ask == 2 * PRICE - one.market[0].best_bid


@tried(100)
@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=8),
    st.floats(-0.05, 0.05),
    venues(),
    st.integers(5_000, 20_000),
)
def test_funding_of_the_mirrored_positions_is_exactly_opposite(sizes, premium, rules, mark):
    paid = []
    for side in (1, -1):
        state = open_venue((1000.0,) * (len(sizes) + 1), **rules)
        for i, size in enumerate([*sizes, -sum(sizes)]):
            hold(state, i, side * size)
        set_price(state, PRICE, mark=mark)
        state.market[0].premium_sum = premium
        state.market[0].premium_weight = 1.0
        before = state.pool["cash"].copy()
        settle_interval(state)
        paid.append(state.pool["cash"] - before)
    assert paid[0].tolist() == (-paid[1]).tolist()


@tried(150)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 10**9)), max_size=20))
def test_entry_cost_of_the_mirrored_trades_is_exactly_opposite(trades):
    found = []
    for side in (1, -1):
        state = open_venue((1000.0,))
        for lots_, price in trades:
            ledger.change_position(state, 0, 0, side * lots_, side * lots_ * price)
        found.append(int(state.position[0, 0].entry_cost) * side)
    assert found[0] == found[1]


@tried(150)
@given(
    st.lists(lots(500).filter(bool), min_size=1, max_size=3),
    st.integers(-(10**10), 10**10),
    st.floats(0.0, 1.0),
)
def test_bankruptcy_cash_of_the_mirrored_pool_is_as_far_from_the_mark(sizes, equity, share):
    far = []
    for side in (1, -1):
        plan = Plan((1000.0, 1e6), (), num_markets=len(sizes), tiers="tiered")
        state = open_plan(plan)
        for m, size in enumerate(sizes):
            hold(state, 0, side * size, PRICE, m)
            hold(state, 1, -side * size, PRICE, m)
        state.pool[0].cash += equity - usd(1000)
        pools.assess_pool(state, 0)
        assert state.pool[0].equity == equity
        change = -side * max(1, int(share * abs(sizes[0]))) * (1 if sizes[0] > 0 else -1)
        marked = change * PRICE * int(state.market[0].tick_atoms)
        far.append(liquidation.closing_cash(state, 0, 0, change) + marked)
    assert far[0] == far[1]


@tried(200)
@given(st.floats(1.0, 1e6), st.floats(1.01, 200.0), st.floats(0.0, 0.5))
def test_bankruptcy_and_liquidation_prices_of_long_and_short_mirror_each_other(
    entry, leverage, fraction
):
    margin = entry / leverage
    bankrupt = {}
    for side in (1, -1):
        # without a requirement a position is liquidated where it is bankrupt
        bankrupt[side] = liquidation_price(margin - side * entry, side, 0.0, 0.0)
        # L6: p0 (1 - s / L) / (1 - s m)
        found = liquidation_price(margin - side * entry, side, fraction, 0.0)
        assert np.isclose(found, bankrupt[side] / (1 - side * fraction), rtol=1e-9)
    assert np.isclose(bankrupt[1], entry * (1 - 1 / leverage), rtol=1e-9)
    assert np.isclose(bankrupt[1] + bankrupt[-1], 2 * entry, rtol=1e-9)

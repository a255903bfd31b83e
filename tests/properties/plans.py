"""Random small markets: a plan states all that happens in one, `play` lets it happen."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from marketsim.engine import step
from marketsim.engine.allocation import grow
from marketsim.engine.state import (
    ONE,
    UNLIMITED,
    AverageRule,
    Flag,
    IntentKind,
    LegRule,
    LimitRule,
    MarkRule,
    RankRule,
    SettlementPrice,
    SizeRule,
    State,
)
from marketsim.engine.world import World, allocate_world
from tests.engine.small import PRICE, give_holdings, hold, open_venue, usd, write_intent

#: Atoms of one tick of one lot, different in each market so that no two positions tie.
TICK_ATOMS = (10_000, 10_007, 10_009)

TIERS = {
    "flat": ((0, 0.1, 0.05, 0),),
    "tiered": ((0, 0.1, 0.05, 0), (1000, 0.2, 0.1, 50), (5000, 0.5, 0.25, 800)),
}


#: Intents whose size is an amount of money.
MONEY = (IntentKind.STABLE, IntentKind.TRANSFER)


class Order(NamedTuple):
    """An intent; its price is `offset` ticks from the index of the step."""

    account: int
    market: int
    size: int
    offset: int = 0
    kind: int = IntentKind.ORDER
    flags: int = 0
    expiry: int = 0


@dataclass(frozen=True)
class Step:
    """What happens in a step: index prices in ticks, the stablecoin in percent, the intents."""

    price: tuple[int, ...]
    intents: tuple[Order, ...] = ()
    stable: int = 100


@dataclass(frozen=True)
class Plan:
    """A small market; the last trader is rich."""

    cash: tuple[float, ...]
    steps: tuple[Step, ...]
    num_markets: int = 1
    fund: float = 0.0
    priority: tuple[int, ...] = ()
    side_pools: tuple[tuple[int, float, tuple[int, ...]], ...] = ()
    tiers: str = "flat"
    venue: dict[str, float] = field(default_factory=dict)
    market: dict[str, float] = field(default_factory=dict)
    tick_atoms: tuple[int, ...] = TICK_ATOMS
    scale: int = 1  #: all money is this many times as much
    held: tuple[tuple[int, int, int, int], ...] = ()  #: account, counterparty, market, lots
    stable: tuple[float, ...] = ()  #: USD of the deposit in stablecoins, per account
    margin: tuple[tuple[int, int, float], ...] = ()  #: account, market, USD put in its side pool


def open_plan(plan: Plan) -> State:
    """Open the venue of a plan with the first positions in place."""
    state = open_venue(
        plan.cash,
        num_markets=plan.num_markets,
        fund=plan.fund,
        side_pools=plan.side_pools,
        tiers=TIERS[plan.tiers],
        market=plan.market,
        **plan.venue,
    )
    state.market["tick_atoms"] = plan.tick_atoms[: plan.num_markets]
    if plan.priority:
        state.account["priority"][: len(plan.cash)] = plan.priority
    enlarge(state, plan.scale)
    state.totals[0].record_fills = 1
    for i, j, m, size in plan.held:
        hold(state, i, size, PRICE, m)
        hold(state, j, -size, PRICE, m)
    for i, amount in enumerate(plan.stable):
        give_holdings(state, i, stable=amount * plan.scale)
    for i, m, amount in plan.margin:
        state.pool[i].cash -= usd(amount) * plan.scale
        state.pool[state.position[i, m].pool].cash += usd(amount) * plan.scale
    return grow(state, num_nodes=4096, num_fills=4096)


def enlarge(state: State, scale: int) -> None:
    """Multiply all amounts of money by `scale`, those without limit apart."""
    for table, names in (
        (state.market, ("tick_atoms", "impact_atoms", "oi_lower_atoms", "oi_upper_atoms")),
        (state.tier, ("floor_atoms", "maintenance_amount")),
        (state.account, ("deposit",)),
        (state.pool, ("cash",)),
        (state.draw, ("limit",)),
        (state.totals, ("deposits",)),
        (state.venue, [name for name in state.venue.dtype.names if name.endswith("_atoms")]),
    ):
        for name in names:
            table[name] = np.where(table[name] == UNLIMITED, UNLIMITED, table[name] * scale)


def play(plan: Plan, state: State | None = None) -> Iterator[State]:
    """Play a plan; yield the state after every step (always the same arrays)."""
    state = open_plan(plan) if state is None else state
    world = allocate_world(plan.num_markets, 1)
    for t, now in enumerate(plan.steps):
        begin(state, world, now, t, plan.scale)
        step.clear_step(state, np.arange(len(now.intents)))
        step.settle_step(state)
        yield state


def begin(state: State, world: World, now: Step, t: int, scale: int = 1) -> None:
    """Open a step at its prices and write its intents."""
    world.asset["base"] = np.array(now.price) * 0.01
    state.totals[0].stable_price = now.stable * ONE // 100
    step.open_step(state, world, t)
    for n, order in enumerate(now.intents):
        price = now.price[order.market] + order.offset if order.kind == IntentKind.ORDER else 0
        write_intent(
            state,
            n,
            order.account,
            order.size * scale if order.kind in MONEY else order.size,
            price,
            order.market,
            kind=IntentKind(order.kind),
            flags=order.flags,
            expiry=order.expiry,
        )


def last(plan: Plan) -> State:
    """Play a plan to its end."""
    *_, state = play(plan)
    return state


def liquidated(state: State) -> Any:
    """Rows of all liquidations so far."""
    return state.liquidation[: state.totals[0].num_liquidations]


def first_shortage(plan: Plan, account: int) -> int:
    """Step in which an account is first below maintenance; the number of steps if it never is."""
    for t, state in enumerate(play(plan)):
        short = state.pool[state.pool["equity"] < state.pool["maintenance"]]
        if account in short["owner"] or account in liquidated(state)["account"]:
            return t
    return len(plan.steps)


# Strategies

FLAGS = [0, 0, 0, Flag.IMMEDIATE, Flag.POST_ONLY, Flag.REDUCE_ONLY]


def lots(most: int = 120) -> st.SearchStrategy[int]:
    """Sizes of orders and positions, small ones more often."""
    return st.one_of(st.integers(-8, 8), st.integers(-most, most))


@st.composite
def orders(draw: Any, num_accounts: int, num_markets: int, *, plain: bool = False) -> Order:
    """Draw one intent of any trader; plain ones are orders only."""
    account = draw(st.integers(0, num_accounts - 1))
    market = draw(st.integers(0, num_markets - 1))
    kind = IntentKind.ORDER
    if not plain and draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from(list(IntentKind)))
    if kind in MONEY:
        return Order(account, market, usd(draw(st.integers(-500, 500))), kind=kind)
    size = draw(lots(8)) if kind == IntentKind.SPOT else draw(lots())
    return Order(
        account,
        market,
        size,
        draw(st.integers(-300, 300)),
        kind,
        draw(st.sampled_from(FLAGS)),
        draw(st.integers(0, 2)),
    )


@st.composite
def paths(draw: Any, num_steps: int, num_markets: int, *, move: int = 12) -> list[tuple[int, ...]]:
    """Draw index prices in ticks that move by up to `move` percent a step."""
    price = [PRICE] * num_markets
    path = []
    for _ in range(num_steps):
        for m in range(num_markets):
            factor = 100 + draw(st.integers(-move, move))
            price[m] = min(max(price[m] * factor // 100, 500), 100_000)
        path.append(tuple(price))
    return path


@st.composite
def ladders(draw: Any, rich: int, num_markets: int) -> tuple[Order, ...]:
    """Draw the quotes the rich trader renews in every step, or none."""
    quotes = draw(st.sampled_from([(), (30, 300), (100,), (900,)]))
    return tuple(
        Order(rich, m, side * 60, -side * offset, expiry=1)
        for m in range(num_markets)
        for offset in quotes
        for side in (1, -1)
    )


@st.composite
def plans(draw: Any, *, num_markets: int = 0, side_pools: bool = True, max_steps: int = 6) -> Plan:
    """Draw a market of a few crowded traders and a rich one."""
    num_markets = num_markets or draw(st.integers(1, 3))
    num_accounts = draw(st.integers(2, 5))
    num_steps = draw(st.integers(1, max_steps))
    path = draw(paths(num_steps, num_markets, move=draw(st.sampled_from([3, 12, 12, 50]))))
    traders = range(num_accounts - 1)
    ladder = draw(ladders(traders.stop, num_markets))
    steps = []
    for price in path:
        intents = draw(st.lists(orders(num_accounts, num_markets), max_size=8))
        steps.append(Step(price, (*ladder, *intents), draw(st.sampled_from([100, 100, 98, 60]))))
    pools = draw(pools_of(traders, num_markets)) if side_pools else ()
    held = tuple(
        (i, draw(st.integers(i + 1, num_accounts - 1)), m, draw(lots(90)))
        for i in traders
        for m in range(num_markets)
        if draw(st.booleans())
    )
    return Plan(
        cash=(*(1000.0 * draw(st.integers(1, 3)) for _ in traders), 1e6),
        steps=tuple(steps),
        num_markets=num_markets,
        fund=float(draw(st.sampled_from([0, 300, 10_000, 1e6]))),
        side_pools=pools,
        tiers=draw(st.sampled_from(list(TIERS))),
        venue=draw(venues()),
        market=draw(market_rules()),
        held=held,
        stable=tuple(100.0 * draw(st.integers(0, 6)) for _ in traders),
        scale=draw(st.sampled_from([1, 1, 10**4])),
        margin=tuple((i, m[0], 100.0 * draw(st.integers(0, 3))) for i, _, m in pools),
    )


@st.composite
def pools_of(draw: Any, traders: range, num_markets: int) -> tuple[Any, ...]:
    """Draw a side pool or none for each trader."""
    pools = []
    for i in traders:
        mode = draw(st.sampled_from(["cross", "isolated", "partial"]))
        if mode == "isolated":
            pools += [(i, 0.0, (m,)) for m in range(num_markets)]
        elif mode == "partial":
            group = tuple(range(draw(st.integers(1, num_markets))))
            pools.append((i, float(draw(st.sampled_from([50, 300, 1e6]))), group))
    return tuple(pools)


@st.composite
def market_rules(draw: Any) -> dict[str, float]:
    """Draw fees, impact notional, funding cap and open-interest caps."""
    lower = draw(st.sampled_from([0, 5000]))
    return {
        "maker_fee": draw(st.sampled_from([0, -100_000, 200_000])),
        "taker_fee": draw(st.sampled_from([0, 500_000, 10_000_000])),
        "impact_atoms": draw(st.sampled_from([0, usd(500)])),
        "funding_cap": draw(st.sampled_from([np.inf, 0.02])),
        "oi_lower_atoms": usd(lower),
        "oi_upper_atoms": usd(3 * lower),
    }


@st.composite
def venues(draw: Any) -> dict[str, float]:
    """Draw the rules of a venue."""

    def one_of(*values: float) -> float:
        value: float = draw(st.sampled_from(values))
        return value

    return {
        "mark_rule": one_of(MarkRule.INDEX, *MarkRule),
        "funding_interval": one_of(1, 2, 3),
        "funding_share": one_of(1.0, 0.125),
        "average_rule": one_of(*AverageRule),
        "min_samples": one_of(0, 3),
        "interest_rate": one_of(0.0, 1e-4, 0.01),
        "dead_band": one_of(-1.0, 5e-4),
        "premium_cap": one_of(1.0, 0.01),
        "settlement_price": one_of(*SettlementPrice),
        "spot_haircut": one_of(ONE, 0, ONE // 5),
        "stable_haircut": one_of(0, ONE // 10, ONE),
        "legs": one_of(*LegRule),
        "size_rule": one_of(*SizeRule),
        "limit_rule": one_of(*LimitRule),
        "portion": one_of(ONE, ONE // 5, ONE // 2),
        "min_notional_atoms": one_of(0, usd(500)),
        "chunk_threshold_atoms": usd(1000),
        "chunk_cooldown": one_of(0, 1),
        "max_account_notional_atoms": one_of(UNLIMITED, UNLIMITED, usd(2000)),
        "max_account_loss_atoms": one_of(UNLIMITED, UNLIMITED, usd(100)),
        "bankruptcy_adjustment": one_of(ONE, 2 * ONE),
        "liquidation_fee": one_of(0, ONE // 100),
        "backstop_ratio": one_of(0, 0, 666_666_667),
        "fund_takeover": one_of(1, 1, 0),
        "fund_unwind": one_of(0, ONE // 4, ONE),
        "max_rounds": one_of(1, 5, 20),
        "rank_rule": one_of(*RankRule),
    }

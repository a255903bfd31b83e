"""The engine's step equals the plain one, bit for bit, on venues where everything goes wrong.

Luck comes from the plain venue alone, so a scenario is the same with and without the engine.
"""

import hashlib
from collections import Counter

import numpy as np
import pytest

from marketsim.engine import step
from marketsim.engine.state import (
    ONE,
    AverageRule,
    Cause,
    LegRule,
    LimitRule,
    MarkRule,
    Outcome,
    RankRule,
    SettlementPrice,
    SizeRule,
)
from tests.reference import exchange, outside
from tests.reference import step as plain
from tests.reference.arrays import (
    differences,
    state_of,
    world_of,
    write_intents,
)
from tests.reference.engine import Engine, play
from tests.reference.scenarios import Scenario
from tests.reference.venue import (
    Account,
    Intent,
    Market,
    Order,
    Pool,
    Position,
    Rules,
    Tier,
    Venue,
)
from tests.slow import slow
from tests.uncompiled import print_both_ways

NUM_SEEDS = 100
#: Seeds that are played by the quick tests, too.
QUICK = 10

#: What must have happened in the scenarios, or their agreement would show little.
PHENOMENA = (
    *("account limit", "backstop takeover", "bankruptcy takeover", "book liquidation"),
    *("cancel", "cancel at price", "coins bought", "coins seized", "coins sold"),
    *("counterparty passed over", "deleverage at bankruptcy", "deleverage at mark", "draw"),
    *("expiry", "fund paid a deficit", "fund paid for a fill", "fund unwinding"),
    *("given rate", "settlement of part of an interval", "settlement of more than an interval"),
    *("flat fund made good", "fund deleveraged", "loss left to the venue"),
    *("loss shared by all markets", "odd lot", "part beyond the position", "pro rata"),
    *("funding payment", "idle attempt", "loss drawn", "maker at the position limit"),
    *("maker without margin", "margin added"),
    *("margin removed", "reduce-only order dropped", "second round", "self-trade prevented"),
    *("socialised loss", "stablecoins bought", "stablecoins seized", "stablecoins sold"),
    "uncovered fill",
)


@pytest.mark.parametrize(
    "seed",
    [*range(QUICK), *slow(range(QUICK, NUM_SEEDS))],
)
def test_engine_equals_reference(seed: int) -> None:
    scenario = Scenario(seed)
    play(scenario, Engine(scenario))


@pytest.mark.slow
def test_scenarios_hold_every_rule_and_everything_that_can_happen() -> None:
    seen: Counter[str] = Counter()
    outcomes: Counter[Outcome] = Counter()
    rules = []
    for seed in range(NUM_SEEDS):
        scenario = Scenario(seed)
        play(scenario)
        seen += scenario.venue.seen
        outcomes += scenario.venue.outcomes
        rules.append(scenario.venue.rules)
    assert [name for name in PHENOMENA if seen[name] == 0] == []
    assert [outcome for outcome in Outcome if outcomes[outcome] == 0] == []
    for name, rule in {
        "mark_rule": MarkRule,
        "average_rule": AverageRule,
        "settlement_price": SettlementPrice,
        "legs": LegRule,
        "size_rule": SizeRule,
        "limit_rule": LimitRule,
        "rank_rule": RankRule,
        "fund_takeover": (0, 1),
    }.items():
        assert {getattr(each, name) for each in rules} == set(rule)


def plain_venue(*cash: int, num_markets: int = 1, capacity: int = 100, **rules: int) -> Venue:
    """A venue of 1 atom ticks at 100,000 ticks, 10 % initial and 5 % maintenance margin."""
    tiers = [Tier(0, ONE // 10, ONE // 20)]
    size = range(len(cash))
    return Venue(
        rules=Rules(**rules),
        markets=[
            Market(1, 0.01, 1e-4, tiers, index_price=1e3, index_ticks=100_000, mark_ticks=100_000)
            for _ in range(num_markets)
        ],
        accounts=[Account(priority=i) for i in size],
        positions=[[Position(pool=i) for _ in range(num_markets)] for i in size],
        pools=[Pool(owner=i, cash=amount) for i, amount in enumerate(cash)],
        order_capacity=capacity,
    )


def hold(venue: Venue, i: int, m: int, size: int) -> None:
    """Give an account a position bought at 100,000 ticks."""
    cost = size * 100_000
    venue.positions[i][m].size += size
    venue.positions[i][m].entry_cost += cost
    venue.pools[venue.positions[i][m].pool].cash -= cost


def clear_both(venue: Venue, *intents: Intent) -> None:
    """Clear a step on engine and reference; they agree."""
    state = state_of(venue)
    sequence = write_intents(state, list(intents), list(range(len(intents))))
    plain.clear_step(venue, intents)
    step.clear_step(state, sequence)
    assert differences(state, venue) == []


def test_equal_pools_are_liquidated_by_priority() -> None:
    venue = plain_venue(700_000, 700_000, 700_000, 10**9, 0)
    for i, priority in enumerate((7, 3, 5)):
        venue.accounts[i].priority = priority
        hold(venue, i, 0, 100)
    hold(venue, 3, 0, -300)
    exchange.rest(venue.markets[0], Order(3, 1, 97_000, 150, 0, 0, 0))
    venue.markets[0].index_ticks = 96_900
    clear_both(venue)
    assert [row.account for row in venue.liquidations] == [1, 2]


@pytest.mark.parametrize("rule", RankRule)
def test_equal_counterparties_are_deleveraged_by_priority(rule: RankRule) -> None:
    venue = plain_venue(10**6, 10**8, 10**8, 10**8, 0, fund_takeover=0, rank_rule=rule)
    hold(venue, 0, 0, 150)
    for i, priority in ((1, 7), (2, 9), (3, 9)):
        venue.accounts[i].priority = priority
        hold(venue, i, 0, -50)
    venue.markets[0].index_ticks = 90_000
    clear_both(venue)
    assert [row.account for row in venue.deleverages] == [2, 3, 1]


def test_bankrupt_longs_are_closed_before_bankrupt_shorts() -> None:
    venue = plain_venue(10**5, 2 * 10**5, 10**9, 0, num_markets=2, fund_takeover=0)
    for i, side in ((0, 1), (1, -1)):
        hold(venue, i, 0, 10 * side)
        hold(venue, i, 1, 100)
    hold(venue, 2, 1, -200)
    venue.markets[1].index_ticks = 80_000
    clear_both(venue)
    rows = [venue.liquidations[done.liquidation] for done in venue.deleverages]
    closed = [(row.market, row.account) for row in rows]
    assert closed == [(0, 0), (1, 0), (1, 1)]


@pytest.mark.parametrize(("extra", "draws"), [(0, True), (-1, False)])
def test_a_draw_leaves_the_main_pool_its_maintenance(extra: int, draws: bool) -> None:
    venue = plain_venue(500_000 + extra, 10**9, 0, num_markets=2)
    venue.pools.append(Pool(owner=0, cash=200_000, draw_limit=10**9))
    venue.positions[0][1].pool = 3
    for m in (0, 1):
        hold(venue, 0, m, 40)
        hold(venue, 1, m, -40)
    # 40 lots at 95,000 ticks: 200,000 atoms lost, 190,000 of maintenance margin
    venue.markets[1].index_ticks = 95_000
    venue.pools[0].cash -= 110_000
    clear_both(venue)
    assert (venue.seen["draw"] == 1) == draws


def test_a_deficit_is_drawn_up_to_the_limit_and_the_rest_shared_by_size() -> None:
    venue = plain_venue(10**5, -3_700_000, 10**9, 0, fund_takeover=0, max_rounds=1)
    venue.pools.append(Pool(owner=0, cash=200_000, draw_limit=200_000, drawn=150_000))
    venue.positions[0][0].pool = 4
    for i, size in enumerate((40, -80, 40)):
        hold(venue, i, 0, size)
    # account 0 lacks 1,800,000 atoms; account 1 has 300,000 and is passed over until the mark
    venue.markets[0].index_ticks = 50_000
    clear_both(venue)
    assert venue.seen["deleverage at mark"] == 1
    assert venue.socialised_atoms == 1_750_000
    shares = [venue.flow[i, Cause.SOCIALISED] for i in range(4)]
    assert shares == [1_750_000, -875_000, -875_000, 0]


@pytest.mark.parametrize(("extra", "outcome"), [(0, Outcome.ACCEPTED), (-1, Outcome.MARGIN)])
def test_the_margin_check_rounds_the_fee_up(extra: int, outcome: Outcome) -> None:
    venue = plain_venue(10**5 + 101 + extra, 0)
    venue.markets[0].taker_fee = 100_001
    intent = Intent(0, 0, size=10, price=100_000)
    clear_both(venue, intent)
    assert intent.outcome == outcome


def test_resting_orders_together_keep_the_position_limit() -> None:
    venue = plain_venue(10**9, 10**9, 0)
    venue.markets[0].max_position_lots = 80
    for price in (99_000, 98_000, 97_000):
        exchange.rest(venue.markets[0], Order(0, 1, price, 40, 0, 0, 0))
    clear_both(venue, Intent(1, 0, size=-80, price=97_000), Intent(1, 0, size=-1, price=97_000))
    assert [row[0].size for row in venue.positions] == [80, -80, 0]
    assert venue.outcomes[Outcome.POSITION_LIMIT] == 1


def test_depth_of_exactly_the_impact_notional_is_deep_enough() -> None:
    venue = plain_venue(10**9, 0)
    venue.markets[0].impact_atoms = 50 * 101_000
    exchange.rest(venue.markets[0], Order(0, 1, 101_000, 50, 0, 0, 0))
    clear_both(venue)
    assert venue.markets[0].premium == pytest.approx(0.01)


def test_orders_expire_on_time_however_long_they_live() -> None:
    lives = [1, 2, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 2100]
    venue = plain_venue(10**12, 0)
    state = state_of(venue)
    intents = [Intent(0, 0, size=1, price=100 + life, expiry=life) for life in lives]
    venue.step = 5
    state.totals[0].step = 5
    plain.clear_step(venue, intents)
    step.clear_step(state, write_intents(state, intents, list(range(len(lives)))))
    asset = outside.Asset(price=1e3, base=1e3, sources=[outside.Source(price=1e3)])
    world = outside.Outside(outside.Factor(), [asset])
    outer = world_of(world)
    left = []
    for t in range(6, 2_110):
        plain.open_step(venue, world, t)
        step.open_step(state, outer, t)
        assert differences(state, venue) == []
        left.append(len(venue.markets[0].orders()))
    assert left == [sum(5 + life > t for life in lives) for t in range(6, 2_110)]


def test_no_more_of_a_large_stablecoin_holding_is_seized_than_is_missing() -> None:
    venue = plain_venue(-9 * 10**10 - 10**9, 10**15, 0, stable_haircut=ONE // 10, fund_takeover=0)
    venue.accounts[0].stable = 10**11
    hold(venue, 0, 0, 10**6)
    hold(venue, 1, 0, -(10**6))
    clear_both(venue)
    assert (venue.pools[0].cash, venue.accounts[0].stable) == (1, 10**10 - 1)


DIGEST = """
from tests.reference.test_reference import digest
print(digest((0, 4, 8), num_steps=20))
"""


def digest(seeds: tuple[int, ...], num_steps: int) -> str:
    """Hash every field of the engine's arrays after short scenarios."""
    total = hashlib.sha256()
    for seed in seeds:
        scenario = Scenario(seed, num_steps)
        engine = Engine(scenario)
        play(scenario, engine)
        for array in (*engine.state, *engine.world):
            for name in array.dtype.names or (None,):
                column = array if name is None else array[name]
                total.update(np.ascontiguousarray(column).tobytes())
    return total.hexdigest()


def test_engine_gives_the_same_bytes_compiled_and_not() -> None:
    found = print_both_ways(DIGEST)
    assert found[0] == found[1]
    assert len(found[0].strip()) == 64

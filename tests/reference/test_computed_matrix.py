"""The contagion matrix as computed equals its plain version, and numbers worked by hand."""

from dataclasses import asdict
from random import Random
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketsim import Simulation, load_scenario
from marketsim.contagion.computed import Computed, compute_contagion
from marketsim.engine.paper import paper_venue
from marketsim.engine.state import ONE, LegRule, MarkRule, State
from tests.properties.profile import tried
from tests.reference import exchange, margin
from tests.reference.arrays import state_of, venue_of
from tests.reference.computed import Computation, Measured, mean_products
from tests.reference.scenarios import add_side_pools, random_rules, random_tiers
from tests.reference.venue import Account, Market, Order, Pool, Position, Rules, Tier, Venue

SIDES = ("falls", "rises")
MARK = 100_000


def computed_of(venue: Venue, measured: Measured) -> Computed:
    """What the engine computes of a reference venue."""
    state = state_of(venue)
    state.recovery["share"] = measured.recovered
    state.recovery["moves"] = 1.0
    state.movement[:] = measured.covariance
    return compute_contagion(state, paper_venue(state), measured.reflexivity)


def check(found: Computed, plain: Computation) -> None:
    """Whom it takes to be near the edge, what books take of them, and the matrices.

    The engine leaves out what is further away than anything walks: chances of 1e-9.
    """
    pools, markets = found.filled.shape
    chances = [plain.stands[p].chance if p in plain.stands else 0.0 for p in range(pools)]
    assert found.likely.tolist() == pytest.approx(chances, rel=1e-9, abs=1e-9)
    for p in plain.likely:
        for m in range(markets):
            taken = plain.sale(p).taken[m] * plain.venue.value(m, 1)
            assert (p, m, found.filled[p, m]) == (p, m, taken)
    for side in range(len(SIDES)):
        expected = plain.matrix(falls=side == 0)
        np.testing.assert_allclose(found.response[side], expected, rtol=1e-7, atol=1e-8)


def worked_venue(cash: list[int], lots: list[list[int]], **rules: Any) -> Venue:
    """Markets at 100,000 ticks of an atom, 5 % of maintenance, and a rich one on the other side.

    `cash` is the equity of the pools at the mark. One step is the whole horizon: the chance to be
    liquidated of a pool that stands x steps above maintenance is that of a normal draw above x.
    """
    count = len(lots[0])
    rows = [*lots, [-sum(row[m] for row in lots) for m in range(count)], [0] * count]
    return Venue(
        rules=Rules(step_hours=0.25, **rules),
        markets=[
            Market(
                tick_atoms=1,
                tick_size=0.01,
                tiers=[Tier(0, ONE // 10, ONE // 20)],
                index_price=1e3,
                index_ticks=MARK,
                mark_ticks=MARK,
                last_ticks=MARK,
            )
            for _ in range(count)
        ],
        accounts=[Account() for _ in rows],
        positions=[
            [Position(pool=i, size=size, entry_cost=size * MARK) for size in row]
            for i, row in enumerate(rows)
        ],
        pools=[
            Pool(owner=i, cash=equity - sum(rows[i]) * MARK)
            for i, equity in enumerate([*cash, 10**12, 0])
        ],
        order_capacity=100,
    )


def quote(venue: Venue, m: int, side: int, *levels: tuple[int, int]) -> None:
    """Rest orders of the rich account: lots and price."""
    rich = venue.fund - 1
    for size, price in levels:
        order = Order(rich, side, price, size, mid2=2 * MARK, expiry=0, flags=0)
        exchange.rest(venue.markets[m], order)


def above(x: float) -> float:
    """The chance of a normal draw above x."""
    return 1.0 - NormalDist().cdf(x)


#: How far the mark goes with either pool's sale below, in ticks: at once, and after the step.
PATHS = {
    # of the mid's 200 ticks spot follows 40 %
    MarkRule.INDEX: ((0, 80), (0, 80)),
    # to the last order taken; half of what that is below the mid is left
    MarkRule.LAST: ((100, 50), (500, 250)),
    # 80 with the index, and half of what the 100 that are left have beyond them
    MarkRule.INDEX_PLUS_BASIS: ((0, 90), (0, 90)),
    # the second of 80, 90 and 50; the second of 80, 90 and 250
    MarkRule.MEDIAN: ((0, 80), (0, 90)),
}


@pytest.mark.parametrize("rule", PATHS)
def test_one_market_worked_by_hand(rule: MarkRule) -> None:
    # 595,000 is 95,000 above maintenance, what 100 lots move by in a step of 1 % (their requirement
    # moves with them); 1,380,000 is 380,000 above it, two steps of 200 lots
    venue = worked_venue([595_000, 1_380_000], [[100], [200]], mark_rule=rule, basis_weight=0.5)
    quote(venue, 0, 1, (98, 99_900), (300, 99_500))
    quote(venue, 0, -1, (50, 100_100))
    measured = Measured([0.5], [[1e-4]], reflexivity=0.4)
    # short below 99,000, the other below 98,000; .5826 of a percent beyond the first tick there
    sold = 100 * 98_422, 200 * 97_428
    chances = above(1.0), above(2.0)
    # 98 lots take the first bids, 195 some of the second, which is where both leave the best bid
    small, large = PATHS[rule]

    def added(x: float, push: tuple[int, int]) -> float:
        """A fall of 1 % is a step of either pool: 1,000 ticks."""
        return (1.0 if push[0] > 1_000 * x else above(x - push[1] / 1_000)) - above(x)

    follows = chances[0] * added(2.0, small) * sold[1] + chances[1] * added(1.0, large) * sold[0]
    expected = follows / (chances[0] * sold[0] + chances[1] * sold[1])
    plain = Computation(venue, measured)
    assert [plain.sale(p).atoms for p in (0, 1)] == [[each] for each in sold]
    assert [plain.sale(p).taken for p in (0, 1)] == [[98], [195]]
    for p, push in enumerate((small, large)):
        assert plain.sale(p).path[0] == pytest.approx([each / MARK for each in push])
    exact = plain.reproduction_number(falls=True, in_classes=False)
    assert exact == pytest.approx(expected, rel=1e-9)
    assert plain.matrix(falls=False) == [[0.0]]
    if rule == MarkRule.LAST:
        assert expected == pytest.approx(0.011968, rel=1e-4)
    # under `MEDIAN` the two count as their mean, each by its chance
    found = computed_of(venue, measured)
    within = 0.02 if rule == MarkRule.MEDIAN else 1e-9
    assert found.response[0, 0, 0] == pytest.approx(expected, rel=within)
    check(found, plain)


def test_two_markets_worked_by_hand() -> None:
    # long in one market; long in both; long in the first and short in the second
    lots = [[100, 0], [60, 80], [63, -76]]
    # 595,000 as above. What 60 and 80 lots lose is 95,000 times that: by Pythagoras 95,000 in a
    # step of 1 % of either market, and 890,000 is two of them above maintenance. A short's
    # requirement rises with the mark, it loses 105,000 times 76: 99,750 together with 63 long, and
    # 894,500 is two steps of those above maintenance
    rules = {"mark_rule": MarkRule.LAST, "legs": LegRule.ALL}
    venue = worked_venue([595_000, 890_000, 894_500], lots, **rules)
    for m in (0, 1):
        quote(venue, m, 1, (50, 99_900), (300, 99_500))
        quote(venue, m, -1, (50, 100_100), (300, 100_500))
    measured = Measured([0.5, 0.5], [[1e-4, 0.0], [0.0, 1e-4]], reflexivity=0.0)
    # the second is short of maintenance at 97,499 of the second market, the third at 102,501; the
    # first market is where it is
    sold = [[100 * 98_422, 0], [60 * MARK, 80 * 96_931], [63 * MARK, -76 * 103_098]]
    chances = above(1.0), above(2.0), above(2.0)
    # all sell into the second bids: 500 ticks at once, then half. A fall of 1 % of the first market
    # is a step of the first pool, and 57,000 of 95,000, 59,850 of 99,750: .6 of one, of the others
    added = above(1 - 0.25) - above(1), above(2 - 0.15) - above(2), above(2 - 0.15) - above(2)
    dollars = [
        sum(added[b] * (sum(chances) - chances[b]) * sold[b][j] for b in range(3)) for j in (0, 1)
    ]
    forced = sum(chance * sold[a][0] for a, chance in enumerate(chances))
    impact = sum(chances) * 0.005 / forced, 0.005 / sold[1][1]
    expected = [
        [dollars[0] / forced, 0.0],
        [dollars[1] / forced * impact[1] / impact[0], 0.0],
    ]
    # what the third must buy is a little more than what the second must sell
    assert expected[1][0] < 0.0 < expected[0][0]
    plain = Computation(venue, measured)
    assert [plain.sale(p).atoms for p in range(3)] == sold
    assert [plain.sale(p).taken for p in range(3)] == [[98, 0], [60, 78], [63, -78]]
    for in_classes in (True, False):
        found = plain.matrix(falls=True, in_classes=in_classes)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        # only one buys in the second market, and nobody else is hurt by that
        assert not np.any(plain.matrix(falls=False, in_classes=in_classes))
    check(computed_of(venue, measured), plain)


def test_a_sale_that_only_lifts_a_mark_does_not_move_it() -> None:
    # the last price of the second market lies far below its bids, and nobody asks
    rules = {"mark_rule": MarkRule.LAST, "legs": LegRule.ALL}
    venue = worked_venue([595_000, 890_000], [[100, 0], [60, 80]], **rules)
    for m in (0, 1):
        quote(venue, m, 1, (50, 99_900), (300, 99_500))
    quote(venue, 0, -1, (50, 100_100))
    venue.markets[1].last_ticks = 90_000
    measured = Measured([0.5, 0.5], [[1e-4, 0.0], [0.0, 1e-4]], reflexivity=0.0)
    plain = Computation(venue, measured)
    assert plain.sale(1).taken[1] == 78
    assert plain.sale(1).path[1] == pytest.approx([-0.095, (94_950 - 99_500) / 2 / MARK])
    found = computed_of(venue, measured)
    assert found.impact[0, 0] > 0.0
    assert found.impact[0, 1] == 0.0
    assert found.response[0, 0, 0] > 0.0
    assert found.response[0, 1, 0] == 0.0
    check(found, plain)


def small_market(luck: Random, *, rich: int) -> Market:
    """A market of some thousands of ticks, its book quoted by a rich account."""
    ticks, tick_atoms = luck.randint(1_000, 100_000), luck.choice((1, 7, 12_345))
    market = Market(
        tick_atoms=tick_atoms,
        tick_size=0.01,
        tiers=random_tiers(luck, 10 * ticks * tick_atoms),
        funding_rate=luck.choice((0.0, 0.004, -0.01)),
        index_price=ticks * 0.01,
        index_ticks=ticks,
        mark_ticks=max(round(ticks * luck.uniform(0.995, 1.005)), 1),
        last_ticks=luck.choice((0, max(round(ticks * luck.uniform(0.99, 1.01)), 1))),
        basis=luck.uniform(-0.003, 0.003) * ticks * 0.01,
        liquidates=luck.choice((1, 1, 1, 0)),
    )
    for side in (1, -1):
        away = 0
        for _ in range(luck.randint(0, 6)):
            away += luck.randint(1, ticks // 200)
            for _ in range(luck.randint(1, 2)):
                order = Order(rich, side, ticks - side * away, luck.randint(1, 40), 0, 0, 0)
                exchange.rest(market, order)
    return market


def small_venue(luck: Random, rule: MarkRule) -> tuple[Venue, Measured]:
    """A few accounts near the edge, any rule with any other, and marks that move together."""
    num_accounts, num_markets = luck.randint(2, 7), luck.randint(1, 3)
    markets = [small_market(luck, rich=num_accounts) for _ in range(num_markets)]
    pools = [Pool(owner=i) for i in range(num_accounts + 2)]
    positions = [[Position(pool=i) for _ in markets] for i in range(num_accounts + 2)]
    for i in range(num_accounts):
        for position in positions[i]:
            position.size = luck.choice((0, luck.randint(1, 60), luck.randint(-60, 60)))
        add_side_pools(luck, i, positions[i], pools, 10**6)
    for m in range(num_markets):
        positions[num_accounts][m].size = -sum(row[m].size for row in positions)
    unit = max(market.tick_atoms * market.mark_ticks for market in markets)
    rules = random_rules(luck, unit)
    rules.mark_rule = rule
    rules.step_hours = luck.choice((0.25, 1 / 12, 1 / 60))
    accounts = [Account() for _ in positions]
    venue = Venue(rules, markets, accounts, positions, pools, order_capacity=400)
    common = [luck.uniform(-0.01, 0.01) for _ in markets]
    covariance = [[one * other for other in common] for one in common]
    for m in range(num_markets):
        covariance[m][m] += luck.uniform(0.001, 0.01) ** 2
    for p, pool in enumerate(pools):
        gross = sum(abs(venue.value(m, positions[pool.owner][m].size)) for m in venue.legs(p))
        pool.cash = round(luck.uniform(-0.2, 4.0) * 0.01 * gross) - margin.spare(venue, p)
    pools[num_accounts].cash = 10**6 * unit
    pools[venue.fund].cash = luck.choice((0, unit, 1_000 * unit))
    recovered = [luck.choice((0.0, 1.0, luck.random())) for _ in markets]
    return venue, Measured(recovered, covariance, luck.choice((0.0, 0.3, 1.0)))


@pytest.mark.parametrize("rule", MarkRule)
def test_small_books_and_accounts(rule: MarkRule) -> None:
    @tried(60)
    @given(luck=st.randoms(use_true_random=False))
    def try_one(luck: Random) -> None:
        venue, measured = small_venue(luck, rule)
        check(computed_of(venue, measured), Computation(venue, measured))

    try_one()


@pytest.mark.parametrize("rule", MarkRule)
def test_many_small_venues_pass_a_sale_on(rule: MarkRule) -> None:
    """What is tried above is not empty; by seeds, as hypothesis's versions differ in examples."""
    venues = (small_venue(Random(seed), rule) for seed in range(40))
    passing = [computed_of(venue, measured).response.any() for venue, measured in venues]
    assert sum(passing) >= 6


def measured_of(state: State, marks: list[list[int]]) -> Measured:
    """What a run has measured; how its marks move is held against all it has been at."""
    moves = state.recovery["moves"][0]
    covariance = (state.movement / moves).tolist()
    np.testing.assert_allclose(covariance, mean_products(marks), rtol=1e-9, atol=1e-18)
    return Measured(state.recovery["share"].tolist(), covariance, reflexivity=0.0)


#: Hours at which a run is looked at; the side that anything follows on, and in one of them R.
MOMENTS = [
    # at the start the books are thin; gold, oil and all fall at 12 hours; and come back
    pytest.param("contagion", {2.15: "falls", 12.1: "falls", 15.5: "rises"}, id="contagion"),
    pytest.param("ordinary", {37.0: "rises"}, id="ordinary"),
    pytest.param(
        "mark-spiral",
        {20.0: "falls", 33.0: "falls"},
        id="mark-spiral",
        marks=pytest.mark.slow,
    ),
    pytest.param("boom", {47.0: "falls", 79.0: "falls"}, id="boom", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "moments"), MOMENTS)
def test_moments_of_library_scenarios(name: str, moments: dict[float, str]) -> None:
    days = str((max(moments) + 1.0) / 24.0)
    run = Simulation(load_scenario(name, [("days", days)]), 1)
    marks = []
    for hours, side in moments.items():
        while len(marks) < round(hours / float(run.state.venue[0].step_hours)):
            run.run(1)
            marks.append(run.state.market["mark_ticks"].tolist())
        found = compute_contagion(run.state, paper_venue(run.state), 0.0)
        plain = Computation(venue_of(run.state), measured_of(run.state, marks))
        check(found, plain)
        radius = plain.reproduction_number(falls=side == "falls")
        assert radius > 0.001
        # what grouping the pushes costs: about a hundredth
        exact = plain.reproduction_number(falls=side == "falls", in_classes=False)
        assert radius == pytest.approx(exact, rel=0.03)


def test_a_venue_written_into_arrays_is_read_back() -> None:
    venue, _ = small_venue(Random(1), MarkRule.LAST)
    assert asdict(venue_of(state_of(venue))) == asdict(venue)

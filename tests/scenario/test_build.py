"""The arrays a scenario becomes: rules, deposits, pools and who is who."""

import copy
import math
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from marketsim.engine.state import (
    ATOMS,
    ONE,
    UNLIMITED,
    LimitRule,
    MarkRule,
    RankRule,
    SettlementPrice,
    SizeRule,
    State,
)
from marketsim.run.simulation import Simulation
from marketsim.scenario.build import build_state, write_rules
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import load_scenario, parse_scenario
from marketsim.scenario.population import MODES
from marketsim.scenario.roster import Roster, draw_uniform
from marketsim.streams import Stream, trader_keys, uniform

MARKETS = {
    "BTC": {"price": 100_000.0, "tick_size": 0.1, "lot_size": 0.001},
    "ETH": {"price": 4_000.0, "tick_size": 0.01, "lot_size": 0.01},
    "SOL": {"price": 200.0, "tick_size": 0.01, "lot_size": 0.1},
}
HOLDERS = {
    "strategy": "holder",
    "count": 200,
    "capital": {"kind": "pareto", "min": 1000.0, "alpha": 1.5, "max": 1e6},
    "leverage": {"kind": "lognormal", "median": 8.0, "sigma": 0.8},
    "stable_share": {"kind": "uniform", "min": 0.0, "max": 0.5},
}


def build(
    populations: dict[str, Any] | None = None, *, seed: int = 1, **fields: Any
) -> tuple[State, Roster]:
    data = {"markets": MARKETS, "populations": populations or {"holders": HOLDERS}, **fields}
    return build_state(parse_scenario(copy.deepcopy(data)), seed=seed)


# Rules


def test_rules_reach_the_engine_in_its_units() -> None:
    state, _ = build(venue={"preset": "hyperliquid"}, step_minutes=0.5)
    venue = state.venue[0]
    assert venue.step_hours == pytest.approx(0.5 / 60)
    assert venue.mark_rule == MarkRule.MEDIAN
    assert venue.basis_weight == pytest.approx(1 - math.exp(-0.2))
    assert (venue.funding_interval, venue.funding_share) == (120, 0.125)
    assert venue.settlement_price == SettlementPrice.INDEX
    assert (venue.interest_rate, venue.dead_band) == (0.0001, 0.0005)
    assert (venue.size_rule, venue.limit_rule) == (SizeRule.CHUNK, LimitRule.MARKET)
    assert venue.rank_rule == RankRule.HYPERLIQUID
    assert venue.portion == ONE // 5
    assert venue.chunk_threshold_atoms == 100_000 * ATOMS
    assert venue.chunk_cooldown == 1
    assert venue.backstop_ratio == 666_666_667
    assert venue.max_account_notional_atoms == UNLIMITED
    assert venue.fund_takeover == 1
    assert venue.spot_haircut == ONE


def test_a_cooldown_is_rounded_up_to_steps() -> None:
    assert build(venue={"preset": "hyperliquid"})[0].venue[0].chunk_cooldown == 1
    rules = {"preset": "hyperliquid", "liquidation": {"chunk_cooldown_minutes": 2.5}}
    assert build(venue=rules)[0].venue[0].chunk_cooldown == 3


def test_no_dead_band_is_negative_and_no_fund_never_sells() -> None:
    venue = build(venue={"preset": "dydx"})[0].venue[0]
    assert venue.dead_band == -1.0
    assert venue.fund_unwind == 0
    assert venue.max_account_notional_atoms == 5_500_000 * ATOMS


def test_samples_asked_for_are_at_most_one_per_step() -> None:
    rules = {"preset": "dydx"}
    assert build(venue=rules)[0].venue[0].min_samples == 60
    record = {"series_minutes": 5}
    assert build(venue=rules, step_minutes=5, record=record)[0].venue[0].min_samples == 12


@pytest.mark.parametrize(
    ("preset", "cap"),
    [
        ("default", 0.75 * 0.01),
        ("dydx", 6 * 0.008),
        ("binance", 0.75 * 0.004),
        ("bitmex", 0.75 * 0.006),
        ("hyperliquid", 8 * 0.04),
    ],
)
def test_the_funding_cap_is_the_venue_s_rule(preset: str, cap: float) -> None:
    state, _ = build(venue={"preset": preset})
    assert state.market["funding_cap"] == pytest.approx([cap] * 3, rel=1e-12)


def test_the_funding_cap_follows_a_market_s_own_margin_or_its_own_cap() -> None:
    markets = copy.deepcopy(MARKETS)
    markets["ETH"]["max_leverage"] = 10
    markets["SOL"]["funding_cap"] = 0.02
    data = {"markets": markets, "populations": {"holders": HOLDERS}}
    cap = build_state(parse_scenario(data))[0].market["funding_cap"]
    assert cap == pytest.approx([0.0075, 0.75 * 0.05, 0.02])


def test_markets_are_in_ticks_lots_and_atoms() -> None:
    state, _ = build()
    assert list(state.market["tick_atoms"]) == [100, 100, 1000]
    assert list(state.market["index_ticks"]) == [1_000_000, 400_000, 20_000]
    assert list(state.market["mark_ticks"]) == [1_000_000, 400_000, 20_000]
    assert list(state.market["index_price"]) == [100_000.0, 4_000.0, 200.0]
    assert list(state.market["taker_fee"]) == [500_000] * 3
    assert list(state.market["impact_atoms"]) == [10_000 * ATOMS] * 3


def test_a_position_limit_is_in_lots_at_the_first_price() -> None:
    markets = copy.deepcopy(MARKETS)
    markets["BTC"]["max_position_notional"] = 1_000_000.0
    data = {"markets": markets, "populations": {"holders": HOLDERS}}
    state, _ = build_state(parse_scenario(data))
    assert state.market[0].max_position_lots == 10_000
    assert state.market[1].max_position_lots == parse_scenario(data).markets["ETH"].max_lots


def test_maintenance_amounts_make_the_requirement_continuous() -> None:
    state, _ = build(venue={"preset": "binance"})
    assert list(state.market["num_tiers"]) == [12] * 3
    tiers = state.tier[0]
    assert tiers[0].maintenance_amount == 0
    assert tiers[4].maintenance_amount == 131_450 * ATOMS  # the sum of floor x rise of the fraction
    for below, tier in pairwise(tiers):
        floor = int(tier.floor_atoms)
        left = floor * int(below.maintenance_fraction) // ONE - int(below.maintenance_amount)
        right = floor * int(tier.maintenance_fraction) // ONE - int(tier.maintenance_amount)
        assert abs(left - right) <= 1


def test_rules_can_be_written_again_without_touching_prices_and_accounts() -> None:
    scenario = parse_scenario({"markets": MARKETS, "populations": {"holders": HOLDERS}})
    state, _ = build_state(scenario)
    before = state.pool["cash"].copy()
    state.market["mark_ticks"] = 7
    changed = scenario.with_rule("markets.BTC.max_leverage", 10)
    prices = {name: market["price"] for name, market in MARKETS.items()}
    write_rules(state, changed.with_rule("venue.mark.rule", "last"), prices)
    assert state.venue[0].mark_rule == MarkRule.LAST
    assert state.tier[0, 0].initial_fraction == ONE // 10
    assert list(state.market["mark_ticks"]) == [7, 7, 7]
    assert np.array_equal(state.pool["cash"], before)


# Prices


def test_first_prices_may_come_from_a_history() -> None:
    markets = {name: {**market} for name, market in MARKETS.items()}
    for market in markets.values():
        del market["price"]
    spot = {"kind": "history", "history": {"path": "p.csv"}}
    data = {"markets": markets, "spot": spot, "populations": {"holders": HOLDERS}}
    scenario = parse_scenario(data)
    state, _ = build_state(scenario, prices={"BTC": 50_000.0, "ETH": 2_000.0, "SOL": 100.0})
    assert list(state.market["mark_ticks"]) == [500_000, 200_000, 10_000]
    with pytest.raises(ScenarioError, match=r"markets\.ETH\.price: missing"):
        build_state(scenario, prices={"BTC": 50_000.0, "SOL": 100.0})
    with pytest.raises(ScenarioError, match=r"markets\.BTC\.price = 10000000: .*raise tick_size"):
        build_state(scenario, prices={"BTC": 1e7, "ETH": 2_000.0, "SOL": 100.0})
    with pytest.raises(ScenarioError, match=r"markets\.SOL\.price = nan: must be above 0"):
        build_state(scenario, prices={"BTC": 5e4, "ETH": 2_000.0, "SOL": math.nan})


# Accounts


def test_deposits_add_up_to_the_atom() -> None:
    state, roster = build(insurance_fund=1234.567891)
    n = roster.num_traders
    account, pool = state.account, state.pool
    assert account["deposit"][n] == pool["cash"][n] == 1_234_567_891
    assert np.array_equal(state.stable + pool["cash"][: n + 1], account["deposit"])
    assert state.stable[:n].sum() > 0
    assert state.totals[0].deposits == account["deposit"].sum()
    assert np.all(pool["cash"][n + 1 :] == 0)
    assert account["deposit"][:n] == pytest.approx(roster.capital * ATOMS, abs=0.5)


def test_the_fund_is_the_last_account() -> None:
    state, roster = build()
    assert len(state.account) == roster.num_traders + 1
    assert np.all(state.own_fraction[-1] == 0)


def test_own_fractions_are_one_over_leverage_and_not_below_the_market_s() -> None:
    state, roster = build()
    own = state.own_fraction[:-1]
    assert np.all(own >= 20_000_000)
    assert own[:, 0] == pytest.approx(1e9 / roster.leverage, abs=0.5)
    assert roster.leverage.max() == 50.0  # the median of 8 reaches the limit of 50 in 200 draws
    assert roster.leverage.min() >= 0.1


def test_deposits_beyond_the_integers_are_refused() -> None:
    rich = {**HOLDERS, "count": 5000, "capital": {"kind": "pareto", "min": 1e6, "alpha": 0.15}}
    with pytest.raises(
        ScenarioError, match=r"populations\.holders\.capital: deposits of .* state a"
    ):
        build({"holders": rich})


# Pools


def test_cross_accounts_have_only_their_main_pool() -> None:
    state, roster = build()
    n = roster.num_traders
    assert len(state.pool) == n + 1
    assert np.array_equal(state.position["pool"], np.arange(n + 1)[:, None].repeat(3, axis=1))


def test_isolated_positions_have_a_pool_each_that_draws_nothing() -> None:
    isolated = {**HOLDERS, "margin_mode": "isolated", "markets": ["BTC", "SOL"]}
    state, roster = build({"holders": isolated})
    n = roster.num_traders
    pools = state.position["pool"][:n]
    assert len(state.pool) == n + 1 + 2 * n
    assert np.array_equal(pools[:, 1], np.arange(n))  # not traded: stays in the main pool
    sides = pools[:, [0, 2]]
    assert np.array_equal(sides.ravel(), np.arange(n + 1, 3 * n + 1))
    assert np.array_equal(state.pool["owner"][sides], np.arange(n)[:, None].repeat(2, axis=1))
    assert np.all(state.draw["limit"] == 0)


def test_groups_share_a_pool_with_a_draw_limit() -> None:
    groups = {
        "majors": {"markets": ["BTC", "ETH"], "draw_limit": 0.25},
        "rest": {"markets": ["SOL"], "draw_limit_usd": 100.0},
    }
    state, roster = build({"holders": {**HOLDERS, "margin_mode": "partial", "groups": groups}})
    n = roster.num_traders
    pools = state.position["pool"][:n]
    assert np.array_equal(pools[:, 0], pools[:, 1])
    assert len(np.unique(pools)) == 2 * n == len(state.pool) - n - 1
    assert np.array_equal(state.pool["owner"][pools[:, 2]], np.arange(n))
    limit = state.draw["limit"]
    assert limit[pools[:, 0]] == pytest.approx(0.25 * roster.capital * ATOMS, abs=0.5)
    assert np.all(limit[pools[:, 2]] == 100 * ATOMS)


def test_an_unlimited_group_is_the_main_pool() -> None:
    groups = {"all": {"markets": ["BTC", "ETH", "SOL"], "draw_limit": "unlimited"}}
    partial, _ = build({"holders": {**HOLDERS, "margin_mode": "partial", "groups": groups}})
    cross, _ = build()
    assert np.array_equal(partial.position["pool"], cross.position["pool"])
    assert len(partial.pool) == len(cross.pool)


def test_mixed_modes_have_their_shares() -> None:
    mixed = {
        **HOLDERS,
        "count": 4000,
        "margin_mode": {"cross": 1, "isolated": 2, "partial": 1},
        "groups": {"pair": {"markets": ["BTC", "ETH"]}},
    }
    state, roster = build({"holders": mixed})
    share = np.bincount(roster.margin_mode, minlength=len(MODES)) / 4000
    assert share == pytest.approx([0.25, 0.5, 0.25], abs=4 * math.sqrt(0.25 / 4000))
    own = state.position["pool"][:4000] == np.arange(4000)[:, None]
    sides = (~own).sum(axis=1)
    assert np.array_equal(sides, np.array([0, 3, 2])[roster.margin_mode])


# Who is who


def test_populations_stand_in_the_scenario_s_order() -> None:
    makers = {"strategy": "maker", "count": 3, "parameters": {"levels": 5}, "leverage": 2.0}
    _, roster = build({"makers": makers, "holders": HOLDERS})
    assert roster.names == ("makers", "holders")
    assert roster.strategies == ("maker", "holder")
    assert roster.parameters[0] == {"levels": 5}
    assert roster.rows == (slice(0, 3), slice(3, 203))
    assert roster.rows_of("holders") == slice(3, 203)
    assert np.array_equal(roster.population, [0] * 3 + [1] * 200)
    assert np.array_equal(roster.keys[3:], trader_keys("holders", 200))
    assert roster.market_weight == pytest.approx(np.full((2, 3), 1 / 3))


def test_a_trader_s_draws_depend_only_on_seed_population_and_number() -> None:
    makers = {"strategy": "maker", "count": 3}
    mixed = {**HOLDERS, "margin_mode": {"cross": 1, "isolated": 1}}
    _, alone = build({"holders": mixed})
    _, beside = build({"makers": makers, "holders": {**mixed, "count": 120, "buffer": 0.3}})
    for name in ("capital", "leverage", "stable_share", "stop_loss", "margin_mode", "priority"):
        assert np.array_equal(getattr(alone, name)[:120], getattr(beside, name)[3:]), name
    _, renamed = build({"others": mixed})
    _, reseeded = build({"holders": mixed}, seed=2)
    assert not np.any(alone.capital == renamed.capital)
    assert not np.any(alone.capital == reseeded.capital)


def test_habits_of_a_trader_are_independent() -> None:
    _, roster = build({"holders": {**HOLDERS, "count": 20_000}})
    drawn = np.stack([roster.capital, roster.leverage, roster.stable_share, roster.slippage])
    ranks = drawn.argsort(axis=1).argsort(axis=1)
    correlation = np.corrcoef(ranks) - np.eye(len(ranks))
    assert np.abs(correlation).max() < 4 / math.sqrt(20_000)


def test_priorities_are_uniform_and_fit_31_bits() -> None:
    state, roster = build({"holders": {**HOLDERS, "count": 20_000}})
    priority = roster.priority
    assert np.array_equal(state.account["priority"][:-1], priority)
    assert priority.min() >= 0
    assert priority.max() < 2**31
    assert priority.mean() / 2**31 == pytest.approx(0.5, abs=4 / math.sqrt(12 * 20_000))


def test_capital_has_the_pareto_tail_that_was_asked_for() -> None:
    _, roster = build({"holders": {**HOLDERS, "count": 20_000}})
    share = np.mean(roster.capital > 4000.0)
    expected = 4.0**-1.5
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 20_000))
    assert roster.capital.max() <= 1e6


def test_the_seed_is_the_scenario_s_by_default() -> None:
    data = {"seed": 9, "markets": MARKETS, "populations": {"holders": HOLDERS}}
    _, roster = build_state(parse_scenario(data))
    assert np.array_equal(roster.capital, build(seed=9)[1].capital)


def test_never_stays_infinite_and_the_rest_in_range() -> None:
    habits = {
        "attention": {"kind": "choice", "values": [5, "never"]},
        "tranches": {"kind": "uniform", "min": 1, "max": 4},
        "slippage": {"kind": "lognormal", "median": 0.5, "sigma": 2},
    }
    _, roster = build({"holders": {**HOLDERS, **habits}})
    assert set(roster.attention) == {5.0, math.inf}
    assert set(roster.tranches) == {1.0, 2.0, 3.0, 4.0}
    assert roster.slippage.max() == 1.0


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_draws_of_many_traders_equal_the_single_ones(seed: int) -> None:
    keys = np.concatenate([trader_keys("a", 3), np.array([0, -1, 2**63 - 1, -(2**63)])])
    single = [uniform(seed, Stream.SETUP, int(key), 0, 5) for key in keys]
    assert draw_uniform(seed, Stream.SETUP, keys, 5).tolist() == single


@pytest.mark.slow
def test_a_million_traders_are_built_in_seconds() -> None:
    many = {**HOLDERS, "count": 1_000_000, "margin_mode": {"cross": 1, "isolated": 1}}
    start = time.process_time()
    state, _ = build({"holders": many})
    assert time.process_time() - start < 15
    assert len(state.pool) > 2_000_000


def test_shares_add_up_alike_on_every_python() -> None:
    """.7 + .2 + .1 is 1, or a little less where `sum` does not make up for what is rounded off."""
    parts = [("0.7", 1.0), ("0.2", 2.0), ("0.1", 3.0)]
    scales = ", ".join(f"{{ half_life = {hours}, share = {share} }}" for share, hours in parts)
    sources = ", ".join(
        f"{name} = {{ weight = {share} }}" for name, (share, _) in zip("abc", parts, strict=True)
    )
    changes = [("spot.own.scales", f"[{scales}]"), ("spot.sources", f"{{ {sources} }}")]
    world = Simulation(load_scenario("calm", changes), 1).world
    assert world.scale["weight"][1, :3].tolist() == [math.sqrt(float(share)) for share, _ in parts]
    assert world.source["weight"][:3].tolist() == [0.7, 0.2, 0.1]

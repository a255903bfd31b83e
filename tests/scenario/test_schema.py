"""What a scenario may say: models, presets and distributions."""

import copy
import math
from typing import Any

import pytest
from pydantic import ValidationError

from marketsim.engine import state
from marketsim.engine.state import (
    MAX_PRICE_TICKS,
    AverageRule,
    LegRule,
    LimitRule,
    MarkRule,
    RankRule,
    SettlementPrice,
    SizeRule,
)
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import json_schema, parse_scenario
from marketsim.scenario.venue import TABLES, Venue, preset_names, read_preset

SMALL: dict[str, Any] = {
    "markets": {
        "BTC": {"price": 100_000.0, "tick_size": 0.1, "lot_size": 0.001},
        "ETH": {"price": 4_000.0, "tick_size": 0.01, "lot_size": 0.01},
    },
    "populations": {"holders": {"strategy": "holder", "count": 10, "leverage": 5.0}},
}


def changed(**fields: Any) -> dict[str, Any]:
    """The small scenario with fields set; a path is written with double underscores."""
    data = copy.deepcopy(SMALL)
    for path, value in fields.items():
        node = data
        *tables, last = path.split("__")
        for key in tables:
            node = node.setdefault(key, {})
        node[last] = value
    return data


def problems(**fields: Any) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(changed(**fields))
    return caught.value.problems


def test_a_small_scenario_is_complete() -> None:
    scenario = parse_scenario(SMALL)
    assert scenario.num_steps == 7 * 1440
    assert scenario.num_traders == 10
    assert scenario.funding_interval_steps == 480
    assert scenario.notices() == []


def test_a_scenario_is_frozen() -> None:
    scenario = parse_scenario(SMALL)
    with pytest.raises(ValidationError):
        scenario.days = 3.0


# The venue


def test_the_five_presets_are_there() -> None:
    assert preset_names() == ("binance", "bitmex", "default", "dydx", "hyperliquid")


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_states_every_field_and_nothing_else(name: str) -> None:
    preset = read_preset(name)
    assert set(preset) == {*TABLES, "market"}
    venue = Venue.model_validate({"preset": name})
    for table in TABLES:
        files = {"history"} if table == "funding" else set()  # of a run, not of a venue
        assert set(preset[table]) | files == set(getattr(venue, table).model_dump())
    assert set(preset["market"]) == {"maker_fee", "taker_fee", "impact_notional", "tiers"}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_makes_a_valid_scenario(name: str) -> None:
    scenario = parse_scenario(changed(venue__preset=name))
    for market in scenario.markets.values():
        assert market.brackets[0].maintenance_margin_fraction < 1 / market.leverage_limit
        assert market.taker_fee == read_preset(name)["market"]["taker_fee"]


def test_every_rule_of_the_engine_can_be_named() -> None:
    schema = json_schema()["$defs"]
    named = {
        ("Mark", "rule"): MarkRule,
        ("Funding", "average"): AverageRule,
        ("Funding", "settlement_price"): SettlementPrice,
        ("Liquidation", "legs"): LegRule,
        ("Liquidation", "size_rule"): SizeRule,
        ("Liquidation", "limit_rule"): LimitRule,
        ("Liquidation", "rank_rule"): RankRule,
    }
    for (model, field), enum in named.items():
        allowed = schema[model]["properties"][field]["enum"]
        assert set(allowed) == {member.name.lower() for member in enum}


def test_a_rule_beside_a_preset_replaces_only_that_rule() -> None:
    venue = Venue.model_validate({"preset": "dydx", "mark": {"rule": "last"}})
    assert venue.mark.rule == "last"
    assert venue.mark.basis_minutes == read_preset("dydx")["mark"]["basis_minutes"]
    assert venue.liquidation.portion == 0.1


def test_an_unknown_preset_names_the_nearest_and_is_the_only_error() -> None:
    (line,) = problems(venue__preset="binanse")
    assert 'venue.preset = "binanse"' in line
    assert "did you mean 'binance'" in line


@pytest.mark.parametrize("field", ["dead_band", "cap", "premium_cap"])
def test_funding_limits_may_be_none_but_not_negative(field: str) -> None:
    data = changed(**{f"venue__funding__{field}": "none"})
    assert getattr(parse_scenario(data).venue.funding, field) == "none"
    (line,) = problems(**{f"venue__funding__{field}": -0.1})
    assert f"venue.funding.{field} = -0.1: must lie in [0, 100]" in line


def test_a_funding_interval_is_a_whole_number_of_steps() -> None:
    (line,) = problems(venue__funding__interval_hours=0.33)
    assert "venue.funding.interval_hours = 0.33" in line
    assert "whole number of steps" in line
    step = parse_scenario(changed(venue__funding__interval_hours="step"))
    assert step.funding_interval_steps == 1


# Markets


def test_lots_are_the_smallest_multiple_whose_tick_is_a_whole_number_of_atoms() -> None:
    scenario = parse_scenario(changed(markets__BTC__tick_size=0.0125, markets__BTC__lot_size=1e-5))
    market = scenario.markets["BTC"]  # .0125 x 1e-5 USD are 1/8 of 1e-6 USD
    assert (market.steps().lot_size, market.tick_atoms) == (8e-5, 1)
    (notice,) = scenario.notices()
    assert notice.startswith("markets.BTC.lot_size = 1e-05 coins: traded in lots of 8e-05")


def test_ticks_that_only_huge_lots_make_whole_are_refused() -> None:
    (line,) = problems(markets__BTC__tick_size=0.012345678, markets__BTC__lot_size=0.0001)
    assert line.startswith("markets.BTC.lot_size = 0.0001: ")
    assert "state a rounder tick_size or lot_size" in line
    (line,) = problems(markets__BTC__tick_size=0.0123456789012, markets__BTC__lot_size=0.0001)
    assert line.startswith("markets.BTC.lot_size = 0.0001: would overflow")
    assert "state a rounder tick_size or lot_size" in line


def test_a_tick_of_decimals_that_binary_floats_cannot_hold_is_exact() -> None:
    scenario = parse_scenario(changed(markets__BTC__tick_size=0.1, markets__BTC__lot_size=0.00003))
    assert scenario.markets["BTC"].tick_atoms == 3


def test_a_price_keeps_room_for_a_sixteenfold_rise() -> None:
    (line,) = problems(markets__BTC__price=10_000_000.0)
    assert line.startswith("markets.BTC.price = 10000000: ")
    assert "raise tick_size to at least 0.15" in line
    assert parse_scenario(changed(markets__BTC__price=1e7, markets__BTC__tick_size=0.15))
    price = (MAX_PRICE_TICKS // 16 - 1) * 0.1
    assert parse_scenario(changed(markets__BTC__price=price)).markets["BTC"].price == price


def test_a_price_below_one_tick_is_refused() -> None:
    (line,) = problems(markets__BTC__price=0.05)
    assert "markets.BTC.price = 0.05: less than one tick" in line


def test_a_lot_that_would_overflow_is_refused() -> None:
    (line,) = problems(markets__BTC__lot_size=100_000_000.0)
    assert line.startswith("markets.BTC.lot_size = 100000000: would overflow")


def test_a_position_limit_that_would_overflow_is_refused() -> None:
    (line,) = problems(markets__BTC__max_position_notional=1e12)
    assert line.startswith("markets.BTC.max_position_notional = 1e+12: would overflow")


def test_no_position_of_a_market_overflows_at_the_highest_price() -> None:
    for market in parse_scenario(SMALL).markets.values():
        assert market.max_lots * MAX_PRICE_TICKS * market.tick_atoms < 2**62


def test_a_price_is_needed_unless_a_history_states_it() -> None:
    data = changed()
    del data["markets"]["BTC"]["price"]
    with pytest.raises(ScenarioError, match=r"markets\.BTC\.price: missing"):
        parse_scenario(data)
    data["spot"] = {"kind": "history", "history": {"path": "prices.csv"}}
    assert parse_scenario(data).markets["BTC"].price is None


def test_max_leverage_stands_for_a_flat_requirement() -> None:
    market = parse_scenario(changed(markets__BTC__max_leverage=20)).markets["BTC"]
    (tier,) = market.brackets
    assert tier.initial_margin_fraction == 0.05
    assert tier.maintenance_margin_fraction == 0.025
    assert market.leverage_limit == 20


def test_tiers_and_max_leverage_exclude_each_other() -> None:
    tiers = [
        {"notional_floor": 0, "initial_margin_fraction": 0.1, "maintenance_margin_fraction": 0.05}
    ]
    (line,) = problems(markets__BTC__tiers=tiers, markets__BTC__max_leverage=10)
    assert line == "markets.BTC.tiers: state tiers or max_leverage, not both"


def test_tiers_begin_at_zero_and_rise() -> None:
    low = {"notional_floor": 5, "initial_margin_fraction": 0.1, "maintenance_margin_fraction": 0.05}
    high = {**low, "initial_margin_fraction": 0.08}
    lines = problems(markets__BTC__tiers=[low, high])
    assert [line.split(" = ")[0] for line in lines] == [
        "markets.BTC.tiers.0.notional_floor",
        "markets.BTC.tiers.1.notional_floor",
        "markets.BTC.tiers.1.initial_margin_fraction",
    ]


def test_maintenance_does_not_exceed_initial_margin() -> None:
    lines = problems(
        markets__BTC__max_leverage=20,
        markets__BTC__maintenance_margin_fraction=0.06,
        markets__ETH__tiers=[
            {
                "notional_floor": 0,
                "initial_margin_fraction": 0.1,
                "maintenance_margin_fraction": 0.2,
            }
        ],
    )
    assert len(lines) == 2
    assert all(
        "maintenance_margin_fraction" in line and "must not exceed" in line for line in lines
    )


def test_a_rebate_does_not_exceed_the_taker_fee() -> None:
    (line,) = problems(markets__BTC__maker_fee=-0.001, markets__BTC__taker_fee=0.0005)
    assert line.startswith("markets.BTC.maker_fee = -0.001: the rebate exceeds")


def test_open_interest_caps_are_in_order() -> None:
    (line,) = problems(markets__BTC__open_interest_lower=5e6, markets__BTC__open_interest_upper=1e6)
    assert line.startswith("markets.BTC.open_interest_lower = 5000000: must be below")


# Populations


@pytest.mark.parametrize("leverage", [60.0, {"kind": "uniform", "min": 1.0, "max": 60.0}])
def test_leverage_above_the_market_s_limit_is_refused(leverage: Any) -> None:
    (line,) = problems(populations__holders__leverage=leverage)
    assert line.startswith("populations.holders.leverage")
    assert " = 60: above the limit of BTC, 50" in line


def test_leverage_is_compared_with_the_markets_a_population_trades() -> None:
    fields = {"markets__ETH__max_leverage": 100, "populations__holders__leverage": 80}
    assert "above the limit of BTC" in problems(**fields)[0]
    scenario = parse_scenario(changed(**fields, populations__holders__markets=["ETH"]))
    assert scenario.populations["holders"].market_weights(("BTC", "ETH")) == (0.0, 1.0)


def test_an_empty_population_is_refused() -> None:
    (line,) = problems(populations__holders__count=0)
    assert line.startswith("populations.holders.count = 0: ")


def test_no_population_and_no_market_is_refused() -> None:
    assert "populations = {}: must have at least one entry" in problems(populations={})[0]
    assert "markets = {}: must have at least one entry" in problems(markets={})[0]


def test_a_market_nobody_trades_is_noticed() -> None:
    scenario = parse_scenario(changed(populations__holders__markets={"BTC": 1, "ETH": 0}))
    assert scenario.notices() == ["markets.ETH: no population trades it"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"BTC": -1.0}, "greater than or equal to 0"),
        ({"BTC": 0.0, "ETH": 0.0}, "the weights sum to zero"),
        ([], "names no market"),
        (["BTC", "BTC"], "names a market twice"),
        (["BTX"], "did you mean 'BTC'"),
        ({"BTX": 1.0}, "did you mean 'BTC'"),
    ],
)
def test_market_weights_are_checked(value: Any, reason: str) -> None:
    (line,) = problems(populations__holders__markets=value)
    assert line.startswith("populations.holders.markets")
    assert reason in line


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("crss", "did you mean 'cross'"),
        ({"cross": 0.0}, "the weights sum to zero"),
        ({"cross": -1.0, "isolated": 2.0}, "greater than or equal to 0"),
        ({"cros": 1.0}, "did you mean 'cross'"),
        ("partial", "needs at least one group"),
    ],
)
def test_margin_modes_are_checked(mode: Any, reason: str) -> None:
    (line,) = problems(populations__holders__margin_mode=mode)
    assert line.startswith("populations.holders.")
    assert reason in line


@pytest.mark.parametrize(
    ("second", "line"),
    [
        (
            {"markets": ["ETH"], "draw_limit": 0.5, "draw_limit_usd": 10.0},
            ".draw_limit: state draw_limit or draw_limit_usd, not both",
        ),
        ({"markets": ["BTC"]}, '.markets = ["BTC"]: BTC is already in group one'),
        ({"markets": ["ETH", "ETH"]}, '.markets = ["ETH", "ETH"]: names a market twice'),
        ({"markets": ["DOGE"]}, '.markets = "DOGE": must be one of BTC, ETH'),
        ({"markets": ["ETH"], "draw_limit": 1.5}, ".draw_limit = 1.5: must lie in [0, 1]"),
    ],
)
def test_groups_hold_known_markets_once_and_have_one_limit(
    second: dict[str, Any], line: str
) -> None:
    groups = {"one": {"markets": ["BTC"]}, "two": second}
    found = problems(
        populations__holders__margin_mode="partial", populations__holders__groups=groups
    )
    assert len(found) == 1
    assert found[0].startswith(f"populations.holders.groups.two{line}")


def test_deposits_that_would_overflow_are_refused() -> None:
    (line,) = problems(populations__holders__count=10_000_000, populations__holders__capital=1e6)
    assert line.startswith("populations.holders.capital: 10000000 traders of about 1e+06 USD")


@pytest.mark.parametrize(
    ("habit", "value"),
    [
        ("capital", 0.0),
        ("leverage", 0.01),
        ("attention", 0.0),
        ("buffer", -0.1),
        ("buffer", "never"),
        ("stop_loss", 1.5),
        ("tranches", 0.0),
        ("stable_share", 1.1),
        ("slippage", {"kind": "uniform", "min": 0.0, "max": 2.0}),
        ("slippage", {"kind": "choice", "values": [0.1, 7.0]}),
        ("attention", {"kind": "mixture", "parts": ["never", -1.0]}),
    ],
)
def test_habits_out_of_range_are_refused(habit: str, value: Any) -> None:
    (line,) = problems(**{f"populations__holders__{habit}": value})
    assert line.startswith(f"populations.holders.{habit}")
    assert "must lie in" in line


@pytest.mark.parametrize(
    "fields",
    [
        {"markets__BTC__price": math.nan},
        {"markets__BTC__tick_size": math.inf},
        {"insurance_fund": math.inf},
        {"days": math.nan},
        {"venue__funding__interest_rate": math.nan},
        {"venue__funding__cap": math.inf},
        {"spot__factor__volatility": math.nan},
        {"populations__holders__leverage": math.nan},
        {"populations__holders__attention": math.inf},
        {"populations__holders__capital": {"kind": "pareto", "min": 1.0, "alpha": math.nan}},
        {"populations__holders__markets": {"BTC": math.inf}},
    ],
)
def test_nan_and_infinity_are_refused_everywhere(fields: dict[str, Any]) -> None:
    (line,) = problems(**fields)
    path = next(iter(fields)).replace("__", ".")
    assert line.startswith(path)
    assert "must be a finite number" in line


# Time and records


def test_spans_of_time_are_whole_numbers_of_steps() -> None:
    stated = {"series": 1, "population": 60, "snapshot": 30}
    record = {f"record__{name}_minutes": minutes for name, minutes in stated.items()}
    lines = problems(step_minutes=7, days=1, **record)
    assert [line.split(" = ")[0] for line in lines] == [
        "days",
        "venue.funding.interval_hours",
        "record.series_minutes",
        "record.population_minutes",
        "record.snapshot_minutes",
    ]


@pytest.mark.parametrize(
    ("step", "series", "population"),
    # every step, but no more than a row a minute; an hour, or as little above it as steps allow
    [(1, 1, 60), (0.25, 1, 60), (0.1, 1, 60), (0.4, 1.2, 60), (5, 5, 60), (7, 7, 63), (60, 60, 60),
     (90, 90, 90), (1440, 1440, 1440)],
)  # fmt: skip
def test_rows_that_are_not_asked_for_follow_the_step(
    step: float, series: float, population: float
) -> None:
    venue = {"preset": "default", "funding": {"interval_hours": "step"}}
    data = changed(step_minutes=step, days=7, venue=venue)
    record = parse_scenario(data).record
    assert record.series_minutes == pytest.approx(series)
    assert record.population_minutes == pytest.approx(population)


# Changing a rule


def test_a_rule_can_change() -> None:
    scenario = parse_scenario(SMALL)
    hourly = scenario.with_rule("venue.funding.interval_hours", 1)
    assert (scenario.funding_interval_steps, hourly.funding_interval_steps) == (480, 60)
    capped = scenario.with_rule("markets.BTC.max_leverage", 10)
    assert capped.markets["BTC"].leverage_limit == 10


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("venue.funding.intrval_hours", 1, "there is no such rule"),
        ("venue.funding.interval_hours", "soon", "must be"),
        ("markets.BTC.tick_size", 1.0, "must be a field of venue"),
        ("seed", 3, "must be a field of venue"),
        ("venue.preset", "dydx", "margin tiers and fees"),
    ],
)
def test_a_scheduled_change_of_no_rule_is_refused(field: str, value: Any, reason: str) -> None:
    (line,) = problems(shocks=[{"kind": "rule", "at": 1, "field": field, "value": value}])
    assert line.startswith("shocks.0.")
    assert reason in line


# The JSON schema


def test_the_json_schema_describes_every_field_of_a_scenario() -> None:
    schema = json_schema()
    own = ["Market", "Tier", "Venue", "Mark", "Funding", "Margin", "Liquidation", "Population"]
    for node in [schema, *(schema["$defs"][name] for name in [*own, "Group", "Record"])]:
        for field, content in node["properties"].items():
            named = content.get("$ref", "").rsplit("/", 1)[-1]
            described = content.get("description") or schema["$defs"][named]["description"]
            assert described, (node.get("title"), field)


def test_the_json_schema_asks_for_nothing_a_preset_supplies() -> None:
    schema = json_schema()["$defs"]
    assert schema["Market"]["required"] == ["tick_size", "lot_size"]
    for name in ("Venue", "Mark", "Funding", "Margin", "Liquidation"):
        assert "required" not in schema[name]


def test_every_rule_field_of_the_engine_has_a_counterpart_in_a_scenario() -> None:
    renamed = {
        "basis_weight": "basis_minutes",
        "funding_interval": "interval_hours",
        "average_rule": "average",
        "chunk_cooldown": "chunk_cooldown_minutes",
        "fund_unwind": "unwind_minutes",
        "mark_rule": "rule",
    }
    derived = {"step_hours", "funding_share", "funding_phase"}
    venue = Venue.model_validate({}).model_dump()
    stated = {field for table in TABLES for field in venue[table]}
    for field in state.Venue.names:
        if field not in derived:
            assert renamed.get(field, field.removesuffix("_atoms")) in stated, field
    market = set(json_schema()["$defs"]["Market"]["properties"])
    for field in ("tick_size", "lot_size", "maker_fee", "taker_fee", "funding_cap"):
        assert field in market
        assert field in state.Market.names

"""What a scenario may do to its own run: stated, derived, swept, written and read again."""

from pathlib import Path
from typing import Any, get_args

import pytest

from marketsim.agents.registry import scenario_schema
from marketsim.scenario.changes import changed
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.interventions import (
    KINDS,
    Change,
    InterventionError,
    ShockIntervention,
    read_intervention,
)
from marketsim.scenario.live import acts, live_fields
from marketsim.scenario.loader import (
    json_schema,
    load_scenario,
    parse_scenario,
    parse_toml,
    read_tables,
    resolved_toml,
)
from marketsim.scenario.shocks import KINDS as SHOCKS
from marketsim.sweep.design import parse_design
from marketsim.sweep.plan import Plan
from tests.scenario.test_shocks import EXAMPLES

PAGE = Path(__file__).parents[2] / "docs" / "steering.md"

ENTRIES: list[dict[str, Any]] = [
    {"at_step": 9, "kind": "set", "path": "populations.holders.leverage", "value": 3.0},
    {
        "at_step": 9,
        "kind": "set",
        "path": "populations.noise.slippage",
        "value": {"kind": "lognormal", "median": 0.01, "sigma": 0.5},
        "share": 0.25,
    },
    {"at_step": 2, "kind": "trade", "account": 3, "market": "BTC", "size": -0.5},
    {"at_step": 2, "kind": "deposit", "account": 3, "usd": 10.0},
    {"at_step": 30, "kind": "withdraw", "account": 3, "usd": 10.0},
    {"at_step": 4, "kind": "crash", "size": -0.1, "markets": ["ETH"]},
    {"at_step": 20, "kind": "retire", "account": 5},
]


def with_entries(*entries: dict[str, Any]) -> Any:
    return parse_scenario(read_tables("quickstart") | {"interventions": list(entries)})


def test_a_written_scenario_states_them_in_the_order_given():
    given = with_entries(*ENTRIES)
    text = resolved_toml(given)
    again = parse_scenario(parse_toml(text))
    assert again == given
    assert resolved_toml(again) == text
    assert [entry.kind for entry in again.interventions] == [each["kind"] for each in ENTRIES]


def test_a_derived_scenario_has_its_base_s_or_its_own(tmp_path):
    base = tmp_path / "base.toml"
    base.write_text(resolved_toml(with_entries(*ENTRIES)))
    (tmp_path / "same.toml").write_text('base = "base.toml"\n')
    own = 'base = "base.toml"\n[[interventions]]\nat_step = 1\nkind = "jump"\nsize = 0.1\n'
    (tmp_path / "own.toml").write_text(own)
    assert len(load_scenario(tmp_path / "same.toml").interventions) == len(ENTRIES)
    (only,) = load_scenario(tmp_path / "own.toml").interventions
    assert (only.kind, only.at_step) == ("jump", 1)
    changed = load_scenario(base, [("interventions.3.usd", "25"), ("days", "1")])
    assert changed.interventions[3].usd == 25.0


def test_a_sweep_varies_what_is_done(tmp_path):
    (tmp_path / "base.toml").write_text(resolved_toml(with_entries(*ENTRIES)))
    design = parse_design(
        {
            "base": str(tmp_path / "base.toml"),
            "days": 0.05,
            "parameters": {"interventions.5.size": [-0.1, -0.2]},
        }
    )
    plan = Plan(design)
    sizes = [plan.scenario(point).interventions[5].size for point in plan.points()]
    assert sizes == [-0.1, -0.2]


def test_one_that_comes_after_the_end_is_noticed():
    late = {"at_step": 10**6, "kind": "deposit", "account": 1, "usd": 1.0}
    (notice,) = with_entries(late).notices()
    assert "interventions.0: deposit at step 1000000 never happens" in notice


def test_every_kind_of_shock_is_one_and_all_are_in_the_schema():
    striking = [kind.SHOCK for kind in KINDS if issubclass(kind, ShockIntervention)]
    assert striking == list(SHOCKS)
    kinds = {get_args(kind.model_fields["kind"].annotation)[0] for kind in KINDS}
    mapping = json_schema()["properties"]["interventions"]["items"]["discriminator"]["mapping"]
    assert mapping.keys() == kinds
    for kind in KINDS:
        described = scenario_schema()["$defs"][kind.__name__]
        assert described["description"]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_shock_acts_in_the_very_step_stated_however_long_steps_are(kind: str):
    for step_minutes in (1.0, 1 / 3, 0.7, 60.0):
        for at_step in (0, 1, 7, 12_345, 2**30):
            entry = read_intervention(kind, {"at_step": at_step, **EXAMPLES[kind]})
            shock = entry.as_shock(step_minutes)
            assert shock is not None
            assert shock.first_step(step_minutes) == at_step


def test_changes_are_tried_in_the_order_in_which_they_come():
    tables = read_tables("quickstart")
    low = {"at_step": 50, "kind": "set", "path": "populations.holders.leverage", "value": 2.0}
    noise = {"at_step": 50, "kind": "set", "path": "populations.noise.leverage", "value": 2.0}
    limit = {"at_step": 60, "kind": "set", "path": "markets.BTC.max_leverage", "value": 6.0}
    back = {"at_step": 70, "kind": "set", "path": "populations.holders.leverage", "value": 9.0}
    assert parse_scenario(tables | {"interventions": [limit, low, noise]})
    with pytest.raises(ScenarioError, match=r"interventions\.3: populations\.holders\.leverage"):
        parse_scenario(tables | {"interventions": [limit, low, noise, back]})


# Which fields act


def test_the_page_lists_the_fields_that_act_at_once():
    rows = [f"| `{path}` | {text} |" for path, text in live_fields(json_schema())]
    text = PAGE.read_text(encoding="utf-8")
    assert "\n".join(["| field | what it is |", "| --- | --- |", *rows]) in text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("venue.funding.interval_hours", True),
        ("venue.preset", "at reset"),
        ("markets.BTC.taker_fee", True),
        ("markets.BTC.tick_size", "at reset"),
        ("spot.factor.jumps.per_day", True),
        ("spot.sources.first.weight", "at reset"),
        ("populations.holders.groups.alts.draw_limit", True),
        ("populations.holders.count", "at reset"),
        ("record.fills", "at reset"),
        ("name", False),
        ("description", False),
        ("seed", "at reset"),
        ("populations", None),
    ],
)
def test_the_schema_says_when_a_field_acts(path: str, said: Any):
    assert acts(json_schema(), path.split(".")) == said


def test_every_field_says_when_it_acts_or_is_a_table_whose_fields_do():
    schema = json_schema()
    for name in ("Venue", "Market", "Population", "Spot"):
        for field, described in schema["$defs"][name]["properties"].items():
            assert described["live"] in (True, "at reset"), (name, field)
    tables = {"venue", "markets", "spot", "populations"}
    silent = {name for name, field in schema["properties"].items() if "live" not in field}
    assert silent == tables


def test_a_running_market_keeps_its_preset():
    given = parse_scenario(read_tables("quickstart"))
    for change in (Change("venue.preset", "dydx"), Change("venue.preset", "dydx", is_rule=True)):
        with pytest.raises(InterventionError, match="margin tiers and fees"):
            changed(given, change)


def test_where_prices_are_constant_their_law_does_not_change():
    given = parse_scenario(read_tables("quickstart") | {"spot": {"kind": "constant"}})
    with pytest.raises(InterventionError, match=r"acts only where spot\.kind = 'factor'"):
        changed(given, Change("spot.factor.volatility", 1.0))
    assert changed(given, Change("spot.reflexivity", 0.5)).spot.reflexivity == 0.5
    with pytest.raises(InterventionError, match="set one of its fields"):
        changed(given, Change("spot", 1.0))

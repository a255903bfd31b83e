"""Numbers are numbers, bounded, checked when they are read; what cannot happen is said."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from marketsim import (
    ScenarioError,
    Simulation,
    Strategy,
    load_run,
    load_scenario,
    load_sweep,
)
from marketsim.account.portfolio import Portfolio, parse_portfolio
from marketsim.agents.registry import check_strategies, scenario_schema
from marketsim.agents.strategies import STRATEGIES
from marketsim.scenario.errors import ScenarioWarning
from marketsim.scenario.loader import parse_scenario, read_tables
from marketsim.study.targets import Search, parse_targets
from marketsim.sweep.cluster import connected
from marketsim.sweep.design import Design, DesignError, load_design, parse_design
from marketsim.sweep.query import query_sweep
from marketsim.sweep.slurm import ClusterError
from marketsim.tape.files import FolderError
from tests.cli.conftest import TINY, marketsim, tiny
from tests.outside.fuzz import DESIGN, PORTFOLIO, TARGETS

__all__ = ["marketsim", "tiny"]

NUMBERS = [
    "populations.holders.count", "populations.holders.leverage", "populations.holders.capital.min",
    "populations.holders.markets.BTC", "populations.holders.margin_mode.cross",
    "populations.holders.parameters.holding_hours", "markets.BTC.price", "markets.SOL.tick_size",
    "markets.ETH.taker_fee", "insurance_fund", "days", "step_minutes", "seed", "spot.own.beta",
    "spot.factor.jumps.per_day", "spot.markets.BTC.volatility", "venue.funding.interval_hours",
    "venue.funding.min_samples", "venue.liquidation.max_rounds", "record.series_minutes",
    "record.contagion_minutes",
]  # fmt: skip
FLAGS = ["record.fills", "spot.median", "markets.BTC.liquidations"]


@pytest.mark.parametrize("value", ["true", "false", '"1"', '"100000"'])
@pytest.mark.parametrize("path", NUMBERS)
def test_no_truth_and_no_text_is_a_number(path: str, value: str) -> None:
    with pytest.raises(ScenarioError, match=rf"{path} = {value}: must be a (whole )?number"):
        load_scenario("quickstart", [(path, value)])


@pytest.mark.parametrize("value", ["0", "1", '"true"', '"yes"', "1.0"])
@pytest.mark.parametrize("path", FLAGS)
def test_nothing_but_true_and_false_is_a_truth(path: str, value: str) -> None:
    with pytest.raises(ScenarioError, match=f"{path} = .*must be true or false"):
        load_scenario("quickstart", [(path, value)])


def test_a_whole_number_may_be_written_with_a_point_and_a_number_without() -> None:
    changes = [("populations.holders.count", "1e2"), ("days", "2"), ("insurance_fund", "5")]
    scenario = load_scenario("quickstart", changes)
    assert (scenario.populations["holders"].count, scenario.days) == (100, 2.0)
    with pytest.raises(ScenarioError, match=r"count = 2\.5: must be a whole number"):
        load_scenario("quickstart", [("populations.holders.count", "2.5")])


@pytest.mark.parametrize("value", [True, "4"])
def test_a_rule_that_changes_is_checked_like_one_that_is_stated(value: Any) -> None:
    shock = {"kind": "rule", "at": 1, "field": "venue.funding.interval_hours", "value": value}
    tables = read_tables("quickstart") | {"shocks": [shock]}
    with pytest.raises(ScenarioError, match=r"shocks\.0\.value = .*must be a number"):
        parse_scenario(tables)


def test_numbers_of_other_files_are_numbers(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match=r'replicates = "2": must be a whole number'):
        parse_design({**DESIGN, "replicates": "2"})
    dials = {"spot.own.beta": {"low": True, "high": 2.0}}
    with pytest.raises(DesignError, match=r"low = true: must be a number"):
        parse_targets({**TARGETS, "dials": dials})
    with pytest.raises(ScenarioError, match=r'cash = "1": must be a number'):
        parse_portfolio({**PORTFOLIO, "collateral": {"cash": "1"}})
    with pytest.raises(ScenarioError, match=r"coins\.BTC = true: must be a number"):
        parse_portfolio({**PORTFOLIO, "collateral": {"cash": 1, "coins": {"BTC": True}}})
    settings = tmp_path / "slurm.toml"
    settings.write_text('jobs = "2"\ncluster = {}\n')
    with pytest.raises(ClusterError, match=r'jobs = "2": must be a whole number'):
        connected(f"slurm:{settings}").__enter__()


class Mine(Strategy):
    share: float = 0.5
    looks: int = 2
    eager: bool = False

    def decide(self, market: Any, traders: Any) -> None:
        pass


@pytest.mark.parametrize(("name", "value"), [("share", True), ("looks", "2"), ("eager", 1)])
def test_numbers_of_own_strategies_are_numbers(name: str, value: Any) -> None:
    population = {"strategy": "mine", "count": 2, "parameters": {name: value}}
    tables = read_tables("quickstart")
    scenario = parse_scenario({**tables, "populations": {"mine": population}})
    with pytest.raises(ScenarioError, match=rf"populations\.mine\.parameters\.{name} = .*must be"):
        check_strategies(scenario, {"mine": Mine})


@pytest.mark.parametrize("value", ["nan", "inf", "true", '"1"', "[1]", "-1e300"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_parameters_are_checked_when_a_scenario_is_read(strategy: str, value: str) -> None:
    for field in STRATEGIES[strategy].model_fields:
        path = f"populations.holders.parameters.{field}"
        with pytest.raises(ScenarioError, match=rf"populations\.holders\.parameters.*{field}"):
            load_scenario("quickstart", [("populations.holders.strategy", strategy), (path, value)])


def test_an_unknown_parameter_is_named_with_what_is_wrong_elsewhere() -> None:
    changes = [("populations.crowd.parameters.herdign", "1"), ("days", "-1")]
    with pytest.raises(ScenarioError) as caught:
        load_scenario("herding", changes)
    lines = caught.value.problems
    assert len(lines) == 2
    assert any(
        line.startswith("populations.crowd.parameters.herdign = 1: unknown") for line in lines
    )


#: Numbers whose bounds the schema cannot state: of what they belong to, or of the run.
BOUNDED_ELSEWHERE = {
    "Choice", "Constant", "LogNormal", "Pareto", "Uniform",  # by the habit they are of
    "Funding", "Liquidation", "Record",  # or a word in place of the number
    "RuleShock", "RuleIntervention",  # by the rule
    "TradeIntervention",  # by the market
}  # fmt: skip


def test_every_number_is_bounded_on_both_sides() -> None:
    models = [model.model_json_schema() for model in (Design, Search, Portfolio)]
    schemas = [scenario_schema(), *models]
    loose = {path for schema in schemas for path in unbounded(schema, ())}
    shocks = {path for path in loose if path[-1] == "at"}  # one after the end is said to be so
    assert {path[1] for path in loose - shocks} == BOUNDED_ELSEWHERE


def unbounded(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        has_ends = {"inimum", "aximum"} == {
            end for end in ("inimum", "aximum") for key in node if key.lower().endswith(end)
        }
        if node.get("type") in ("number", "integer") and not has_ends:
            yield path
        for key, entry in node.items():
            yield from unbounded(entry, (*path, str(key)))
    elif isinstance(node, list):
        for entry in node:
            yield from unbounded(entry, path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spot.factor.jumps.per_day", "1e30"),
        ("spot.factor.jumps.per_day", "1000"),  # as many a step as would be cut
        ("spot.own.jumps.per_day", "1000"),
        ("spot.markets.ETH.jumps.per_day", "1000"),
        ("spot.own.volatility", "1e6"),
        ("spot.factor.volatility", "1e6"),
        ("spot.markets.SOL.beta", "1e9"),
        ("spot.own.drift", "-1e9"),
        ("spot.sources.first.weight", "1e300"),
        ("spot.history.bar_minutes", "1e-300"),
        ("step_minutes", "1e-300"),
        ("record.snapshot_minutes", "1e300"),
        ("populations.holders.markets.BTC", "1e300"),
        ("venue.funding.interval_hours", "1e300"),
    ],
)
def test_what_no_run_can_bear_is_refused_when_it_is_read(path: str, value: str) -> None:
    with pytest.raises(ScenarioError, match=path.replace(".", r"\.")):
        load_scenario("quickstart", [(path, value)])


SHOCKS = [
    ({"kind": "jump", "at": 1e308, "size": -0.1}, "jump of all markets -10.0% at 1e+308 hours"),
    ({"kind": "jump", "at": 25, "size": -0.1}, "jump of all markets -10.0% at 25 hours"),
    ({"kind": "crash", "at": 24, "size": -0.1, "markets": ["BTC"]}, "crash of BTC -10.0% at 24"),
    ({"kind": "depeg", "at": 9e9, "size": -0.1}, "depeg -10.0% at 9000000000 hours"),
    (
        {"kind": "rule", "at": 30, "field": "venue.funding.interval_hours", "value": 1},
        "rule venue.funding.interval_hours = 1 at 30 hours",
    ),
]


@pytest.mark.parametrize(("shock", "named"), SHOCKS)
def test_a_shock_beyond_the_end_is_named(shock: dict[str, Any], named: str) -> None:
    tables = read_tables("quickstart") | {"days": 1, "shocks": [{**shock, "at": 23.9}, shock]}
    scenario = parse_scenario(tables)
    assert scenario.notices() == [f"shocks.1: {named}{scenario.notices()[0].partition(named)[2]}"]
    assert "never happens, the run ends after 24" in scenario.notices()[0]


def test_a_run_says_that_a_shock_never_happens(marketsim: Callable[..., Any], tiny: Path) -> None:
    tiny.write_text(TINY + '\n[[shocks]]\nkind = "jump"\nat = 1e308\nsize = -0.1\n')
    done = marketsim("run", tiny, "--steps", 2, "--out", "r")
    assert done.exit_code == 0
    assert "never happens" in done.stderr
    assert "never happens" in json.loads(Path("r/run.json").read_text())["notes"][0]
    with pytest.warns(ScenarioWarning, match="never happens"):
        scenario = load_scenario(tiny)
    assert Simulation(scenario, 1).world.shock["start"][0] > scenario.num_steps


@pytest.mark.parametrize(
    "name", ["a" * 300, "~nobody-of-that-name/x.toml", "a\0b", "x/" * 3_000, ""]
)
def test_no_name_of_a_file_is_a_failure(
    name: str, marketsim: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for read in (load_scenario, load_design):
        with pytest.raises(ScenarioError):
            read(name)
    if "\0" in name:  # no argument of a command has one
        return
    for command in (("run",), ("stress",), ("sweep", "--out", "s"), ("calibrate", "--out", "c")):
        done = marketsim(command[0], name, *command[1:])
        assert (done.exit_code, done.exception.__class__) == (2, SystemExit)
        assert "Error" not in done.stderr.replace("Error:", "").replace("─ Error ─", "")


def test_the_home_of_nobody_is_no_folder() -> None:
    for read in (load_run, load_sweep, partial(query_sweep, sql="select 1")):
        with pytest.raises(FolderError, match=r"^~nobody-of-that-name/x: no such folder"):
            read("~nobody-of-that-name/x")


def test_a_base_that_is_not_there_is_named(tiny: Path) -> None:
    tiny.write_text(f'base = "{"b" * 300}"\n')
    with pytest.raises(ScenarioError, match=r'base = "bbb.*there is no such file'):
        load_scenario(tiny)


@pytest.mark.parametrize("text", ["days = " + "9" * 5_000, "days = " + "[" * 5_000, "days = \xff"])
def test_what_no_reader_of_toml_takes_is_no_toml_file(tiny: Path, text: str) -> None:
    tiny.write_bytes(text.encode("latin-1"))
    for read in (load_scenario, load_design):
        with pytest.raises(ScenarioError, match="not a TOML file"):
            read(tiny)
    with pytest.raises(ScenarioError, match="days"):
        load_scenario("quickstart", [("days", text.removeprefix("days = "))])

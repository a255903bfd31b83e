"""A scenario whose days are left open: its run is that of one as long as it has run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import marketsim as package
from marketsim import PerpMarket, Simulation, load_market, load_simulation
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.history import HistoryError
from marketsim.scenario.loader import json_schema, load_scenario, parse_scenario, parse_toml
from marketsim.scenario.schema import Scenario
from marketsim.study.calibrate import calibrate
from marketsim.study.targets import parse_targets
from marketsim.sweep.design import DesignError, parse_design
from marketsim.sweep.plan import Plan
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult
from tests.agents.small import scenario
from tests.cli.conftest import marketsim, tiny
from tests.outside.test_mesa import clock
from tests.run.test_room import DETAILS, history
from tests.run.test_simulation import eventful

__all__ = ["marketsim", "tiny"]

SAID = r'days = "open": must be a number here: only a run made from Python goes on without an end'


def lasting(days: Any, **tables: Any) -> Scenario:
    return eventful(days=days, record=DETAILS, **tables)


def whole(steps: int) -> RunResult:
    simulation = Simulation(lasting(steps / 1440), 1)
    simulation.run(steps)
    return simulation.result()


def assert_same(open_run: Simulation | PerpMarket, closed: RunResult) -> None:
    found = open_run.result()
    assert (found.scenario_text, found.notes) == (closed.scenario_text, closed.notes)
    assert digest_result(found) == digest_result(closed)


@pytest.mark.parametrize("pieces", [[400], [1, 0, 2, 250, 147], [20] * 20])
def test_its_run_is_that_of_a_scenario_as_long_whatever_it_was_told(pieces: list[int]) -> None:
    simulation = Simulation(lasting("open"), 1)
    for steps in pieces:
        simulation.result()
        simulation.run(steps)
    assert_same(simulation, whole(400))
    assert simulation.scenario.is_open


def test_it_is_that_of_a_shorter_one_where_it_stands_and_of_a_longer_one_later() -> None:
    simulation = Simulation(lasting("open"), 1)
    for steps in (100, 90, 210):  # the crash never happens, begins, is over
        simulation.run(steps)
        assert_same(simulation, whole(simulation.step_count))


def test_a_run_that_ended_where_a_rule_changes_goes_on_by_the_new_one() -> None:
    rule = {"kind": "rule", "at": 2.0, "field": "venue.mark.rule", "value": "last"}
    fraction = {**rule, "field": "markets.ONE.max_leverage", "value": 40.0}
    record = {"contagion_minutes": 40.0, "heatmap_minutes": 60.0}

    def given(days: Any) -> Scenario:
        return eventful(days=days, record=record, shocks=[rule, fraction])

    simulation = Simulation(given("open"), 1)
    short, long = (Simulation(given(steps / 1440), 1) for steps in (120, 200))
    for each in (simulation, short):
        each.run(120)
    assert simulation.digest() == short.digest()
    long.run(200)
    simulation.run(80)
    short.run(80, extend=True)
    assert simulation.digest() == short.digest() == long.digest()


def test_mesa_goes_on_for_ever() -> None:
    market = PerpMarket(scenario(days="open"), rng=1)
    market.run(10)
    for _ in range(5):
        market.step()
    assert (market.running, market.step_count, clock(market)) == (True, 15, 15)
    market.on("step", lambda rows: market.stop() if rows["step"][0] == 40 else None)
    market.run_model()
    assert (market.running, market.step_count) == (False, 41)
    closed = PerpMarket(scenario(days=41 / 1440), rng=1)
    closed.run(41)
    assert not closed.running
    assert_same(market, closed.result())
    with pytest.raises(ValueError, match=r"run\(-1\): must be 0 or more"):
        market.run(-1)


def test_before_its_first_step_it_is_open() -> None:
    simulation = Simulation(lasting("open"), 1)
    assert 'days = "open"' in simulation.result().scenario_text
    assert simulation.notes == ()
    assert simulation.result().num_steps == 0


def test_it_is_saved_copied_and_steered(tmp_path: Path) -> None:
    market = PerpMarket(lasting("open"), rng=1)
    market.run(50)
    market.shock("crash", size=-0.1)
    next(iter(market.agents)).remove()
    market.save(tmp_path / "open.market")
    others = [market.branch(), load_market(tmp_path / "open.market")]
    for each in (market, *others):
        each.run(30)
        each.run(30)
        assert (each.running, each.scenario.is_open) == (True, True)
    assert len({each.digest() for each in (market, *others)}) == 1
    given = parse_scenario(parse_toml(market.result().scenario_text))
    assert given.num_steps == 110
    again = Simulation(given, 1)
    again.run(110)
    assert again.digest() == market.digest()
    assert load_simulation(tmp_path / "open.market").step_count == 50


def test_a_price_history_is_replayed_to_its_end_and_no_further(tmp_path: Path) -> None:
    given = history(tmp_path, 100, "linear")
    left_open = parse_scenario(given.model_dump(exclude_none=True) | {"days": "open"})
    simulation = Simulation(left_open, 1)
    for steps in (60, 40):
        simulation.run(steps)
    closed = Simulation(given, 1)
    closed.run(100)
    assert simulation.digest() == closed.digest()
    with pytest.raises(HistoryError, match=r"prices\.csv: too short for 301 steps: it has 300"):
        simulation.run(201)
    simulation.run(200)
    assert simulation.step_count == 300


def test_a_random_path_between_prices_needs_an_end(tmp_path: Path) -> None:
    given = history(tmp_path, 100, "brownian").model_dump(exclude_none=True)
    with pytest.raises(ScenarioError, match=r'days = "open": must be a number where spot\.history'):
        parse_scenario(given | {"days": "open"})


@pytest.mark.parametrize("value", ["opened", "", True, None, [], -1.0, 0, 40_000])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ScenarioError, match=r"days.*: must .*, or must be \"open\" \(Days simul"):
        scenario(days=value)


def test_no_run_is_longer_than_a_scenario_may_be() -> None:
    simulation = Simulation(lasting("open"), 1)
    with pytest.raises(ValueError, match=r"days = 41666\.6\d*: must be at most 36500"):
        simulation.run(60_000_000)


def test_the_schema_tells_of_it() -> None:
    stated = json_schema()["properties"]["days"]
    assert {"const": "open", "type": "string"} in stated["anyOf"]
    assert "as long as it is told to" in stated["description"].replace("\n", " ")


def test_the_command_line_needs_steps(tiny: Path, marketsim: Callable[..., Result]) -> None:
    done = marketsim("run", tiny, "--set", "days=open")
    assert done.exit_code == 2
    assert 'tiny.toml: days = "open": it has no end; say how long to run, with --steps N' in (
        done.stderr.replace("\n", " ")
    )
    digests = []
    for options in (("--set", "days=open", "--steps", 40), ("--steps", 40)):
        assert marketsim("run", tiny, *options, "--out", f"run{len(digests)}").exit_code == 0
        digests.append(package.load_run(f"run{len(digests)}").digest)
    assert digests[0] == digests[1]
    simulation = Simulation(load_scenario(tiny, [("days", "open")]), 0)
    simulation.run(20)
    simulation.save("open.market")
    done = marketsim("run", "--resume", "open.market")
    assert done.exit_code == 2
    assert 'open.market: days = "open": it has no end; go on from Python' in done.stderr


def test_many_runs_need_an_end(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("days = 0.0625", 'days = "open"'))
    design = {"base": str(tiny), "parameters": {"populations.crowd.count": [2, 3]}}
    with pytest.raises(DesignError, match=SAID):
        Plan(parse_design(design))
    assert len(Plan(parse_design(design | {"days": 0.05}))) == 2
    varied = {"base": str(tiny), "parameters": {"days": [0.05, 0.1]}}
    assert len(Plan(parse_design(varied))) == 2
    with pytest.raises(DesignError, match=SAID):
        package.compare(tiny, {"populations.crowd.count": 9}, seeds=2)
    search = {
        "base": str(tiny),
        "trials": 3,
        "dials": {"populations.crowd.count": {"low": 2, "high": 9, "integer": True}},
        "targets": {"volume_usd": {"value": 1.0, "scale": 1.0}},
    }
    with pytest.raises(DesignError, match=SAID):
        calibrate(parse_targets(search), "out")

"""Plausibility: limits, trends and weekly returns, on invented numbers and a short run."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from typer.testing import CliRunner

from marketsim import validate
from marketsim.cli import app
from marketsim.model.opening import open_simulation
from marketsim.scenario.loader import load_scenario
from marketsim.study.plausibility import (
    LIMITS,
    Limit,
    Plausible,
    _last_over_first,
    _yearly_returns,
    weekly_returns,
)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr("marketsim.study.seeds.WorkerPool", lambda *_: ThreadPoolExecutor(1))


def test_the_share_inside_counts_every_value_and_names_who_leaves():
    limit = Limit("x", 0.0, 1.0)
    found = Plausible("x", limit, (0.5, 1.0, 1.5, 2.0), ("A", "B", "B", "B"))
    assert found.inside == 0.5
    assert found.worst == "B"
    assert found.as_dict()["median"] == 1.25


def test_what_is_only_shown_is_not_judged():
    assert Plausible("x", Limit("x"), (5.0,), ("",)).inside is None
    assert Plausible("x", Limit("x", 0.0), (), ()).inside is None


def test_a_series_that_doubles_has_a_trend_above_one():
    assert _last_over_first(np.array([1.0, 1.0, 5.0, 2.0, 2.0])) == 2.0
    assert _last_over_first(np.zeros(9)) is None


def test_a_week_compounds_and_leaves_shocks_out():
    scenario = load_scenario("quickstart", [("days", "0.5"), ("populations.noise.count", "20")])
    simulation = open_simulation(scenario, 1)
    simulation.run(simulation.num_steps)
    result = simulation.result()
    week = weekly_returns(result, scenario)
    equity = result.wealth["equity"][:, 0]
    assert week["makers"] == pytest.approx((equity[-1] / equity[0]) ** 14 - 1.0, rel=1e-6)
    shock = [("shocks", '[{kind = "jump", at = 0.0, size = -0.01}]')]
    assert weekly_returns(result, load_scenario("quickstart", shock))["makers"] is None


def test_a_year_is_of_suppliers_and_of_runs_long_enough():
    calm = load_scenario("calm")
    week = {"makers": 0.005, "carry": -1.0, "basis": None, "herd": 0.1}
    year = _yearly_returns(week, calm, 90 * 1440)
    assert year == {"makers": pytest.approx(0.2972, abs=1e-4), "carry": -1.0, "basis": None}
    assert _yearly_returns(week, calm, 30 * 1440) == {}


def test_the_command_prints_every_limit_and_says_whether_they_hold():
    command = ["validate", "quickstart", "--seeds", "3", "--plausibility", "--days", "0.1"]
    done = CliRunner().invoke(app, [*command, "--json", "--workers", "1"])
    facts = json.loads(done.stdout)
    assert [each["name"] for each in facts["figures"]] == list(LIMITS)
    assert done.exit_code == (0 if facts["passed"] else 1)
    shown = CliRunner().invoke(app, [*command, "--workers", "1"])
    assert "volume a day / open interest" in shown.stdout


@pytest.mark.parametrize("extra", [["--spot-only"], ["--targets", "x.json"]])
def test_it_goes_with_nothing_else(extra):
    done = CliRunner().invoke(app, ["validate", "calm", "--seeds", "3", "--plausibility", *extra])
    assert done.exit_code == 2


def test_it_wants_seeds():
    with pytest.raises(ValueError, match="seeds"):
        validate("quickstart", plausibility=True)

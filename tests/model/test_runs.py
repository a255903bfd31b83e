"""A run made from Python is the run that the command makes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import marketsim
from marketsim.agents.own import Strategy
from marketsim.cli import app
from marketsim.model.trader import Trader

SHORT = 0.05  # days
#: What is said of a wrong seed.
SEED = r"seed = .*: must be a whole number, 0 to 2\*\*63 - 1"


class Buyer(Trader):
    """Buys a little whenever it wakes."""

    def step(self) -> None:
        self.buy("BTC", 0.01)


class Batch(Strategy):
    """Buys a little in all markets."""

    def decide(self, market, traders) -> None:
        traders.move_to(traders.size + 0.01)


def test_it_equals_the_command_s_run_in_every_table(tmp_path: Path) -> None:
    run = marketsim.run_scenario("quickstart", seed=7, days=SHORT, overrides=[("seed", "3")])
    out = tmp_path / "run"
    options = ["--seed", "7", "--days", str(SHORT), "--set", "seed=3", "--out", str(out)]
    answer = CliRunner().invoke(app, ["run", "quickstart", *options, "--quiet"])
    assert answer.exit_code == 0, answer.output
    there = marketsim.load_run(out)
    assert run.digest == there.digest
    assert run.tables == there.tables
    assert run.scenario_text == there.scenario_text
    for name in run.tables:
        pd.testing.assert_frame_equal(run.table(name), there.table(name))


def test_it_can_be_saved_and_read_back(tmp_path: Path) -> None:
    run = marketsim.run_scenario("quickstart", days=SHORT)
    there = run.save(tmp_path / "run")
    assert (there.digest, there.seed) == (run.digest, run.seed)
    with pytest.raises(marketsim.RunFolderError, match="already exists"):
        run.save(tmp_path / "run")
    assert run.save(tmp_path / "run", force=True).digest == run.digest


@pytest.mark.parametrize("own", [Buyer, Batch])
def test_traders_of_one_s_own_take_part(own: type) -> None:
    scenario = marketsim.load_scenario("quickstart", [("days", str(SHORT))])
    data = scenario.model_dump(mode="python", exclude_none=True)
    data["populations"]["mine"] = {"strategy": "mine", "count": 2, "attention": 1e-6}
    mine = type(scenario).model_validate(data)
    run = marketsim.run_scenario(mine, seed=1, strategies={"mine": own})
    held = run.accounts[run.accounts["population"] == "mine"]["size_end_BTC"]
    assert (held > 0).all()
    market = marketsim.PerpMarket(mine, rng=1, strategies={"mine": own})
    market.run(mine.num_steps)
    assert market.digest() == run.digest


def test_bad_input_is_named() -> None:
    with pytest.raises(marketsim.ScenarioError, match="quickstart"):
        marketsim.run_scenario("quickstar")
    scenario = marketsim.load_scenario("quickstart")
    with pytest.raises(ValueError, match="with a scenario's name or file"):
        marketsim.run_scenario(scenario, days=1.0)
    with pytest.raises(ValueError, match="say days"):
        marketsim.run_scenario("quickstart", overrides=[("days", '"open"')])
    run = marketsim.run_scenario("quickstart", days=SHORT)
    with pytest.raises(marketsim.RunFolderError, match="no table 'fill'"):
        run.table("fill")


@pytest.mark.parametrize("seed", ["one", 1.5, True, -1, 2**63, 2**70])
def test_a_wrong_seed_is_refused_in_the_same_words_everywhere(seed: Any) -> None:
    scenario = marketsim.load_scenario("quickstart", [("days", "0.05")])
    for given in (
        lambda: marketsim.run_scenario("quickstart", seed=seed),
        lambda: marketsim.validate("quickstart", seed=seed),
        lambda: marketsim.Simulation(scenario, seed),
    ):
        with pytest.raises((TypeError, ValueError), match=SEED):
            given()
    with pytest.raises((TypeError, ValueError), match=SEED.replace("seed", "seeds", 1)):
        marketsim.validate("quickstart", seeds=[1, seed])


def test_days_and_overrides_are_named_when_wrong() -> None:
    for days in ("one", "1", True, [1]):
        with pytest.raises(TypeError, match=r"days = .*: must be a number of days"):
            marketsim.run_scenario("quickstart", days=days)
        with pytest.raises(TypeError, match=r"days = .*: must be a number of days"):
            marketsim.validate("quickstart", days=days)
    pairs: Any
    for pairs in ({"days": 1}, ["days"], [("days", "1", "2")], [(1, "2")]):
        with pytest.raises(marketsim.ScenarioError, match=r"overrides: .*a pair of path and value"):
            marketsim.run_scenario("quickstart", overrides=pairs)


@pytest.mark.parametrize("overrides", [5, 1.5])
def test_overrides_that_are_no_list_are_named(overrides: Any) -> None:
    given: Callable[..., Any]
    for given in (marketsim.run_scenario, marketsim.load_scenario, marketsim.PerpMarket):
        with pytest.raises(TypeError, match=rf"overrides = {overrides}: must be pairs of path and"):
            given("quickstart", overrides=overrides)
    with pytest.raises(TypeError, match=rf"changes = {overrides}: must be fields and their"):
        marketsim.compare("quickstart", overrides)


@pytest.mark.parametrize("path", [5, None, True, ["runs"]])
def test_what_is_no_path_is_named(path: Any) -> None:
    given: Callable[..., Any]
    for given in (
        marketsim.load_run,
        marketsim.load_sweep,
        marketsim.load_market,
        marketsim.load_simulation,
    ):
        with pytest.raises(TypeError, match=rf"path = {re.escape(repr(path))}: must be a path"):
            given(path)
        with pytest.raises(ValueError, match=r"path = '': is empty"):
            given("")
    for out in (path, ""):
        if out is not None:
            with pytest.raises((TypeError, ValueError), match=r"out = .*: (must be a path|is emp)"):
                marketsim.run_sweep({"base": "quickstart", "replicates": 1}, out)


def test_a_scenario_without_a_name_is_refused() -> None:
    with pytest.raises(marketsim.ScenarioError, match=r'^"": there is no such file, nor a library'):
        marketsim.run_scenario("")


@pytest.mark.parametrize("workers", ["two", 0, 1.5])
def test_a_wrong_number_of_workers_is_named(workers: Any, tmp_path: Path) -> None:
    for given in (
        lambda: marketsim.run_sweep({"base": "quickstart"}, tmp_path / "out", workers=workers),
        lambda: marketsim.validate("quickstart", days=0.05, seeds=3, workers=workers),
        lambda: marketsim.calibrate("none.toml", tmp_path / "out", workers=workers),
    ):
        with pytest.raises((TypeError, ValueError), match=r"workers = .*: must be"):
            given()
    assert not (tmp_path / "out").exists()

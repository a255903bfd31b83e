"""``marketsim.validate``: the same as the command, as tables."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import marketsim
from marketsim.cli import app
from marketsim.scenario.loader import load_scenario
from marketsim.study.bands import BandError
from marketsim.study.observed import AnalysisError
from marketsim.study.validate import RunValidation, SeedsValidation


@pytest.fixture(scope="module")
def run():
    return marketsim.run_scenario("quickstart", seed=3, days=1.5)


def test_a_run_s_table_is_what_the_command_prints(run, tmp_path: Path) -> None:
    folder = run.save(tmp_path / "run").path
    found = marketsim.validate(folder)
    assert isinstance(found, RunValidation)
    record = json.loads(CliRunner().invoke(app, ["validate", str(folder), "--json"]).stdout)
    assert found.to_dict() == record
    assert found.passed == record["passed"]
    checks = {check["name"]: check for check in record["checks"]}
    assert list(found.table["name"]) == list(checks)
    table = found.table.set_index("name")
    assert table.loc["volatility", "value"] == checks["volatility"]["value"]
    assert table.loc["volatility", "BTC"] == checks["volatility"]["markets"]["BTC"]


def test_a_run_its_folder_and_its_scenario_give_the_same(run) -> None:
    fresh = marketsim.validate("quickstart", days=1.5, seed=3)
    pd.testing.assert_frame_equal(marketsim.validate(run).table, fresh.table)
    scenario = load_scenario("quickstart", [("days", "1.5")])
    pd.testing.assert_frame_equal(marketsim.validate(scenario, seed=3).table, fresh.table)


def test_many_seeds_have_a_row_a_statistic(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(scenario, seeds, **_):
        return [{"funding.mean": [1e-4 + seed * 1e-6]} for seed in seeds]

    monkeypatch.setattr("marketsim.study.validate.measure_seeds", measure)
    found = marketsim.validate("calm", days=90, seeds=3, seed=5)
    assert isinstance(found, SeedsValidation)
    assert found.seeds == (5, 6, 7)
    assert {*found.table} >= {"name", "role", "inside", "within", "miss"}
    assert len(found.table) == len(found.to_dict()["statistics"])
    assert marketsim.validate("calm", seeds=[9, 4, 6]).seeds == (9, 4, 6)


def test_bad_input_is_named(run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are for a scenario; a run folder has its own"):
        marketsim.validate(run, days=3)
    with pytest.raises(ValueError, match="an interval needs 3"):
        marketsim.validate("calm", seeds=[1])
    with pytest.raises(ValueError, match="a seed counts once"):
        marketsim.validate("calm", seeds=[1, 2, 1])
    with pytest.raises(BandError, match=r"nowhere.json: cannot be read"):
        marketsim.validate("calm", targets=tmp_path / "nowhere.json")
    with pytest.raises(AnalysisError, match="full hours are too few"):
        marketsim.validate("quickstart", days=0.25)
    with pytest.raises(marketsim.ScenarioError, match="nowhere"):
        marketsim.validate("nowhere")

"""``marketsim adl`` on a market whose fund is empty, and on one that needs none."""

import json

import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.model.runs import run_scenario


def invoke(*arguments):
    return CliRunner().invoke(app, ["adl", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    falls = ", ".join(f'{{kind = "jump", at = {hour}, size = -0.12}}' for hour in (2, 3))
    run = run_scenario(
        "contagion", 1, days=0.15, overrides=[("insurance_fund", "0"), ("shocks", f"[{falls}]")]
    )
    path = tmp_path_factory.mktemp("runs") / "crash"
    run.save(path)
    return path


def test_it_shows_the_waves(folder):
    outcome = invoke(folder, "--largest", 2)
    assert outcome.exit_code == 0
    lines = outcome.output.splitlines()
    assert "waves of auto-deleveraging" in lines[0]
    assert lines[3].split() == [
        *("hours", "accounts", "closed", "needed", "taken", "5", "min", "60", "min", "share")
    ]
    assert len(lines) == 6
    assert max(map(len, lines)) <= 80


def test_json_holds_every_wave(folder):
    content = json.loads(invoke(folder, "--json").output)
    assert content["scenario"] == "contagion"
    assert len(content["each"]) == content["count"]
    assert sum(wave["needed_usd"] for wave in content["each"]) == pytest.approx(
        content["needed_usd"]
    )
    assert content["taken_usd"] == pytest.approx(content["needed_usd"], abs=1e-2)


def test_a_market_without_waves_says_so(tmp_path):
    run_scenario("quickstart", 1, days=0.025).save(tmp_path / "calm")
    assert "nobody was deleveraged" in invoke(tmp_path / "calm").output
    content = json.loads(invoke(tmp_path / "calm", "--json").output)
    assert (content["count"], content["each"], content["needed_usd"]) == (0, [], 0.0)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    outcome = invoke(tmp_path)
    assert outcome.exit_code == 2
    assert "not a run folder" in outcome.output

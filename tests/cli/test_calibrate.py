"""``marketsim calibrate`` on a search whose answer is known."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from marketsim.scenario.loader import load_scenario
from marketsim.study import calibrate as module

Cli = Callable[..., Result]

TARGETS = """\
base = "tiny.toml"
trials = 4
batch = 4
days = 0.02083333333333333

[dials]
"populations.crowd.count" = [3, 5, 8]

[targets]
num_accounts = { value = 5 }
"""


@pytest.fixture
def targets(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of targets; its runs are made in this process."""
    monkeypatch.setattr(module, "WorkerPool", lambda _, warm_up: ThreadPoolExecutor(1))
    file = tiny.parent / "targets.toml"
    file.write_text(TARGETS)
    return file


def test_the_best_dials_and_every_target_are_printed(marketsim: Cli, targets: Path) -> None:
    done = marketsim("calibrate", targets, "--out", "fit", "--trials", 8)
    assert done.exit_code == 0
    assert "8 trials of a run each" in done.stdout
    assert "num_accounts" in done.stdout
    assert load_scenario("fit/best.toml").populations["crowd"].count == 5


def test_json_has_dials_distance_and_file(marketsim: Cli, targets: Path) -> None:
    done = marketsim("calibrate", targets, "--out", "fit", "--trials", 8, "--json")
    found = json.loads(done.stdout)
    assert found["dials"] == {"populations.crowd.count": 5}
    assert found["distance"] == 0.0
    assert found["targets"][0] == {
        "target": "num_accounts",
        "wanted": "5",
        "found": 5.0,
        "distance": 0.0,
    }
    assert Path(found["scenario"]).exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_accounts", "num_acounts", "did you mean 'num_accounts'?"),
        ("crowd.count", "crowd.cuont", "did you mean 'count'?"),
        ("value = 5", "valeu = 5", "did you mean 'value'?"),
        ("trials = 4", "trials = 0", "trials = 0"),
        ("[targets]", "[targets", "not a TOML file"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    marketsim: Cli, targets: Path, old: str, new: str, message: str
) -> None:
    targets.write_text(TARGETS.replace(old, new))
    done = marketsim("calibrate", targets, "--out", "fit")
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_folder_that_holds_something_else_is_refused(
    marketsim: Cli, targets: Path, tmp_path: Path
) -> None:
    done = marketsim("calibrate", targets, "--out", tmp_path)
    assert done.exit_code == 2
    assert "not the folder of a calibration" in done.stderr


def test_failed_trials_are_counted_and_the_exit_code_says_so(
    marketsim: Cli, targets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = module._measure

    def first_fails(*given: Any) -> Any:
        trial = measure(*given)
        return trial._replace(distance=float("nan"), error="lost") if trial.number == 0 else trial

    monkeypatch.setattr(module, "_measure", first_fails)
    done = marketsim("calibrate", targets, "--out", "fit")
    assert done.exit_code == 3
    assert "1 of 4 trials failed; trial 0: lost" in done.stderr

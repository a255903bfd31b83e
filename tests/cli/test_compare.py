"""``marketsim compare`` and `marketsim.compare` on a tiny market."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from scipy import stats

import marketsim as package
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.sweep import runner
from marketsim.sweep.metrics import run_metrics

Cli = Callable[..., Result]
COUNT = "populations.crowd.count"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the runs here: processes of their own are the runner's tests' business."""
    monkeypatch.setattr(runner, "WorkerPool", lambda _, warm_up: ThreadPoolExecutor(1))


def volume(count: int, seed: int) -> float:
    simulation = Simulation(load_scenario("tiny.toml", [(COUNT, str(count))]), seed)
    simulation.run(simulation.num_steps)
    return run_metrics(simulation.result())["volume_usd"]


def test_the_difference_is_that_of_runs_made_one_by_one(marketsim: Cli, tiny: Path) -> None:
    options = ("--change", f"{COUNT}=9", "--seeds", 4, "--seed", 5, "--json")
    done = marketsim("compare", tiny, *options, "--metric", "volume_usd")
    assert done.exit_code == 0
    (row,) = json.loads(done.stdout)["differences"]
    few, many = (np.array([volume(count, 5 + n) for n in range(4)]) for count in (3, 9))
    assert (row["base"], row["twin"]) == (pytest.approx(few.mean()), pytest.approx(many.mean()))
    expected = stats.ttest_rel(many, few).confidence_interval(0.95)
    assert (row["low"], row["high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_every_headline_figure_is_printed(marketsim: Cli, tiny: Path) -> None:
    done = marketsim("compare", tiny, "--change", f"{COUNT}=9", "--seeds", 2)
    for name in ("volume_usd", "crowd.total_return"):
        assert name in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 90


def test_a_change_to_what_already_holds_is_told(marketsim: Cli, tiny: Path) -> None:
    done = marketsim("compare", tiny, "--change", f"{COUNT}=3", "--seeds", 2)
    assert done.exit_code == 0
    assert "the change made no difference at all in 2 pairs" in done.stdout


def test_a_comparison_that_is_kept_goes_on(marketsim: Cli, tiny: Path) -> None:
    command = ("compare", tiny, "--change", f"{COUNT}=9", "--seeds", 3, "--out", "kept", "--json")
    first = marketsim(*command)
    parts = {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*.parquet")}
    again = marketsim(*command, "--metric", "*")
    assert parts == {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*.parquet")}
    rows = {row["metric"]: row for row in json.loads(again.stdout)["differences"]}
    for row in json.loads(first.stdout)["differences"]:
        assert rows[row["metric"]] == row


def test_a_scenario_in_memory_is_compared_too(tiny: Path) -> None:
    scenario = load_scenario(str(tiny), [("days", "0.02083333333333333")])
    table = package.compare(scenario, {COUNT: 9}, seeds=2, metrics=["num_accounts"])
    assert table[["base", "twin", "difference"]].values.tolist() == [[3.0, 9.0, 6.0]]
    assert table.attrs == {"failed": 0, "identical": 0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--change", f"{COUNT}"], f"--change {COUNT}: must read path.to.field=value"),
        (["--change", f"{COUNT}=9", "--change", f"{COUNT}=8"], "is given twice, 9 and 8"),
        (["--change", "populations.crowd.cuont=9"], "did you mean 'count'?"),
        (["--change", f"{COUNT}=9", "--metric", "volume"], "did you mean 'volume_usd'?"),
        (["--change", f"{COUNT}=9", "--days", "-1"], "days = -1"),
    ],
)
def test_bad_input_is_refused(marketsim: Cli, tiny: Path, options: list[str], message: str) -> None:
    done = marketsim("compare", tiny, "--seeds", 2, *options)
    assert done.exit_code == 2
    assert message in done.stderr

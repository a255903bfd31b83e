"""Calibrations whose answer is known: dials that a metric repeats to the last digit."""

import json
import math
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketsim.scenario.loader import load_scenario
from marketsim.study import calibrate as module
from marketsim.study.calibrate import TrialsFailedError, calibrate
from marketsim.study.targets import Search, Target, load_targets, parse_targets
from marketsim.sweep.design import DesignError
from marketsim.sweep.lock import SweepFolderError

FUND, COUNT = "insurance_fund", "populations.crowd.count"

#: The fund of a market without liquidations stays as it is, and so do the traders.
TARGETS = """\
name = "known"
base = "tiny.toml"
seed = 3
trials = 32
batch = 4

[dials]
insurance_fund = { low = 1000.0, high = 100_000.0, log = true }
"populations.crowd.count" = { low = 2, high = 30, integer = true }

[targets]
insurance_fund_usd = { value = 20_000.0 }
num_accounts = { low = 11, high = 13, scale = 4 }
"""


@pytest.fixture
def search(tiny: Path) -> Callable[..., Search]:
    def make(**fields: Any) -> Search:
        return parse_targets(tomllib.loads(TARGETS) | fields)

    return make


def fit(search: Search, out: str = "out", threads: int = 1) -> module.Calibration:
    with ThreadPoolExecutor(threads) as executor:
        return calibrate(search, out, executor=executor, workers=threads)


def test_a_known_answer_is_found(search: Callable[..., Search]) -> None:
    found = fit(search())
    assert found.best.dials[FUND] == pytest.approx(20_000.0, rel=0.25)
    assert 10 <= found.best.dials[COUNT] <= 14
    # What the runs have is what the dials say, so that the distance can be worked out.
    fund = (found.best.dials[FUND] - 20_000.0) / 20_000.0
    accounts = (found.best.dials[COUNT] - min(max(found.best.dials[COUNT], 11), 13)) / 4
    assert found.best.distance == pytest.approx(math.sqrt((fund**2 + accounts**2) / 2), rel=1e-6)
    assert found.best.distance == min(trial.distance for trial in found.trials)
    assert len(found.trials) == 32


def test_the_best_scenario_is_written_and_loads(search: Callable[..., Search]) -> None:
    found = fit(search(trials=4))
    scenario = load_scenario("out/best.toml")
    assert scenario == found.scenario
    assert scenario.name == "known"
    assert scenario.insurance_fund == found.best.dials[FUND]
    assert scenario.populations["crowd"].count == found.best.dials[COUNT]


def test_the_search_does_not_depend_on_the_number_of_workers(
    search: Callable[..., Search],
) -> None:
    one, two = fit(search(trials=12), "one"), fit(search(trials=12), "two", threads=2)
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)


def test_an_unfinished_search_goes_on_as_if_it_had_not_stopped(
    search: Callable[..., Search], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(search(trials=12), "whole")
    make, batches = module.run_sweep, []

    def killed(*given: Any, **named: Any) -> Any:
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(given[1])
        return make(*given, **named)

    monkeypatch.setattr(module, "run_sweep", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(search(trials=12), "broken")
    assert len(pd.read_csv("broken/trials.csv")) == 8
    monkeypatch.setattr(module, "run_sweep", make)
    done = {file: file.stat().st_mtime_ns for file in Path("broken").rglob("runs/*.parquet")}
    pd.testing.assert_frame_equal(whole.table, fit(search(trials=12), "broken").table)
    assert all(file.stat().st_mtime_ns == time for file, time in done.items())


def test_more_trials_may_be_asked_for_later_but_nothing_else_may_change(
    search: Callable[..., Search],
) -> None:
    few = fit(search(trials=14))  # batches are whole: 16
    assert fit(search(trials=20)).table.iloc[:16].equals(few.table)
    with pytest.raises(SweepFolderError, match=r"another search.*\n.*seed: 3 there, 4 here"):
        fit(search(seed=4))


def test_trials_that_fail_do_not_stop_the_search(
    search: Callable[..., Search], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = module._measure

    def first_fails(*given: Any) -> Any:
        trial = measure(*given)
        return trial._replace(distance=math.nan, error="lost") if trial.number == 0 else trial

    monkeypatch.setattr(module, "_measure", first_fails)
    found = fit(search(trials=4))
    assert found.best.number != 0
    assert found.table.loc[0, "error"] == "lost"


def test_a_statistic_no_run_has_is_told(search: Callable[..., Search]) -> None:
    # Half an hour of the tiny market settles no funding.
    targets = {"markets.BTC.funding_mean_bp_8h": 1.0}
    with pytest.raises(TrialsFailedError, match=r"a run has no markets.BTC.funding_mean_bp_8h"):
        fit(search(trials=2, targets=targets))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targets": {"num_acounts": 3}}, "did you mean 'num_accounts'"),
        ({"dials": {"insurance_fnud": [1.0, 2.0]}}, "did you mean 'insurance_fund'"),
        ({"dials": {COUNT: {"low": 0, "high": 3, "integer": True}}}, COUNT),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_before_its_first_run(
    search: Callable[..., Search], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        fit(search(**fields))
    assert not list(Path().rglob("runs/*.parquet"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": 0.0}, "scale"),
        ({"value": 1.0, "low": 0.0}, "must be a value, or a band"),
        ({"low": 3.0, "high": 2.0}, "low = 3"),
        ({"low": 3.0}, "scale"),
        ({"value": 1.0, "weight": 0.0}, "weight = 0"),
    ],
)
def test_targets_that_make_no_sense_are_refused(
    search: Callable[..., Search], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        search(targets={"fees_usd": fields})


def test_distances_are_in_scales_and_zero_inside_a_band() -> None:
    assert Target(value=-4.0).distance(-6.0) == -0.5
    assert Target(value=0.0, scale=2.0).distance(5.0) == 2.5
    band = Target(low=1.0, high=3.0)
    assert [band.distance(x) for x in (0.0, 1.0, 2.0, 3.0, 5.0)] == [-1.0, 0.0, 0.0, 0.0, 2.0]
    assert Target(high=3.0, scale=1.0).distance(-100.0) == 0.0


def test_weights_count_in_the_total_distance(search: Callable[..., Search]) -> None:
    both = {"a": {"value": 1.0, "weight": 3.0}, "b": {"value": 1.0}}
    off = module.distance_of(search(targets=both), {"a": 3.0, "b": 1.0})
    assert off == pytest.approx(math.sqrt(3.0 * 4.0 / 4.0))


def test_a_file_of_targets_names_its_base_relative_to_itself(tiny: Path) -> None:
    (tiny.parent / "known.toml").write_text(TARGETS)
    assert load_targets(tiny.parent / "known.toml").base == str(tiny)
    facts = json.loads(Search.model_validate(tomllib.loads(TARGETS)).model_dump_json())
    assert parse_targets(facts).targets["num_accounts"].high == 13

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.study.observed import AnalysisError, Observed, observe_result, observe_run
from marketsim.tape.result import RunResult
from tests.agents.small import scenario


def finished(days: float = 2, **tables: Any) -> RunResult:
    venue = {"preset": "default", "funding": {"interval_hours": 8}}
    rules = {"days": days, "spot": {"kind": "factor"}, "venue": venue}
    simulation = Simulation(scenario(**rules, **tables), 1)
    simulation.run(simulation.num_steps)
    return simulation.result()


@pytest.fixture(scope="module")
def result() -> RunResult:
    return finished()


@pytest.fixture(scope="module")
def observed(result: RunResult) -> Observed:
    return observe_result(result)


def test_hourly_series_are_those_at_the_full_hours(result, observed):
    rows = np.arange(59, 2880, 60)
    series = result.series[rows]
    assert observed.days == 2.0
    assert observed.hourly_mark == pytest.approx(series["mark_ticks"] * result.tick_size)
    mid = 0.5 * (series["best_bid"] + series["best_ask"]) * result.tick_size
    assert observed.hourly_premium == pytest.approx(mid / series["index_price"] - 1.0)
    assert (observed.hourly_sample == series["premium"]).all()
    assert (observed.sample == result.series["premium"]).all()


def test_settlements_are_those_of_each_market_at_the_end_of_their_interval(result, observed):
    for m in range(2):
        rows = result.funding[result.funding["market"] == m]
        assert observed.settlement_hours[m].tolist() == [8.0, 16.0, 24.0, 32.0, 40.0, 48.0]
        assert (observed.funding_rate[m] == rows["rate"]).all()
        assert (observed.interest_rate[m] == rows["interest_rate"]).all()


def test_liquidated_share_is_a_day_over_its_mean_open_interest(result, observed):
    unit = result.tick_atoms
    assert observed.daily_liquidated.shape == (2, 2)
    for day in range(2):
        series = result.series[1440 * day : 1440 * (day + 1)]
        held = (series["open_interest"] * series["mark_ticks"] * unit).mean(axis=0)
        expected = series["liquidated_atoms"].sum(axis=0) / held
        assert observed.daily_liquidated[day] == pytest.approx(expected)


def test_a_run_folder_gives_what_the_result_gave(result, observed, tmp_path):
    again = observe_run(load_run(write_run(result, tmp_path / "run")))
    for field in fields(Observed):
        before, after = getattr(observed, field.name), getattr(again, field.name)
        if isinstance(before, tuple | np.ndarray) and field.name != "market_names":
            np.testing.assert_array_equal(after, before)
        else:
            assert after == before, field.name


def test_rows_of_several_steps_are_read_at_their_ends():
    fine = observe_result(finished(1))
    coarse = observe_result(finished(1, record={"series_minutes": 15}))
    assert (coarse.hourly_mark == fine.hourly_mark).all()
    assert (coarse.hourly_premium == fine.hourly_premium).all()
    assert len(coarse.sample) == 96


def test_an_empty_side_leaves_no_premium(result):
    series = result.series.copy()
    series["best_ask"][59, 0] = 0
    holes = observe_result(RunResult(**{**vars(result), "series": series}))
    assert math.isnan(holes.hourly_premium[0, 0])
    assert not np.isnan(holes.hourly_premium[1:]).any()


def test_too_short_a_run_is_refused():
    with pytest.raises(AnalysisError, match="6 full hours"):
        observe_result(finished(0.25))


def test_rows_that_miss_the_full_hours_are_refused():
    with pytest.raises(AnalysisError, match=r"record\.series_minutes"):
        observe_result(finished(2, record={"series_minutes": 90}))

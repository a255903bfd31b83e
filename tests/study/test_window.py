"""The series that statistics of a window are computed from, and those of its traders."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.study import emergent_statistics as emergent
from marketsim.study.emergent_statistics import emergent_statistics
from marketsim.study.input_statistics import input_statistics
from marketsim.study.seeds import measure_run, measure_seeds, measure_spot
from marketsim.study.window import (
    Traded,
    Window,
    WindowError,
    window_of_prices,
    window_of_result,
    window_of_run,
)
from marketsim.tape.result import RunResult
from tests.agents.small import MARKETS, scenario

THREE = {**MARKETS, "THREE": {**MARKETS["ONE"], "price": 10.0}}


def finished(days: float = 3, **tables: Any) -> RunResult:
    rules = {"days": days, "spot": {"kind": "factor"}, "markets": THREE}
    simulation = Simulation(scenario(**rules, **tables), 1)
    simulation.run(simulation.num_steps)
    return simulation.result()


@pytest.fixture(scope="module")
def result() -> RunResult:
    return finished()


@pytest.fixture(scope="module")
def window(result: RunResult) -> Window:
    return window_of_result(result)


def test_prices_are_the_last_trades_at_the_ends_of_bars(result, window):
    last = result.series["last_ticks"] * result.tick_size
    assert {scale: len(price) for scale, price in window.price.items()} == {
        "1m": 4320,
        "5m": 864,
        "1h": 72,
        "1d": 3,
    }
    for scale, every in (("1m", 1), ("5m", 5), ("1h", 60), ("1d", 1440)):
        assert window.price[scale][-2:] == pytest.approx(last[every - 1 :: every][-2:])


def test_what_traders_made_is_counted_by_hour_and_day(result, window):
    series, traded = result.series, window.traded
    assert traded is not None
    hour = series[60:120]
    assert traded.volume[1] == pytest.approx(hour["volume"].sum(axis=0) * result.lot_size)
    assert traded.premium[1] == pytest.approx(hour["premium"].mean(axis=0))
    held = hour["open_interest"].mean(axis=0) * result.lot_size
    assert traded.open_interest[1] == pytest.approx(held)
    assert traded.index[1] == pytest.approx(hour["index_price"][-1])
    day = series[1440:2880]
    assert traded.liquidated_usd[1] == pytest.approx(day["liquidated_atoms"].sum(axis=0) / 1e6)
    assert traded.settlement_hours[0].tolist() == list(range(1, 73))


def test_a_longer_run_is_measured_at_its_end():
    price = np.arange(1.0, 100 * 24 + 1)[:, None]
    found = window_of_prices(price, ("ONE",), 60.0).price
    assert "5m" not in found
    assert len(found["1h"]) == 90 * 24
    assert found["1h"][-1] == price[-1]
    assert found["1d"][:, 0] == pytest.approx(price[23::24][-90:, 0])


def test_a_folder_gives_what_the_result_gave(result, window, tmp_path):
    again = window_of_run(load_run(write_run(result, tmp_path / "run")))
    assert again.market_names == window.market_names
    for scale, price in window.price.items():
        np.testing.assert_array_equal(again.price[scale], price)
    for field in fields(Traded):
        before, after = (getattr(each.traded, field.name) for each in (window, again))
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    "rules",
    [{"days": 1.0}, {"record": {"series_minutes": 40}}, {"record": {"series_minutes": 120}}],
)
def test_what_is_no_window_is_refused(rules):
    with pytest.raises(WindowError, match="series_minutes"):
        window_of_result(finished(**{"days": 3, **rules}))


def test_every_statistic_has_a_value_a_market_and_those_together_one_for_three(window):
    found = {**input_statistics(window), **emergent_statistics(window)}
    assert len(found) == 90
    for name, values in found.items():
        assert len(values) == (1 if name.startswith("cross.") else 3), name
    two = Window(("A", "B"), {scale: price[:, :2] for scale, price in window.price.items()})
    assert not [name for name in input_statistics(two) if name.startswith("cross.")]
    assert emergent_statistics(two) == {}


def test_the_spot_process_alone_is_that_of_the_run(result):
    given = scenario(days=3, spot={"kind": "factor"}, markets=THREE)
    index = window_of_prices(result.series["index_price"], result.market_names, 1.0)
    for name, values in measure_spot(given, 1).items():
        assert values == pytest.approx(input_statistics(index)[name], nan_ok=True), name


@pytest.mark.slow
def test_seeds_come_back_in_their_order_whoever_is_done_first():
    given = scenario(days=2, spot={"kind": "factor"}, markets=THREE)
    told: list[tuple[int, int]] = []
    found = measure_seeds(
        given, [5, 3], workers=2, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 2), (2, 2)]
    for seed, values in zip([5, 3], found, strict=True):
        alone = measure_run(given, seed)
        assert all(values[name] == pytest.approx(alone[name], nan_ok=True) for name in alone)


def test_spot_that_answers_to_traders_has_no_path_without_them():
    given = scenario(days=2, spot={"kind": "factor", "reflexivity": 0.5})
    with pytest.raises(ValueError, match=r"spot\.reflexivity"):
        measure_seeds(given, [1, 2], spot_only=True)


# Statistics by hand


def test_runs_of_one_sign_and_rates_at_the_cap_are_counted():
    rate = np.array([1e-4, 1e-4, -2e-4, 0.0, 4e-3, 1e-4])
    found = emergent._of_funding(rate)
    assert (found["run_max"], found["run_mean"]) == (3.0, 2.0)
    assert found["share_at_1bp"] == 0.5
    assert found["share_at_cap"] == pytest.approx(1 / 6)


def test_a_trend_compares_the_last_third_with_the_first():
    assert emergent._trend(np.array([1.0, 3.0, 9.0, 9.0, 4.0, 4.0])) == pytest.approx(math.log(2.0))
    assert math.isnan(emergent._trend(np.zeros(9)))


def test_a_rate_is_compared_with_the_returns_before_its_settlement():
    price = np.exp(np.cumsum(np.random.default_rng(1).standard_normal(200) / 100))
    hours = np.arange(8.0, 201.0, 8.0)
    rate = np.array([math.log(price[int(h) - 1] / price[max(int(h) - 9, 0)]) for h in hours])
    found = emergent._against_returns(hours, rate, price, np.zeros(200))
    assert found["past_8.spearman"] == pytest.approx(1.0)
    assert found["past_24.spearman"] < 1.0
    assert math.isnan(found["past_168.spearman"]) or found["past_168.spearman"] < 1.0
    assert math.isnan(found["basis_8h"])


def test_ranks_of_ties_are_shared_and_missing_pairs_left_out():
    x = np.array([1.0, 1.0, 2.0, math.nan, 5.0])
    y = np.array([1.0, 2.0, 3.0, 9.0, 4.0])
    ranks = np.corrcoef([1.5, 1.5, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])[0, 1]
    assert emergent.rank_correlation(x, y) == pytest.approx(ranks)

"""A run's metrics: one per number of its summary, and how they are chosen."""

import dataclasses
import math

import numpy as np
import pytest

from marketsim.results.summary import summarise
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.sweep.metrics import choose_metrics, run_metrics

NAMES = ("fees_usd", "markets.BTC.volume_usd", "markets.ETH.volume_usd", "markets.ETH.mark_fall")


@pytest.fixture(scope="module")
def result():
    crash = [
        ("shocks", '[{ kind = "jump", at = 12, size = -0.2, markets = ["BTC"] }]'),
        ("days", "1"),
    ]
    simulation = Simulation(load_scenario("contagion", crash), 3)
    simulation.run(simulation.num_steps)
    return simulation.result()


def test_metrics_are_the_numbers_of_the_summary_by_path(result):
    metrics, summary = run_metrics(result), summarise(result)
    assert all(isinstance(value, float) for value in metrics.values())
    for path, value in metrics.items():
        node = summary
        for key in path.split("."):
            node = node[key]
        assert value == node or (node is None and math.isnan(value))


def test_the_first_step_has_the_same_metrics_as_the_whole_run(result):
    simulation = Simulation(load_scenario("contagion"), 3)
    simulation.run(1)
    assert list(run_metrics(simulation.result())) == list(run_metrics(result))


def test_a_jump_of_one_market_leaves_the_others_unshocked(result):
    metrics = run_metrics(result)
    others = [name for name in result.market_names if name != "BTC"]
    assert result.struck == ("BTC",)
    assert metrics["markets.BTC.index_fall"] > 0.15
    total = sum(metrics[f"markets.{name}.liquidated_usd"] for name in others)
    assert metrics["unshocked.liquidated_usd"] == pytest.approx(total)
    fall = np.mean([metrics[f"markets.{name}.mark_fall"] for name in others])
    assert metrics["unshocked.mark_fall"] == pytest.approx(fall)


def test_the_cap_of_a_settlement_is_the_one_in_force_then():
    change = (
        '[{ kind = "rule", at = 8, field = "markets.BTC.funding_cap", value = 0.0 },'
        ' { kind = "rule", at = 16, field = "markets.BTC.funding_cap", value = 0.5 }]'
    )
    scenario = load_scenario("quickstart", [("shocks", change), ("days", "1")])
    simulation = Simulation(scenario, 1)
    simulation.run(simulation.num_steps)
    result = simulation.result()
    of_btc = result.funding["market"] == result.market_names.index("BTC")
    hours = (result.funding["step"][of_btc] + 1) * result.step_minutes / 60
    cap = dict(zip(hours.tolist(), result.funding_cap[of_btc].tolist(), strict=True))
    assert cap[8.0] > 0.0
    assert (cap[16.0], cap[24.0]) == (0.0, 0.5)
    assert result.funding["rate"][of_btc][1] == 0.0


def test_metrics_are_chosen_by_name_or_pattern_in_the_order_there_is():
    assert choose_metrics(["markets.*.volume_usd", "fees_usd"], NAMES) == NAMES[:3]
    assert choose_metrics(["*"], NAMES) == NAMES


def test_an_unknown_metric_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'markets.BTC.volume'.*'markets.BTC.volume_usd'"):
        choose_metrics(["markets.BTC.volume"], NAMES)


def test_a_market_that_no_herd_trades_has_no_crowd_metric(result):
    blank = dataclasses.replace(result, series=result.series.copy())
    blank.series["herd_index"] = math.nan
    assert math.isnan(run_metrics(blank)["herd_index_abs"])

"""A run from the first step to its result: the same every time, and its books balance."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim.engine.allocation import grow
from marketsim.results.summary import summarise
from marketsim.run.out_of_range import PriceOutOfRangeError
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult
from tests.agents.small import MARKETS, POPULATIONS, scenario
from tests.uncompiled import print_both_ways

REPOSITORY = Path(__file__).resolve().parents[2]
PRICES = REPOSITORY.parent / "shared" / "data" / "binance_15m.parquet"
needs_prices = pytest.mark.skipif(not PRICES.exists(), reason=f"no shared price data at {PRICES}")

CRASH = {"kind": "crash", "at": 2.0, "size": -0.15, "fall_minutes": 5, "recovery_minutes": 30}
FEES = {name: {**market, "taker_fee": 0.0005} for name, market in MARKETS.items()}
RISKY = {
    **POPULATIONS,
    "holder": {
        **POPULATIONS["holder"],
        "leverage": 12.0,
        "slippage": 0.002,
        "margin_mode": {"cross": 1, "isolated": 1},
    },
}


def eventful(**tables: Any) -> Scenario:
    """Six hours with a crash, a change of rules, fees and holders who are liquidated."""
    rule = {"kind": "rule", "at": 3.0, "field": "venue.funding.interval_hours", "value": 1.0}
    data = {
        "markets": FEES,
        "populations": RISKY,
        "spot": {"kind": "factor"},
        "shocks": [CRASH, rule],
        "insurance_fund": 100.0,
    }
    return scenario(**{**data, **tables})


def run(given: Scenario, seed: int = 1) -> RunResult:
    simulation = Simulation(given, seed)
    simulation.run(simulation.num_steps)
    return simulation.result()


def in_new_process(code: str, **environment: str) -> str:
    """Standard output of Python code in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_same_scenario_and_seed_give_the_same_digest():
    digests = {digest_result(run(eventful(), seed=4)) for _ in range(2)}
    assert len(digests) == 1
    code = "from tests.run.test_simulation import *\nprint(digest_result(run(eventful(), seed=4)))"
    assert in_new_process(code, PYTHONHASHSEED="3") == digests.pop()


def test_another_seed_gives_another_run():
    assert digest_result(run(eventful(), seed=1)) != digest_result(run(eventful(), seed=2))


def test_many_steps_at_once_are_the_same_as_one_by_one_and_with_progress():
    whole = digest_result(run(eventful()))

    single = Simulation(eventful(), 1)
    for _ in range(single.num_steps):
        single.run(1)
    assert digest_result(single.result()) == whole

    uneven = Simulation(eventful(), 1)
    for steps in (0, 7, 120, 53, uneven.num_steps - 180):
        uneven.run(steps)
        uneven.result()
    assert digest_result(uneven.result()) == whole

    told: list[tuple[int, int]] = []
    watched = Simulation(eventful(), 1)
    watched.run(watched.num_steps, lambda done, asked: told.append((done, asked)))
    assert digest_result(watched.result()) == whole
    assert told[-1] == (watched.num_steps, watched.num_steps)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_results_do_not_depend_on_the_lengths_of_the_arrays():
    roomy = Simulation(eventful(), 1)
    roomy.state = grow(roomy.state, num_orders=50_000, num_nodes=50_000, num_liquidations=200_000)
    roomy.run(roomy.num_steps)
    assert digest_result(roomy.result()) == digest_result(run(eventful()))


UNCOMPILED = """
from tests.run.test_simulation import *
counts = {"maker": 2, "basis": 2, "noise": 4, "holder": 6}
populations = {name: {**RISKY[name], "count": count} for name, count in counts.items()}
populations["holder"]["attention"] = 2.0
result = run(eventful(days=25 / 1440, populations=populations, shocks=[{**CRASH, "at": 0.25}]))
print(digest_result(result), len(result.liquidation) > 0, int(result.outcome[0]))
"""


def test_uncompiled_kernels_give_the_same_bytes():
    here, there = print_both_ways(UNCOMPILED)
    assert here.split()[1] == "True"
    assert here == there


def test_books_balance_and_profit_by_cause_adds_up_to_the_atom():
    result = run(eventful())
    assert len(result.liquidation) > 0
    assert result.conservation_error == 0
    assert (result.steps["conservation_error"] == 0).all()
    change = result.end.equity - result.start.equity
    assert (result.profit.sum(axis=1) == change).all()
    assert np.abs(change).max() > 0
    # What the accounts lost together are the fees.
    assert change.sum() == -result.steps["fees"][-1]
    assert (result.end.size.sum(axis=0) == 0).all()


@pytest.mark.parametrize("preset", ["default", "dydx", "binance", "bitmex", "hyperliquid"])
def test_every_preset_runs_a_day_and_its_books_balance(preset):
    result = run(load_scenario("quickstart", [("days", "1"), ("venue.preset", preset)]))
    assert result.num_steps == len(result.series) == 1440
    assert result.conservation_error == 0
    assert (result.series["volume"].sum(axis=0) > 0).all()
    summary = summarise(result)
    for market in summary["markets"].values():
        assert market["two_sided_share"] > 0.95
        assert market["settlements"] in (3, 24)


@pytest.mark.parametrize("preset", ["default", "dydx", "binance", "bitmex", "hyperliquid"])
def test_every_preset_survives_a_crash_with_its_books_balanced(preset):
    result = run(eventful(venue={"preset": preset}))
    assert len(result.liquidation) > 0
    assert result.conservation_error == 0
    assert (result.end.size.sum(axis=0) == 0).all()


def test_a_change_of_rules_applies_from_its_step_on():
    # Every 8 hours until hour 3, then hourly: the first payment ends hour 4.
    result = run(eventful(days=0.5, venue={}))
    assert np.unique(result.funding["step"]).tolist() == [
        239,
        299,
        359,
        419,
        479,
        539,
        599,
        659,
        719,
    ]
    change = {"kind": "rule", "at": 2.0, "field": "markets.ONE.taker_fee", "value": 0.001}
    charged = run(scenario(shocks=[change], spot={"kind": "factor"}))
    fees = np.diff(charged.steps["fees"], prepend=0)
    assert (fees[:120] == 0).all()
    assert (charged.series["volume"][:120, 0] > 0).any()
    paying = charged.series["volume"][120:, 0] > 0
    assert paying.any()
    assert (fees[120:][paying] > 0).all()
    assert (fees[120:][~paying] == 0).all()


def test_recording_fills_or_coarser_rows_changes_nothing_else():
    plain = run(eventful())
    filled = run(eventful(record={"fills": True}))
    for name in ("series", "steps", "funding", "liquidation"):
        assert getattr(filled, name).tobytes() == getattr(plain, name).tobytes()
    assert len(plain.fill) == 0
    volume = np.zeros(plain.series.shape, np.int64)
    np.add.at(volume, (filled.fill["step"], filled.fill["market"]), np.abs(filled.fill["size"]))
    rows = plain.liquidation
    outside = rows["takeover_size"] + rows["adl_size"]
    np.add.at(volume, (rows["step"], rows["market"]), outside)
    assert np.array_equal(volume, plain.series["volume"])
    coarse = run(eventful(record={"series_minutes": 15}))
    assert len(coarse.series) == len(plain.series) / 15
    assert np.array_equal(coarse.series["mark_ticks"], plain.series["mark_ticks"][14::15])
    summed = plain.series["volume"].reshape(len(coarse.series), 15, -1).sum(axis=1)
    assert np.array_equal(coarse.series["volume"], summed)
    assert np.array_equal(coarse.end.equity, plain.end.equity)


def test_no_step_is_taken_beyond_the_scenario():
    simulation = Simulation(scenario(days=14 / 1440), 1)
    with pytest.raises(ValueError, match=r"run\(15\): 14 of the scenario's 14 steps are left"):
        simulation.run(15)
    assert simulation.step_count == 0
    simulation.run(14)
    with pytest.raises(ValueError, match="0 of the scenario's 14 steps are left"):
        simulation.run(1)
    with pytest.raises(ValueError, match=r"run\(-1\): must be 0 or more steps"):
        simulation.run(-1)


def replayed(tmp_path: Path, path: Any, *, markets: Any = None, **tables: Any) -> Scenario:
    """A scenario in which both markets follow a path of prices (times 100 and 50 USD)."""
    file = tmp_path / "prices.csv"
    time = pd.date_range("2025-01-01", periods=len(path), freq="1min", tz="UTC")
    pd.DataFrame({"time": time, "ONE": 100.0 * path, "TWO": 50.0 * path}).to_csv(file, index=False)
    columns = {"ONE": "ONE", "TWO": "TWO"}
    history = {"path": str(file), "format": "wide", "columns": columns, "time_marks": "close"}
    unpriced = {
        name: {key: value for key, value in market.items() if key != "price"}
        for name, market in (markets or MARKETS).items()
    }
    spot = {"kind": "history", "history": history}
    return scenario(markets=unpriced, spot=spot, days=(len(path) - 1) / 1440, **tables)


def test_a_price_out_of_range_names_market_and_step(tmp_path):
    path = np.ones(31)
    path[21:] = 500.0
    fine = {"tick_size": 0.00002, "lot_size": 0.05}
    markets = {"ONE": MARKETS["ONE"], "TWO": {**MARKETS["TWO"], **fine}}
    simulation = Simulation(replayed(tmp_path, path, markets=markets), 1)
    simulation.run(20)
    with pytest.raises(PriceOutOfRangeError, match=r"step 20: .* TWO left .* is 25000 USD"):
        simulation.run(1)
    assert simulation.step_count == 20
    assert simulation.result().num_steps == 20


def test_a_price_that_rises_a_hundredfold_keeps_the_book_small(tmp_path):
    steps = 3 * 1440
    rising = Simulation(replayed(tmp_path, np.geomspace(1.0, 100.0, steps + 1)), 1)
    most = room = 0
    while rising.step_count < steps:
        rising.run(20)
        totals = rising.state.totals[0]
        most = max(most, int(totals.num_nodes))
        room = max(room, len(rising.state.node))
        # A node exists only on the way to a price at which somebody waits.
        assert totals.num_nodes <= 5 * totals.num_levels + len(rising.state.market)
    series = rising.result().series
    assert series["index_price"][-1] == pytest.approx([10_000.0, 5_000.0], rel=1e-3)
    assert series["mark_ticks"][-1] == pytest.approx([1e6, 5e5], rel=0.1)
    assert rising.result().conservation_error == 0
    assert most < 500
    assert room == 1024


@needs_prices
def test_the_crash_of_10_october_2025_liquidates_in_the_replay():
    given = load_scenario("history", [("spot.history.path", str(PRICES)), ("days", "5")])
    result = run(given)
    assert result.conservation_error == 0
    assert result.start_time == np.datetime64("2025-10-06T00:00")
    minute = result.start_time + result.liquidation["step"].astype("timedelta64[m]")
    crash = (minute >= np.datetime64("2025-10-10T20:50")) & (minute < np.datetime64("2025-10-11"))
    # Three hours of 120 bring a good part of all liquidations, in every market, longs above all.
    assert crash.sum() > 100
    assert crash.mean() > 0.3
    assert set(result.liquidation["market"][crash]) == {0, 1, 2}
    assert (result.liquidation["size_before"][crash] > 0).mean() > 0.8
    fall = result.series["index_price"][-240:].min(axis=0) / result.series["index_price"][0] - 1.0
    assert (fall < [-0.1, -0.3, -0.3]).all()

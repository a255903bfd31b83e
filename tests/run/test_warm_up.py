"""A market that ran before its record begins: the same market, of which the start is not told."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketsim import PerpMarket, load_market
from marketsim.results.risk import population_risk
from marketsim.results.tables import build_tables
from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.history import HistoryError
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult
from tests.agents.small import scenario
from tests.run.test_room import history
from tests.run.test_simulation import CRASH
from tests.run.test_turnover import OWN, lively, own_market

HOURS = 2
WARM = 60 * HOURS
RECORD = {"fills": True, "depth_minutes": 60.0, "snapshot_minutes": 60.0}
#: Later than the longest warm-up here, so that a cold run can be told of the same one.
LATE = {**CRASH, "at": 3.0}


def warm(shocks: Any = (), **tables: Any) -> Scenario:
    """Six hours after two, with all that can be recorded."""
    return lively(shocks=list(shocks), record={**RECORD, "warm_up": HOURS}, **tables)


def cold(shocks: Any = (), **tables: Any) -> Scenario:
    """All eight hours of it."""
    later = [{**shock, "at": shock["at"] + HOURS} for shock in shocks]
    return lively(shocks=later, record=RECORD, days=8 / 24, **tables)


def finished(given: Scenario, seed: int = 1) -> Simulation:
    simulation = Simulation(given, seed)
    assert simulation.step_count == 0
    simulation.run(simulation.num_steps)
    return simulation


@pytest.fixture(scope="module")
def runs() -> tuple[RunResult, RunResult]:
    return finished(warm([LATE])).result(), finished(cold([LATE])).result()


def test_the_record_is_the_rest_of_a_run_that_records_all(
    runs: tuple[RunResult, RunResult],
) -> None:
    found, whole = runs
    assert found.num_steps == whole.num_steps - WARM
    assert found.steps["step"].tolist() == list(range(found.num_steps))
    for name in ("index_price", "mark_ticks", "open_interest", "volume", "leverage", "herd_index"):
        assert np.array_equal(found.series[name], whole.series[name][WARM:], equal_nan=True), name
    for name in ("funding", "liquidation", "deleverage", "fill", "arrival"):
        mine, all_rows = getattr(found, name), getattr(whole, name)
        rest = all_rows[all_rows["step"] >= WARM]
        assert len(mine) == len(rest) > 0 or name == "deleverage"
        for column in mine.dtype.names:
            later = WARM if column == "step" else 0
            is_counted = name == "deleverage" and column == "liquidation"
            assert is_counted or (mine[column] == rest[column] - later).all(), (name, column)
    for column in ("bid", "ask", "mid2"):
        assert np.array_equal(found.depth[column], whole.depth[column][HOURS * 2 :])
    assert np.array_equal(found.end.equity, whole.end.equity)
    assert (found.generation == whole.generation).all()


def test_all_is_counted_from_where_the_record_begins(runs: tuple[RunResult, RunResult]) -> None:
    found, whole = runs
    assert found.conservation_error == 0
    assert (found.start.flow == 0).all()
    assert found.wealth["step"][0].tolist() == [0] * len(found.wealth[0])
    began = int(whole.steps["fees"][WARM - 1])
    assert found.steps["fees"][-1] == whole.steps["fees"][-1] - began
    change = np.zeros(len(found.deposit), np.int64)
    np.add.at(change, found.arrival["account"], found.arrival["atoms"])
    assert (found.start.equity + change + found.profit.sum(axis=1) == found.end.equity).all()
    paid = np.zeros(len(found.deposit), np.int64)
    np.add.at(paid, found.arrival["account"], np.maximum(found.arrival["atoms"], 0))
    assert (found.deposit == found.start.equity + paid).all()
    assert all(each["total_return"] is not None for each in population_risk(found)[:-1])
    tables = build_tables(found)
    assert tables["funding"]["hours"].tolist() == [1.0, 1.0, *tables["funding"]["hours"][2:]]
    assert set(tables["contagion"]["step"]) == set(range(0, 361, 60))
    assert len(tables["causes"]["liquidation"]) > 0


@pytest.mark.parametrize("kind", [Simulation, PerpMarket])
def test_what_is_stated_counts_from_the_record_s_first_step(
    kind: Any, runs: tuple[RunResult, RunResult]
) -> None:
    market = kind(warm(), 1)
    told: list[Any] = []
    market.on("liquidation", told.append)
    market.run(180)
    market.shock(**{key: value for key, value in LATE.items() if key != "at"})
    market.run(180)
    assert market.digest() == digest_result(runs[0])
    table = build_tables(runs[0])["liquidations"]
    rows = np.concatenate(told)
    for name in ("step", "hours", "account", "notional_usd"):
        assert rows[name].tolist() == table[name].tolist()
    again = Simulation(parse_scenario(tomllib.loads(market.result().scenario_text)), 1)
    again.run(360)
    assert again.digest() == market.digest()


def test_a_warm_market_saved_and_branched_goes_on_as_it_would(
    runs: tuple[RunResult, RunResult], tmp_path: Path
) -> None:
    market = PerpMarket(warm([LATE]), rng=1)
    market.save(tmp_path / "warm.market")
    others = [market.branch(), load_market(tmp_path / "warm.market")]
    for other in others:
        for _ in range(6):
            other.run(60)
    assert [each.digest() for each in others] == [digest_result(runs[0])] * 2


def test_a_run_goes_on_beyond_its_end_and_one_without_an_end_is_as_long_as_it_runs(
    runs: tuple[RunResult, RunResult],
) -> None:
    short = Simulation(warm([LATE], days=5 / 24), 1)
    short.run(300)
    short.run(60, extend=True)
    endless = Simulation(warm([LATE], days="open"), 1)
    endless.run(360)
    assert [short.digest(), endless.digest()] == [digest_result(runs[0])] * 2


def test_a_habit_changed_in_the_record_is_drawn_for_as_in_a_run_that_records_all() -> None:
    one, other = Simulation(warm(), 1), Simulation(cold(), 1)
    other.run(WARM)
    for each in (one, other):
        each.run(30)
        each.set("populations.noise.attention", 20.0)
        each.run(90)
    assert np.array_equal(one.traders.next_wake, other.traders.next_wake)
    assert np.array_equal(one.result().series["volume"], other.result().series["volume"][WARM:])


def test_own_traders_trade_while_it_warms_up_and_mesa_counts_from_the_record() -> None:
    given = own_market().scenario
    record = given.record.model_copy(update={"warm_up": 1.0})
    market = PerpMarket(given.model_copy(update={"record": record}), rng=1, strategies=OWN)
    assert market.step_count == 0
    assert getattr(market, "steps", 0) == 0
    own = [each for each in market.agents if type(each).__name__ == "Counting"]
    assert sum(each.count for each in own) > 30
    assert any(each.size("ONE") != 0.0 for each in own)
    market.run(120)
    assert getattr(market, "steps", 120) == 120
    assert market.result().conservation_error == 0


@pytest.mark.parametrize("minutes", [1, 2])
def test_an_own_trader_s_first_step_may_be_the_last_before_the_record(minutes: int) -> None:
    given = own_market().scenario
    record = given.record.model_copy(update={"warm_up": minutes / 60.0})
    market = PerpMarket(given.model_copy(update={"record": record}), rng=1, strategies=OWN)
    market.run(30)
    whole = own_market()
    whole.run(30 + minutes)
    found, others = (each.result().series["num_orders"] for each in (market, whole))
    assert np.array_equal(found[0], others[minutes])


def test_a_history_is_replayed_from_its_start_and_its_times_are_kept(tmp_path: Path) -> None:
    given = history(tmp_path, 180, "linear")
    record = given.record.model_copy(update={"warm_up": 1.5})
    one = finished(given.model_copy(update={"record": record})).result()
    other = finished(history(tmp_path, 270, "linear")).result()
    assert np.array_equal(one.series["mark_ticks"], other.series["mark_ticks"][90:])
    late, early = (build_tables(each)["markets"]["time"] for each in (one, other))
    assert late[0] == early[2 * 90]
    settled, all_settled = (build_tables(each)["funding"] for each in (one, other))
    assert settled["time"].tolist() == all_settled["time"][-len(settled["time"]) :].tolist()


def test_a_warm_up_longer_than_a_history_is_refused(tmp_path: Path) -> None:
    given = history(tmp_path, 180, "linear")
    text = r"too short for 780 steps, 600 of them of record.warm_up: .* has 300"
    record = given.record.model_copy(update={"warm_up": 10.0})
    with pytest.raises(HistoryError, match=text):
        Simulation(given.model_copy(update={"record": record}), 1)
    with pytest.raises(HistoryError, match=r"too short for 601 steps, 600 of them of record"):
        Simulation(given.model_copy(update={"record": record, "days": "open"}), 1)


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (-1.0, "record.warm_up = -1: must be greater than or equal to 0"),
        (0.001, "record.warm_up = 0.001: must be a whole number of steps"),
        ("long", 'record.warm_up = "long"'),
    ],
)
def test_a_warm_up_of_less_than_nothing_is_refused(hours: Any, text: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        scenario(record={"warm_up": hours})
    assert text in str(refused.value)


def test_its_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    Simulation(warm(), 1, progress=lambda done, asked: told.append((done, asked)))
    assert told[-1] == (WARM, WARM)

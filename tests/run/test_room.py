"""A run that goes beyond its end is the run of a scenario that is longer from the start."""

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest

from marketsim import PerpMarket, Simulation
from marketsim.run import room
from marketsim.scenario.history import HistoryError
from marketsim.scenario.inputs import InputChangedError
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario
from tests.agents.small import MARKETS, scenario
from tests.run.test_simulation import eventful

SHORT, LONG = 100, 400
DETAILS = {"snapshot_minutes": 30.0, "contagion_minutes": 40.0, "series_minutes": 7.0}


def lasting(steps: int, **tables: Any) -> Scenario:
    return eventful(days=steps / 1440, record=DETAILS, **tables)


def run(given: Scenario) -> Simulation:
    simulation = Simulation(given, 1)
    simulation.run(simulation.num_steps)
    return simulation


@pytest.mark.parametrize("pieces", [[300], [1, 2, 250, 47], [20] * 15])
def test_a_run_beyond_its_end_is_that_of_a_longer_scenario(pieces: list[int]) -> None:
    whole = run(lasting(LONG))
    simulation = run(lasting(SHORT))
    for steps in pieces:
        simulation.result()  # which writes rows of its own where it stands
        simulation.run(steps, extend=True)
    assert simulation.num_steps == simulation.step_count == simulation.result().num_steps == LONG
    assert simulation.digest() == whole.digest()
    assert simulation.scenario == whole.scenario
    assert simulation.notes == whole.notes
    assert len(whole.result().funding) > 0


def test_funding_has_room_whatever_its_interval_becomes() -> None:
    rules = [
        {"kind": "rule", "at": at, "field": "venue.funding.interval_hours", "value": hours}
        for at, hours in ((1.0, 0.5), (3.0, "step"), (5.0, 2.0))
    ]
    whole = run(lasting(LONG, shocks=rules))
    simulation = run(lasting(SHORT, shocks=rules))
    simulation.run(LONG - SHORT, extend=True)
    assert simulation.digest() == whole.digest()
    assert simulation.result().num_steps == LONG


def test_what_was_never_to_happen_does() -> None:
    simulation = Simulation(lasting(SHORT), 1)
    assert any("never happens" in note for note in simulation.notes)
    simulation.run(LONG, extend=True)
    assert simulation.notes == ()


def test_nothing_is_lengthened_that_need_not_be() -> None:
    simulation = Simulation(lasting(SHORT), 1)
    simulation.run(SHORT, extend=True)
    assert simulation.num_steps == SHORT
    with pytest.raises(ValueError, match=r"run\(1\): 0 of .* or say extend=True"):
        simulation.run(1)
    with pytest.raises(ValueError, match=r"run\(-1\)"):
        simulation.run(-1, extend=True)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (60_000_000, r"days = 41666\.7\d*: must be at most 36500"),
        (2_000_000_000, r"days.* 2000000100 steps, more than 1073741824"),
    ],
)
def test_no_run_is_longer_than_a_scenario_may_be(steps: int, says: str) -> None:
    simulation = run(lasting(SHORT))
    digest = simulation.digest()
    with pytest.raises(ValueError, match=says):
        simulation.run(steps, extend=True)
    assert (simulation.num_steps, simulation.digest()) == (SHORT, digest)
    simulation.run(10, extend=True)


def test_a_tape_for_which_there_is_no_memory_leaves_the_run_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulation = run(lasting(SHORT))
    before = simulation.scenario, simulation.tape, simulation.num_steps

    def fail(array: Any, used: Any = None, length: Any = None) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(room, "duplicate", fail)
    with pytest.raises(MemoryError):
        simulation.run(100, extend=True)
    assert (simulation.scenario, simulation.tape, simulation.num_steps) == before


def test_mesa_goes_on_with_a_market_beyond_its_end() -> None:
    market = PerpMarket(scenario(days=14 / 1440), rng=1)
    market.run(14)
    assert not market.running
    market.run(0, extend=True)
    assert not market.running
    market.run(5, extend=True)
    assert (market.running, market.step_count, market.scenario.num_steps) == (False, 19, 19)
    market.run(3, extend=True)
    market.simulation.run(2, extend=True)
    whole = PerpMarket(scenario(days=24 / 1440), rng=1)
    whole.run(24)
    assert market.digest() == whole.digest()
    assert getattr(market, "steps", market.time if hasattr(market, "time") else 0) == 24


def history(tmp_path: Path, steps: int, bridge: str) -> Scenario:
    """Prices of every fifth minute for 300 minutes, replayed for so many steps."""
    file = tmp_path / "prices.csv"
    if not file.exists():
        noise = np.random.default_rng(1).normal(0.0, 0.001, 61)
        path = 100.0 * np.exp(noise.cumsum())
        time = pd.date_range("2025-01-01", periods=61, freq="5min", tz="UTC")
        table = pd.DataFrame({"time": time, "ONE": path, "TWO": path / 2.0})
        table.to_csv(file, index=False)
    columns = {"ONE": "ONE", "TWO": "TWO"}
    stated = {"path": str(file), "format": "wide", "columns": columns, "time_marks": "close"}
    markets = {
        name: {key: value for key, value in market.items() if key != "price"}
        for name, market in MARKETS.items()
    }
    spot = {"kind": "history", "history": {**stated, "bridge": bridge}}
    return scenario(markets=markets, spot=spot, days=steps / 1440)


def test_more_of_a_history_is_replayed(tmp_path: Path) -> None:
    whole = run(history(tmp_path, 290, "linear"))
    simulation = run(history(tmp_path, 113, "linear"))
    simulation.run(177, extend=True)
    assert simulation.digest() == whole.digest()
    assert simulation.notes == whole.notes


def test_a_history_ends_where_its_file_does(tmp_path: Path) -> None:
    simulation = run(history(tmp_path, 113, "linear"))
    with pytest.raises(HistoryError, match=r"prices\.csv: too short for 313 steps: .* has 300"):
        simulation.run(200, extend=True)
    assert simulation.num_steps == 113
    (tmp_path / "prices.csv").write_text("time,ONE,TWO\n")
    with pytest.raises(InputChangedError, match=r"prices\.csv: the price file has changed"):
        simulation.run(20, extend=True)


def test_a_random_path_between_prices_is_not_made_again(tmp_path: Path) -> None:
    simulation = run(history(tmp_path, 113, "brownian"))
    with pytest.raises(HistoryError, match="more of them would change what has been; raise"):
        simulation.run(100, extend=True)


def test_a_longer_scenario_is_stated_by_its_length() -> None:
    given = load_scenario("quickstart")
    assert given.lasting(given.num_steps) == given
    assert given.lasting(77).num_steps == 77

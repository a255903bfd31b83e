"""Card B3: open interest changes only where something is traded."""

import tomllib
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from marketsim.tape.result import RunResult


def quickstart(days: float, **tables: Any) -> RunResult:
    """The quickstart scenario, with tables of its own."""
    library = files("marketsim.scenario").joinpath("library")
    data = tomllib.loads(library.joinpath("quickstart.toml").read_text(encoding="utf-8"))
    simulation = Simulation(parse_scenario({**data, "days": days, **tables}), 3)
    simulation.run(simulation.num_steps)
    return simulation.result()


def change_of_open_interest(result: RunResult) -> Any:
    """(T, M) lots, from one step to the next; the books open empty."""
    before = np.zeros((1, result.series.shape[1]), np.int64)
    return np.diff(np.vstack([before, result.series["open_interest"]]), axis=0)


@pytest.mark.parametrize("preset", ["default", "hyperliquid"])
def test_volume_is_at_least_the_change_of_open_interest_in_every_step(preset):
    result = quickstart(2, venue={"preset": preset})
    change = change_of_open_interest(result)
    assert change.shape == (2880, 3)
    assert (result.series["volume"] >= np.abs(change)).all()
    # Not for want of trading, nor of openings and closings.
    assert (change > 0).any(axis=0).all()
    assert (change < 0).any(axis=0).all()


@pytest.mark.parametrize("preset", ["default", "bitmex"])
def test_in_a_crash_deleveraging_closes_what_the_book_did_not(preset):
    crash = [
        {"kind": "crash", "at": 12, "size": -0.3, "fall_minutes": 10, "recovery_minutes": 120},
        {"kind": "depth", "at": 11.9, "factor": 0.05, "minutes": 60},
    ]
    result = quickstart(1, venue={"preset": preset}, insurance_fund=100.0, shocks=crash)
    closed = np.array(result.series["volume"])
    row = (result.deleverage["step"], result.deleverage["market"])
    np.add.at(closed, row, np.abs(result.deleverage["size"]))
    assert len(result.deleverage) > 0
    assert (closed >= np.abs(change_of_open_interest(result))).all()

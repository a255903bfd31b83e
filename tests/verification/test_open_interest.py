"""Card B3: open interest changes only where something is traded."""

import numpy as np
import pytest

from marketsim.scenario.loader import load_scenario
from marketsim.simulation import Simulation


@pytest.mark.parametrize("preset", ["default", "hyperliquid"])
def test_volume_is_at_least_the_change_of_open_interest_in_every_step(preset):
    simulation = Simulation(load_scenario("quickstart", [("days", "2"), ("venue.preset", preset)]), 3)
    simulation.run(simulation.num_steps)
    series = simulation.result().series
    assert series.shape == (2880, 3)
    before = np.zeros((1, series.shape[1]), np.int64)
    change = np.diff(np.vstack([before, series["open_interest"]]), axis=0)
    assert (series["volume"] >= np.abs(change)).all()
    # Not for want of trading, nor of openings and closings.
    assert (change > 0).any(axis=0).all()
    assert (change < 0).any(axis=0).all()

"""A scenario opened with one seed after the other is what it is when opened afresh."""

import numpy as np
import pytest

from marketsim.run.seeding import Opener
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from tests.agents.small import scenario

MIXED = [
    ("populations.holders.margin_mode", "{cross = 0.4, isolated = 0.3, partial = 0.3}"),
    ("populations.holders.groups.two", '{markets = ["ETH", "SOL"], draw_limit = 0.2}'),
    ("record.causes", "true"),
]


@pytest.mark.parametrize("overrides", [[], MIXED, [("record.warm_up", "1")]])
def test_it_is_the_run_of_the_seed(overrides):
    chosen = load_scenario("quickstart", overrides)
    opener = Opener(chosen)
    for seed in (7, 8):
        runs = [opener.open(seed), Simulation(chosen, seed)]
        for run in runs:
            run.run(120)
        assert runs[0].digest() == runs[1].digest()
        assert np.array_equal(runs[0].state.position["pool"], runs[1].state.position["pool"])


def test_everybody_s_run_is_that_of_the_seed():
    opener = Opener(scenario(spot={"kind": "factor"}))
    for seed in (1, 2):
        runs = [opener.open(seed), Simulation(scenario(spot={"kind": "factor"}), seed)]
        for run in runs:
            run.run(60)
        assert runs[0].digest() == runs[1].digest()


def test_a_history_whose_path_is_drawn_is_that_of_the_seed():
    chosen = load_scenario("history", [("days", "0.125")])
    run = Simulation(chosen, 3)
    opened = Opener(chosen).open(3)
    for each in (run, opened):
        each.run(60)
    assert run.digest() == opened.digest()

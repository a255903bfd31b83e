"""A scenario opened with one seed after the other is what it is when opened afresh."""

import numpy as np
import pytest

from marketsim.run.seeding import Opener
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from tests.agents.small import HABITS, POPULATIONS, scenario

OWN = '''
from typing import Any
import numpy as np
from pydantic import PrivateAttr
import marketsim


class Counting(marketsim.Strategy):
    """Changes sides by how often it was asked."""

    _asked: int = PrivateAttr(0)

    def decide(self, market: Any, traders: Any) -> None:
        self._asked += 1
        traders.memory[:, 0, 0] += self._asked
        side = np.where(traders.memory[:, 0, 0] % 3 > 0, 1.0, -1.0)[:, None]
        traders.move_to(0.5 * side * traders.equity[:, None] / market.mid)
'''

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


@pytest.mark.parametrize(
    "tables",
    [
        {"populations": {**POPULATIONS, "noise": {**POPULATIONS["noise"], "turnover": {}}}},
        {"record": {"warm_up": 1.0}},
        {
            "populations": {
                "maker": POPULATIONS["maker"],
                "herd": {**POPULATIONS["herd"], "parameters": {"network": "random"}},
                "other": {**POPULATIONS["herd"], "margin_mode": {"cross": 1, "isolated": 1}},
            }
        },
    ],
)
def test_those_who_come_and_go_warm_up_or_imitate_are_those_of_the_seed(tables):
    chosen = scenario(spot={"kind": "factor"}, **tables)
    opener = Opener(chosen)
    for seed in (3, 1, 2, 3):
        runs = [opener.open(seed), Simulation(chosen, seed)]
        assert runs[0].step_count == runs[1].step_count == 0
        for run in runs:
            run.run(120)
        assert runs[0].digest() == runs[1].digest()
        for group in ("state", "traders"):
            here, there = (getattr(run, group) for run in runs)
            for name, one, other in zip(here._fields, here, there, strict=True):
                assert one.tobytes() == other.tobytes(), name


def test_a_strategy_of_one_s_own_remembers_nothing_of_another_run(tmp_path):
    path = tmp_path / "counting.py"
    path.write_text(OWN)
    mine = {**HABITS, "strategy": f"{path}:Counting", "count": 3, "capital": 1e4}
    chosen = scenario(
        spot={"kind": "factor"}, populations={"maker": POPULATIONS["maker"], "mine": mine}
    )
    opener = Opener(chosen)
    for seed in (3, 1, 3):
        runs = [opener.open(seed), Simulation(chosen, seed)]
        for run in runs:
            run.run(31)
        assert runs[0].digest() == runs[1].digest()
        assert np.asarray(runs[0].state.position["size"])[4:7].any()


def test_runs_opened_share_no_memory():
    opener = Opener(scenario(spot={"kind": "factor"}))
    first = opener.open(1)
    first.run(30)
    before = first.digest()
    opener.open(2).run(60)
    assert first.digest() == before
    other = opener.open(1)
    other.run(30)
    assert other.digest() == before


def test_a_history_whose_path_is_drawn_is_that_of_the_seed():
    chosen = load_scenario("history", [("days", "0.125")])
    run = Simulation(chosen, 3)
    opened = Opener(chosen).open(3)
    for each in (run, opened):
        each.run(60)
    assert run.digest() == opened.digest()

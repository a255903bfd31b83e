"""The kernels by which traders leave equal the plain ones, and newcomers are who they should be."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from marketsim.agents.base import observe
from marketsim.engine import step
from marketsim.engine.state import NONE
from marketsim.run.loop import turn_over
from marketsim.run.simulation import Simulation
from marketsim.streams import draw_news
from marketsim.tape.arrivals import Turn
from tests.reference import turnover as plain
from tests.run.test_turnover import lively


def at_stage_three(simulation: Simulation) -> Simulation:
    """A copy of a run in the midst of the coming step: prices have moved, nobody has decided."""
    twin = simulation.branch()
    t = int(twin.tape.clock[0].step)
    draw_news(twin.seed, t, twin.world)
    assert step.open_step(twin.state, twin.world, t) == NONE
    observe(twin.state, twin.traders, twin.tape.clock[0])
    return twin


def cash_of(state: Any, i: int) -> int:
    return int(state.pool["cash"][np.asarray(state.pool["owner"]) == i].sum())


@pytest.mark.slow
def test_who_leaves_and_takes_profit_is_as_in_plain_python() -> None:
    simulation = Simulation(lively(), 1)
    seen: Counter[str] = Counter()
    for _ in range(simulation.num_steps // 2 - 1):
        simulation.run(2)
        twin = at_stage_three(simulation)
        t, clock = int(twin.tape.clock[0].step), twin.tape.clock[0]
        accounts, rows = plain.turn_over(twin, t)
        before = int(clock.num_arrivals)
        turn_over(twin.state, twin.traders, twin.tape, t)
        found = twin.tape.arrival[before : int(clock.num_arrivals)]
        assert [(row.account, row.generation, row.kind, row.atoms) for row in rows] == [
            (int(row.account), int(row.generation), Turn(row.kind).name.lower(), int(row.atoms))
            for row in found
        ]
        for i, left in accounts.items():
            trader, stay = twin.traders.trader[i], twin.traders.stay[i]
            assert bool(trader.is_retired) == left.is_retired
            assert bool(stay.is_vacant) == left.is_vacant
            assert twin.traders.next_turn[i] == left.next_turn
            assert (cash_of(twin.state, i), int(twin.state.stable[i])) == (left.cash, left.stable)
        step.settle_step(twin.state)
        assert int(twin.state.totals[0].conservation_error) == 0
        seen.update(row.kind for row in rows)
        seen["still leaving"] += sum(a.is_retired and not a.is_vacant for a in accounts.values())
    assert {"withdrawal", "ruined", "finished", "idle", "still leaving"} <= set(seen)

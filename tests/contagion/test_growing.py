"""Cascades of a run that goes on: taken in bit by bit they are those of the whole run."""

from dataclasses import replace

import numpy as np
import pytest

from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.growing import GrowingCascades
from marketsim.contagion.strikes import read_strikes
from marketsim.contagion.ties import MIN_TIE, link_liquidations, tie_liquidations
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario


@pytest.fixture(scope="module")
def spiral():
    simulation = Simulation(load_scenario("mark-spiral", [("days", "1.6")]), 4)
    simulation.run(simulation.num_steps)
    return simulation.result()


def so_far(result, step):
    """Take the result as it was after so many steps."""
    rows = int((result.liquidation["step"] < step).sum())
    seizures = int(result.impact["seizure"][:rows].max(initial=-1)) + 1
    losses = int(np.searchsorted(result.loss["seizure"], seizures))
    return replace(
        result,
        liquidation=result.liquidation[:rows],
        impact=result.impact[:rows],
        seizure=result.seizure[:seizures],
        loss=result.loss[:losses],
    )


def test_bit_by_bit_they_are_those_of_the_whole(spiral):
    strikes = read_strikes(spiral.scenario_text)
    causes = tabulate_causes(spiral)
    whole = link_liquidations(causes, spiral.liquidation["step"], spiral.impact["seizure"], strikes)
    assert whole.generation.max() > 2
    growing = GrowingCascades(spiral.market_names)
    steps = np.unique(spiral.liquidation["step"])
    parts = [growing.grow(so_far(spiral, step + 1), strikes) for step in steps.tolist()]
    assert len(growing) == len(spiral.liquidation)
    assert np.concatenate([part.generation for part in parts]).tolist() == (
        whole.generation.tolist()
    )
    assert growing.cascade.tolist() == whole.cascade.tolist()


def test_ties_are_the_causes_added_up(spiral):
    growing = GrowingCascades(spiral.market_names)
    ties = growing.grow(spiral, [])
    assert (ties.weight >= MIN_TIE).all()
    named = ties.parent >= 0
    assert (ties.parent[named] < ties.child[named]).all()
    strong = tie_liquidations(tabulate_causes(spiral))
    total = dict(
        zip(
            zip(strong.cause.tolist(), strong.effect.tolist(), strict=True),
            strong.weight,
            strict=True,
        )
    )
    for parent, child, weight in zip(
        ties.parent[named].tolist(), ties.child[named].tolist(), ties.weight[named], strict=True
    ):
        assert weight <= total[parent, child] + 1e-12


def test_causes_from_a_row_on_are_the_last_rows_of_all(spiral):
    first = len(spiral.liquidation) // 2
    whole = tabulate_causes(spiral)
    late = whole["liquidation"] >= first
    part = tabulate_causes(spiral, first)
    assert {name: column.tolist() for name, column in part.items()} == {
        name: column[late].tolist() for name, column in whole.items()
    }

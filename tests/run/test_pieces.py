"""A run in pieces keeps the snapshots of the run in one go, whatever happens between them."""

from typing import Any

import numpy as np
import pytest

from marketsim import PerpMarket, Simulation
from marketsim.scenario.schema import Scenario
from tests.run.test_simulation import eventful

STEPS = 100
CASES = [[50, 50], [25, 25, 50], [1, 24, 50, 25], [STEPS]]


def given(**tables: Any) -> Scenario:
    return eventful(days=STEPS / 1440, record={"snapshot_minutes": 25.0}, **tables)


def assert_same_snapshots(one: Any, other: Any) -> None:
    """Compare the steps of two runs' snapshots and all that each holds."""
    first, second = one.result().snapshots, other.result().snapshots
    assert [step for step, _ in first] == [step for step, _ in second] == [25, 50, 75]
    for (_, mine), (_, its) in zip(first, second, strict=True):
        for name, array in mine._asdict().items():
            np.testing.assert_array_equal(array, getattr(its, name), err_msg=name)
    assert one.digest() == other.digest()


@pytest.mark.parametrize("kind", [Simulation, PerpMarket])
@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("pieces", CASES)
def test_snapshots_are_those_of_the_run_in_one_go(
    kind: Any, listens: bool, pieces: list[int]
) -> None:
    whole, parts = kind(given(), 1), kind(given(), 1)
    whole.run(STEPS)
    told: list[int] = []
    if listens:
        parts.on("step", lambda rows: told.append(int(rows["step"][0])))
    for steps in pieces:
        parts.run(steps)
        parts.result()
    assert_same_snapshots(parts, whole)
    assert told == (list(range(STEPS)) if listens else [])


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("at", [50, 60])
def test_snapshots_are_the_same_with_an_intervention_between_the_pieces(
    listens: bool, at: int
) -> None:
    crash = {"at_step": at, "kind": "crash", "size": -0.2}
    money = {"at_step": at, "kind": "deposit", "account": 3, "usd": 500.0}
    whole, parts = Simulation(given(interventions=[crash, money]), 1), Simulation(given(), 1)
    whole.run(STEPS)
    if listens:
        parts.on("step", lambda rows: None)
    parts.run(at)
    parts.shock("crash", size=-0.2)
    parts.deposit(3, 500.0)
    parts.run(STEPS - at)
    assert_same_snapshots(parts, whole)

"""A branch is an exact copy, and one that is alone: neither it nor the original moves the other."""

from typing import Any

import numpy as np
import pytest

from marketsim import PerpMarket, Simulation, Trader
from marketsim.scenario.schema import Scenario
from tests.agents.small import scenario
from tests.run.own import OWN, Counting, Moody, with_own
from tests.run.test_simulation import eventful

STEPS = 150


def finished(market: Any) -> str:
    simulation = getattr(market, "simulation", market)
    market.run(simulation.num_steps - simulation.step_count)
    digest: str = market.digest()
    return digest


def own_market(classes: Any = OWN) -> PerpMarket:
    market = PerpMarket(with_own("quickstart", STEPS), rng=5, strategies=classes)
    market.run(70)
    return market


@pytest.mark.parametrize("step", [0, 37, 181, 360])
def test_a_branch_goes_on_byte_for_byte(step: int) -> None:
    whole = Simulation(eventful(), 4)
    whole.run(whole.num_steps)
    original = Simulation(eventful(), 4)
    original.run(step)
    digest = original.digest()
    twin = original.branch()
    assert twin.digest() == digest
    assert finished(twin) == whole.digest()
    assert original.digest() == digest  # the branch has moved nothing of it
    assert finished(original) == whole.digest()


def test_a_branch_of_a_branch_goes_on_too() -> None:
    original = Simulation(eventful(), 4)
    twin = original
    for _ in range(6):
        twin.run(60)
        twin = twin.branch()
    assert twin.digest() == finished(original.branch())


def test_a_branch_shares_no_memory_that_changes() -> None:
    original = Simulation(eventful(), 4)
    original.run(30)
    twin = original.branch()
    for group in ("state", "world", "traders", "tape"):
        one, other = getattr(original, group), getattr(twin, group)
        for name, here, there in zip(one._fields, one, other, strict=True):
            assert name == "history" or not np.shares_memory(here, there), name
            assert (here.shape, here.dtype) == (there.shape, there.dtype), name
            assert there.flags.writeable, name
    assert twin.callers.desk is not original.callers.desk
    assert twin.callers._traders is twin.traders
    assert twin.scenario is original.scenario


def test_traders_of_a_branch_are_its_own() -> None:
    original = own_market()
    before = [repr(vars(each)["diary"]) for each in original.agents.select(agent_type=Moody)]
    whole = finished(own_market())
    twin = original.branch()
    traders = list(twin.agents.select(agent_type=Moody))
    assert all(each.model is twin for each in traders)
    assert finished(twin) == whole
    assert before == [repr(each.diary) for each in original.agents.select(agent_type=Moody)]
    assert finished(original) == whole


def test_a_branch_has_all_that_hangs_on_the_market() -> None:
    class Mine(PerpMarket):
        seen: list[float]

        def step(self) -> None:
            super().step()
            self.seen.append(self.mark_price("ONE"))

    original = Mine(scenario(), rng=1)
    original.seen = []
    original.notes_of = lambda: original.seen
    original.run(5)
    twin = original.branch()
    twin.run(2)
    assert type(twin) is Mine
    assert (len(original.seen), len(twin.seen)) == (5, 7)


def test_n_copies_come_in_a_list_and_one_comes_alone() -> None:
    market = Simulation(scenario(), 1)
    assert isinstance(market.branch(), Simulation)
    assert [len(market.branch(n)) for n in (0, 1, 3)] == [0, 1, 3]
    with pytest.raises(ValueError, match=r"branch\(-1\): must be 0 or more"):
        market.branch(-1)


def test_every_copy_is_changed_and_the_original_is_not() -> None:
    class Set(Simulation):
        """Notes what is to be set."""

        def __init__(self, given: Scenario, seed: int) -> None:
            super().__init__(given, seed)
            self.changes: list[tuple[str, Any]] = []

        def set(self, path: str, value: Any) -> None:
            self.changes.append((path, value))

    original = Set(scenario(), 1)
    change = {"venue.funding.interval_hours": 1.0, "spot.reflexivity": 0.5}
    for copy in original.branch(2, change=change):
        assert copy.changes == list(change.items())
    assert original.changes == []


def test_the_run_of_a_market_branches_with_it() -> None:
    market = own_market()
    simulation = market.simulation
    twins = simulation.branch(2)
    whole = finished(market)
    assert [finished(twin) for twin in twins] == [whole, whole]
    alone = own_market().give_away().branch()
    assert finished(alone) == whole


def test_a_run_whose_market_is_gone_branches_alone() -> None:
    market = PerpMarket(scenario(), rng=1)
    simulation = market.simulation
    del market
    assert finished(simulation.branch()) == finished(simulation)


@pytest.mark.parametrize("make", [PerpMarket, Simulation])
@pytest.mark.parametrize("value", [1.5, 2.0, True, "3", None, np.bool_(True)])
def test_steps_and_copies_are_counted_in_whole_numbers(make: Any, value: Any) -> None:
    market = make(scenario(), 1)
    with pytest.raises(TypeError, match=r"num_steps = .*: must be a whole number"):
        market.run(value)
    if value is not None:
        with pytest.raises(TypeError, match=r"n = .*: must be a whole number"):
            market.branch(value)
    market.run(np.int64(2))
    assert [copy.step_count for copy in market.branch(np.int32(1))] == [2]
    with pytest.raises(TypeError, match=r"change = \[\('seed', 1\)\]: must be a dict of values"):
        market.branch(change=[("seed", 1)])


def test_branching_while_traders_decide_is_refused() -> None:
    class Branches(Trader):
        def step(self) -> None:
            self.model.branch()

    with pytest.raises(Exception, match=r"branch\(\) inside step\(\)"):
        own_market({"moody": Branches, "counting": Counting})

"""A market is freed when it is dropped: many small runs in one process take no more memory."""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from marketsim import PerpMarket, Simulation, Trader
from marketsim.model.opening import open_simulation
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.schema import Scenario
from tests.agents.small import scenario
from tests.agents.test_own import CROWD

OWN = """\
import marketsim


class Buyer(marketsim.Trader):
    def step(self):
        self.buy("ONE", 0.1)
"""


class Buyer(Trader):
    def step(self) -> None:
        assert self.model.simulation.step_count >= 0
        self.buy("ONE", 0.1)


def small(strategy: str = "") -> Scenario:
    mine = {"mine": {"strategy": strategy, "count": 3, "attention": 1.0}} if strategy else {}
    return scenario(populations={**CROWD, **mine})


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let the cyclic collector rest: what is freed is freed by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def run(market: Any) -> None:
    market.run(3)


def everything(market: PerpMarket) -> None:
    """Use a market in all ways."""
    market.step()
    market.run(3)
    assert all(agent.model is market for agent in market.agents)
    market.agents[0].remove()
    market.agents.do("step")
    market.result()
    market.contagion()
    market.exposure()
    market.liquidation_map("ONE")


def own() -> PerpMarket:
    return PerpMarket(small("mine"), rng=1, strategies={"mine": Buyer})


WAYS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "run": (lambda: PerpMarket(small(), rng=1), run),
    "only made": (lambda: PerpMarket(small(), rng=1), lambda market: None),
    "steps": (lambda: PerpMarket(small(), rng=1), lambda market: market.step()),
    "everything": (lambda: PerpMarket(small(), rng=1), everything),
    "plain traders": (own, run),
    "everything with plain traders": (own, lambda market: (market.run(3), len(market.agents))),
    "a run": (lambda: Simulation(small(), 1), run),
    "the run of a market": (lambda: PerpMarket(small(), rng=1).simulation, run),
    "copied": (lambda: copy.deepcopy(PerpMarket(small(), rng=1)), everything),
    "branched": (lambda: PerpMarket(small(), rng=1).branch(), everything),
    "branched with plain traders": (lambda: own().branch(), run),
    "pickled": (lambda: pickle.loads(pickle.dumps(PerpMarket(small(), rng=1))), everything),
}


@pytest.mark.filterwarnings("ignore:Pickle, copy, and deepcopy support:DeprecationWarning")
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("way", WAYS)
def test_what_is_dropped_is_freed(way: str) -> None:
    make, use = WAYS[way]
    use(make())  # what is loaded and compiled at first stays
    gc.collect()
    made = make()
    use(made)
    heavy = weakref.ref(getattr(made, "simulation", made))
    light = weakref.ref(made)
    del made
    assert light() is None
    assert heavy() is None


@pytest.mark.usefixtures("no_collector")
def test_a_market_that_failed_is_freed() -> None:
    class Fails(Trader):
        def step(self) -> None:
            raise RuntimeError

    def fail() -> weakref.ref[PerpMarket]:
        market = PerpMarket(small("mine"), rng=1, strategies={"mine": Fails})
        with pytest.raises(Exception, match="RuntimeError"):
            market.run(300)
        return weakref.ref(market)

    fail()
    gc.collect()
    freed = fail()
    gc.collect()  # the error and what it came from know each other
    assert freed() is None


@pytest.mark.usefixtures("no_collector")
def test_a_run_opened_by_a_command_keeps_its_market_and_is_freed_with_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    given = small(f"{tmp_path / 'own.py'}:Buyer")
    open_simulation(given, 1).run(2)
    gc.collect()
    simulation = open_simulation(given, 1)
    simulation.run(60)
    assert (simulation.state.position["size"][-4:-1] != 0).any()
    freed = weakref.ref(simulation)
    del simulation
    assert freed() is None


def test_a_copy_is_a_market_of_its_own() -> None:
    market = PerpMarket(small(), rng=1)
    market.run(2)
    twin = copy.deepcopy(market)
    twin.run(3)
    assert (market.step_count, twin.step_count) == (2, 5)
    assert next(iter(twin.agents)).model is twin


def test_a_trader_says_that_its_market_is_gone() -> None:
    market = PerpMarket(small(), rng=1)
    agent = market.agents[0]
    assert agent.model is market
    del market
    with pytest.raises(ReferenceError, match="the market is gone: keep it"):
        _ = agent.equity


def resident() -> float:
    """Return the memory of this process, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells it here")
def test_many_small_runs_take_no_more_memory_than_few() -> None:
    tables = {"populations": {**CROWD, "holders": {"strategy": "holder", "count": 300}}}
    given = parse_scenario(scenario(**tables).model_dump(exclude_none=True))
    first = 0.0
    for seed in range(300):
        PerpMarket(given, rng=seed).run(10)
        if seed == 19:
            first = resident()
    assert resident() < 1.1 * first

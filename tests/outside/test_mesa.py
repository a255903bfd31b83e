"""A market is a Mesa model: what Mesa promises of one holds in `run` as in `step`."""

import inspect
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import mesa
import numpy as np
import pytest

from marketsim import OwnTraderError, PerpMarket, Trader, load_scenario
from marketsim.model.opening import open_simulation
from marketsim.model.stepping import ModelSimulation
from marketsim.scenario.schema import Scenario
from marketsim.tape.digest import digest_result
from tests.agents.small import HABITS, POPULATIONS, scenario
from tests.cli.conftest import TINY, marketsim

__all__ = ["marketsim"]

LENGTH = 40
CROWD = {name: POPULATIONS[name] for name in ("maker", "basis", "noise")}
MINE = {**HABITS, "strategy": "mine", "count": 3, "capital": 1e5}

BARE = mesa.Model(rng=1)
#: What Mesa of this version counts: 3.3 has no `time`, 4 no `steps`.
COUNTERS = [name for name in ("steps", "time") if hasattr(BARE, name)]
needs_schedule = pytest.mark.skipif(
    not hasattr(BARE, "run_for"), reason="Mesa before 3.5 has no run_for and no events"
)
needs_batch_run = pytest.mark.skipif(
    not hasattr(mesa, "batch_run"), reason="Mesa from 4 on has no batch_run"
)


def clock(model: mesa.Model) -> float:
    """What a user reads as the number of the step."""
    return float(getattr(model, COUNTERS[0]))


def counted(model: mesa.Model) -> list[float]:
    return [getattr(model, name) for name in COUNTERS]


class Late(Trader):
    """Buys once Mesa's own counter has reached 20."""

    seen: ClassVar[list[float]] = []

    def step(self) -> None:
        self.seen.append(clock(self.model))
        if clock(self.model) >= 20 and self.size("ONE") == 0:
            self.buy("ONE", 1.0)


class Fails(Trader):
    fails: ClassVar[bool] = True

    def step(self) -> None:
        if clock(self.model) == 5 and Fails.fails:
            raise ValueError("no")


class Collecting(PerpMarket):
    """A market as Mesa's tutorial would write it."""

    def __init__(self, level: int = 20, rng: int | None = None) -> None:
        super().__init__(crowd(level), rng=rng)
        self.calls = 0
        self.datacollector = mesa.DataCollector(
            model_reporters={
                "mid": lambda m: m.mid_price("ONE"),
                "digest": lambda m: m.digest(),
                "count": "step_count",
            }
        )

    def step(self) -> None:
        self.calls += 1
        super().step()
        self.datacollector.collect(self)


class Ending(mesa.Model):
    """A model of Mesa's alone that ends as a market does."""

    def __init__(self, level: int = 0, rng: int | None = None) -> None:
        super().__init__(rng=rng)
        self.done = 0
        self.datacollector = mesa.DataCollector(model_reporters={"count": "done"})

    def step(self) -> None:
        self.done += 1
        self.running = self.done < LENGTH
        self.datacollector.collect(self)


def crowd(count: int = 20, **tables: Any) -> Scenario:
    """A market of 40 steps in which all but `count` noise traders are few."""
    noise = {"noise": {**CROWD["noise"], "count": count}}
    data = {"days": LENGTH / 1440, "populations": {**CROWD, **noise}}
    return scenario(**{"spot": {"kind": "factor"}, **data, **tables})


def with_own(own: Any, steps: int = 0, **mine: Any) -> PerpMarket:
    populations = {**CROWD, "mine": {**MINE, "attention": 0.1, **mine}}
    model = PerpMarket(crowd(populations=populations), rng=1, strategies={"mine": own})
    model.run(steps)
    return model


def by_run(model: PerpMarket) -> None:
    model.run(LENGTH)


def by_step(model: PerpMarket) -> None:
    for _ in range(LENGTH):
        model.step()


def by_simulation(model: PerpMarket) -> None:
    model.simulation.run(LENGTH)


def by_pieces(model: PerpMarket) -> None:
    for steps in (7, 0, 1, LENGTH - 8):
        model.run(steps)


WAYS = pytest.mark.parametrize("way", [by_run, by_step, by_simulation, by_pieces])


@WAYS
def test_steps_and_time_advance_however_the_market_does(way: Callable[[Any], None]) -> None:
    model = PerpMarket(crowd(), rng=1)
    assert model.running
    assert counted(model) == [0] * len(COUNTERS)
    way(model)
    assert counted(model) == [LENGTH] * len(COUNTERS)
    assert not model.running
    stepped = PerpMarket(crowd(), rng=1)
    by_step(stepped)
    assert digest_result(stepped.result()) == digest_result(model.result())


@WAYS
def test_a_trader_reads_the_same_count_however_the_market_advances(
    way: Callable[[Any], None],
) -> None:
    Late.seen.clear()
    model = with_own(Late)
    way(model)
    assert sorted(set(Late.seen)) == list(range(2, LENGTH + 1))  # nobody wakes in the first
    assert [trader.size("ONE") for trader in model.agents.select(agent_type=Late)] == [1.0] * 3
    assert model.result().conservation_error == 0


def test_a_trader_reads_the_same_count_in_a_command_and_in_a_step_looked_into() -> None:
    own = {"mine": {**MINE, "attention": 0.1, "strategy": f"{__name__}:Late"}}
    Late.seen.clear()
    simulation = open_simulation(crowd(populations={**CROWD, **own}), 1)
    simulation.run(LENGTH - 1)
    simulation.stop_before_liquidation()
    assert sorted(set(Late.seen)) == list(range(2, LENGTH + 1))
    assert np.asarray(simulation.state.position["size"])[29:32, 0].tolist() == [100] * 3


@WAYS
def test_a_step_of_a_subclass_is_called_and_its_collector_collects(
    way: Callable[[Any], None],
) -> None:
    model = Collecting(rng=1)
    way(model)
    assert model.calls == LENGTH
    table = model.datacollector.get_model_vars_dataframe()
    assert table["count"].tolist() == list(range(1, LENGTH + 1))
    assert table["mid"].nunique() > 5


def test_a_step_put_in_the_place_of_a_market_s_is_called() -> None:
    model, mine = PerpMarket(crowd(), rng=1), []
    own = model.step

    def step() -> None:
        own()
        mine.append(model.step_count)

    model.step = step
    model.run(12)
    assert mine == list(range(1, 13))
    assert counted(model) == [12] * len(COUNTERS)


def test_steps_nobody_looks_at_are_made_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    run_alone = ModelSimulation.run_alone

    def spy(self: Any, num_steps: int, progress: Any = None) -> None:
        asked.append(num_steps)
        run_alone(self, num_steps, progress)

    monkeypatch.setattr(ModelSimulation, "run_alone", spy)
    model = PerpMarket(crowd(), rng=1)
    assert len(model.agents) == 29
    model.run(30)
    assert asked == [30]
    Collecting(rng=1).run(3)
    with_own(Late, 3)  # it is told the steps, and sees no more than that
    assert asked == [30, 1, 1, 1, 3]


def test_a_step_that_a_trader_puts_in_place_is_called_from_the_next_one_on() -> None:
    done: list[int] = []

    class Replaces(Trader):
        def step(self) -> None:
            model = self.model
            if model.step_count == 5:
                own = model.step
                model.step = lambda: (own(), done.append(model.step_count))

    model = with_own(Replaces, 12, count=1)
    assert done == list(range(7, 13))
    assert counted(model) == [12] * len(COUNTERS)


@pytest.mark.parametrize("make", [lambda: PerpMarket(crowd(), rng=1), lambda: Collecting(rng=1)])
def test_progress_finds_the_counters_where_it_says(make: Callable[[], PerpMarket]) -> None:
    model, seen = make(), []
    model.run(10)
    model.run(20, lambda done, asked: seen.append((clock(model) - 10 - done, done, asked)))
    assert seen[-1] == (0, 20, 20)
    assert all(gap == 0 for gap, _, _ in seen)


@needs_schedule
def test_events_fall_due_and_observers_see_the_time_in_a_run() -> None:
    model, due, seen = PerpMarket(crowd(), rng=1), [], []

    def event() -> None:
        due.append((model.time, model.step_count))

    model.schedule_event(event, at=5.5)
    model.run(10)
    assert due == [(5.5, 5)]
    signals = pytest.importorskip("mesa.experimental.mesa_signals")

    def observe(signal: Any) -> None:
        seen.append(model.step_count)

    model.observe("time", signals.ObservableSignals.CHANGED, observe)
    model.run(10)
    assert sorted(set(seen)) == list(range(10, 20)) or sorted(set(seen)) == list(range(10, 21))


def test_running_ends_with_the_last_step() -> None:
    model = PerpMarket(crowd(), rng=1)
    done = 0
    while model.running and done < 2 * LENGTH:
        model.step()
        done += 1
    assert (done, model.running) == (LENGTH, False)


@pytest.mark.parametrize("make", [lambda: PerpMarket(crowd(), rng=1), lambda: Collecting(rng=1)])
def test_run_model_ends(make: Callable[[], PerpMarket]) -> None:
    model = make()
    model.run_model()
    assert (model.step_count, model.running) == (LENGTH, False)
    assert counted(model) == [LENGTH] * len(COUNTERS)


@pytest.mark.parametrize("make", [lambda: PerpMarket(crowd(), rng=1), lambda: Collecting(rng=1)])
def test_what_goes_beyond_the_end_is_refused_and_counts_nothing(
    make: Callable[[], PerpMarket],
) -> None:
    model = make()
    model.run(LENGTH - 3)
    with pytest.raises(ValueError, match=r"run\(4\): 3 of the scenario's 40 steps are left"):
        model.run(4)
    with pytest.raises(ValueError, match=r"run\(-1\): must be 0 or more steps"):
        model.run(-1)
    model.run(3)
    model.run(0)
    for beyond in (model.step, lambda: model.run(1)):
        with pytest.raises(ValueError, match=r"0 of the scenario's 40 steps are left"):
            beyond()
    assert counted(model) == [LENGTH] * len(COUNTERS)
    assert getattr(model, "calls", LENGTH) == LENGTH


@needs_schedule
@pytest.mark.parametrize("make", [lambda: PerpMarket(crowd(), rng=1), lambda: Collecting(rng=1)])
def test_run_for_and_run_until_stop_at_the_end(make: Callable[[], PerpMarket]) -> None:
    model = make()
    model.run_for(2.5)
    assert (model.step_count, model.time) == (2, 2.5)
    model.run(3)
    model.run_for(0.5)
    assert (model.step_count, model.time) == (6, 6)
    model.run_until(10)
    model.run(5)
    assert (model.step_count, model.time) == (15, 15)
    model.run_for(1000)
    assert (model.step_count, model.time, model.running) == (LENGTH, LENGTH, False)
    model.run_for(1000)
    assert (model.step_count, model.time) == (LENGTH, LENGTH)


def batch(model: Any, parameters: Any, **options: Any) -> list[dict[str, Any]]:
    """Rows of Mesa's runner, which from 3.5 on warns of `iterations`."""
    plain = {"number_processes": 1, "display_progress": False}
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        rows: list[dict[str, Any]] = mesa.batch_run(model, parameters, **{**plain, **options})
    return rows


@needs_batch_run
@pytest.mark.parametrize("max_steps", [LENGTH // 2, LENGTH - 1, LENGTH, LENGTH + 1, 1000])
def test_batch_run_loses_no_row(max_steps: int) -> None:
    """Below, at and beyond the end: Mesa counts a market's steps as those of any model."""
    rows = batch(Collecting, {"level": [5, 20]}, iterations=1, max_steps=max_steps)
    plain = batch(Ending, {"level": [5, 20]}, iterations=1, max_steps=max_steps)
    assert [row["level"] for row in rows] == [5, 20]
    assert [row["count"] for row in rows] == [row["count"] for row in plain]
    assert [row["Step"] for row in rows] == [row["Step"] for row in plain]


@needs_batch_run
def test_batch_run_collects_every_step() -> None:
    """As of a model of Mesa's alone: Mesa 3.4 gives its first row twice and its last not at all."""
    options = {"iterations": 1, "max_steps": 1000, "data_collection_period": 1}
    counts = [row["count"] for row in batch(Collecting, {"level": [5]}, **options)]
    assert counts == [row["count"] for row in batch(Ending, {"level": [5]}, **options)]
    assert len(counts) == LENGTH


@needs_batch_run
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_iterations_of_a_batch_are_different_runs(processes: int) -> None:
    rows = batch(
        Collecting, {"level": [5]}, iterations=3, max_steps=1000, number_processes=processes
    )
    assert len({row["digest"] for row in rows}) == 3


@needs_batch_run
def test_a_seed_in_a_batch_makes_the_same_run_again() -> None:
    seeds = {"rng": [7, 8, 7]}
    if "rng" in inspect.signature(mesa.batch_run).parameters:
        rows = batch(Collecting, {"level": [5]}, **seeds)
    else:  # Mesa before 3.4
        rows = batch(Collecting, {"level": [5], **seeds})
    first, other, again = (row["mid"] for row in rows)
    assert first == again != other


def test_without_a_seed_runs_differ_and_tell_theirs() -> None:
    models = [PerpMarket(crowd()) for _ in range(3)]
    assert len({model.seed for model in models}) == 3
    digests = []
    for model in models:
        model.run(LENGTH)
        digests.append(digest_result(model.result()))
        assert model.result().seed == model.seed
        again = PerpMarket(crowd(), rng=model.seed)
        again.run(LENGTH)
        assert digest_result(again.result()) == digests[-1]
    assert len(set(digests)) == 3


def test_a_seed_that_the_scenario_states_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text("seed = 0\n" + TINY)
    based = tmp_path / "based.toml"
    based.write_text('base = "tiny.toml"\ndays = 0.0125\n')
    assert PerpMarket(file).seed == PerpMarket(load_scenario(file)).seed == 0
    assert PerpMarket(based).seed == 0
    assert PerpMarket("quickstart", overrides=[("seed", "7")]).seed == 7
    assert PerpMarket(crowd(seed=7)).seed == 7
    assert PerpMarket(crowd(seed=7), rng=0).seed == 0


def test_the_command_keeps_the_seed_of_the_scenario(
    marketsim: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    for out in ("a", "b"):
        result = marketsim("run", file, "--steps", 5, "--out", tmp_path / out, "--quiet")
        assert result.exit_code == 0
    runs = [json.loads((tmp_path / out / "run.json").read_text()) for out in ("a", "b")]
    assert [run["seed"] for run in runs] == [0, 0]
    assert runs[0]["digest"] == runs[1]["digest"]


def test_seed_is_an_old_name_of_rng() -> None:
    with pytest.warns(FutureWarning, match="seed= is deprecated.*use rng=") as caught:
        old = PerpMarket(crowd(), seed=5)
    assert caught[0].filename == __file__
    new = PerpMarket(crowd(), rng=5, seed=None)
    assert old.seed == new.seed == 5
    for model in (old, new):
        model.run(LENGTH)
    assert digest_result(old.result()) == digest_result(new.result())
    with pytest.raises(ValueError, match="give one of them"):
        PerpMarket(crowd(), rng=5, seed=5)
    with pytest.raises(TypeError, match="no argument 'sed'"):
        PerpMarket(crowd(), sed=5)  # type: ignore[call-arg]
    problem = r"rng = -?\d+: must be a whole number, 0 to 2\*\*63 - 1"
    for wrong in (-1, 2**63):
        with pytest.raises(ValueError, match=problem):
            PerpMarket(crowd(), rng=wrong)


@pytest.mark.parametrize("way", ["run", "step"])
def test_a_step_that_fails_is_not_counted_and_can_be_made_again(way: str) -> None:
    Fails.fails = True
    model = with_own(Fails)
    for _ in range(2):
        with pytest.raises(OwnTraderError):
            model.run(10) if way == "run" else [model.step() for _ in range(10)]
        assert counted(model) == [4] * len(COUNTERS)
        assert model.step_count == 4
    Fails.fails = False
    model.run(LENGTH - 4)
    assert counted(model) == [LENGTH] * len(COUNTERS)
    assert not model.running

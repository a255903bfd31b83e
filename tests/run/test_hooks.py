"""Hooks are told what happened in each step, change nothing, and may end the run."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim import (
    HookError,
    OwnTraderError,
    PerpMarket,
    Simulation,
    Strategy,
    Trader,
    load_market,
)
from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.strikes import read_strikes
from marketsim.contagion.ties import link_liquidations
from marketsim.results.cascades import find_cascades
from marketsim.results.tables import build_tables
from marketsim.run.hooks import EVENTS
from marketsim.scenario.schema import Scenario
from marketsim.tape.arrivals import Turn
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult
from tests.agents.small import HABITS
from tests.run.test_simulation import CRASH, RISKY, eventful

#: Of every event: the table of the run that has the same rows, and columns to compare them by.
BEHIND = {
    "fill": ("fills", ("step", "market", "taker", "maker", "size", "price")),
    "liquidation": ("liquidations", ("step", "hours", "account", "market", "notional_usd")),
    "adl": ("deleveragings", ("step", "liquidation", "account", "population", "cost_usd")),
    "funding": ("funding", ("step", "market", "funding_rate", "paid_usd")),
    "arrival": ("arrivals", ("step", "hours", "account", "generation", "kind", "usd")),
    "step": ("markets", ("step", "hours", "market", "mark_price", "volume_usd", "premium")),
}


class Seller(Trader):
    def step(self) -> None:
        self.sell("ONE", 0.5)


class Stepped(PerpMarket):
    """A market that somebody watches, so that its steps are made one by one."""

    def step(self) -> None:
        super().step()


def recorded() -> Scenario:
    """Six hours in which everything happens and is recorded; holders fall at once and by turns."""
    slow = {**CRASH, "at": 3.5, "fall_minutes": 30, "size": -0.3}
    noise = {**RISKY["noise"], "turnover": {"stay_hours": 2.0, "wait_hours": 0.5}}
    populations = {**RISKY, "noise": noise}
    return eventful(record={"fills": True}, shocks=[CRASH, slow], populations=populations)


def finish(model: Any) -> RunResult:
    """Run to the scenario's end."""
    model.run(model.scenario.num_steps - model.step_count)
    result: RunResult = model.result()
    return result


def listen(model: Any) -> dict[str, list[Any]]:
    """Keep what every event tells."""
    told: dict[str, list[Any]] = {name: [] for name in EVENTS}
    for name, rows in told.items():
        model.on(name, rows.append)
    return told


@pytest.fixture(scope="module")
def plain() -> RunResult:
    return finish(Simulation(recorded(), 1))


@pytest.fixture(scope="module", params=[PerpMarket, Stepped])
def told(request: Any, plain: RunResult) -> dict[str, list[Any]]:
    model = request.param(recorded(), rng=1)
    found = listen(model)
    assert digest_result(finish(model)) == digest_result(plain)
    return found


@pytest.mark.parametrize("event", BEHIND)
def test_what_is_told_is_what_the_run_s_tables_hold(
    told: dict[str, list[Any]], plain: RunResult, event: str
) -> None:
    name, columns = BEHIND[event]
    table = build_tables(plain)[name]
    rows = np.concatenate(told[event])
    assert len(rows) == len(table["step"]) > 0
    for column in columns:
        assert rows[column].tolist() == table[column].tolist(), column
    assert set(rows.dtype.names) <= set(table)
    steps = [set(each["step"].tolist()) for each in told[event]]
    assert all(len(each) == 1 for each in steps)  # one call a step
    assert len(steps) == len(set.union(*steps))


def test_cascades_are_told_as_they_grow(told: dict[str, list[Any]], plain: RunResult) -> None:
    row = plain.liquidation
    links = link_liquidations(tabulate_causes(plain), row["step"], plain.impact["seizure"])
    assert len(told["cascade"]) > 1
    for rows in told["cascade"]:
        step = int(rows["step"].max())
        for number in set(rows["cascade"].tolist()):
            mine = rows[rows["cascade"] == number]
            assert len(set(mine["account"].tolist())) > 1
            assert mine["step"].max() == step  # it has grown in this step
        assert rows["account"].tolist() == row["account"][rows["liquidation"]].tolist()
        has_parent = rows["parent"] >= 0
        assert rows["parent"].tolist() == links.parent[rows["liquidation"]].tolist()
        assert (rows["generation"] > 0).tolist() == has_parent.tolist()


@pytest.mark.parametrize("kind", [PerpMarket, Simulation])
def test_a_shock_by_hand_strikes_the_cascades_told_as_those_of_the_finished_run(kind: Any) -> None:
    model = kind(eventful(shocks=[]), 1)
    told: list[Any] = []
    model.on("cascade", told.append)
    model.on("step", lambda rows: None)  # it has been told something before
    model.run(60)
    model.shock("crash", size=-0.15, fall_minutes=5, recovery_minutes=30)
    model.run(90)
    model.shock("crash", size=-0.3, fall_minutes=30)
    model.run(60)
    assert len(told) > 1
    result = model.result()
    tables = {name: pd.DataFrame(table) for name, table in build_tables(result).items()}
    strikes = read_strikes(result.scenario_text)
    found = find_cascades(tables["liquidations"], tables["causes"], result.market_names, strikes)
    generation, parent, first = ({} for _ in range(3))
    for cascade in found:
        for place, row in enumerate(cascade.liquidations.tolist()):
            generation[row] = int(cascade.generation[place])
            parent[row] = int(cascade.parent[place])
            first[row] = int(cascade.liquidations.min())
    for rows in told:
        for row in rows:
            number = int(row["liquidation"])
            assert row["generation"] == generation[number]
            assert row["parent"] == parent[number]
            assert row["cascade"] == first[number]
    spread = [each for each in found if each.num_accounts > 1]
    members = {int(row) for each in spread for row in each.liquidations}
    assert {row for rows in told for row in rows["liquidation"].tolist()} == members
    without = link_liquidations(
        tabulate_causes(result), result.liquidation["step"], result.impact["seizure"]
    )
    assert len(np.unique(without.cascade)) > len(found)  # the shocks tie some of them


def test_rows_cannot_be_written_to(told: dict[str, list[Any]]) -> None:
    for rows in (each for event in told.values() for each in event):
        with pytest.raises(ValueError, match="read-only"):
            rows["step"] = 0
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            rows.flags.writeable = True


@pytest.mark.parametrize("event", [None, "funding", "liquidation", "step"])
def test_a_run_pauses_only_for_what_is_heard(
    plain: RunResult, event: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    goals: list[tuple[int, int]] = []
    advance = Simulation._advance

    def spy(self: Any, goal: int) -> int:
        outcome = advance(self, goal)
        goals.append((goal, self.step_count))
        return outcome

    monkeypatch.setattr(Simulation, "_advance", spy)
    simulation = Simulation(recorded(), 1)
    if event:
        simulation.on(event, lambda rows: None)
    finish(simulation)
    news = {
        None: set(),
        "funding": set(plain.funding["step"].tolist()),
        "liquidation": set(plain.liquidation["step"].tolist()),
        "step": set(range(plain.num_steps)),
    }[event]
    early = {done - 1 for goal, done in goals if done < goal}
    came = plain.arrival[plain.arrival["kind"] == Turn.ARRIVAL]
    assert early <= news | set((came["step"] - 1).tolist())
    assert news <= {done - 1 for _, done in goals}


def test_a_listener_taken_off_is_told_no_more() -> None:
    model = PerpMarket(recorded(), rng=1)
    counts: Counter[str] = Counter()
    first = model.on("step", lambda rows: counts.update(["first"]))
    second = model.on("step", lambda rows: counts.update(["second"]) or first.off())
    model.run(5)
    second.off()
    second.off()
    model.run(5)
    assert counts == {"first": 1, "second": 5}
    assert model.simulation.hooks.heard == 0


def test_a_listener_put_on_by_another_is_told_from_the_next_step_on() -> None:
    model, steps = PerpMarket(recorded(), rng=1), []

    def begin(rows: Any) -> None:
        if rows["step"][0] == 3:
            model.on("step", lambda rows: steps.append(int(rows["step"][0])))

    model.on("step", begin)
    model.run(7)
    assert steps == [4, 5, 6]


@pytest.mark.parametrize("make", [PerpMarket, Stepped])
def test_a_hook_finds_the_step_counted_and_ends_the_run(make: type[PerpMarket]) -> None:
    model = make(recorded(), rng=1)
    seen: list[tuple[int, int]] = []

    def stop(rows: Any) -> None:
        seen.append((model.step_count, model.steps if hasattr(model, "steps") else 0))
        model.stop()

    listener = model.on("liquidation", stop)
    model.run(300)
    first = model.step_count
    assert first < 300
    assert seen == [(first, first if hasattr(model, "steps") else 0)]
    assert int(model.simulation.state.totals[0].num_liquidations) > 0
    assert not model.running
    listener.off()
    assert digest_result(finish(model)) == digest_result(finish(Simulation(recorded(), 1)))


def test_a_trader_may_end_the_run_after_its_step() -> None:
    class Quits(Trader):
        def step(self) -> None:
            if self.model.step_count == 9:
                self.model.stop()

    mine = {**HABITS, "strategy": "mine", "count": 1, "capital": 1e4, "attention": 0.01}
    given = eventful(populations={**RISKY, "mine": mine})
    model = PerpMarket(given, rng=1, strategies={"mine": Quits})
    model.run(40)
    assert model.step_count == 10
    model.run(3)
    assert model.step_count == 13


#: Every way to run a market on.
ONWARD = {
    "run": lambda model: model.run(1),
    "step": lambda model: model.step(),
    "run_model": lambda model: model.run_model(),
    "simulation": lambda model: model.simulation.run(1),
    "run_for": lambda model: getattr(model, "run_for", model.run)(1),
}


@pytest.mark.parametrize("way", ONWARD)
@pytest.mark.parametrize("make", [PerpMarket, Stepped])
def test_a_run_is_not_run_on_from_within(make: type[PerpMarket], way: str) -> None:
    class Impatient(Trader):
        def step(self) -> None:
            ONWARD[way](self.model)

    mine = {**HABITS, "strategy": "mine", "count": 1, "capital": 1e4, "attention": 0.01}
    given = eventful(populations={**RISKY, "mine": mine})
    model = make(given, rng=1, strategies={"mine": Impatient})
    with pytest.raises(OwnTraderError, match=r"inside step\(\) or decide\(\)"):
        model.run(3)
    assert model.step_count == getattr(model, "steps", 1) == 1  # it wakes in the second
    model = make(recorded(), rng=1)
    model.on("step", lambda rows: ONWARD[way](model))
    with pytest.raises(HookError, match=r"inside a hook: run a branch\(\) of it"):
        model.run(3)
    assert model.step_count == getattr(model, "steps", 1) == 1


def test_a_strategy_or_a_hook_does_not_run_its_simulation_on() -> None:
    class Impatient(Strategy):
        def decide(self, market: Any, traders: Any) -> None:
            running[0].run(1)

    mine = {**HABITS, "strategy": "mine", "count": 1, "capital": 1e4, "attention": 0.01}
    given = eventful(populations={**RISKY, "mine": mine})
    running = [Simulation(given, 1, strategies={"mine": Impatient})]
    with pytest.raises(OwnTraderError, match=r"inside step\(\) or decide\(\)"):
        running[0].run(3)
    simulation = Simulation(recorded(), 1)
    simulation.on("step", lambda rows: simulation.run(1))
    with pytest.raises(HookError, match=r"inside a hook"):
        simulation.run(3)
    assert simulation.step_count == 1


def test_a_hook_may_run_a_branch() -> None:
    model, ahead = PerpMarket(recorded(), rng=1), []

    def look_ahead(rows: Any) -> None:
        if rows["step"][0] == 4:
            twin = model.branch()
            twin.run(5)
            ahead.append(twin.digest())

    model.on("step", look_ahead)
    model.run(10)
    assert ahead == [model.digest()]


def test_own_traders_and_hooks_take_turns() -> None:
    mine = {**HABITS, "strategy": "mine", "count": 2, "capital": 1e4}
    given = eventful(populations={**RISKY, "mine": mine}, record={"fills": True})
    quiet, heard = (PerpMarket(given, rng=1, strategies={"mine": Seller}) for _ in range(2))
    told = listen(heard)
    assert digest_result(finish(quiet)) == digest_result(finish(heard))
    assert len(told["step"]) == given.num_steps


def test_copies_and_saved_files_have_no_listeners(tmp_path: Path) -> None:
    """A market may be copied and saved in a hook; the copies have all that is recorded."""
    given = eventful(record={"depth_minutes": 30, "book_minutes": 60})
    model = PerpMarket(given, rng=1)
    copies: list[PerpMarket] = []
    told: list[int] = []

    def copy(rows: Any) -> None:
        told.append(int(rows["step"][0]))
        if told[-1] == 99:
            copies.append(model.branch())
            model.save(tmp_path / "half.market")

    model.on("step", copy)
    digest = digest_result(finish(model))
    copies.append(load_market(tmp_path / "half.market"))
    assert len(told) == given.num_steps
    for each in copies:
        assert each.step_count == getattr(each, "steps", 100) == 100
        assert digest_result(finish(each)) == digest
        assert len(told) == given.num_steps


@pytest.mark.parametrize("make", [PerpMarket, Simulation])
@pytest.mark.parametrize("fails", [False, True])
def test_a_hook_finds_what_a_run_to_there_leaves(make: Any, fails: bool) -> None:
    """Also what is measured at the end of its step, and by the rules that hold from there on."""
    given = eventful(
        days=180 / 1440,
        shocks=[{"kind": "rule", "at": 1.5, "field": "venue.mark.rule", "value": "last"}],
        record={
            "contagion_minutes": 30,
            "heatmap_minutes": 45,
            "depth_minutes": 60,
            "snapshot_minutes": 90,
        },
    )
    model, found = make(given, 1), {}

    def look(rows: Any) -> None:
        done = model.step_count
        if done in (60, 90, 180):
            found[done] = model.digest(), model.branch().digest()
        if fails and done == 180:
            raise ValueError

    model.on("step", look)
    if fails:
        with pytest.raises(HookError):
            model.run(180)
    else:
        model.run(180)
    for done, digests in found.items():
        plain = make(given, 1)
        plain.run(done)
        assert set(digests) == {plain.digest()}
    assert model.digest() == plain.digest()


@pytest.mark.parametrize("way", ["run", "step"])
def test_a_copy_made_in_the_last_step_has_ended(tmp_path: Path, way: str) -> None:
    model, copies = PerpMarket(eventful(), rng=1), []
    model.run(model.scenario.num_steps - 1)

    def copy(rows: Any) -> None:
        model.save(tmp_path / "end.market")
        copies.extend([model.branch(), load_market(tmp_path / "end.market")])

    model.on("step", copy)
    model.run(1) if way == "run" else model.step()
    for each in copies:
        assert not each.running
        each.run_model()
        assert each.digest() == model.digest()


def test_a_hook_may_intervene_in_the_next_step() -> None:
    given = eventful()
    inside, between = (PerpMarket(given, rng=1) for _ in range(2))

    def act(rows: Any) -> None:
        if rows["step"][0] == 49:
            inside.set("venue.funding.interval_hours", 1.0)

    inside.on("step", act)
    inside.run(given.num_steps)
    between.run(50)
    between.set("venue.funding.interval_hours", 1.0)
    between.run(given.num_steps - 50)
    assert digest_result(inside.result()) == digest_result(between.result())


@pytest.mark.parametrize("way", ["run", "step"])
def test_a_hook_that_fails_is_named_and_what_was_done_stays(plain: RunResult, way: str) -> None:
    model = PerpMarket(recorded(), rng=1)

    def fails(rows: Any) -> None:
        if rows["step"][0] == 4:
            raise LookupError("no idea")

    line = fails.__code__.co_firstlineno + 2
    listener = model.on("step", fails)
    with pytest.raises(HookError, match="no idea") as caught:
        model.run(10) if way == "run" else [model.step() for _ in range(10)]
    text = f"step 4: step hook {fails.__qualname__}: LookupError: no idea (test_hooks.py:{line})"
    assert str(caught.value) == text
    assert (caught.value.step, caught.value.event) == (4, "step")
    assert isinstance(caught.value.__cause__, LookupError)
    assert model.step_count == 5
    assert getattr(model, "steps", 5) == 5
    listener.off()
    assert digest_result(finish(model)) == digest_result(plain)


@pytest.mark.parametrize(
    ("event", "record", "error", "text"),
    [
        ("liquidations", {}, ValueError, r"must be one of .*did you mean 'liquidation'"),
        (7, {}, ValueError, r"event 7: must be one of fill, liquidation"),
        ("fill", {"fills": False}, ValueError, r"record\.fills = true"),
        ("cascade", {"causes": False}, ValueError, r"record\.causes = true"),
    ],
)
def test_what_cannot_be_told_is_refused(
    event: Any, record: dict[str, Any], error: type[Exception], text: str
) -> None:
    simulation = Simulation(eventful(record=record), 1)
    with pytest.raises(error, match=text):
        simulation.on(event, print)
    with pytest.raises(TypeError, match="must be callable, not 3"):
        simulation.on("step", 3)  # type: ignore[arg-type]

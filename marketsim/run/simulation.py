"""A run: a scenario and a seed brought to life, advanced and summed up. Knows no Mesa."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from marketsim.agents.callers import Callers, FindTrader
from marketsim.agents.desk import Desk
from marketsim.agents.own import OwnClass
from marketsim.agents.registry import build_traders, check_strategies, most_intents
from marketsim.contagion.measured import Probe
from marketsim.contagion.recorder import ContagionTape
from marketsim.engine import causes
from marketsim.engine._jit import direct
from marketsim.engine.index import update_index
from marketsim.engine.state import NONE
from marketsim.engine.step import clear_step
from marketsim.run.agenda import Interventions
from marketsim.run.beside import finish_compiling, start_helper
from marketsim.run.branch import copy_run
from marketsim.run.collect import collect_result
from marketsim.run.hooks import Hook, Hooks, Listener
from marketsim.run.loop import (
    ASK,
    OUT_OF_RANGE,
    TOO_SHORT,
    make_room,
    open_step,
    order_of_action,
    run_steps,
    take_requests,
)
from marketsim.run.measures import Measures
from marketsim.run.newcomers import admit
from marketsim.run.out_of_range import price_out_of_range
from marketsim.run.probe import keep_probe
from marketsim.run.progress import Progress
from marketsim.run.room import allow_steps, funding_phase, open_tape
from marketsim.run.saved import save_run
from marketsim.run.settings import follow, keep_caps
from marketsim.run.steering import Steered, act, put_orders, take
from marketsim.run.warm_up import begin_record
from marketsim.scenario.build import build_state
from marketsim.scenario.build_world import build_world, rule_changes
from marketsim.scenario.coercion import seed_of_run
from marketsim.scenario.funding_file import load_given_rates
from marketsim.scenario.history import HistoryPath, load_history
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.schema import Scenario
from marketsim.tape.depth import DepthTape
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult, take_snapshot

#: A kernel call lasts about so long: between two, progress is shown and Ctrl-C is heard.
CHUNK_SECONDS = 0.2
FIRST_CHUNK = 64


def next_chunk(chunk: int, num_steps: int, seconds: float) -> int:
    """Return how many steps to make in the next call, after one of so many and so long."""
    pace = num_steps / max(seconds, 1e-9)
    return max(int(min(pace * CHUNK_SECONDS, 4.0 * chunk)), 1)


class Simulation(Steered, Measures):
    """A scenario with its seed, from the first step on.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Of all random draws.
    strategies : mapping, optional
        Users' own classes by the name a population's ``strategy`` calls them.
    find_trader : callable, optional
        Given an account, returns its trader in plain Python; `marketsim.PerpMarket`, which makes
        these, hands it over. Only scenarios with such traders need it.
    progress : callable, optional
        Called with (steps done, steps asked) a few times a second while a scenario's warm-up lasts.

    Attributes
    ----------
    callers : Callers
        The users' own traders.
    inputs : InputLog
        The files it was made from.
    interventions : Interventions
        What was and will be done to it from outside.
    state : State
        The venue; its arrays may be replaced by longer ones from one step to the next.
    step_count : int
        Steps done.

    Raises
    ------
    ScenarioError
        If a strategy, a parameter or a first price is wrong.
    HistoryError
        If the price file cannot be replayed.
    InputChangedError
        If a file is not the one that an open `InputLog` expects.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        strategies: Mapping[str, OwnClass] | None = None,
        find_trader: FindTrader | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._started = time.perf_counter()
        self.seed = seed_of_run("seed", seed)
        self.scenario = scenario = scenario.settled(self.seed)
        start_helper(scenario)
        self.market_names = tuple(scenario.markets)
        self.num_steps = 0 if scenario.is_open else scenario.num_steps
        self.inputs = InputLog()
        with self.inputs:
            history = self._load_history()
        self._start_time = np.datetime64(history.start.replace(tzinfo=None)) if history else None
        with self.inputs:
            planned = None if scenario.is_open else self.num_steps
            given_rate, said = load_given_rates(scenario, planned, self._start_time)
        self._history_notes = (*(history.notes if history else ()), *said)
        self._prices = self._first_prices(history)
        with self.inputs:
            chosen = check_strategies(scenario, strategies)
        capacity = most_intents(scenario, chosen)
        self.state, self.roster = build_state(
            scenario, seed=seed, prices=self._prices, num_intents=capacity + 1
        )
        self.state.totals[0].record_fills = int(scenario.record.fills)
        self.state.venue[0].funding_phase = funding_phase(self._start_time, scenario.step_minutes)
        if self._start_time is not None:  # that of the record
            minutes = scenario.warm_up_steps * scenario.step_minutes
            self._start_time += np.timedelta64(round(minutes * 60e6), "us")
        self.world = build_world(
            scenario.spot,
            scenario.shocks,
            scenario.markets,
            step_minutes=scenario.step_minutes,
            history=history,
            given_rate=given_rate,
        )
        self.world.shock["start"] += scenario.warm_up_steps
        self._check_range(update_index(self.world, self.state, NONE))
        self.state.market["mark_ticks"] = self.state.market["index_ticks"]
        if scenario.record.causes:
            causes.begin(self.state)
        with self.inputs:
            self.traders = build_traders(scenario, self.state, self.roster, seed, chosen)
        desk = Desk(self.market_names, scenario.step_minutes)
        self.callers = Callers(self.roster.names, chosen, self.traders, desk, seed, find_trader)
        self._changes = rule_changes(scenario.shocks, scenario.step_minutes)
        self._rules = scenario  # as the changes so far have left it
        self.interventions = Interventions(scenario.interventions, self.roster.margin_mode)
        self._caps, self._snapshots = [], []
        self._contagion = ContagionTape(scenario, self.state)
        record = scenario.record
        self._depth = DepthTape(*map(scenario.span, (record.depth_minutes, record.book_minutes)))
        self._probe = Probe(scenario)
        self._start = take_snapshot(self.state)
        self._paid_before = np.zeros(len(self.state.account), np.int64)
        self.tape = open_tape(self)
        keep_caps(self)
        self.hooks, self.is_stopped = Hooks(), False
        self._run_seconds = 0.0
        self._warm_up_first(progress)
        self._build_seconds = time.perf_counter() - self._started

    def _warm_up_first(self, progress: Progress | None) -> None:
        self.let_warm_up(progress)

    def let_warm_up(self, progress: Progress | None = None) -> None:
        """Run the time before the record; it then begins with the coming step.

        Raises
        ------
        PriceOutOfRangeError
            If an index price leaves the range of the order book.
        OwnTraderError
            If a user's own trader fails.
        """
        first, chunk = self.step_count, FIRST_CHUNK
        while self.step_count < 0:
            admit(self)
            before, began = self.step_count, time.perf_counter()
            if self._advance(min(before + chunk, 0)) == OUT_OF_RANGE:
                self._check_range(int(self.tape.clock[0].lost_market))
            chunk = next_chunk(chunk, self.step_count - before, time.perf_counter() - began)
            if progress is not None:
                progress(self.step_count - first, -first)
        if first < 0:
            begin_record(self)

    def run(self, num_steps: int, progress: Progress | None = None, extend: bool = False) -> None:
        """Advance by a number of steps.

        Parameters
        ----------
        num_steps : int
        progress : callable, optional
            Called with (steps done, steps asked) a few times a second.
        extend : bool, optional
            Where the scenario ends before, lengthen it (`days`), and all that is recorded. One
            whose days are "open" need not be told.

        Raises
        ------
        ValueError
            If the run would go beyond the scenario's length, or beyond that of any.
        HistoryError
            If it would go beyond a replayed history.
        PriceOutOfRangeError
            If an index price leaves the range of the order book.
        OwnTraderError
            If a user's own trader fails; the step it failed in is not done.
        InterventionError
            If one that the scenario states is refused.
        HookError
            If a hook fails; the step it was told of is done.
        """
        self.ensure_steps_left(num_steps, extend)
        first = self.step_count
        stop = first + int(num_steps)
        finish_compiling(self.state, self.world, self.traders, self.tape)
        began = time.perf_counter()
        chunk = FIRST_CHUNK
        self.is_stopped = False
        while self.step_count < stop and not self._pauses():
            self._apply_rules()
            self._keep_snapshot()
            self._keep_measures()
            admit(self)
            act(self)
            if self.interventions.orders:
                self._open_step()
            goal = min(stop, self.next_event(), self.step_count + chunk)
            here = time.perf_counter()
            before = self.step_count
            self.tape.clock["heard"][0] = self.hooks.heard
            if self._advance(goal) == OUT_OF_RANGE:
                self._check_range(int(self.tape.clock[0].lost_market))
            if self.hooks.heard:
                self._tell()
            chunk = next_chunk(chunk, self.step_count - before, time.perf_counter() - here)
            if progress is not None:
                progress(self.step_count - first, num_steps)
        self._complete()
        self._run_seconds += time.perf_counter() - began

    def ensure_steps_left(self, num_steps: int, extend: bool = False) -> None:
        """Refuse to go on for more steps than the scenario has left, or lengthen it.

        Raises
        ------
        ValueError
        """
        allow_steps(self, num_steps, extend)

    def save(self, path: str | Path, *, is_checkpoint: bool = False) -> None:
        """Save the run as it stands to a file, which `marketsim.load_simulation` reads.

        An existing file is replaced once the new one is complete. A checkpoint is a file that who
        runs it means to replace and to remove.

        Raises
        ------
        SavedMarketError
            If a trader of your own remembers what is no data.
        FolderError
            If the file cannot be written.
        """
        save_run(self, path, is_checkpoint=is_checkpoint)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy what changes as the run goes on, and no array beyond what it holds."""
        return copy_run(self, memo)

    def digest(self) -> str:
        """Return the digest of what is recorded so far: that of `result`."""
        return digest_result(self.result())

    def on(self, event: str, call: Hook) -> Listener:
        """Call a function with what happened, right after each step in which it did.

        Parameters
        ----------
        event : {"fill", "liquidation", "cascade", "adl", "funding", "arrival", "step"}
        call : callable
            Takes the rows, one read-only structured array; see ``docs/steering.md``.

        Returns
        -------
        Listener
            Its `off` ends the calls.
        """
        record = self.scenario.record
        return self.hooks.add(event, call, record.fills, record.causes)

    def stop(self) -> None:
        """End the run under way after the step it is in; a later `run` goes on from there."""
        self.is_stopped = True

    def retire(self, account: int) -> None:
        """Let a trader leave the market for good.

        It decides no more. From the next step on its orders are withdrawn, its positions closed at
        the market and then its coins sold, over as many steps as the book needs; its cash and
        stablecoins stay. What it ordered in the step under way is still carried out. A herd goes
        on counting its last opinion. To retire it again does nothing.

        Parameters
        ----------
        account : int

        Raises
        ------
        InterventionError
            If there is no such account.
        """
        self.intervene("retire", account=account)

    def stop_before_liquidation(self, rounds: int = 0) -> None:
        """Take the coming step up to a margin pass of its liquidation, and no further.

        For a look at a pool as it is seized: prices have moved, orders have met, and so many rounds
        of liquidation are done. The run cannot go on from there.

        Parameters
        ----------
        rounds : int

        Raises
        ------
        PriceOutOfRangeError
            If an index price leaves the range of the order book.
        OwnTraderError
            If a user's own trader fails.
        """
        self._apply_rules()
        admit(self)
        act(self)
        self._open_step()
        self.state = make_room(self.state)
        self.state.venue[0].max_rounds = rounds
        t = int(self.tape.clock[0].step)
        clear_step(self.state, order_of_action(self.state, self.traders, t, self.seed))

    def intervene(self, kind: str, **fields: Any) -> None:
        """Do something to the run at the start of the next step; see `Steered.intervene`."""
        self._complete()
        take(self, kind, fields)

    def _open_step(self) -> None:
        """Open the coming step, ask the users' own traders and put in the orders from outside."""
        clock = self.tape.clock[0]
        t = int(clock.step)
        if not clock.is_open:
            outcome = open_step(self.state, self.world, self.traders, self.tape, t)
            if outcome == OUT_OF_RANGE:
                self._check_range(int(clock.lost_market))
        if clock.num_callers:
            self._forget_orders()
            with self.callers.fence():
                self._ask(self.step_count)
            self.state = make_room(self.state, int(clock.num_requests))
            take_requests(self.state, self.traders, self.tape)
        self.state = put_orders(self)
        clock.num_callers = 0

    def _advance(self, goal: int) -> int:
        """Run to step `goal` and ask the users' own traders on the way; return the outcome."""
        clock = self.tape.clock[0]
        step, warm_up = self.tape.clock["step"], self.warm_up
        stop = goal + warm_up
        is_open = bool(clock.is_open)
        outcome = None
        if is_open and clock.num_callers:
            self._forget_orders()
            outcome = ASK
        run = direct(run_steps, self.state, self.world, self.traders, self.tape, stop)
        with self.callers.fence():
            while outcome in (None, ASK, TOO_SHORT):
                if outcome == ASK:
                    self._ask(step.item() - warm_up)
                    is_open = True
                elif outcome == TOO_SHORT:
                    self.state = make_room(self.state, int(clock.num_requests))
                if is_open and self._pauses():  # who was asked wants to
                    stop = step.item() + 1
                outcome = run(self.state, self.world, self.traders, self.tape, stop)
        return outcome

    def _forget_orders(self) -> None:
        """Forget what own traders ordered in a step that failed or was interrupted."""
        self.state.totals[0].num_intents = self.tape.clock[0].num_decided

    def _ask(self, step: int) -> None:
        """Let the users' own traders who wake in the step under way decide."""
        self.state = self.callers.ask(self.state, step)
        self.tape.clock["num_requests"][0] = self.callers.desk.num_requests

    def _tell(self) -> None:
        """Tell those who listen what happened in the step just done; they find it complete."""
        news = self.hooks.gather(self.state, self.world, self.tape, self.steered, self.result)
        self._complete()
        self.hooks.tell(news, self.step_count - 1)

    def _pauses(self) -> bool:
        """Tell whether the run is to end after the step under way."""
        return self.is_stopped

    def result(self) -> RunResult:
        """Collect what the steps done so far have left."""
        return collect_result(self)

    def _load_history(self) -> HistoryPath | None:
        if self.scenario.spot.history is None or self.scenario.spot.kind != "history":
            return None
        return load_history(
            self.scenario.spot.history,
            self.market_names,
            self.scenario.step_minutes,
            None if self.scenario.is_open else self.num_steps + self.scenario.warm_up_steps,
            self.seed,
            self.scenario.warm_up_steps,
        )

    def _first_prices(self, history: HistoryPath | None) -> Mapping[str, float]:
        if history is not None:
            return dict(zip(self.market_names, map(float, history.price[0]), strict=True))
        return {name: float(market.price or 0) for name, market in self.scenario.markets.items()}

    def _apply_rules(self) -> None:
        """Apply the changes of venue rules that are due."""
        while self._changes and self._changes[0].step <= self.step_count:
            change = self._changes.pop(0)
            self._contagion.forget(self.step_count)
            follow(self, self._rules.with_rule(change.field, change.value))

    def _complete(self) -> None:
        """Bring all that is recorded up to the step just done."""
        if self.step_count < self.num_steps:  # as a run that does not pause here
            self._apply_rules()
        self._keep_measures()

    def _keep_measures(self) -> None:
        self._contagion.keep(self.state, self.step_count, self._rules.spot.reflexivity)
        self._depth.keep(self.state, self.step_count)
        keep_probe(self)

    def _keep_snapshot(self) -> None:
        minutes = self.scenario.record.snapshot_minutes
        if isinstance(minutes, str) or self.step_count == 0:
            return
        due = self.step_count % self.scenario.steps_of(minutes) == 0
        if due and (not self._snapshots or self._snapshots[-1][0] != self.step_count):
            self._snapshots.append((self.step_count, take_snapshot(self.state)))

    def next_event(self) -> int:
        """Return the next step before which Python has something to do."""
        event = self.num_steps
        if self._changes:
            event = min(event, self._changes[0].step)
        if self.interventions.next_step is not None:
            event = min(event, self.interventions.next_step)
        minutes = self.scenario.record.snapshot_minutes
        if not isinstance(minutes, str):
            every = self.scenario.steps_of(minutes)
            event = min(event, (self.step_count // every + 1) * every)
        tapes = (self._contagion, self._depth, self._probe)
        moments = [tape.next_moment(self.step_count) for tape in tapes]
        return min([event, *(moment for moment in moments if moment is not None)])

    def _check_range(self, market: int) -> None:
        if market != NONE:
            name = self.market_names[market]
            raise price_out_of_range(self.state, self.world, market, name, self.step_count)

"""What a run consists of: every attribute it has, here and nowhere else.

A copy in memory takes them all. A saved file holds those of `SAVED`, and the others are made again.
"""

from collections.abc import Mapping

import numpy as np

from marketsim.agents.base import Traders
from marketsim.agents.callers import Callers
from marketsim.contagion.measured import Probe
from marketsim.contagion.recorder import ContagionTape
from marketsim.engine.state import State
from marketsim.engine.world import World
from marketsim.run.agenda import Interventions
from marketsim.run.hooks import Hooks
from marketsim.run.loop import Tape
from marketsim.scenario.build_world import RuleChange
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.roster import Roster
from marketsim.scenario.schema import Scenario
from marketsim.tape.depth import DepthTape
from marketsim.tape.result import Floats, Integers, Snapshot


class RunAttributes:
    """The attributes of a run."""

    scenario: Scenario
    seed: int
    market_names: tuple[str, ...]
    num_steps: int  #: the scenario's; of one left open, those it was asked for
    inputs: InputLog
    roster: Roster
    state: State
    world: World
    traders: Traders
    callers: Callers
    tape: Tape
    interventions: Interventions
    _history_notes: tuple[str, ...]  #: how the price file became a path
    _start_time: np.datetime64 | None  #: UTC
    _prices: Mapping[str, float]  #: USD, of each market at the start
    _changes: list[RuleChange]  #: of rules, to come
    _rules: Scenario  #: as the changes so far have left it
    _caps: list[tuple[int, Floats]]  #: first step, funding cap of each market
    _snapshots: list[tuple[int, Snapshot]]
    _contagion: ContagionTape
    _depth: DepthTape
    _probe: Probe
    hooks: Hooks  #: who is told what happens; copies and saved files have none
    is_stopped: bool  #: whether `stop` has ended the last run early
    _start: Snapshot
    _paid_before: Integers  #: (N + 1,) atoms paid into each account that are none of its deposits
    _started: float  #: time on the wall, seconds
    _build_seconds: float
    _run_seconds: float

    @property
    def step_count(self) -> int:
        """Steps of the record done so far; negative before it begins."""
        count: int = self.tape.clock["step"].item() - self.warm_up
        return count

    @property
    def warm_up(self) -> int:
        """Steps before the record begins, which the clock counts too."""
        count: int = self.tape.clock["warm_up"].item()
        return count

    @property
    def has_ended(self) -> bool:
        """Whether the scenario's last step is done."""
        return not self.scenario.is_open and self.step_count == self.num_steps

    @property
    def ended(self) -> Scenario:
        """The scenario, of the length of the run if it is left open."""
        is_open = self.scenario.is_open and self.step_count > 0
        return self.scenario.ending(self.step_count) if is_open else self.scenario

    @property
    def steered(self) -> Scenario:
        """The scenario that repeats the run: with what was done to it."""
        entries = tuple(self.interventions.entries)
        return self.ended.model_copy(update={"interventions": entries})

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the scenario has no effect, and how its prices were made."""
        return (*self.ended.notices(), *self._history_notes)

    def leave(self, account: int) -> None:
        """Let a trader decide no more, and leave the market from the next step on."""
        self.traders.trader[account].is_retired = 1
        self.callers.note_loss()
        self.traders.next_wake[account] = 0

    def welcome(self, account: int) -> None:
        """Note that a newcomer has taken an account over."""

    def check_between_steps(self, what: str) -> None:
        """Refuse to copy a run, or to run it on, while its traders decide.

        Raises
        ------
        RuntimeError
        """
        if self.callers.desk.is_open:
            raise RuntimeError(f"{what} inside step() or decide(): call it after the step")

    def check_may_run(self) -> None:
        """Refuse to run on from within a step, or from a hook, whose step is not left yet.

        Raises
        ------
        RuntimeError
        """
        self.check_between_steps("run() or step()")
        if self.hooks.is_telling:
            raise RuntimeError(
                "run() or step() inside a hook: run a branch() of it, or call it after the run"
            )


#: What a saved file holds, beside what the users' own traders remember.
SAVED = (
    "scenario",
    "seed",
    "inputs",
    "roster",
    "state",
    "world",
    "traders",
    "tape",
    "interventions",
    "_history_notes",
    "_start_time",
    "_prices",
    "_changes",
    "_rules",
    "_caps",
    "_snapshots",
    "_contagion",
    "_depth",
    "_probe",
    "_start",
    "_paid_before",
    "_build_seconds",
    "_run_seconds",
)
#: What is made again from that and from the classes of the users' own traders.
MADE_AGAIN = ("market_names", "num_steps", "callers", "hooks", "is_stopped", "_started")

#: What the users' own traders are asked by, and their desk, are made again whole.
CALLERS = (
    "desk",
    "has_lost_some",
    "_find_trader",
    "_names",
    "_chosen",
    "_traders",
    "_seed",
    "_populations",
    "_rows",
)
DESK = (
    "market_names",
    "step_minutes",
    "is_open",
    "_places",
    "num_requests",
    "state",
    "traders",
    "asked",
    "row",
)
#: Objects that a saved file holds whole, and their attributes.
WHOLE: dict[type, tuple[str, ...]] = {
    ContagionTape: (
        "_every",
        "_heat_every",
        "_delta",
        "_width",
        "_reach",
        "_first_price",
        "_steps",
        "_on_paper",
        "_computed",
        "_recovery",
        "_heat_step",
        "_heat",
    ),
    DepthTape: ("_every", "_book_every", "_step", "_depth", "_book"),
    Probe: ("_step", "draws", "horizon", "values"),
    Interventions: ("entries", "waiting", "orders", "payments", "margin_mode", "notes"),
    InputLog: ("_expected", "_when", "_found"),
}

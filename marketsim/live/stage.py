"""The markets that are shown, and how their time goes: on, faster or slower, back, and apart."""

import time
from collections.abc import Sequence

from marketsim.agents.own import OwnTraderError
from marketsim.live.commands import RefusedError
from marketsim.live.past import Past
from marketsim.live.setup import Lane
from marketsim.report.recording import Recorder
from marketsim.run.out_of_range import PriceOutOfRangeError, StatedInterventionError
from marketsim.run.simulation import Simulation
from marketsim.scenario.history import HistoryError

#: Seconds between two messages of frames, and how much of them the markets may compute.
FRAME_SECONDS = 1 / 30
COMPUTING_SECONDS = 0.015
#: They run in pieces so long: browsers must be answered meanwhile, and kernels do not let go.
PIECE_SECONDS = 0.008
#: A market left to itself stops here: what it records is in memory.
MOST_STEPS = 100_000
#: Steps a second until the page says otherwise; 0: as fast as drawn.
FIRST_SPEED = 30.0
#: Seconds of time that are made up for after the machine was busy.
MOST_BEHIND = 0.25

#: How a market may end by itself.
ENDS = (PriceOutOfRangeError, OwnTraderError, HistoryError, StatedInterventionError)


class Stage:
    """The markets side by side.

    Parameters
    ----------
    lanes : sequence of Lane
        At their first step.

    Attributes
    ----------
    lanes : list of Lane
    running : bool
    speed : float
        Steps a second; 0: as fast as drawn.
    goal : int or None
        Step it runs to as fast as it can, and stops at.
    skips : bool
        It runs to the next liquidation or settlement as fast as it can.
    due : float
        When the next frame is, by `time.perf_counter`.
    shown : float
        Steps a second, of late.
    branch_step : int or None
        Step at which two futures part.
    message : str
        Why it stopped, where nobody asked it to.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = list(lanes)
        self.running = False
        self.speed = FIRST_SPEED
        self.goal: int | None = None
        self.skips = False
        self.shown = 0.0
        self.branch_step: int | None = None
        self.message = ""
        self.due = self._last = time.perf_counter()
        self._credit = 0.0  # steps due and not done
        self._pace = 1e-3  # seconds a step of a market takes
        self._past = Past(self._recorders())
        self._trunk = self._past  # that of the first market, while another future is beside it

    @property
    def runs(self) -> list[Simulation]:
        """The markets."""
        return [lane.run for lane in self.lanes]

    @property
    def step(self) -> int:
        """Steps done, by the market that is furthest behind."""
        return min(run.step_count for run in self.runs)

    @property
    def behind(self) -> list[Lane]:
        """The lanes whose market is furthest behind: all, or a new future that catches up."""
        here = self.step
        return [lane for lane in self.lanes if lane.run.step_count == here]

    def go(self, goal: int | None = None, skips: bool = False) -> None:
        """Let time run: for good, to a step, or to the next event."""
        self.message = ""
        self.running, self.goal, self.skips = True, goal, skips
        self._credit = 1.0
        self._last = self.due = time.perf_counter()

    def halt(self) -> None:
        """Stop time."""
        self.running, self.goal, self.skips, self._credit = False, None, False, 0.0

    def fail(self, error: Exception) -> None:
        """Stop time because a market cannot go on."""
        self.halt()
        self.message = f"The market cannot go on: {error}. Rewind or reset."

    def play(self) -> None:
        """Run for the time of one frame."""
        began = time.perf_counter()
        since = min(began - self._last, MOST_BEHIND)
        self._last, self.due = began, began + FRAME_SECONDS
        steps = self._steps_due(since)
        done = 0
        try:
            while self.running and done < steps:
                done += self._run_piece(steps - done)
                if time.perf_counter() - began > COMPUTING_SECONDS:
                    break
        except ENDS as error:
            self.fail(error)
        self._credit = max(self._credit - done, 0.0)
        self.shown += 0.1 * (done / max(since, FRAME_SECONDS) - self.shown)

    def remember(self) -> None:
        """Keep a way back to here, now and then; what was seen has been fetched."""
        self._past.keep(self._recorders())
        if self._trunk is not self._past:
            self._trunk.keep(self._recorders()[:1])

    def _steps_due(self, since: float) -> int:
        if self.goal is not None or self.skips or self.speed == 0.0:
            return MOST_STEPS
        most = max(self.speed * MOST_BEHIND, 1.0)
        self._credit = min(self._credit + self.speed * since, most)
        return int(self._credit)

    def _run_piece(self, most: int) -> int:
        """Run a few steps of the markets that are behind, of all if none is; return how many."""
        here, behind = self.step, self.behind
        ends = [run.step_count for run in self.runs if run.step_count > here]
        ends += [lane.run.num_steps for lane in behind if not lane.run.scenario.is_open]
        ends += [MOST_STEPS] if self.goal is None else [MOST_STEPS, self.goal]
        left = min(ends) - here
        if left <= 0:
            self._end(here)
            return 0
        count = 1 if self.skips else max(int(PIECE_SECONDS / (self._pace * len(behind))), 1)
        count = min(count, left, most)
        before = self._events()
        began = time.perf_counter()
        for lane in behind:
            lane.recorder.run(count)
        taken = (time.perf_counter() - began) / (count * len(behind))
        self._pace += 0.2 * (taken - self._pace)
        if self.step == self.goal or (self.skips and self._events() != before):
            self.halt()
        return count

    def _events(self) -> int:
        """Count liquidations and settlements of all markets."""
        return sum(
            int(run.state.totals[0].num_liquidations + run.tape.clock[0].num_funding)
            for run in self.runs
        )

    def _end(self, step: int) -> None:
        self.halt()
        if step >= MOST_STEPS:
            self.message = f"{MOST_STEPS:,} steps are in memory: reset to go on."
        else:
            self.message = "The price history ends here."

    def rewind(self, step: int) -> None:
        """Go back to a step; the last step before it can be fetched again.

        Raises
        ------
        RefusedError
            If there is no way to it.
        """
        first = 0 if self.branch_step is None else self.branch_step + 1
        _check("rewind", step, first, self.step)
        self.halt()
        recorders = self._past.restore(step, self._recorders())
        self._past.forget(step)
        self._trunk.forget(step)
        pairs = zip(self.lanes, recorders, strict=True)
        self.lanes = [lane._replace(recorder=recorder) for lane, recorder in pairs]
        self.message = f"Back at step {step}: what comes now is another future."

    def part(self, step: int, label: str) -> Simulation:
        """Show another future of the first market from a step on, beside it; return that one.

        Raises
        ------
        RefusedError
            If there is no way to it.
        """
        _check("branch", step, 0, self.lanes[0].run.step_count)
        self.halt()
        (here,) = self._trunk.restore(step, self._recorders()[:1])
        here.frames()
        other = here.branch()
        other.lane = 1
        self._past = Past([here, other])
        self.branch_step = step
        self.lanes = [self.lanes[0], Lane(label, other)]
        return other.simulation

    def join(self) -> None:
        """Show the first market alone."""
        del self.lanes[1:]
        self.branch_step = None
        self._past = self._trunk

    def _recorders(self) -> list[Recorder]:
        return [lane.recorder for lane in self.lanes]


def _check(what: str, step: int, first: int, last: int) -> None:
    if not first <= step <= last:
        raise RefusedError(what, f"step = {step}: must lie from {first} to {last}")

"""One viewer's market: a thread that runs it, obeys the page and sends what is drawn."""

import dataclasses
import queue
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from marketsim.agents.own import OwnTraderError
from marketsim.engine._jit import is_compiled
from marketsim.live import exports, shocks
from marketsim.live.account import account_facts
from marketsim.live.commands import Command, RefusedError
from marketsim.live.controls import mode_changes, own_mode
from marketsim.live.past import Past
from marketsim.live.setup import VENUES, Base, Catalogue, Lane, Setup, open_lanes, read_base
from marketsim.report.wire import Message, pack
from marketsim.run.out_of_range import PriceOutOfRangeError, StatedInterventionError
from marketsim.scenario.history import HistoryError
from marketsim.scenario.interventions import InterventionError
from marketsim.scenario.population import MODES

#: Seconds between two messages of frames, and how much of them a market may compute.
FRAME_SECONDS = 1 / 30
COMPUTING_SECONDS = 0.025
#: A market in one piece: a browser must be answered meanwhile, and kernels do not let go.
PIECE_SECONDS = 0.008
#: Commands that may wait, and that are obeyed between two frames.
MOST_WAITING, MOST_AT_ONCE = 64, 8
#: A market left to itself stops here: what it records is in memory.
MOST_STEPS = 100_000
#: Steps a second until the page says otherwise; 0: as fast as drawn.
FIRST_SPEED = 30.0
#: The digest is shown at every pause where it takes no time.
QUICK_DIGEST_ACCOUNTS = 20_000
#: Seeds of *new seed*: short enough to be read aloud.
NEW_SEEDS = 1_000_000

#: How a market may end by itself.
ENDS = (PriceOutOfRangeError, OwnTraderError, HistoryError, StatedInterventionError)


class ClosedError(Exception):
    """The viewer has gone."""


class Session:
    """A market, or several side by side, for one viewer.

    Parameters
    ----------
    catalogue : Catalogue
    setup : Setup
        What is shown at first.
    send : callable
        Takes the bytes of a message; waits while the viewer is slow; raises `ClosedError` when it
        has gone.
    """

    def __init__(self, catalogue: Catalogue, setup: Setup, send: Callable[[bytes], None]) -> None:
        self._catalogue, self._setup, self._send_bytes = catalogue, setup, send
        self._commands: queue.Queue[Command] = queue.Queue(MOST_WAITING)
        self._closed = threading.Event()
        self._lanes: list[Lane] = []
        self._running = False
        self._speed = FIRST_SPEED
        self._goal: int | None = None  # step that it runs to, as fast as it can
        self._skips = False  # to the next liquidation or settlement
        self._credit = 0.0  # steps due and not done
        self._due = self._last = time.perf_counter()
        self._pace = 1e-3  # seconds a step of a market takes
        self._shown = 0.0  # steps a second, of late
        self._branch_step: int | None = None
        self._message = ""

    def submit(self, command: Command) -> bool:
        """Hand a command over; False if too many wait."""
        try:
            self._commands.put_nowait(command)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Let the market end soon; from any thread."""
        self._closed.set()
        self.submit(Command("close", {}))

    def run(self) -> None:
        """Serve until the viewer has gone; the body of the thread."""
        try:
            self._open(self._setup)
            while True:
                for command in self._waiting():
                    self._obey(command)
                if self._running:
                    self._play()
        except ClosedError:
            pass
        finally:
            self._lanes.clear()

    def _waiting(self) -> Iterator[Command]:
        """List the commands that have come; wait for one until something else is due."""
        for count in range(MOST_AT_ONCE):
            wait: float | None = (
                max(self._due - time.perf_counter(), 0.0) if self._running else None
            )
            if count:
                wait = 0.0
            try:
                command = self._commands.get(block=wait != 0.0, timeout=wait or None)
            except queue.Empty:
                return
            if self._closed.is_set():
                raise ClosedError
            yield command

    def _obey(self, command: Command) -> None:
        """Do what is asked for, or say why not; the market goes on either way."""
        try:
            _VERBS[command.do](self, **command.fields)
        except RefusedError as error:
            self._refuse(error.field or command.do, str(error))
        except InterventionError as error:
            self._refuse(command.fields.get("path") or command.do, str(error))
        except ENDS as error:
            self._end(error)
        except ClosedError:
            raise
        except Exception as error:
            traceback.print_exc()
            self._refuse(command.do, f"failed ({type(error).__name__}); the server says more")
        self._status()

    # what is sent

    def _send(self, message: Message) -> None:
        self._send_bytes(pack(message))

    def _refuse(self, field: str, text: str) -> None:
        self._send(Message({"kind": "refused", "field": field, "message": text}))

    def _status(self, busy: str | None = None) -> None:
        lanes = self._lanes
        header: dict[str, Any] = {
            "kind": "status",
            "running": self._running,
            "speed": self._speed,
            "shown": round(self._shown, 1),
            "message": self._message,
            "busy": busy,
            "running_to": self._goal
            if self._goal is not None
            else "event"
            if self._skips
            else None,
            "lanes": len(lanes),
        }
        if lanes:
            run = lanes[0].run
            header |= {
                "step": run.step_count,
                "mode": self._mode(),
                "interventions": shocks.tell(run),
                "controls": self._controls(),
            }
        self._send(Message(header))

    def _mode(self) -> str:
        """Name the margin mode of those who take sides."""
        setup = self._setup
        share = setup.settings.get("cross_share")
        if setup.arrangement == "twins":
            return self._lanes[0].label
        if setup.mode is None and share is not None:
            return {0.0: "isolated", 1.0: "cross"}.get(float(share), "mixed")
        return setup.mode or own_mode(self._base.scenario)

    def _controls(self) -> list[dict[str, Any]]:
        values = dict(self._setup.settings)
        if self._setup.mode is not None:
            values["cross_share"] = float(self._setup.mode == "cross")
        return [
            control.header(values.get(path, control.value))
            for path, control in self._base.controls.items()
        ]

    def _start(self, lane: Lane, **facts: Any) -> None:
        known = {
            "label": lane.label,
            "mode": lane.label if self._setup.arrangement == "twins" else self._mode(),
            "source": "live",
            "scenario": self._setup.scenario,
            "scenarios": self._catalogue.names,
            "venues": list(VENUES),
            "modes": list(MODES),
            "controls": self._controls(),
            "lanes": len(self._lanes),
        }
        self._send(lane.recorder.start(**known | facts))

    def _frames(self) -> None:
        for lane in self._lanes:
            message = lane.recorder.frames()
            if message is not None:
                self._send(message)

    def _digests(self) -> None:
        for number, lane in enumerate(self._lanes):
            self._send(exports.digest_message(lane.run, number))

    # how time goes

    def _play(self) -> None:
        """Run for the time of one frame, and send it."""
        began = time.perf_counter()
        since = min(began - self._last, 0.25)
        self._last, self._due = began, began + FRAME_SECONDS
        steps = 2**30
        if self._goal is None and not self._skips and self._speed > 0.0:
            self._credit = min(self._credit + self._speed * since, max(self._speed * 0.25, 1.0))
            steps = int(self._credit)
        done = 0
        try:
            while self._running and done < steps:
                done += self._piece(steps - done)
                if time.perf_counter() - began > COMPUTING_SECONDS:
                    break
        except ENDS as error:
            self._end(error)
        self._credit = max(self._credit - done, 0.0)
        self._frames()
        self._past.keep([lane.recorder for lane in self._lanes])
        self._shown += 0.1 * (done / max(since, FRAME_SECONDS) - self._shown)
        if not self._running:
            self._pause()
            self._status()

    def _piece(self, most: int) -> int:
        """Run a few steps of those markets that are behind, of all if none is."""
        here = min(lane.run.step_count for lane in self._lanes)
        behind = [lane for lane in self._lanes if lane.run.step_count == here]
        ahead = [lane.run.step_count for lane in self._lanes if lane.run.step_count > here]
        count = max(int(PIECE_SECONDS / (self._pace * len(behind))), 1)
        goals = [here + most, here + count, *ahead, MOST_STEPS]
        goals += [] if self._goal is None else [self._goal]
        goals += [lane.run.num_steps for lane in behind if not lane.run.scenario.is_open]
        count = 1 if self._skips else min(goals) - here
        if min(goals) <= here:
            self._stop_at(here)
            return 0
        before = self._events()
        began = time.perf_counter()
        for lane in behind:
            lane.recorder.run(count)
        taken = (time.perf_counter() - began) / (count * len(behind))
        self._pace += 0.2 * (taken - self._pace)
        if self._goal == here + count or (self._skips and self._events() != before):
            self._halt()
        return count

    def _events(self) -> list[int]:
        """Count liquidations and settlements of all markets."""
        runs = [lane.run for lane in self._lanes]
        return [
            int(run.state.totals[0].num_liquidations + run.tape.clock[0].num_funding)
            for run in runs
        ]

    def _stop_at(self, step: int) -> None:
        self._halt()
        if step >= MOST_STEPS:
            self._message = f"{MOST_STEPS:,} steps are in memory: reset to go on."
        elif self._goal is None:
            self._message = "The price history ends here."

    def _halt(self) -> None:
        self._running, self._goal, self._skips, self._credit = False, None, False, 0.0

    def _end(self, error: Exception) -> None:
        self._halt()
        self._message = f"The market cannot go on: {error}. Rewind or reset."

    def _pause(self) -> None:
        self._halt()
        self._frames()
        if self._lanes and self._lanes[0].run.roster.num_traders <= QUICK_DIGEST_ACCOUNTS:
            self._digests()

    def _go(self, goal: int | None = None, skips: bool = False) -> None:
        self._message = ""
        self._running, self._goal, self._skips = True, goal, skips
        self._credit = 1.0
        self._last = self._due = time.perf_counter()

    # what can be asked for

    def _open(self, setup: Setup) -> None:
        """Show something else, from its first step on; what cannot be opened changes nothing."""
        first = "" if is_compiled() else ": compiling, once on this machine, up to a minute"
        self._status(busy=f"opening the market{first} ...")
        self._halt()
        try:
            base = read_base(self._catalogue, setup.scenario)
            lanes = open_lanes(base, setup)
            lanes[0].run.branch().run(1)  # what is left to be compiled
        except RefusedError as error:
            if self._lanes:
                raise
            self._status(busy=None)
            self._refuse(error.field, str(error))
            return
        self._base: Base = base
        self._setup, self._lanes, self._branch_step = setup, lanes, None
        self._message = ""
        self._past = Past([lane.recorder for lane in lanes])
        for lane in lanes:
            self._start(lane)
        self._status()

    def _reopen(self, **changes: Any) -> None:
        self._open(dataclasses.replace(self._setup, **changes))

    def _need_market(self) -> None:
        if not self._lanes:
            raise RefusedError("scenario", "there is no market yet: choose a scenario")

    def play(self) -> None:
        """Let time run."""
        self._need_market()
        self._go()

    def pause(self) -> None:
        """Stop time."""
        self._pause()

    def step(self, n: int) -> None:
        """Run some steps as fast as can be, and stop."""
        self._need_market()
        self._go(goal=min(lane.run.step_count for lane in self._lanes) + n)

    def skip(self) -> None:
        """Run on to the next liquidation or settlement, and stop."""
        self._need_market()
        self._go(skips=True)

    def speed(self, steps_per_second: float) -> None:
        """Set how fast time runs."""
        self._speed = steps_per_second

    def reset(self) -> None:
        """Start anew, with what was turned."""
        self._reopen()

    def new_seed(self) -> None:
        """Start anew with other luck."""
        self._reopen(seed=secrets.randbelow(NEW_SEEDS))

    def seed(self, seed: int) -> None:
        """Start anew with this luck."""
        self._reopen(seed=seed)

    def scenario(self, scenario: str) -> None:
        """Show another scenario."""
        self._reopen(scenario=scenario, mode=None, twin=None, settings={}, arrangement="single")

    def twins(self, mode: str | None) -> None:
        """Show the market beside itself with another margin mode, from the start."""
        self._reopen(arrangement="twins", twin=mode)

    def venues(self) -> None:
        """Show the market under four rule books, from the start."""
        self._reopen(arrangement="venues")

    def single(self) -> None:
        """Show one market: of two futures the first goes on."""
        if self._branch_step is None:
            self._reopen(arrangement="single")
            return
        del self._lanes[1:]
        self._branch_step = None
        self._past = Past([self._lanes[0].recorder])

    def mode(self, mode: str) -> None:
        """Move everyone who takes sides to another margin mode, at once."""
        self._need_market()
        if self._setup.arrangement == "twins":
            raise RefusedError("mode", "the twins differ by it: choose one market first")
        for path, value in mode_changes(self._base.scenario, mode):
            self._set_everywhere(path, value)
        settings = {k: v for k, v in self._setup.settings.items() if k != "cross_share"}
        self._setup = dataclasses.replace(self._setup, mode=mode, settings=settings)

    def set(self, path: str, value: Any) -> None:
        """Turn a control."""
        self._need_market()
        control = self._control(path, value)
        if path == "cross_share" and self._setup.arrangement == "twins":
            raise RefusedError(path, "the twins differ by it: choose one market first")
        if control.acts == "now":
            for field, new in control.change(value):
                self._set_everywhere(field, new)
        self._setup = self._setup.turned(path, value)
        if path == "cross_share":
            self._setup = dataclasses.replace(self._setup, mode=None)

    def _control(self, path: str, value: Any) -> Any:
        control = self._base.controls.get(path)
        if control is None:
            raise RefusedError(path, f"no such control; known: {', '.join(self._base.controls)}")
        control.check(value)
        return control

    def _set_everywhere(self, path: str, value: Any) -> None:
        for lane in self._lanes:
            lane.run.set(path, value)

    def shock(self, kind: str, **fields: Any) -> None:
        """Strike all markets that are shown, from the next step on."""
        self._need_market()
        entry = shocks.as_shock(self._lanes[0].run, kind, **fields)
        for lane in self._lanes:
            lane.run.shock(kind, **entry)

    def rewind(self, step: int) -> None:
        """Go back to a step; what comes after it is another future."""
        self._check_past(step)
        self._halt()
        recorders = self._past.restore(step, [lane.recorder for lane in self._lanes])
        pairs = zip(self._lanes, recorders, strict=True)
        self._lanes = [lane._replace(recorder=recorder) for lane, recorder in pairs]
        if step == 0:
            for lane in self._lanes:
                self._start(lane)
        self._pause()
        self._message = f"Back at step {step}: what comes now is another future."

    def branch(self, step: int, change: dict[str, Any] | None) -> None:
        """Show another future from a step on, beside the one there is."""
        self._need_market()
        if len(self._lanes) > 1 and self._branch_step is None:
            raise RefusedError("branch", "choose one market first")
        self._check_past(step)
        control = None if change is None else self._control(change["path"], change["value"])
        self._halt()
        old = self._lanes[0]
        here = self._past.restore(step, [lane.recorder for lane in self._lanes])[0]
        here.frames()
        other = here.branch()
        other.lane = 1
        self._past = Past([here, other])
        label = f"from step {step}"
        if control is not None and change is not None:
            label = f"{control.label} {change['value']:.4g}, {label}"
            for path, value in control.change(change["value"]):
                other.simulation.set(path, value)
        self._branch_step = step
        self._lanes = [old, Lane(label, other)]
        self._start(self._lanes[1], **{"from": {"lane": 0, "step": step}})

    def _check_past(self, step: int) -> None:
        self._need_market()
        last = min(lane.run.step_count for lane in self._lanes)
        first = 0 if self._branch_step is None else self._branch_step + 1
        if not first <= step <= last:
            raise RefusedError("rewind", f"step = {step}: must lie from {first} to {last}")

    def inspect(self, account: int, lane: int) -> None:
        """Spell an account out."""
        self._need_market()
        if lane >= len(self._lanes):
            raise RefusedError("inspect", f"lane = {lane}: there are {len(self._lanes)}")
        run = self._lanes[lane].run
        if account >= run.roster.num_traders:
            last = run.roster.num_traders - 1
            raise RefusedError("inspect", f"account = {account}: must lie from 0 to {last}")
        self._send(Message(account_facts(run, account) | {"lane": lane}))

    def digest(self) -> None:
        """Tell the digests, and how to repeat them."""
        self._need_market()
        self._digests()

    def export(self, what: str) -> None:
        """Make a file of what was done."""
        self._need_market()
        runs = [lane.run for lane in self._lanes]
        labels = [lane.label for lane in self._lanes]
        for message in exports.make(what, runs, labels, self._progress):
            self._send(message)

    def _progress(self, done: int, total: int) -> None:
        if self._closed.is_set():
            raise ClosedError
        now = time.perf_counter()
        if now > self._last + 0.5:
            self._last = now
            self._status(busy=f"making the replay: {100 * done // total} %")

    def guess(self, **_: Any) -> None:
        """Take note of nothing: the page keeps the guess."""


_VERBS: dict[str, Callable[..., None]] = {
    name: getattr(Session, name)
    for name in (
        *("play", "pause", "step", "reset", "new_seed", "skip", "rewind", "branch", "shock", "set"),
        *("mode", "seed", "scenario", "speed", "twins", "venues", "single", "inspect", "digest"),
        *("export", "guess"),
    )
}

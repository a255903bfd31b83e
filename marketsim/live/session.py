"""One viewer's markets: a thread that runs them, obeys the page and sends what is drawn."""

import dataclasses
import queue
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from marketsim.engine._jit import is_compiled
from marketsim.live import exports, striking
from marketsim.live.account import account_facts
from marketsim.live.commands import Command, RefusedError
from marketsim.live.controls import Control, mode_changes, own_mode
from marketsim.live.setup import VENUES, Base, Catalogue, Lane, Setup, open_lanes, read_base
from marketsim.live.stage import ENDS, Stage
from marketsim.report.wire import Message, pack
from marketsim.scenario.interventions import InterventionError
from marketsim.scenario.population import MODES

#: Commands that may wait, and that are obeyed between two frames.
MOST_WAITING, MOST_AT_ONCE = 64, 8
#: The digest is shown at every pause where it takes no time.
QUICK_DIGEST_ACCOUNTS = 20_000
#: Seeds of *new seed*: short enough to be read aloud.
NEW_SEEDS = 1_000_000
#: Seconds between two words of how far a long task is.
TELLING_SECONDS = 0.5


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

    _base: Base
    _stage: Stage

    def __init__(self, catalogue: Catalogue, setup: Setup, send: Callable[[bytes], None]) -> None:
        self._catalogue, self._setup, self._send_bytes = catalogue, setup, send
        self._commands: queue.Queue[Command] = queue.Queue(MOST_WAITING)
        self._closed = threading.Event()
        self._stage = Stage([])
        self._told = 0.0

    def submit(self, command: Command) -> bool:
        """Hand a command over; False if too many wait."""
        try:
            self._commands.put_nowait(command)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Let the markets end soon; from any thread."""
        self._closed.set()
        self.submit(Command("close", {}))

    def run(self) -> None:
        """Serve until the viewer has gone; the body of the thread."""
        try:
            self._obey(Command("reset", {}))
            while True:
                for command in self._waiting():
                    self._obey(command)
                if self._stage.running:
                    self._play()
        except ClosedError:
            pass

    def _waiting(self) -> Iterator[Command]:
        """List the commands that have come; wait for one until something else is due."""
        for count in range(MOST_AT_ONCE):
            wait: float | None = None
            if count:
                wait = 0.0
            elif self._stage.running:
                wait = max(self._stage.due - time.perf_counter(), 0.0)
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
            if not self._stage.lanes and command.do not in _WITHOUT_MARKET:
                raise RefusedError("scenario", "there is no market yet: choose a scenario")
            _VERBS[command.do](self, **command.fields)
        except RefusedError as error:
            self._refuse(error.field or command.do, str(error))
        except InterventionError as error:
            self._refuse(command.fields.get("path") or command.do, str(error))
        except ENDS as error:
            self._stage.fail(error)
        except ClosedError:
            raise
        except Exception as error:
            traceback.print_exc()  # where the server runs; what a traceback says is not for others
            self._refuse(command.do, f"failed ({type(error).__name__}); the server says more")
        self._status()

    def _play(self) -> None:
        """Run for the time of one frame, and send it."""
        self._stage.play()
        self._frames()
        self._stage.remember()
        if not self._stage.running:
            self._rest()
            self._status()

    def _send(self, message: Message) -> None:
        self._send_bytes(pack(message))

    def _refuse(self, field: str, text: str) -> None:
        self._send(Message({"kind": "refused", "field": field, "message": text}))

    def _status(self, busy: str | None = None) -> None:
        stage = self._stage
        header: dict[str, Any] = {
            "kind": "status",
            "running": stage.running,
            "speed": stage.speed,
            "shown": round(stage.shown, 1),
            "message": stage.message,
            "busy": busy,
            "running_to": "event" if stage.skips else stage.goal,
            "lanes": len(stage.lanes),
        }
        if stage.lanes:
            header |= {
                "step": stage.step,
                "mode": self._mode(),
                "interventions": striking.tell(stage.runs),
                "controls": self._controls(),
            }
        self._send(Message(header))

    def _mode(self) -> str:
        """Name the margin mode of those who take sides."""
        setup = self._setup
        share = setup.settings.get("cross_share")
        if setup.arrangement == "twins":
            return self._stage.lanes[0].label
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
            "lanes": len(self._stage.lanes),
        }
        self._send(lane.recorder.start(**known | facts))

    def _frames(self) -> None:
        for lane in self._stage.lanes:
            message = lane.recorder.frames()
            if message is not None:
                self._send(message)

    def _digests(self) -> None:
        for number, lane in enumerate(self._stage.lanes):
            self._send(exports.digest_message(lane.run, number))

    def _rest(self) -> None:
        """Tell what has been added up so far, where time has stopped."""
        runs = self._stage.runs
        if runs and runs[0].roster.num_traders <= QUICK_DIGEST_ACCOUNTS:
            self._digests()

    def _open(self, setup: Setup) -> None:
        """Show something else, from its first step on; what cannot be opened changes nothing."""
        first = "" if is_compiled() else ": compiling, once on this machine, up to a minute"
        self._status(busy=f"opening the market{first} ...")
        base = read_base(self._catalogue, setup.scenario)
        lanes = open_lanes(base, setup)
        lanes[0].run.branch().run(1)  # loads, or compiles, what a step needs
        speed = self._stage.speed
        self._base, self._setup, self._stage = base, setup, Stage(lanes)
        self._stage.speed = speed
        for lane in lanes:
            self._start(lane)

    def _reopen(self, **changes: Any) -> None:
        self._open(dataclasses.replace(self._setup, **changes))

    def play(self) -> None:
        """Let time run."""
        self._stage.go()

    def pause(self) -> None:
        """Stop time."""
        self._stage.halt()
        self._rest()

    def step(self, n: int) -> None:
        """Run some steps as fast as can be, and stop."""
        self._stage.go(goal=self._stage.step + n)

    def skip(self) -> None:
        """Run on to the next liquidation or settlement, and stop."""
        self._stage.go(skips=True)

    def speed(self, steps_per_second: float) -> None:
        """Set how fast time runs."""
        self._stage.speed = steps_per_second

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
        self._open(Setup(scenario, self._setup.seed))

    def twins(self, mode: str | None) -> None:
        """Show the market beside itself with another margin mode, from the start."""
        self._reopen(arrangement="twins", twin=mode)

    def venues(self) -> None:
        """Show the market under four rule books, from the start."""
        self._reopen(arrangement="venues")

    def single(self) -> None:
        """Show one market: of two futures the first goes on."""
        if self._stage.branch_step is None:
            self._reopen(arrangement="single")
        else:
            self._stage.join()

    def mode(self, mode: str) -> None:
        """Move everyone who takes sides to another margin mode, at once."""
        if self._setup.arrangement == "twins":
            raise RefusedError("mode", "the twins differ by it: choose one market first")
        for path, value in mode_changes(self._base.scenario, mode):
            self._set_everywhere(path, value)
        settings = {k: v for k, v in self._setup.settings.items() if k != "cross_share"}
        self._setup = dataclasses.replace(self._setup, mode=mode, settings=settings)

    def set(self, path: str, value: Any) -> None:
        """Turn a control."""
        control = self._control(path, value)
        if path == "cross_share" and self._setup.arrangement == "twins":
            raise RefusedError(path, "the twins differ by it: choose one market first")
        if control.acts == "now":
            for field, new in control.change(value):
                self._set_everywhere(field, new)
        self._setup = self._setup.turned(path, value)
        if path == "cross_share":
            self._setup = dataclasses.replace(self._setup, mode=None)

    def _control(self, path: str, value: Any) -> Control:
        control = self._base.controls.get(path)
        if control is None:
            raise RefusedError(path, f"no such control; known: {', '.join(self._base.controls)}")
        control.check(value)
        return control

    def _set_everywhere(self, path: str, value: Any) -> None:
        for lane in self._stage.behind:
            lane.run.set(path, value)

    def shock(self, kind: str, **fields: Any) -> None:
        """Strike from the next step on: all markets, or a new future until it has caught up."""
        entry = striking.as_shock(self._stage.runs[0], kind, **fields)
        for lane in self._stage.behind:
            lane.run.shock(kind, **entry)

    def rewind(self, step: int) -> None:
        """Go back to a step; what comes after it is another future."""
        self._status(busy=f"going back to step {step} ...")
        self._stage.rewind(step)
        if step == 0:
            for lane in self._stage.lanes:
                self._start(lane)
        self._frames()  # of the step itself: what the page has from there on is replaced
        self._rest()

    def branch(self, step: int, change: dict[str, Any] | None) -> None:
        """Show another future from a step on, beside the one there is."""
        if len(self._stage.lanes) > 1 and self._stage.branch_step is None:
            raise RefusedError("branch", "choose one market first")
        label = f"from step {step}"
        changes = []
        if change is not None:
            control = self._control(change["path"], change["value"])
            if control.acts != "now":
                raise RefusedError(control.path, "acts when a market starts: reset it instead")
            changes = control.change(change["value"])
            label = f"{control.label} {change['value']}, {label}"
        self._status(busy=f"going back to step {step} ...")
        other = self._stage.part(step, label)
        for path, value in changes:
            other.set(path, value)
        self._start(self._stage.lanes[1], **{"from": {"lane": 0, "step": step}})

    def inspect(self, account: int, lane: int) -> None:
        """Spell an account out."""
        if lane >= len(self._stage.lanes):
            raise RefusedError("inspect", f"lane = {lane}: there are {len(self._stage.lanes)}")
        run = self._stage.lanes[lane].run
        if account >= run.roster.num_traders:
            last = run.roster.num_traders - 1
            raise RefusedError("inspect", f"account = {account}: must lie from 0 to {last}")
        self._send(Message(account_facts(run, account) | {"lane": lane}))

    def digest(self) -> None:
        """Tell the digests, and how to repeat them."""
        self._digests()

    def export(self, what: str) -> None:
        """Make a file of what was done."""
        labels = [lane.label for lane in self._stage.lanes]
        for message in exports.make(what, self._stage.runs, labels, self._progress):
            self._send(message)

    def _progress(self, done: int, total: int) -> None:
        if self._closed.is_set():
            raise ClosedError
        now = time.perf_counter()
        if now > self._told + TELLING_SECONDS:
            self._told = now
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
#: What can be asked for while nothing is shown, because it could not be opened.
_WITHOUT_MARKET = ("reset", "new_seed", "seed", "scenario", "speed", "guess")

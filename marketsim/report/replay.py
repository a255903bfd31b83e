"""A replay: a run, made again and recorded, in one HTML file that opens without a network."""

import base64
import shlex
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.account.rerun import check_tables, open_again, read_scenario
from marketsim.contagion.strikes import list_strikes
from marketsim.report.chapters import chapters_message
from marketsim.report.drawn import choose_drawn
from marketsim.report.page_text import whole_page
from marketsim.report.recording import Cadence, Recorder
from marketsim.report.wire import Message, join, pack
from marketsim.results.run import Run
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.tape.files import RunFolderError

#: Bytes of the file, of one run and with a ghost, which account frames are thinned out for.
MOST_BYTES = 1_000_000
MOST_BYTES_WITH_GHOST = 1_500_000
#: Most rows in time: of a longer run a row is several steps.
MOST_ROWS = 6_000
#: A run is looked at so often over its length.
LOOKS, HEAT_LOOKS = 1_000, 100
#: Levels of compression: to see what fits, in a seventh of the time, and of what is written.
QUICK, SMALL = 7, 9
#: Frames of accounts are thinned out by this factor so many times, if need be.
THINNING, MOST_THINNINGS = 1.5, 12
_ACCOUNTS = ("account_step", "health", "lean", "worth")


class Source(NamedTuple):
    """What a recording was made from, and what repeats it."""

    label: str
    digest: str
    command: str
    scenario_text: str  #: resolved TOML


class Recorded(NamedTuple):
    """A run, as it was watched from its first step to its last."""

    start: Message
    frames: Message
    chapters: Message
    digest: Message


def watch(
    simulation: Simulation,
    num_steps: int,
    drawn: NDArray[np.int64],
    source: Source,
    lane: int = 0,
    progress: Progress | None = None,
) -> Recorded:
    """Let a simulation run its first steps and record them.

    Parameters
    ----------
    simulation : Simulation
        Before its first step.
    num_steps : int
        At least 1.
    drawn : ndarray
        Accounts that are drawn one by one.
    source : Source
    lane : int, optional
    progress : callable, optional
    """
    cadence = Cadence(
        accounts=max(num_steps // LOOKS, 1),
        heat=max(num_steps // HEAT_LOOKS, 1),
        reproduction=max(num_steps // HEAT_LOOKS, 1),
    )
    recorder = Recorder(simulation, drawn, cadence, lane)
    minutes = simulation.scenario.step_minutes
    start = recorder.start(
        source="replay",
        days=num_steps * minutes / 1440.0,
        label=source.label,
        command=source.command,
    )
    recorder.run(num_steps, progress)
    frames = recorder.frames(is_last=True)
    assert frames is not None, "a run of no steps"
    frames.arrays["liq_cascade"][:] = recorder.cascades
    strikes = list_strikes(simulation.steered.all_shocks, minutes)
    facts = {"lane": lane, "step": num_steps, "digest": source.digest, "command": source.command}
    if not tuple(simulation.inputs):  # else it holds the paths of somebody's files
        facts["scenario_toml"] = source.scenario_text
    digest = Message({"kind": "digest"} | facts)
    return Recorded(start, frames, chapters_message(start, frames, strikes), digest)


def series_minutes(num_steps: int, step_minutes: float) -> float:
    """Return how far apart the rows of so long a run are to be, minutes."""
    return -(-num_steps // MOST_ROWS) * step_minutes


def record_run(
    run: Run,
    drawn: NDArray[np.int64] | None = None,
    lane: int = 0,
    progress: Progress | None = None,
) -> Recorded:
    """Make a finished run again, watched; it is compared with what its folder holds.

    Parameters
    ----------
    run : Run
    drawn : ndarray, optional
        Accounts to draw; by default chosen by who was liquidated in it.
    lane : int, optional
    progress : callable, optional
        Called with (steps done, steps asked) now and then.

    Raises
    ------
    RunFolderError
        If the run is not what it was.
    InputChangedError
        If a file the run was made from has changed since.
    """
    steps = int(run.summary["steps"])
    record = {
        "series_minutes": series_minutes(steps, read_scenario(run).step_minutes),
        "causes": True,
    }
    simulation = open_again(run, record)
    chosen = choose_drawn(simulation.roster, liquidated_in(run)) if drawn is None else drawn
    command = f"marketsim run {shlex.quote(f'{run.path.name}/scenario.toml')} --seed {run.seed}"
    source = Source(run.path.name, run.digest, command, run.scenario_text)
    recorded = watch(simulation, steps, chosen, source, lane, progress)
    check_tables(run, simulation.result(), record)
    return recorded


def liquidated_in(run: Run) -> list[int]:
    """List the accounts that were liquidated, those first who fell first."""
    return list(dict.fromkeys(run.liquidations["account"].tolist()))


def record_runs(
    run: Run, ghost: Run | None = None, progress: Progress | None = None
) -> list[Recorded]:
    """Make a run again, and another to be drawn behind it, with the same accounts drawn.

    Raises
    ------
    RunFolderError
        If the two have not the same markets and traders.
    """
    if ghost is None:
        return [record_run(run, progress=progress)]
    for what, one, other in (
        ("markets", run.market_names, ghost.market_names),
        ("number of accounts", len(run.accounts), len(ghost.accounts)),
    ):
        if one != other:
            text = f"{ghost.path}: its {what} is {other}, not {one}: it is no twin of {run.path}"
            raise RunFolderError(text)
    first = record_run(run, progress=progress)
    drawn = np.array(first.start.header["accounts"]["drawn"])
    return [first, record_run(ghost, drawn, 1, progress)]


def replay_page(recorded: Sequence[Recorded], most_bytes: int | None = None) -> str:
    """Return the replay of one run, or of two, as one page.

    Parameters
    ----------
    recorded : sequence of Recorded
    most_bytes : int, optional
        Account frames are thinned out until the page is no larger, as far as that helps.
    """
    if most_bytes is None:
        most_bytes = MOST_BYTES if len(recorded) == 1 else MOST_BYTES_WITH_GHOST
    header: dict[str, Any] = {"lanes": len(recorded)}
    if len(recorded) == 2:
        names = [each.start.header["label"] for each in recorded]
        header["pairing"] = dict(zip(("run", "run2"), names, strict=True))
    starts = [each.start._replace(header=each.start.header | header) for each in recorded]
    title = f"marketsim {recorded[0].start.header['scenario']}"
    every = 1.0
    frame = len(whole_page("", title))
    for _ in range(MOST_THINNINGS):
        messages = [
            message
            for start, each in zip(starts, recorded, strict=True)
            for message in (start, _thinned(each.frames, every), each.digest)
        ]
        messages.append(recorded[0].chapters)
        if frame + len(_embedded(messages, QUICK)) <= most_bytes:
            break
        every *= THINNING
    return whole_page(_embedded(messages, SMALL), title)


def _embedded(messages: Sequence[Message], level: int) -> str:
    """Return messages as the script finds them in a replay: raw deflate in base64."""
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = squeeze.compress(join([pack(message) for message in messages])) + squeeze.flush()
    return base64.b64encode(data).decode()


def _thinned(frames: Message, every: float) -> Message:
    """Keep one account frame of every so many, and more of them where liquidations are."""
    arrays: Mapping[str, Any] = frames.arrays
    step = arrays["account_step"]
    if every == 1.0 or not len(step):
        return frames
    gap = max(int(np.diff(step).max(initial=1)), 1)
    burns = np.isin(step, arrays["liq_step"])
    kept, last = [], -(2**31)
    for n, at in enumerate(step.tolist()):
        if at - last >= (0.25 * every * gap if burns[n] else every * gap) or n == len(step) - 1:
            kept.append(n)
            last = at
    return frames._replace(arrays={**arrays, **{name: arrays[name][kept] for name in _ACCOUNTS}})

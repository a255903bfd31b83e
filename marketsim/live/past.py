"""The way back: copies of running markets in memory, and the exact road from one to any step."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from marketsim.report.recording import Recorder
from marketsim.run.room import state_rows, tape_rows
from marketsim.run.simulation import Simulation

#: Memory that copies may take, bytes, and how many there are at most.
MOST_BYTES = 256 * 2**20
MOST_POINTS = 48
#: Steps between two copies at first; twice as many each time there are too many.
FIRST_SPACING = 30


class Point(NamedTuple):
    """All markets at one step."""

    step: int
    recorders: tuple[Recorder, ...]
    num_bytes: int


class Past:
    """Copies of markets as they were at some steps.

    Parameters
    ----------
    recorders : sequence of Recorder
        All at the same step, from which on one can go back.
    """

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._spacing = FIRST_SPACING
        self._points = [_point(recorders)] if recorders else []

    def keep(self, recorders: Sequence[Recorder]) -> None:
        """Keep copies if it is time to."""
        step = recorders[0].simulation.step_count
        if any(each.simulation.step_count != step for each in recorders):
            return
        if step >= self._points[-1].step + self._spacing:
            self._points.append(_point(recorders))
            self._thin_out()

    def restore(self, step: int, recorders: Sequence[Recorder]) -> list[Recorder]:
        """Make the markets as they were at a step; what was done to them until then is done again.

        What the last step before it brought can be fetched from the recorders.

        Parameters
        ----------
        step : int
            From that of the first copy on.
        recorders : sequence of Recorder
            The markets as they are now.
        """
        before = max(step - 1, self._points[0].step)
        point = [each for each in self._points if each.step <= before][-1]
        found = []
        for kept, now in zip(point.recorders, recorders, strict=True):
            recorder = kept.branch()
            _repeat(recorder, now.simulation, before)
            recorder.frames()
            _repeat(recorder, now.simulation, step)
            found.append(recorder)
        return found

    def forget(self, step: int) -> None:
        """Drop the copies after a step: what comes after it is another future."""
        self._points = [each for each in self._points if each.step <= step]

    def _thin_out(self) -> None:
        """Leave out every second copy, but for the first, until there are few enough."""
        while len(self._points) > 2 and (
            len(self._points) > MOST_POINTS
            or sum(point.num_bytes for point in self._points) > MOST_BYTES
        ):
            self._points = [self._points[0], *self._points[2::2]]
            self._spacing *= 2


def _point(recorders: Sequence[Recorder]) -> Point:
    copies = tuple(recorder.branch() for recorder in recorders)
    size = sum(_bytes_of(each.simulation) for each in copies)
    return Point(recorders[0].simulation.step_count, copies, size)


def _repeat(recorder: Recorder, original: Simulation, step: int) -> None:
    """Run to a step, and do on the way what was done to the original."""
    run = recorder.simulation
    known = len(run.interventions.entries)
    for entry in original.interventions.entries[known:]:
        if entry.at_step >= step:
            break
        recorder.run(entry.at_step - run.step_count)
        run.intervene(
            entry.kind, **entry.model_dump(exclude={"at_step", "kind"}, exclude_none=True)
        )
    recorder.run(step - run.step_count)


def _bytes_of(run: Simulation) -> int:
    used = state_rows(run.state) | tape_rows(run.tape)
    arrays: Iterable[tuple[str, object]] = (run.state._asdict() | run.tape._asdict()).items()
    return sum(array[:1].nbytes * used.get(name, len(array)) for name, array in arrays)  # type: ignore[index, arg-type]

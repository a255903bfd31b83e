"""The order in which runs are handed out: who shares a warm-up waits until one of them has made it.

The first run of a warm-up makes it and leaves it in a file (`marketsim.run.shared_warm_up`); the
others of its seed wait for that, while runs with another warm-up, or none, go ahead of them. No
result depends on that: a run that finds no file warms up by itself.
"""

import contextlib
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

#: Where a driver's warm-ups lie, in the sweep's folder, while it is at work.
WARM_UPS = "warm-ups"
#: Most of them that no run under way needs. The one that was made first goes, and is made again if
#: a run needs it.
MAX_IDLE = 64


@contextlib.contextmanager
def warm_up_folder(folder: Path, label: str) -> Iterator[Path]:
    """Name a driver's folder for warm-ups, which is removed when the driver ends.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    label : str
        Of the driver.

    Yields
    ------
    Path
        It need not be there.
    """
    mine = folder / WARM_UPS / label
    try:
        yield mine
    finally:
        shutil.rmtree(mine, ignore_errors=True)
        with contextlib.suppress(OSError):  # there is none, or another driver has its own in it
            mine.parent.rmdir()


def clear_warm_ups(folder: Path) -> None:
    """Remove what drivers that were killed have left of a sweep that is complete."""
    shutil.rmtree(folder / WARM_UPS, ignore_errors=True)


class Turn(NamedTuple):
    """A run to be handed out."""

    number: int  #: in the plan
    warm_up: str  #: name of the one it shares; "" if it shares none
    file: Path | None  #: where that is, or is to be left


class Turns:
    """Goes through the runs of a driver.

    Parameters
    ----------
    numbers : iterable of int
        Of the runs to be made, in the plan. It may be found out while they are made.
    warm_up_of : callable
        Given a number, names the warm-up of the run; "" if it has none to share.
    expected : iterable of int
        The numbers that there may be: a warm-up of only one of them is not shared.
    folder : Path
        For the files, of this driver alone; made if a warm-up is shared.
    most_held : int
        Most runs that wait for a warm-up; beyond that nothing goes ahead of them.
    most_making : int
        Most warm-ups that are made at a time, so that those who wait for one come before the next
        is made, and its file goes.
    """

    def __init__(
        self,
        numbers: Iterable[int],
        warm_up_of: Callable[[int], str],
        expected: Iterable[int],
        folder: Path,
        most_held: int,
        most_making: int,
    ) -> None:
        self._numbers = iter(numbers)
        self._warm_up_of = warm_up_of
        self._folder = folder
        self._most_held = most_held
        self._most_making = most_making
        named = Counter(name for name in map(warm_up_of, map(int, expected)) if name)
        #: Runs to come of each warm-up that is shared.
        self._left = {name: count for name, count in named.items() if count > 1}
        self._maker: dict[str, int] = {}  # run that makes a warm-up at this moment
        self._kept: dict[str, None] = {}  # warm-ups that may have a file, the oldest first
        self._under_way: Counter[str] = Counter()
        self._held: dict[str, deque[int]] = {}
        self._ready: deque[int] = deque()  # their warm-up has been made, or may be
        self._later: list[int] = []  # they would make one, but as many as may be are being made

    @property
    def holds(self) -> bool:
        """Whether runs wait for a warm-up, or to make one."""
        return bool(self._held or self._later)

    def take(self) -> Turn | None:
        """Return the next run; None if there is none, or none before one under way is done."""
        for name in [each for each in self._maker if self._file(each).exists()]:
            self._release(name)
        if len(self._maker) < self._most_making:
            self._ready += self._later
            self._later.clear()
        while self._ready:
            if (turn := self._begin(self._ready.popleft())) is not None:
                return turn
        while not self._later and sum(map(len, self._held.values())) < self._most_held:
            number = int(next(self._numbers, -1))
            if number < 0:
                return None
            if (turn := self._begin(number)) is not None:
                return turn
        return None

    def done(self, turn: Turn) -> None:
        """Note that a run has come back, whatever became of it."""
        name = turn.warm_up
        if turn.file is None:
            return
        self._left[name] -= 1
        self._under_way[name] -= 1
        if self._maker.get(name) == turn.number:  # it may have failed: then they try for themselves
            self._release(name)
        if not self._left[name]:
            self._forget(name)

    def _begin(self, number: int) -> Turn | None:
        """Return the turn of a run, or None and keep it until its warm-up is made, or may be."""
        name = self._warm_up_of(number)
        if name not in self._left:
            return Turn(number, "", None)
        if name in self._maker:
            self._held.setdefault(name, deque()).append(number)
            return None
        if name not in self._kept:
            if len(self._maker) >= self._most_making:
                self._later.append(number)
                return None
            self._make_room()
            self._kept[name] = None
            self._maker[name] = number
        self._under_way[name] += 1
        return Turn(number, name, self._file(name))

    def _release(self, name: str) -> None:
        """Let the runs go that waited for a warm-up."""
        self._maker.pop(name, None)
        self._ready += self._held.pop(name, ())

    def _make_room(self) -> None:
        """See to a folder for one more file, and let go of the oldest that nobody needs now."""
        idle = [name for name in self._kept if not self._under_way[name]]
        for name in idle[: max(len(idle) + 1 - MAX_IDLE, 0)]:
            self._forget(name)
        with contextlib.suppress(OSError):  # without one, each run warms up by itself
            self._folder.mkdir(parents=True, exist_ok=True)

    def _forget(self, name: str) -> None:
        self._kept.pop(name, None)
        with contextlib.suppress(OSError):  # gone, or the folder is removed as a whole later
            self._file(name).unlink()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.market"

"""Progress bars on standard error, if someone watches: on a terminal, not in a pipe."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from marketsim.run.progress import Progress
    from marketsim.sweep.runner import SweepProgress, SweepReport


class Compiling:
    """Tells, once, that kernels have to be compiled, and on a terminal how many are done.

    To be called whenever one begins, and with True when those asked for are ready.
    """

    def __init__(self) -> None:
        self._count = 0
        #: Where the number is shown: on a line of its own, or by a progress bar.
        self.show: Callable[[str], None] = _overwrite_line

    def __call__(self, ready: bool) -> None:
        """Tell the user."""
        if self._count == 0:
            sys.stderr.write(
                "compiling what this command needs, once for this version and Python (up to half a "
                "minute) ...\n"
            )
        self._count += not ready
        if sys.stderr.isatty():
            self.show("" if ready else f"compiled {self._count - 1} functions")

    @contextlib.contextmanager
    def shown_by(self, show: Callable[[str], None]) -> Iterator[None]:
        """Let a progress bar show the number."""
        before, self.show = self.show, show
        try:
            yield
        finally:
            self.show = before


def _overwrite_line(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


compiling = Compiling()


@contextlib.contextmanager
def progress_bar(name: str, quiet: bool, unit: str = "steps") -> "Iterator[Progress | None]":
    """Show how much is done and the time left.

    Parameters
    ----------
    name : str
    quiet : bool
        Show nothing.
    unit : str, optional
        Of what is counted.

    Yields
    ------
    callable or None
        To be called with what is done and what was asked for.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        def compiled(text: str) -> None:
            bar.update(task, description=f"{name} {text}".rstrip())

        with compiling.shown_by(compiled):
            yield advance


@contextlib.contextmanager
def sweep_progress(name: str, quiet: bool) -> "Iterator[SweepProgress | None]":
    """Show how many runs are done, their rate, the time left and failures.

    Parameters
    ----------
    name : str
    quiet : bool
        Show nothing.

    Yields
    ------
    callable or None
        To be called with the report of the sweep.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[failures]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None, rate="starting workers", failures="")

        def advance(report: "SweepReport") -> None:
            done = report.stored + report.done
            if bar.tasks[0].total is None:  # what was stored before tells nothing of the rate
                bar.reset(task, total=report.total, completed=report.stored)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            rate = f"{speed:,.1f} runs/s" if speed else ""
            failures = f"{report.failures:,} failed" if report.failures else ""
            bar.update(task, total=report.total, completed=done, rate=rate, failures=failures)

        yield advance

"""Progress bars on standard error, if someone watches: on a terminal, not in a pipe."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from marketsim.run.progress import Progress
    from marketsim.sweep.runner import SweepProgress, SweepReport


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

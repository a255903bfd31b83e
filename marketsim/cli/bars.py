"""Progress bars: only where someone watches, on a terminal and not in a pipe."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def counting_bar(title: str, unit: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far a count has come.

    Parameters
    ----------
    title : str
    unit : str
        What is counted.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable or None
        Takes (done, total).
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

"""``run.plot``: the figures of a run from Python, on axes of matplotlib."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.account.rerun import read_scenario
from marketsim.report.canvas import FigureError
from marketsim.report.picture import check_runs, complete, lacking
from marketsim.report.plots.kinds import KINDS, Kind
from marketsim.report.style import THEMES
from marketsim.results.run import Run
from marketsim.scenario.inputs import strategy_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RunPlots:
    """The figures of a run, a method for each kind.

    Each takes the options of its kind, ``ax`` (axes whose place is drawn in; left out, a figure is
    made) and ``dark``; ``ghost`` takes the twin first, ``events`` any number of other runs. It
    returns the axes drawn on, several as an array.

    A run that lacks what a figure needs is made again, in memory; one with strategies of its own
    only by ``marketsim plot``, which asks before it runs somebody's code.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __dir__(self) -> list[str]:
        return [kind.method for kind in KINDS]

    def _draw(
        self, kind: Kind, others: tuple[Run, ...], ax: "Axes | None", dark: bool, **options: Any
    ) -> Any:
        from matplotlib import pyplot as plt

        self._run = _completed(self._run, kind, options)
        others = tuple(_completed(run, kind, options) for run in others)
        if kind.num_runs == 1 and others:
            raise FigureError(f"{kind.method}: takes no other run")
        check_runs(kind, 1 + len(others))
        if ax is None:
            ax = plt.figure(layout="constrained").add_subplot()
        subject: Any = self._run if kind.num_runs == 1 else [self._run, *others]
        drawn = kind.draw(ax, subject, THEMES["dark" if dark else "light"], **options)
        return drawn[0] if len(drawn) == 1 else np.array(drawn)


def _completed(run: Run, kind: Kind, options: dict[str, Any]) -> Run:
    """Make a run again that lacks what a figure needs, unless it runs code of its own."""
    needed = lacking(run, kind, options)
    if not needed:
        return run
    if files := strategy_files(read_scenario(run)):
        msg = (
            f"{run.path}: has not recorded what {kind.method} needs ({', '.join(needed)}), and "
            f"making it again would run the code of {', '.join(files)}: `marketsim plot` asks first"
        )
        raise FigureError(msg)
    return complete(run, kind, options)


def _method(kind: Kind) -> Callable[..., Any]:
    def method(
        self: RunPlots,
        *others: Run,
        ax: "Axes | None" = None,
        dark: bool = False,
        **options: Any,
    ) -> Any:
        return self._draw(kind, others, ax, dark, **options)

    method.__name__ = kind.method
    method.__qualname__ = f"RunPlots.{kind.method}"
    own = f"\n\nOptions: {', '.join(kind.options)}." if kind.options else ""
    method.__doc__ = f"{kind.says}{own}"
    return method


for _kind in KINDS:
    setattr(RunPlots, _kind.method, _method(_kind))

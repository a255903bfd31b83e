"""Pictures of runs: what a kind needs made available, drawn in the one style, under its source."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marketsim.account.course import POOLS, follow_account
from marketsim.account.rerun import remake
from marketsim.report.canvas import FigureError, Look, finish, new_figure, plain
from marketsim.report.plots.kinds import Kind
from marketsim.report.plots.one_account import chosen_account
from marketsim.report.plots.reading import step_minutes
from marketsim.report.style import shortened, source_line
from marketsim.results.run import Run
from marketsim.run.progress import Progress

#: Moments that a run made again writes down, about.
MOMENTS = 240
#: A heat map of fewer moments shows blocks, not a fire.
MIN_MOMENTS = 48
#: Runs beside each other in one figure.
MAX_BESIDE = 4
#: Runs whose source is written out.
MAX_SOURCES = 2


def lacking(run: Run, kind: Kind, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings of a record that a kind of figure needs and a run was made without.

    Parameters
    ----------
    run : Run
    kind : Kind
    options : mapping, optional
        Of the kind.

    Returns
    -------
    dict
        Empty if the run can be drawn as it is. ``account`` stands for the account to follow.
    """
    if kind.name == "account":
        who = chosen_account(run, (options or {}).get("account"))
        return {} if POOLS.format(who) in run.tables else {"account": who}
    found: dict[str, Any] = {}
    for table, setting in kind.record:
        if setting == "causes":
            if len(run.liquidations) and not len(run.causes):
                found[setting] = True
        elif table not in run.tables:
            found[setting] = _minutes(run)
        elif setting == "heatmap_minutes" and run.table(table)["step"].nunique() < MIN_MOMENTS:
            if _minutes(run) < _usual_minutes(run, table):
                found[setting] = _minutes(run)
    return found


def complete(
    run: Run,
    kind: Kind,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Return a run with all that a kind of figure needs; one that lacks it is made again.

    Parameters
    ----------
    run : Run
    kind : Kind
    options : mapping, optional
        Of the kind.
    progress : callable, optional
        Called with (steps done, steps asked) now and then.

    Raises
    ------
    RunFolderError
        If it is made again and is not what the folder holds.
    InputChangedError
        If a file it was made from has changed since.
    """
    settings = lacking(run, kind, options)
    if "account" in settings:
        return follow_account(run, settings["account"], progress)
    return remake(run, settings, progress) if settings else run


def draw_picture(
    kind: Kind, runs: Sequence[Run], look: Look, options: Mapping[str, Any] | None = None
) -> Figure:
    """Draw a kind of figure; several runs of a kind that takes one stand beside each other.

    Parameters
    ----------
    kind : Kind
    runs : sequence of Run
        Complete, see `complete`.
    look : Look
    options : mapping, optional
        Of the kind.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FigureError
        If a kind takes another number of runs, or an option makes no sense.
    """
    check_runs(kind, len(runs))
    with mpl.rc_context(look.settings):
        figure = new_figure(look)
        if kind.num_runs == 1 and len(runs) > 1:
            _draw_beside(kind, runs, figure, look, options or {})
        else:
            subject: Any = runs[0] if kind.num_runs == 1 else list(runs)
            kind.draw(figure.add_subplot(), subject, look.theme, **(options or {}))
        finish(figure, kind.title, sources(runs), look)
    return figure


def check_runs(kind: Kind, count: int) -> None:
    """Refuse a number of runs that a kind of figure cannot show.

    Raises
    ------
    FigureError
    """
    if kind.num_runs == 2 and count != 2:
        raise FigureError(f"{kind.name} takes two runs, a run and its twin, not {count}")
    if kind.num_runs == 1 and count > MAX_BESIDE:
        raise FigureError(f"{kind.name}: {count} runs; there is room for {MAX_BESIDE}")


def sources(runs: Sequence[Run]) -> str:
    """Say what a figure was made from."""
    if len(runs) <= MAX_SOURCES:
        return "; ".join(source_line(run.scenario, run.seed, run.digest) for run in runs)
    scenarios = dict.fromkeys(shortened(run.scenario) for run in runs)
    seeds = sorted({run.seed for run in runs})
    few = ", ".join(map(str, seeds)) if len(seeds) <= 4 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"{len(runs)} runs of {', '.join(list(scenarios)[:4])}, seed{'s'[: len(seeds) > 1]} {few}"
    )


def _draw_beside(
    kind: Kind, runs: Sequence[Run], figure: Figure, look: Look, options: Mapping[str, Any]
) -> None:
    """Draw one figure for each run, over the same ranges, so that they can be compared."""
    is_narrow = look.size.width < 0.6 * look.size.font
    shape = (len(runs), 1) if is_narrow else (1, len(runs))
    if is_narrow:
        figure.set_size_inches(look.size.width, 0.85 * look.size.height * len(runs))
    parts = np.ravel(figure.subfigures(*shape, squeeze=False))
    drawn: list[list[Axes]] = []
    scale = kind.common_scale(runs, options)
    with mpl.rc_context({"font.size": look.size.font * (1.0 if is_narrow else 0.8)}):
        for part, run, name in zip(parts, runs, _names(runs), strict=True):
            part.set_facecolor(look.theme.paper)
            drawn.append(kind.draw(part.add_subplot(), run, look.theme, *scale, **options))
            part.suptitle(plain(name), fontsize="medium", weight="bold")
    for panels in zip(*drawn, strict=False):
        _align(panels)


def _names(runs: Sequence[Run]) -> list[str]:
    """Name runs by what differs between them."""
    names = [run.scenario for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.scenario}, seed {run.seed}" for run in runs]
    if len(set(names)) < len(names):
        names = [run.path.name for run in runs]
    return [shortened(name) for name in names]


def _align(panels: Sequence[Axes]) -> None:
    """Give the same panel of several runs the same ranges."""
    if not all(each.axison for each in panels):
        return
    for side in ("x", "y"):
        ends = [getattr(each, f"get_{side}lim")() for each in panels]
        is_turned = all(low > high for low, high in ends)
        low, high = min(map(min, ends)), max(map(max, ends))
        for each in panels:
            getattr(each, f"set_{side}lim")((high, low) if is_turned else (low, high))
    most = max(panels, key=lambda each: len(each.get_yticks()))
    if most.get_yticklabels() and isinstance(
        most.yaxis.get_major_locator(), mpl.ticker.FixedLocator
    ):
        labels = [label.get_text() for label in most.get_yticklabels()]
        for each in panels:
            each.set_yticks(most.get_yticks(), labels)


def _minutes(run: Run) -> float:
    """Return the minutes between about `MOMENTS` moments of a run, whole steps."""
    steps = max(1, math.ceil(int(run.summary["steps"]) / MOMENTS))
    return steps * step_minutes(run)


def _usual_minutes(run: Run, table: str) -> float:
    """Return the minutes between the moments of a table."""
    steps = np.unique(run.table(table)["step"])
    return float(np.median(np.diff(steps))) * step_minutes(run) if len(steps) > 1 else math.inf


__all__ = ["FigureError", "check_runs", "complete", "draw_picture", "lacking", "sources"]

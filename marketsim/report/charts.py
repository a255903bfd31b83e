"""Figures of a sweep as PNG files, to be read from the back of a lecture room."""

import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marketsim.report.numbers import number, short_names
from marketsim.study.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

#: Inches and dots per inch: 1600 x 900 pixels.
SIZE = (10.0, 5.625)
DPI = 160
STYLE: Any = {
    "font.size": 18,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 3,
    "lines.markersize": 8,
}
#: More cells than this in a heat map leave no room for the numbers.
MAX_NUMBERS = 64
#: Characters along the height of a figure.
LONGEST_LABEL = 34
#: More labels than this along an axis of a heat map overlap.
MAX_TICKS = 9
#: A lighter cell than this (luminance, 0-1) carries dark numbers.
LIGHT = 0.5


@mpl.rc_context(STYLE)
def line_figure(table: "pd.DataFrame", x_label: str, y_label: str, *, marker: str = "o") -> Figure:
    """Draw the means of cells over one parameter, with their intervals as bands.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``x``, ``value``, ``low`` and ``high``; with a column ``group`` a line for each.
    x_label, y_label : str
        With their units.
    marker : str
        Of the points; none for a series in time.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _new_axes()
    is_numeric = np.issubdtype(np.asarray(table["x"].to_list()).dtype, np.number)
    if not is_numeric:  # names, in the order they come in
        table = table.assign(x=table["x"].astype(str))
    has_groups = "group" in table.columns
    parts = table.groupby("group") if has_groups else [("", table)]
    for name, part in parts:
        rows = part.sort_values("x") if is_numeric else part
        (line,) = axes.plot(rows["x"], rows["value"], f"{marker}-", label=str(name))
        axes.fill_between(rows["x"], rows["low"], rows["high"], color=line.get_color(), alpha=0.25)
    if has_groups:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_xlabel(x_label)
    axes.set_ylabel(_fold(y_label))
    if is_numeric:
        axes.xaxis.set_major_formatter(_short)
    axes.yaxis.set_major_formatter(_short)
    return figure


@mpl.rc_context(STYLE)
def heat_map(table: "pd.DataFrame", x_label: str, y_label: str, value_label: str) -> Figure:
    """Draw a figure over two parameters: a phase diagram.

    Parameters
    ----------
    table : pandas.DataFrame
        Values by the first parameter (index, upwards) and the second (columns, to the right); NaN
        is a cell without a run.
    x_label, y_label, value_label : str
        With their units.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _new_axes()
    values = table.to_numpy(np.float64)
    image = axes.imshow(values, origin="lower", aspect="auto", cmap="viridis")
    for set_ticks, names in ((axes.set_xticks, table.columns), (axes.set_yticks, table.index)):
        places = range(0, len(names), -(-len(names) // MAX_TICKS) or 1)
        set_ticks(places, [_short(names[place]) for place in places])
    axes.tick_params(length=0)
    if values.size <= MAX_NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                red, green, blue, _ = image.cmap(image.norm(value))
                is_light = 0.3 * red + 0.59 * green + 0.11 * blue > LIGHT
                color = "black" if is_light else "white"
                axes.text(column, row, _short(value), ha="center", va="center", color=color)
    axes.set_xlabel(x_label)
    axes.set_ylabel(_fold(y_label))
    figure.colorbar(image, ax=axes, label=_fold(value_label), format=_short)
    return figure


@mpl.rc_context(STYLE)
def bar_figure(effects: Mapping[str, Interval], label: str) -> Figure:
    """Draw how much each parameter matters, the strongest on top.

    Parameters
    ----------
    effects : mapping of Interval
        By parameter; those that do not exist (NaN) are left out.
    label : str
        Of the effects, with their unit.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _new_axes()
    known = {name: effect for name, effect in effects.items() if math.isfinite(effect.value)}
    order = sorted(known, key=lambda name: abs(known[name].value))
    values = [known[name].value for name in order]
    reach = [
        [known[name].value - known[name].low for name in order],
        [known[name].high - known[name].value for name in order],
    ]
    names = short_names(order)
    axes.barh([names[name] for name in order], values, xerr=reach, capsize=6)
    axes.axvline(0.0, color="black", linewidth=1)
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(_short)
    return figure


@mpl.rc_context(STYLE)
def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a PNG file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path

    Returns
    -------
    Path
    """
    target = Path(path)
    figure.savefig(target, dpi=DPI, format="png")
    return target


def _new_axes() -> tuple[Figure, Axes]:
    # A figure of its own, without pyplot: it needs no display and leaves no state behind.
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.add_subplot()


def _short(value: Any, place: object = None) -> str:  # noqa: ARG001
    """Write a number on an axis; matplotlib tells the place of a tick, too."""
    return number(value, 3)


def _fold(label: str) -> str:
    """Break a label that is longer than the side it is written along."""
    return fill(label, LONGEST_LABEL)

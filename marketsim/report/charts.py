"""Figures of sweeps and experiments: lines with intervals, maps, effects, differences."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from marketsim.report.canvas import (
    amount_map,
    contrasting,
    find_look,
    finish,
    folded,
    legend,
    new_figure,
    plain,
    signed_map,
    tick_text,
)
from marketsim.report.numbers import UNITS, interval, short_names
from marketsim.study.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

#: Read from the back of a lecture room.
LOOK = find_look("slide")
#: More cells than this in a heat map leave no room for the numbers.
MAX_NUMBERS = 64
#: More labels than this along an axis of a heat map overlap.
MAX_TICKS = 9
#: Digits of an estimate written beside its mark.
DIGITS = 3
#: Marks of lines, so that they differ in print too.
MARKS = "osD^vPX*<>"


@mpl.rc_context(LOOK.settings)
def line_figure(
    table: "pd.DataFrame",
    x_label: str,
    y_label: str,
    *,
    is_joined: bool = True,
    theory: Sequence[str] = (),
) -> Figure:
    """Draw the means of cells over one parameter, with their intervals as bands.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``x``, ``value``, ``low`` and ``high``; with a column ``group`` a line for each, in
        the order of the numbers in their names, or else of the table.
    x_label, y_label : str
        With their units.
    is_joined : bool, optional
        If not, points with their intervals, of settings that have no order.
    theory : sequence of str, optional
        Groups that were not measured: dashed, without points, in the colour of the group whose name
        theirs begins with.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _new_axes()
    is_numeric = np.issubdtype(np.asarray(table["x"].to_list()).dtype, np.number)
    if not is_numeric:  # names, in the order they come in
        table = table.assign(x=[plain(str(x)) for x in table["x"]])
    has_groups = "group" in table.columns
    groups = _in_order(list(dict.fromkeys(table["group"]))) if has_groups else [""]
    measured = [name for name in groups if name not in theory]
    entries = []
    for name in [*measured, *(each for each in groups if each in theory)]:
        part = table[table["group"] == name] if has_groups else table
        rows = part.sort_values("x") if is_numeric else part
        base = [n for n, each in enumerate(measured) if str(name).startswith(str(each))]
        if name in measured:  # the name of another may begin it
            base = [measured.index(name)]
        color = LOOK.theme.market(base[0]) if base else LOOK.theme.ink
        is_theory = name in theory
        (line,) = axes.plot(
            rows["x"],
            rows["value"],
            color=color,
            marker="" if is_theory or not base else MARKS[base[0] % len(MARKS)],
            linestyle="--" if is_theory else "-" if is_joined else "",
            label=plain(str(name)),
        )
        if not is_theory and is_joined:
            axes.fill_between(
                rows["x"], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0
            )
        elif not is_theory:
            axes.vlines(rows["x"], rows["low"], rows["high"], color=color, alpha=0.6)
        entries.append((line, str(name)))
    if has_groups:
        order = [groups.index(name) for _, name in entries]
        legend(axes, [entries[n] for n in np.argsort(order)])
    axes.set_xlabel(plain(x_label))
    axes.set_ylabel(folded(axes, y_label))
    if is_numeric:
        axes.xaxis.set_major_formatter(tick_text)
    axes.yaxis.set_major_formatter(tick_text)
    _mark_zero(axes)
    return figure


@mpl.rc_context(LOOK.settings)
def heat_map(
    table: "pd.DataFrame",
    x_label: str,
    y_label: str,
    value_label: str,
    *,
    is_clear: "pd.DataFrame | None" = None,
) -> Figure:
    """Draw a figure over two parameters: a phase diagram.

    What has both signs diverges about zero, which is marked on the scale.

    Parameters
    ----------
    table : pandas.DataFrame
        Values by the first parameter (index, upwards) and the second (columns, to the right); NaN
        is a cell without a run.
    x_label, y_label, value_label : str
        With their units.
    is_clear : pandas.DataFrame, optional
        Of a difference, whether its interval leaves zero out; the others stand in brackets.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _new_axes()
    values = table.to_numpy(np.float64)
    known = values[np.isfinite(values)]
    is_signed = is_clear is not None or (len(known) > 0 and known.min() < 0.0 < known.max())
    scale: dict[str, Any] = {"cmap": amount_map(LOOK.theme)}
    if is_signed:
        reach = float(np.abs(known).max(initial=0.0)) or 1.0
        scale = {"cmap": signed_map(LOOK.theme), "norm": TwoSlopeNorm(0.0, -reach, reach)}
    image = axes.imshow(values, origin="lower", aspect="auto", **scale)
    for set_ticks, names in ((axes.set_xticks, table.columns), (axes.set_yticks, table.index)):
        places = range(0, len(names), -(-len(names) // MAX_TICKS) or 1)
        set_ticks(places, [plain(tick_text(names[place])) for place in places])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    if values.size <= MAX_NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                color = contrasting(image.cmap(image.norm(value)), LOOK.theme)
                text = tick_text(value)
                if is_clear is not None and not is_clear.iloc[row, column]:
                    text = f"({text})"
                axes.text(column, row, text, ha="center", va="center", color=color)
    axes.set_xlabel(plain(x_label))
    axes.set_ylabel(folded(axes, y_label))
    if is_clear is not None and values.size <= MAX_NUMBERS:
        value_label = f"{value_label} (in brackets: may be zero)"
    bar = figure.colorbar(image, ax=axes, label=folded(axes, value_label), format=tick_text)
    if is_signed:
        bar.ax.axhline(0.0, color=LOOK.theme.ink, linewidth=LOOK.size.line)
    return figure


@mpl.rc_context(LOOK.settings)
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
    names = short_names(order)
    axes.barh(
        [plain(names[name]) for name in order],
        values,
        height=0.65,
        color=LOOK.theme.funding[7],
        linewidth=0,
    )
    for n, name in enumerate(order):
        _whisker(axes, known[name], n)
    axes.axvline(0.0, color=LOOK.theme.ink, linewidth=0.5 * LOOK.size.line)
    axes.set_xlabel(plain(label))
    axes.xaxis.set_major_formatter(tick_text)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    return figure


@mpl.rc_context(LOOK.settings)
def difference_figure(
    differences: Mapping[str, Interval], bases: Mapping[str, float], label: str
) -> Figure:
    """Draw differences of several quantities, each in its own unit, over its own marked zero.

    Parameters
    ----------
    differences : mapping of Interval
        By quantity.
    bases : mapping of float
        What each is in the base.
    label : str
        Which twin less which base.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(LOOK)
    rows = np.ravel(figure.subplots(len(differences), 1, squeeze=False))
    theme = LOOK.theme
    small = 0.7 * LOOK.size.font
    for axes, (name, found) in zip(rows, differences.items(), strict=True):
        ends = [end for end in (*found, 0.0) if math.isfinite(end)]
        reach = 1.15 * max(map(abs, ends)) or 1.0
        color = theme.long if found.value >= 0.0 else theme.short
        axes.axvline(0.0, color=theme.ink, linewidth=0.5 * LOOK.size.line)
        _whisker(axes, found, 0.0)
        axes.plot(found.value, 0.0, marker="o", color=color)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-1.0, 1.0)
        axes.set_yticks([0.0], [plain(name)], fontsize=small)
        axes.tick_params(axis="both", length=0)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        beside = interval(*found, digits=DIGITS, scale=abs(bases[name]))
        text = f"{beside}, base {tick_text(bases[name])}"
        axes.text(1.02, 0.5, text, transform=axes.transAxes, va="center", fontsize=small)
    finish(figure, label, "", LOOK)
    return figure


def _whisker(axes: Axes, found: Interval, place: float) -> None:
    """Draw an interval across a bar; there may be none."""
    if math.isfinite(found.low) and math.isfinite(found.high):
        reach = [[found.value - found.low], [found.high - found.value]]
        axes.errorbar(
            found.value,
            place,
            xerr=np.clip(reach, 0.0, None),
            color=LOOK.theme.ink,
            capsize=0.3 * LOOK.size.font,
            linewidth=0.6 * LOOK.size.line,
        )


def _mark_zero(axes: Axes) -> None:
    """Draw the line of zero where values lie on both sides of it."""
    low, high = axes.get_ylim()
    if low < 0.0 < high:
        axes.axhline(0.0, color=LOOK.theme.ink, linewidth=0.4 * LOOK.size.line, zorder=1)


def _in_order(names: Sequence[Any]) -> list[Any]:
    """Sort names by the numbers in them; words keep the order in which they came.

    Examples
    --------
    >>> _in_order(["aligned, 100k", "aligned, 25k", "mixed, 100k", "mixed, 25k"])
    ['aligned, 25k', 'aligned, 100k', 'mixed, 25k', 'mixed, 100k']
    """
    first: dict[str, int] = {}
    keys = {}
    for name in names:
        parts = re.split(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?[kMB]?)", str(name))
        words = parts[::2]
        numbers = [_value(part) for part in parts[1::2]]
        places = [first.setdefault(f"{n} {word}", len(first)) for n, word in enumerate(words)]
        keys[name] = [
            places[0],
            *(x for pair in zip(numbers, places[1:], strict=True) for x in pair),
        ]
    return sorted(names, key=keys.__getitem__)


def _value(text: str) -> float:
    """Return the number that a text such as "25k" writes."""
    for scale, letter in UNITS:
        if text.endswith(letter):
            return scale * float(text[:-1])
    return float(text)


def _new_axes() -> tuple[Figure, Axes]:
    figure = new_figure(LOOK)
    return figure, figure.add_subplot()

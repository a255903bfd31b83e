"""How close the market came to running away: R over time, and the matrix at its peak."""

import math

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from marketsim.report.canvas import contrasting, hours_axis, legend, plain, say, signed_map, split
from marketsim.report.numbers import fixed
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run

#: More markets than this leave no room for the numbers.
MAX_NUMBERS = 8
#: More names than this along an axis overlap; of more letters than this, they are turned.
MAX_NAMES, LETTERS = 12, 16


def draw(axes: Axes, run: Run, theme: Theme) -> list[Axes]:
    """Draw R of falls and rises beside the line it must not reach, and the matrix of the peak."""
    series = run.contagion() if "contagion" in run.tables else None
    if series is None or not len(series.steps):
        say(axes, "The run is too short: it holds no contagion matrix.")
        return [axes]
    numbers = series.reproduction_number
    if numbers.isna().all(axis=None):
        say(axes, "R does not exist: a side of a book was empty throughout.")
        return [axes]
    (whole,) = split(axes, [1.0])
    figure, place = whole.get_figure(), whole.get_subplotspec()
    assert figure is not None
    assert place is not None
    whole.remove()
    grid = place.subgridspec(1, 2, width_ratios=[1.35, 1.0])
    left, right = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    entries = []
    for side, color in (("falls", theme.long), ("rises", theme.short)):
        (line,) = left.plot(numbers.index, numbers[side], color=color)
        entries.append((line, side))
    entries.sort(key=lambda entry: -float(numbers[entry[1]].max()))
    left.axhline(1.0, color=theme.ink, linestyle="--", linewidth=mpl.rcParams["lines.linewidth"])
    left.text(
        0.01,
        1.02,
        "1: runs away",
        transform=left.get_yaxis_transform(),
        va="bottom",
        fontsize="small",
        bbox={"boxstyle": "round,pad=0.1", "fc": theme.paper, "ec": "none", "alpha": 0.7},
    )
    left.set_ylim(0.0, max(1.2, 1.08 * float(numbers.max().max())))
    left.set_ylabel("reproduction number R")
    legend(left, entries)
    hours_axis(left)
    side = str(numbers.max().fillna(-math.inf).idxmax())
    peak = series.peak(side)
    hours = float(series.hours[list(series.steps).index(peak.step)])
    draw_matrix(right, peak.matrix(side), series.markets, theme)
    right.set_title(f"M of {side} after {hours:.4g} h")
    return [left, right]


def draw_matrix(axes: Axes, matrix: "np.ndarray", markets: tuple[str, ...], theme: Theme) -> None:
    """Draw a contagion matrix, zero neutral: how far the row follows the column."""
    reach = float(np.nanmax(np.abs(matrix))) if np.isfinite(matrix).any() else 0.0
    reach = max(reach, 1e-6)
    image = axes.imshow(
        matrix, cmap=signed_map(theme), norm=TwoSlopeNorm(0.0, -reach, reach), aspect="auto"
    )
    names = [plain(shortened(name, 10)) for name in markets]
    every = -(-len(names) // MAX_NAMES)
    is_wide = sum(map(len, names)) > LETTERS
    turned = 90.0 if is_wide else 0.0
    axes.set_xticks(range(0, len(names), every), names[::every], rotation=turned)
    axes.set_yticks(range(0, len(names), every), names[::every])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_xlabel("a move of")
    axes.set_ylabel("moves")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(markets) > MAX_NUMBERS:
        figure = axes.get_figure()
        assert figure is not None
        figure.colorbar(image, ax=axes, label="of the price, per unit")
        return
    for (row, column), value in np.ndenumerate(matrix):
        color = contrasting(image.cmap(image.norm(value)), theme) if math.isfinite(value) else None
        axes.text(
            column,
            row,
            fixed(float(value), 3 if reach < 0.1 else 2),
            ha="center",
            va="center",
            color=color or theme.ink,
            fontsize="small",
        )

"""The funding heat map: market x time, on a scale that is the same in every figure."""

import numpy as np
from matplotlib.axes import Axes

from marketsim.report.canvas import funding_map, hours_axis, plain, say
from marketsim.report.plots.reading import edges
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run

BP = 1e4
#: More names than this along an axis overlap.
MAX_NAMES = 12


def draw(axes: Axes, run: Run, theme: Theme) -> list[Axes]:
    """Draw every settled rate, the first market on top; each holds from the settlement before."""
    table = run.funding_heatmap
    if not len(table):
        say(axes, "No funding was settled: the run is shorter than an interval.")
        return [axes]
    names = run.market_names
    rates = BP * np.array([table[f"rate_{name}"].to_numpy(np.float64) for name in names])
    ends = table["hours"].to_numpy(np.float64)
    length = float(np.median(np.diff(ends))) if len(ends) > 1 else float(ends[0])
    times = edges(np.append(max(ends[0] - length, 0.0), ends[:-1]), float(ends[-1]))
    colors, steps = funding_map(theme)
    mesh = axes.pcolormesh(
        times,
        np.arange(len(names) + 1) - 0.5,
        np.ma.masked_invalid(rates),
        cmap=colors,
        norm=steps,
        rasterized=True,
    )
    axes.set_ylim(len(names) - 0.5, -0.5)
    shown = range(0, len(names), -(-len(names) // MAX_NAMES))
    axes.set_yticks(shown, [plain(shortened(names[n])) for n in shown])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    hours_axis(axes)
    axes.margins(x=0.0)
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(mesh, ax=axes, spacing="uniform", ticks=list(steps.boundaries))
    bar.ax.set_yticklabels([f"{step:g}" for step in steps.boundaries])
    bar.set_label("bp per 8 h")
    bar.ax.set_title("longs pay", fontsize="small", loc="left", color=theme.long)
    bar.ax.text(
        0.0,
        -0.06,
        "shorts pay",
        fontsize="small",
        color=theme.short,
        transform=bar.ax.transAxes,
        va="top",
    )
    return [axes]

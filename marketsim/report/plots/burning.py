"""The liquidation heat map: what would be liquidated at each price, and the price burning it."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patheffects import Normal, Stroke

from marketsim.report.canvas import fire_map, hours_axis, legend, say, tick_text
from marketsim.report.plots.prices import liquidated
from marketsim.report.plots.reading import chosen_market, edges, rows_of, whole_hours
from marketsim.report.style import Theme
from marketsim.results.run import Run

#: Prices shown beyond the lowest and the highest mark, a share of the mark.
MARGIN = 0.2
#: Least amount that is coloured, a share of the largest.
DYNAMIC = 1e-3


def draw(axes: Axes, run: Run, theme: Theme, *, market: str | None = None) -> list[Axes]:
    """Draw the positions that would be liquidated at each price, and the mark among them."""
    name = chosen_market(run, market)
    rows = rows_of(run.markets, name)
    grid = run.heatmap(name) if "liquidation_heatmap" in run.tables else None
    if grid is None or not len(grid):
        say(axes, f"Nobody ever held a position in {name} that could be liquidated.")
        return [axes]
    values = grid.to_numpy(np.float64)
    low_edges = grid.index.to_numpy(np.float64)
    ratio = low_edges[1] / low_edges[0] if len(low_edges) > 1 else 1.01
    prices = np.append(low_edges, low_edges[-1] * ratio)
    most = float(values.max())
    mesh = axes.pcolormesh(
        edges(grid.columns, whole_hours(run)),
        prices,
        np.ma.masked_less_equal(values, DYNAMIC * most),
        cmap=fire_map(theme),
        norm=LogNorm(DYNAMIC * most, most),
        rasterized=True,
        zorder=1,
    )
    width = mpl.rcParams["lines.linewidth"]
    outline = [Stroke(linewidth=1.6 * width, foreground=theme.paper), Normal()]
    (line,) = axes.plot(
        rows["hours"],
        rows["mark_price"],
        color=theme.ink,
        linewidth=0.6 * width,
        zorder=3,
        path_effects=outline,
    )
    burnt = liquidated(run, name)
    entries: list[tuple[Any, str]] = [(line, f"mark of {name}")]
    for side, color in (("long", theme.long), ("short", theme.short)):
        mine = burnt[burnt["side"] == side]
        if len(mine):
            area = 2.0 * mpl.rcParams["font.size"] ** 2 * mine["usd"] / burnt["usd"].max()
            dots = axes.scatter(
                mine["hours"],
                mine["mark_price"],
                s=area,
                color=color,
                alpha=0.7,
                linewidth=0,
                zorder=4,
            )
            entries.append((dots, f"{side}s liquidated"))
    low, high = rows["mark_price"].min(), rows["mark_price"].max()
    axes.set_ylim((1.0 - MARGIN) * low, (1.0 + MARGIN) * high)
    legend(axes, entries, share=0.72, markerscale=0.5)
    axes.grid(visible=False)
    axes.set_ylabel("price, USD")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    hours_axis(axes)
    axes.margins(x=0.0)
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(mesh, ax=axes, format=tick_text, label="would be liquidated there, USD")
    bar.minorticks_off()
    return [axes]

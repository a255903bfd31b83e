"""What rested near the mid: dollars of both sides of a book over time."""

import matplotlib as mpl
from matplotlib.axes import Axes

from marketsim.report.canvas import hours_axis, in_usd, legend, say, tick_text
from marketsim.report.plots.reading import chosen_market, rows_of
from marketsim.report.style import Theme
from marketsim.results.run import Run
from marketsim.tape.depth import REACHES

#: Distances from the mid that are drawn, basis points.
SHOWN = REACHES[1::2] if len(REACHES) > 3 else REACHES


def draw(axes: Axes, run: Run, theme: Theme, *, market: str | None = None) -> list[Axes]:
    """Draw what rested near the mid: asks upwards, bids downwards, a shade for each distance."""
    name = chosen_market(run, market)
    if "depth" not in run.tables:
        say(axes, "No book was looked at: the run is too short.")
        return [axes]
    rows = rows_of(run.depth, name)
    entries = []
    for side, sign, color in (("ask", 1.0, theme.short), ("bid", -1.0, theme.long)):
        for n, reach in enumerate(sorted(SHOWN, reverse=True)):
            shade = mpl.colors.to_rgba(color, 0.35 + 0.6 * n / max(len(SHOWN) - 1, 1))
            area = axes.fill_between(
                rows["hours"],
                sign * rows[f"{side}_usd_{reach}bp"],
                step="post",
                color=shade,
                linewidth=0,
            )
            entries.append((area, f"{side}s, {reach} bp"))
    legend(axes, entries)
    axes.axhline(0.0, color=theme.ink, linewidth=0.4 * mpl.rcParams["lines.linewidth"])
    in_usd(axes, f"resting in {name}")
    axes.yaxis.set_major_formatter(lambda value, _: tick_text(abs(value)))
    hours_axis(axes)
    return [axes]

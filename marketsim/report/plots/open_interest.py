"""Open interest, the share of longs, and how far the crowd leans to one side."""

import matplotlib as mpl
from matplotlib.axes import Axes

from marketsim.report.canvas import hours_axis, in_usd, legend, split, tick_text
from marketsim.report.plots.reading import MARKET, chosen_markets, left_out, place_of, rows_of
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run


def draw(axes: Axes, run: Run, theme: Theme, *, market: str | None = None) -> list[Axes]:
    """Draw open interest, the share of accounts that are long, and the herd index."""
    names = chosen_markets(run, market)
    held, share, herd = split(axes, [1.0, 1.0, 1.0])
    width = 0.7 * mpl.rcParams["lines.linewidth"]
    entries = []
    for name in names:
        rows, color = rows_of(run.markets, name), theme.market(place_of(run, name))
        (line,) = held.plot(rows["hours"], rows["open_interest_usd"], color=color, linewidth=width)
        entries.append((line, shortened(name, MARKET)))
        share.plot(rows["hours"], 100.0 * rows["long_share"], color=color, linewidth=width)
        herd.plot(rows["hours"], rows["herd_index"], color=color, linewidth=width)
    legend(held, entries)
    in_usd(held, "")
    held.set_ylabel("open\ninterest,\nUSD")
    held.set_ylim(bottom=0.0)
    share.set_ylabel("accounts\nlong, %")
    share.set_ylim(0.0, 100.0)
    share.axhline(50.0, color=theme.muted, linewidth=0.4 * width)
    herd.set_ylabel("herd index,\n-1 to 1")
    herd.set_ylim(-1.05, 1.05)
    herd.axhline(0.0, color=theme.muted, linewidth=0.4 * width)
    if rows["herd_index"].isna().all():
        herd.text(
            0.5,
            0.6,
            "no herd trades here",
            transform=herd.transAxes,
            ha="center",
            color=theme.muted,
            fontsize="small",
        )
    for each in (share, herd):
        each.yaxis.set_major_formatter(tick_text)
    hours_axis(herd, f"hours since the start{left_out(run, names)}")
    return [held, share, herd]

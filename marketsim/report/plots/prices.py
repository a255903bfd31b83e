"""Index, mark and liquidations over time."""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from marketsim.report.canvas import folded, hours_axis, legend, tick_text
from marketsim.report.numbers import number
from marketsim.report.plots.reading import MARKET, chosen_markets, left_out, place_of, rows_of
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

#: Area of the dot of the largest liquidation, in squares of the font's size.
LARGEST_DOT = 3.0
SIDES = ("long", "short")


def draw(axes: Axes, run: Run, theme: Theme, *, market: str | None = None) -> list[Axes]:
    """Draw the prices of a market in USD, or of several in percent of where they began.

    A dot is what was liquidated in a step, by its area and side, where the mark stood.
    """
    names = chosen_markets(run, market)
    is_alone = len(names) == 1
    width = mpl.rcParams["lines.linewidth"]
    entries: list[tuple[Any, str]] = []
    dots = []
    for name in names:
        rows = rows_of(run.markets, name)
        start = float(rows["index_price"].iloc[0])
        scale = (lambda price: price) if is_alone else _percent_of(start)
        color = theme.ink if is_alone else theme.market(place_of(run, name))
        (mark,) = axes.plot(
            rows["hours"], scale(rows["mark_price"]), color=color, linewidth=0.7 * width, zorder=2
        )
        (index,) = axes.plot(
            rows["hours"],
            scale(rows["index_price"]),
            color=theme.muted if is_alone else color,
            linewidth=0.5 * width,
            linestyle=(0, (3, 1.5)),
            zorder=3,
        )
        entries.append((mark, f"mark of {name}" if is_alone else shortened(name, MARKET)))
        found = liquidated(run, name)
        dots.append(found.assign(price=scale(found["mark_price"])))
    entries.append((index, "index"))
    largest = max((float(each["usd"].max()) for each in dots if len(each)), default=0.0)
    area = LARGEST_DOT * mpl.rcParams["font.size"] ** 2
    sides = [_dots(axes, dots, side, largest, area, theme) for side in SIDES]
    entries += [(dot, f"{side}s liquidated") for dot, side in zip(sides, SIDES, strict=True) if dot]
    if largest:
        entries.append((_dot(area, "none", theme.muted), f"{number(largest, 3)} USD in a step"))
    legend(axes, entries)
    hours_axis(axes)
    axes.yaxis.set_major_formatter(tick_text if not is_alone else _price_text)
    text = "price, USD" if is_alone else f"since the start, %{left_out(run, names)}"
    axes.set_ylabel(folded(axes, text))
    return [axes]


def liquidated(run: Run, market: str) -> "pd.DataFrame":
    """Return what was liquidated in a market by step and side, where the mark stood then."""
    rows = rows_of(run.liquidations, market)
    keys = [rows["hours"], rows["side"].astype(str)]
    found = rows.groupby(keys).agg(usd=("notional_usd", "sum"), mark_price=("mark_price", "last"))
    return found[found["usd"] > 0.0].reset_index()


def _dots(
    axes: Axes, dots: "list[pd.DataFrame]", side: str, largest: float, area: float, theme: Theme
) -> Any:
    """Draw the liquidations of one side; return what stands for them in a legend."""
    color = theme.long if side == "long" else theme.short
    is_any = False
    for each in dots:
        rows = each[each["side"] == side]
        if len(rows):
            is_any = True
            axes.scatter(
                rows["hours"],
                rows["price"],
                s=area * rows["usd"] / largest,
                facecolor=mpl.colors.to_rgba(color, 0.45),
                edgecolor=color,
                linewidth=0.3 * mpl.rcParams["lines.linewidth"],
                zorder=4,
                label=side,
            )
    return _dot(area / 4, mpl.colors.to_rgba(color, 0.45), color) if is_any else None


def _dot(area: float, face: Any, edge: Any) -> Line2D:
    size = float(np.sqrt(area))
    return Line2D([], [], linestyle="", marker="o", markersize=size, mfc=face, mec=edge)


def _percent_of(start: float) -> Any:
    return lambda price: 100.0 * (price / start - 1.0)


def _price_text(value: float, place: object = None) -> str:  # noqa: ARG001
    return f"{value:,.6g}"

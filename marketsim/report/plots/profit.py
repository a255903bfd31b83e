"""Profit and loss by population and cause."""

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from marketsim.engine.state import ATOMS
from marketsim.report.canvas import in_usd, legend, plain
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run
from marketsim.tape.result import FUND_NAME

if TYPE_CHECKING:
    import pandas as pd

#: What the insurance fund is called in words.
FUND = "insurance fund"
#: Words for causes of profit and loss, and the columns (without their unit) each takes together.
#: What a fill cost against the mid is the other side's price, and a rounding the fund's funding.
CAUSES: dict[str, tuple[str, ...]] = {
    "price": ("price", "slippage"),
    "funding": ("funding", "rounding"),
    "fees": ("fee",),
    "liquidation fees": ("liquidation_fee",),
    "taken over by the fund": ("takeover",),
    "deleveraging": ("adl",),
    "socialised losses": ("socialised",),
    "spot": ("spot",),
}
#: A cause that moved less than this share of all is left out of the legend, not of the bars.
LEAST = 1e-3


def draw(axes: Axes, run: Run, theme: Theme) -> list[Axes]:
    """Draw the profit of each population by cause, losses to the left, and a mark at the sum."""
    table = profit_by_cause(run)
    names = list(table.index)
    moved = table.abs().sum()
    order = moved.sort_values(ascending=False).index
    place = np.arange(len(names))
    ends = np.zeros((2, len(names)))
    entries = []
    for cause in order:
        values = table[cause].to_numpy() / ATOMS
        color = cause_color(cause, theme)
        for n, part in enumerate((values.clip(min=0.0), values.clip(max=0.0))):
            bars = axes.barh(place, part, 0.62, left=ends[n], color=color, linewidth=0)
            ends[n] += part
        if moved[cause] > LEAST * moved.sum():
            entries.append((bars, cause))
    total = table.sum(axis=1).to_numpy() / ATOMS
    (mark,) = axes.plot(
        total,
        place,
        linestyle="",
        marker="D",
        color=theme.ink,
        markeredgecolor=theme.paper,
        zorder=5,
    )
    legend(axes, [*entries, (mark, "in all")])
    axes.axvline(0.0, color=theme.ink, linewidth=0.4 * mpl.rcParams["lines.linewidth"])
    axes.set_yticks(place, [plain(shortened(name, 16)) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    low, high = axes.get_xlim()  # bars end where the axis does, the mark does not
    axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    in_usd(axes, "profit", axis="x")
    return [axes]


def profit_by_cause(run: Run) -> "pd.DataFrame":
    """Return the profit of every population (rows) by cause (columns) in atoms, whole numbers."""
    import pandas as pd

    table = run.populations
    rows = [str(name).replace(FUND_NAME, FUND) for name in table["population"]]
    columns = {
        cause: sum(table[f"{part}_atoms"].to_numpy(np.int64) for part in parts)
        for cause, parts in CAUSES.items()
    }
    return pd.DataFrame(columns, index=rows)


def cause_color(cause: str, theme: Theme) -> str:
    """Return the colour of a cause, the same in every figure."""
    return theme.categories[list(CAUSES).index(cause) % len(theme.categories)]

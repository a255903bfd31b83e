"""One account: its pools' equity over their maintenance margin, and how far liquidation is."""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from marketsim.account.course import read_course
from marketsim.report.canvas import (
    FigureError,
    heading,
    hours_axis,
    in_usd,
    legend,
    say,
    split,
    tick_text,
)
from marketsim.report.plots.reading import MARKET, MAX_LINES, place_of, rows_of, whole_hours
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

#: Pools drawn, those with the largest margin.
MAX_POOLS = 4
STYLES = ("-", "--", "-.", ":")


def draw(axes: Axes, run: Run, theme: Theme, *, account: int | None = None) -> list[Axes]:
    """Draw equity and maintenance margin of an account's pools, and the move that takes each.

    Left out, the account is the one most was liquidated of.
    """
    who = chosen_account(run, account)
    pools, moves = read_course(run, who)
    if not len(pools):
        say(axes, f"Account {who} never held a position.")
        return [axes]
    equity, distance = split(axes, [1.0, 1.0])
    width = 0.8 * mpl.rcParams["lines.linewidth"]
    most = pools.groupby("pool")["maintenance_usd"].max().nlargest(MAX_POOLS).index
    entries: list[tuple[Any, str]] = []
    for n, pool in enumerate(most):
        rows = _with_gaps(pools[pools["pool"] == pool])
        style = STYLES[n]
        (line,) = equity.plot(
            rows["hours"], rows["equity_usd"], color=theme.ink, linestyle=style, linewidth=width
        )
        (need,) = equity.plot(
            rows["hours"],
            rows["maintenance_usd"],
            color=theme.short,
            linestyle=style,
            linewidth=width,
        )
        name = shortened(str(rows["name"].iloc[0]), 24)
        entries.append((line, "equity" if len(most) == 1 else f"equity, {name}"))
    entries.append((need, "maintenance margin"))
    population = str(run.accounts.loc[run.accounts["account"] == who, "population"].iloc[0])
    heading(equity, f"account {who} ({shortened(population)})")
    legend(equity, entries)
    equity.axhline(0.0, color=theme.muted, linewidth=0.4 * width)
    in_usd(equity, "")
    legend(distance, _distances(distance, run, moves, theme, width))
    distance.set_ylabel("move to\nliquidation, %")
    distance.yaxis.set_major_formatter(tick_text)
    # A move that is far away does not press the near ones flat.
    far = 100.0 * float(moves["move"].abs().quantile(0.9) or 0.0) * 1.5
    low, high = distance.get_ylim()
    if far > 0.0:
        distance.set_ylim(min(max(low, -far), -0.05 * far), max(min(high, far), 0.05 * far))
    distance.axhline(0.0, color=theme.short, linewidth=width)
    hit = run.liquidations[run.liquidations["account"] == who]
    for each in (equity, distance):
        for hours in hit["hours"].unique()[:40]:
            each.axvline(hours, color=theme.short, alpha=0.35, linewidth=0.6 * width, zorder=1)
    distance.set_xlim(0.0, whole_hours(run))
    hours_axis(distance)
    return [equity, distance]


def chosen_account(run: Run, account: int | None) -> int:
    """Return the account asked for; left out, the one most was liquidated of.

    Raises
    ------
    FigureError
        If there is no such account.
    """
    traders = run.accounts["account"].iloc[:-1]  # the last is the insurance fund
    if account is None:
        usd = run.liquidations.groupby("account")["notional_usd"].sum()
        return int(str(usd.idxmax())) if len(usd) else int(traders.iloc[0])
    if account not in set(traders):
        last = int(traders.max())
        raise FigureError(f"account {account}: the run has accounts 0 to {last}")
    return account


def _distances(
    axes: Axes, run: Run, moves: "pd.DataFrame", theme: Theme, width: float
) -> list[tuple[Any, str]]:
    """Draw the move of each market alone that would take the account's pool there."""
    entries: list[tuple[Any, str]] = []
    least = moves.assign(move=moves["move"].abs()).groupby("market")["move"].min()
    nearest = set(least.nsmallest(MAX_LINES).index)
    for market in (name for name in run.market_names if name in nearest):
        rows = _with_gaps(rows_of(moves, market))
        color = theme.market(place_of(run, market))
        # Positions of a pool may need the same move: a line with gaps shows the one below.
        (line,) = axes.plot(
            rows["hours"],
            100.0 * rows["move"],
            color=color,
            linewidth=width,
            linestyle=(0, (4.0 / len(entries), 3.0)) if entries else "-",
        )
        entries.append((line, shortened(market, MARKET)))
    return entries


def _with_gaps(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Break a line where nothing was held for a while."""
    import pandas as pd

    hours = rows["hours"].to_numpy()
    usual = float(np.median(np.diff(hours))) if len(hours) > 1 else 1.0
    after = np.flatnonzero(np.diff(hours) > 1.5 * usual)
    if not len(after):
        return rows
    number = rows.select_dtypes("number").columns
    gaps = rows.iloc[after].copy()
    gaps[number] = gaps[number].astype(float)
    gaps["hours"] = hours[after] + 1e-6
    gaps[[name for name in number if name != "hours"]] = np.nan
    return pd.concat([rows, gaps]).sort_values("hours", kind="stable")

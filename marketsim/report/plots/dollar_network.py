"""The contagion network: accounts between the markets they lost in and those they were sold in."""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import FancyArrowPatch

from marketsim.report.canvas import heading, plain, say
from marketsim.report.numbers import counted, number
from marketsim.report.plots.cascade_timeline import chosen_cascade, nothing_to_show
from marketsim.report.plots.reading import place_of
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

#: Accounts drawn, those most was sold of; the sums count all.
MAX_ACCOUNTS = 250
#: Markets drawn, those most dollars passed through.
MAX_MARKETS = 10
#: Markets up to which their labels are large.
FEW = 4
#: A share of the dollars between two markets that is too small for an arrow of its own.
LEAST_ARROW = 0.01
#: The angle that spreads dots evenly, as in a sunflower.
GOLDEN = np.pi * (3.0 - np.sqrt(5.0))


def draw(axes: Axes, run: Run, theme: Theme, *, cascade: int | None = None) -> list[Axes]:
    """Draw what losses in one market made accounts sell in another, in the run or in one cascade.

    A dot is an account, between the markets that it lost and sold in; an arrow says how many
    dollars were liquidated where it ends because of losses where it begins.
    """
    passed = passed_on(run, cascade)
    if not len(passed):
        say(axes, nothing_to_show(run))
        return [axes]
    through = (
        passed.groupby("sold_in")["usd"]
        .sum()
        .add(passed.groupby("lost_in")["usd"].sum(), fill_value=0.0)
    )
    kept = set(through.nlargest(MAX_MARKETS).index)
    names = [name for name in run.market_names if name in kept]
    passed = passed[passed["sold_in"].isin(kept) & passed["lost_in"].isin(kept)]
    places = _around(names)
    sold = passed.groupby("sold_in")["usd"].sum()
    axes.set_aspect("equal", adjustable="box")
    axes.set_axis_off()
    _accounts(axes, passed, places, run, theme)
    _markets(axes, places, sold, run, theme)
    _arrows(axes, passed, places, run, theme)
    axes.set_xlim(-2.4, 2.4)
    axes.set_ylim(-1.45, 1.75)
    return [axes]


def passed_on(run: Run, cascade: int | None = None) -> "pd.DataFrame":
    """Return the dollars of each account sold in a market because of losses in another.

    Parameters
    ----------
    run : Run
    cascade : int, optional
        Only those of one cascade, 1 the largest.

    Returns
    -------
    pandas.DataFrame
        Columns `account`, `lost_in`, `sold_in`, `usd`; what belongs to no market is left out.
    """
    liquidations, causes = run.liquidations, run.causes
    rows = causes["liquidation"].to_numpy()
    table = causes.assign(
        account=liquidations["account"].to_numpy()[rows],
        sold_in=liquidations["market"].astype(str).to_numpy()[rows],
        lost_in=causes["market"].astype(str),
        usd=causes["weight"].to_numpy() * liquidations["notional_usd"].to_numpy()[rows],
    )
    if cascade is not None:
        chosen = chosen_cascade(run, cascade)
        table = table[table["liquidation"].isin([] if chosen is None else chosen.liquidations)]
    table = table[(table["lost_in"] != "") & (table["usd"] > 0.0)]
    return table.groupby(["account", "lost_in", "sold_in"])["usd"].sum().reset_index()


def _around(names: list[str]) -> dict[str, Any]:
    """Place markets on a circle, the first on the left."""
    if len(names) == 1:
        return {names[0]: np.zeros(2)}
    angle = np.pi - 2.0 * np.pi * np.arange(len(names)) / len(names)
    return dict(zip(names, np.column_stack([1.35 * np.cos(angle), np.sin(angle)]), strict=True))


def _accounts(
    axes: Axes, passed: "pd.DataFrame", places: dict[str, Any], run: Run, theme: Theme
) -> None:
    """Draw accounts where their dollars lie, and threads to the markets these came through."""
    sold = passed.groupby("account")["usd"].sum().nlargest(MAX_ACCOUNTS)
    shown = passed[passed["account"].isin(sold.index)]
    ends = _ends(shown)
    at: dict[int, Any] = {}
    seen: dict[tuple[str, ...], int] = {}
    size = np.sqrt(sold / sold.max())
    for account in sold.index:
        mine = ends[ends["account"] == account].groupby("market")["usd"].sum()
        mine = mine[mine > 0.02 * mine.sum()]
        centre = sum(share * places[name] for name, share in (mine / mine.sum()).items())
        key = tuple(mine.index)
        n = seen[key] = seen.get(key, 0) + 1
        # Those of one market lie around it, outside of its disc.
        reach = 0.045 * np.sqrt(n) + (0.2 if len(key) == 1 else 0.0)
        turn = GOLDEN * n
        at[account] = centre + reach * np.array([np.cos(turn), np.sin(turn)])
    threads, colors, widths = [], [], []
    for account, market, usd in ends.itertuples(index=False, name=None):
        threads.append([at[account], places[market]])
        colors.append(mpl.colors.to_rgba(theme.market(place_of(run, market)), 0.25))
        widths.append(mpl.rcParams["lines.linewidth"] * float(np.sqrt(usd / sold.max())))
    axes.add_collection(LineCollection(threads, colors=colors, linewidths=widths, zorder=1))
    dots = np.array([at[account] for account in sold.index])
    area = (0.55 * mpl.rcParams["font.size"] * size.to_numpy()) ** 2
    axes.scatter(
        dots[:, 0],
        dots[:, 1],
        s=area,
        color=theme.ink,
        alpha=0.75,
        edgecolor=theme.paper,
        linewidth=0.4,
        zorder=2,
    )
    total = passed["account"].nunique()
    some = "" if len(sold) == total else f", the largest {len(sold)} of them drawn"
    heading(axes, f"{counted(total, 'account')} liquidated{some}")


def _ends(shown: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row for each account and market it lost or sold in."""
    import pandas as pd

    both = [shown.rename(columns={side: "market"}) for side in ("lost_in", "sold_in")]
    return pd.concat([each[["account", "market", "usd"]] for each in both], ignore_index=True)


def _markets(
    axes: Axes, places: dict[str, Any], sold: "pd.Series[float]", run: Run, theme: Theme
) -> None:
    font = mpl.rcParams["font.size"]
    for name, place in places.items():
        usd = float(sold.get(name, 0.0))
        area = (font * (1.2 + 2.6 * np.sqrt(usd / max(float(sold.max()), 1e-9)))) ** 2
        axes.scatter(
            place[0],
            place[1],
            s=area,
            color=theme.market(place_of(run, name)),
            edgecolor=theme.paper,
            linewidth=1.0,
            zorder=5,
        )
        # Beside the disc, away from the others.
        out = place / max(float(np.hypot(*place)), 1e-9)
        reach = 0.55 * np.sqrt(area) + 0.25 * font
        axes.annotate(
            plain(f"{shortened(name, 16)}\n{number(usd, 3)} USD sold"),
            (place[0], place[1]),
            (reach * out[0], reach * out[1]),
            textcoords="offset points",
            ha="left" if out[0] > 0.3 else "right" if out[0] < -0.3 else "center",
            va="bottom" if out[1] > 0.3 else "top" if out[1] < -0.3 else "center",
            fontsize="medium" if len(places) <= FEW else "small",
            weight="bold",
            zorder=7,
        )


def _arrows(
    axes: Axes, passed: "pd.DataFrame", places: dict[str, Any], run: Run, theme: Theme
) -> None:
    """Draw the sums between markets, with their dollars at the middle of the arrow."""
    sums = passed.groupby(["lost_in", "sold_in"])["usd"].sum().sort_values().reset_index()
    total, font = float(sums["usd"].sum()), mpl.rcParams["font.size"]
    for start, end, usd in sums.itertuples(index=False, name=None):
        if start == end or usd < LEAST_ARROW * total:
            continue
        color = theme.market(place_of(run, start))
        one, other = places[start], places[end]
        axes.add_patch(
            FancyArrowPatch(
                one,
                other,
                connectionstyle="arc3,rad=-0.28",
                arrowstyle="-|>",
                mutation_scale=1.1 * font,
                color=color,
                zorder=6,
                alpha=0.9,
                linewidth=mpl.rcParams["lines.linewidth"] * (0.5 + 3.0 * np.sqrt(usd / total)),
                shrinkA=1.4 * font,
                shrinkB=1.7 * font,
            )
        )
        across = other - one
        middle = 0.5 * (one + other) + 0.14 * np.array([-across[1], across[0]])
        axes.text(
            middle[0],
            middle[1],
            number(float(usd), 3),
            ha="center",
            va="center",
            fontsize="small",
            zorder=8,
            bbox={"boxstyle": "round,pad=0.15", "fc": theme.paper, "ec": color, "lw": 0.8},
        )

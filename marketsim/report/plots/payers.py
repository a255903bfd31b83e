"""Who paid: a river from those who lost, by cause, to those who gained; it sums to the atom."""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from marketsim.engine.state import ATOMS
from marketsim.report.canvas import plain, say
from marketsim.report.numbers import number
from marketsim.report.plots.profit import CAUSES, FUND, cause_color
from marketsim.report.plots.reading import atoms
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run
from marketsim.tape.result import FUND_NAME

if TYPE_CHECKING:
    import pandas as pd

VENUE, OUTSIDE = "venue's fees", "spot market"
#: Who moved less than this share of the river is joined with others like him.
LEAST = 0.012
SMALLER = "smaller ones"
#: Of the height: between two banks, and between two lines of labels.
GAP, LINE = 0.022, 0.046
#: Places of the three columns, and their width.
COLUMNS, WIDTH = (0.0, 0.5, 1.0), 0.022


def draw(axes: Axes, run: Run, theme: Theme) -> list[Axes]:
    """Draw a river from those who lost over the causes to those who gained; it sums to the atom."""
    flows = who_paid(run)
    lost = _joined(-flows.clip(upper=0))
    gained = _joined(flows.clip(lower=0))
    total = int(lost.to_numpy().sum())
    axes.set_axis_off()
    if not total:
        say(axes, "No money moved.")
        return [axes]
    by_cause = lost.sum().sort_values(ascending=False)
    middle = _stack(by_cause[by_cause > 0], total)
    for table, column, is_left in ((lost, COLUMNS[0], True), (gained, COLUMNS[2], False)):
        parties = table.sum(axis=1).sort_values(ascending=False)
        banks = _stack(parties[parties > 0], total)
        _bands(axes, table, banks, middle, is_left, theme)
        at = 2.0
        for name, (low, high) in banks.items():
            _bank(axes, column, low, high, theme.ink)
            at = min(0.5 * (low + high), at - LINE)
            _label(axes, column, at, name, table.loc[name].sum(), is_left)
    _causes(axes, middle, theme)
    for column, word, side in ((0.0, "lost", "right"), (1.0 + WIDTH, "gained", "left")):
        axes.text(column, 1.03, word, ha=side, weight="bold")
    axes.text(
        COLUMNS[1] + 0.5 * WIDTH,
        1.03,
        f"by cause, {number(total / ATOMS, 3)} USD",
        ha="center",
        weight="bold",
    )
    axes.set_xlim(-0.42, 1.44)
    axes.set_ylim(-0.02, 1.08)
    return [axes]


def _causes(axes: Axes, middle: dict[str, tuple[float, float]], theme: Theme) -> None:
    """Draw the causes: the words upon a wide one, beside a narrow one."""
    paper = {"boxstyle": "round,pad=0.15", "fc": theme.paper, "ec": "none", "alpha": 0.8}
    small = 0.72 * float(mpl.rcParams["font.size"])
    at = 2.0
    for name, (low, high) in middle.items():
        _bank(axes, COLUMNS[1], low, high, cause_color(name, theme))
        is_wide = high - low > LINE
        at = min(0.5 * (low + high), at - LINE)
        axes.text(
            COLUMNS[1] + (0.5 if is_wide else 1.6) * WIDTH,
            at,
            name,
            ha="center" if is_wide else "left",
            va="center",
            fontsize=small,
            bbox=paper,
            zorder=6,
        )


def who_paid(run: Run) -> "pd.DataFrame":
    """Return what every party gained (lost: negative) by cause, atoms; each cause sums to zero.

    A party is a population's accounts that met a liquidation order, or those that did not; the
    insurance fund; the venue, which takes fees; and the outside spot market.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        A row per party, a column per cause.
    """
    import pandas as pd

    accounts = run.accounts
    liquidated = accounts["account"].isin(run.liquidations["account"])
    population = accounts["population"].astype(str).replace(FUND_NAME, FUND)
    is_hit = liquidated & (population != FUND)
    party = population.where(~is_hit, population + ", liquidated")
    columns = {
        cause: sum(atoms(accounts[f"{part}_usd"]) for part in parts)
        for cause, parts in CAUSES.items()
    }
    table = pd.DataFrame(columns).groupby(party.to_numpy(), sort=False).sum()
    table.loc[VENUE] = 0
    table.loc[OUTSIDE] = 0
    table.loc[VENUE, "fees"] = -table["fees"].sum()
    table.loc[OUTSIDE, "spot"] = -table["spot"].sum()
    return table


def _joined(table: "pd.DataFrame") -> "pd.DataFrame":
    """Put the smallest parties together."""
    import pandas as pd

    sums = table.sum(axis=1)
    is_small = sums < LEAST * sums.sum()
    if is_small.sum() < 2:
        return table[sums > 0]
    rest = table[is_small].sum().to_frame(SMALLER).T
    return pd.concat([table[~is_small], rest[rest.sum(axis=1) > 0]])


def _stack(amounts: "pd.Series[Any]", total: int) -> dict[str, tuple[float, float]]:
    """Stack banks from the top down, as high as their amounts."""
    room = 1.0 - GAP * max(len(amounts) - 1, 0)
    top, found = 1.0, {}
    for name, amount in amounts.items():
        height = room * float(amount) / total
        found[str(name)] = (top - height, top)
        top -= height + GAP
    return found


def _bands(
    axes: Axes,
    table: "pd.DataFrame",
    banks: dict[str, tuple[float, float]],
    middle: dict[str, tuple[float, float]],
    is_left: bool,
    theme: Theme,
) -> None:
    """Draw the water between parties and causes, in the causes' colours."""
    parties, causes, values = list(table.index), list(table), table.to_numpy(np.int64)
    bank_of = {name: high for name, (_, high) in banks.items()}
    cause_at = {name: high for name, (_, high) in middle.items()}
    for name, (low, high) in banks.items():
        amounts = dict(zip(causes, values[parties.index(name)].tolist(), strict=True))
        whole = sum(amounts.values())
        for cause, (bottom, top) in middle.items():
            if not amounts[cause]:
                continue
            own = (high - low) * amounts[cause] / whole
            across = (top - bottom) * amounts[cause] / int(table[cause].sum())
            color = cause_color(cause, theme)
            if is_left:
                start = (COLUMNS[0] + WIDTH, bank_of[name], own)
                _band(axes, start, (COLUMNS[1], cause_at[cause], across), color)
            else:
                start = (COLUMNS[1] + WIDTH, cause_at[cause], across)
                _band(axes, start, (COLUMNS[2], bank_of[name], own), color)
            bank_of[name] -= own
            cause_at[cause] -= across


def _band(
    axes: Axes, start: tuple[float, float, float], end: tuple[float, float, float], color: str
) -> None:
    """Draw one band; an end is its place, its upper edge and its height."""
    (x, top, high), (other, upper, tall) = start, end
    bend = 0.5 * (x + other)
    points = [
        *((x, top), (bend, top), (bend, upper), (other, upper)),
        *((other, upper - tall), (bend, upper - tall), (bend, top - high), (x, top - high)),
        (x, top),
    ]
    codes = [Path.MOVETO, *3 * [Path.CURVE4], Path.LINETO, *3 * [Path.CURVE4], Path.CLOSEPOLY]
    axes.add_patch(PathPatch(Path(points, codes), facecolor=color, alpha=0.5, linewidth=0))


def _bank(axes: Axes, column: float, low: float, high: float, color: str) -> None:
    axes.add_patch(Rectangle((column, low), WIDTH, high - low, facecolor=color, linewidth=0))


def _label(axes: Axes, column: float, y: float, name: str, amount: Any, is_left: bool) -> None:
    x = column - 0.012 if is_left else column + WIDTH + 0.012
    text = f"{shortened(name, 26)}  {number(float(amount) / ATOMS, 3)}"
    axes.text(
        x,
        y,
        plain(text),
        ha="right" if is_left else "left",
        va="center",
        fontsize=0.72 * float(mpl.rcParams["font.size"]),
    )

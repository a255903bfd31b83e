"""Contagion through pooled accounts: how far a shock to BTC reaches GOLD and OIL."""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from marketsim.report.canvas import save_figure
from marketsim.report.charts import line_figure
from marketsim.report.experiment import Check, above, below, every, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = ["depth_capital", "alignment", "cross_share"]
#: 8 makers and 40 arbitrageurs.
NUM_SUPPLIERS = 48
LIQUIDATED = "liquidated elsewhere, % of OI"
FALL = "fall elsewhere, %"
SPIRAL = "runs with a fall above 5 %, %"
RATIO = "OI / depth capital"


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row per cell and seed: what the shock did to GOLD and OIL, on average of the two.

    Liquidated notional and the largest fall of the mark in the struck run less those in the spared
    one, and the open interest of all markets over the capital of those who supply depth.
    """
    keys = ["cell", *PARAMETERS, "seed"]
    struck, spared = (
        runs[runs["variant"] == variant].set_index(keys) for variant in ("struck", "spared")
    )
    both = struck.index.intersection(spared.index)
    struck, spared = struck.loc[both], spared.loc[both]
    found = both.to_frame(index=False).assign(variant="struck - spared")
    sold = struck["unshocked.liquidated_usd"] - spared["unshocked.liquidated_usd"]
    found[LIQUIDATED] = (100.0 * sold / spared["unshocked.open_interest_usd"]).to_numpy()
    fall = struck["unshocked.mark_fall"] - spared["unshocked.mark_fall"]
    found[FALL] = (100.0 * fall).to_numpy()
    found[SPIRAL] = 100.0 * (found[FALL] > 5.0)
    found[RATIO] = spared["open_interest_usd"].to_numpy() / (NUM_SUPPLIERS * found["depth_capital"])
    return found


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average the effects over seeds."""
    return cell_means(effects(runs), PARAMETERS, [LIQUIDATED, FALL, SPIRAL, RATIO])


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against card C3."""
    found = effects(runs)
    thin, deep = found["depth_capital"].min(), found["depth_capital"].max()
    return [
        _jump(found, thin),
        _two_fates(found, thin),
        _hump(found, thin),
        _alignment(found, thin),
        _depth(found, thin, deep),
        _isolated(found),
    ]


def _curve(found: "pd.DataFrame", depth: float, alignment: float, figure: str) -> "pd.DataFrame":
    """Return seeds by cross share."""
    here = found[(found["depth_capital"] == depth) & (found["alignment"] == alignment)]
    return here.pivot_table(index="seed", columns="cross_share", values=figure)


def _jump(found: "pd.DataFrame", thin: float) -> Check:
    curve = _curve(found, thin, 1.0, FALL)
    shares = list(curve.columns)
    whole = paired_difference(curve[shares[0]], curve.max(axis=1)).difference
    rises = {
        (low, high): paired_difference(curve[low], curve[high]).difference
        for low, high in pairwise(shares)
    }
    steepest = max(rises, key=lambda pair: rises[pair].value / (pair[1] - pair[0]))
    below_half = [high for _, high in rises if high <= 0.25]
    early = (
        paired_difference(curve[shares[0]], curve[max(below_half)]).difference
        if below_half
        else Interval(float("nan"), float("nan"), float("nan"))
    )
    return Check(
        "Aligned books, thin markets: there is a jump. More than half of the largest fall of the "
        "other markets is there at a cross share of a quarter",
        "C3",
        f"rise up to a cross share of .25: {written(early, unit=' %')} of "
        f"{written(whole, unit=' %')} "
        f"at most; steepest between {steepest[0]:g} and {steepest[1]:g}",
        above(early, 0.5 * whole.value),
    )


def _two_fates(found: "pd.DataFrame", thin: float) -> Check:
    curve = _curve(found, thin, 1.0, FALL)
    between = (curve > 2.0) & (curve < 7.0)
    share = bootstrap_mean(100.0 * between.mean(axis=1))
    spirals = _curve(found, thin, 1.0, SPIRAL)
    rising = ", ".join(f"{spirals[each].mean():.0f} % at {each:g}" for each in spirals.columns)
    return Check(
        "Run by run the other markets either hold or collapse: fewer than a fifth of the runs end "
        "with a fall between 2 and 7 % (aligned books, thin markets)",
        "C3 (a jump), C4 (frequency and extent)",
        f"{written(share, unit=' %')} in between; collapses (above 5 %) by cross share: {rising}",
        below(share, 20.0),
    )


def _hump(found: "pd.DataFrame", thin: float) -> Check:
    curve = _curve(found, thin, 1.0, FALL)
    inner = [share for share in curve.columns if 0.0 < share < 1.0] or [curve.columns[0]]
    best = max(inner, key=lambda share: curve[share].mean())
    less = paired_difference(curve[best], curve[1.0]).difference
    return Check(
        "The fall is a hump in the cross share: smaller at full cross margin than at the worst "
        "partial share, by netting within pools",
        "C3 (18 % at .2, 9 % at 1)",
        f"{written(bootstrap_mean(curve[1.0]), unit=' %')} at 1, "
        f"{written(bootstrap_mean(curve[best]), unit=' %')} at {best:g}; "
        f"difference {written(less, unit=' points')}",
        below(less, 0.0),
    )


def _alignment(found: "pd.DataFrame", thin: float) -> Check:
    apart, aligned = (_curve(found, thin, each, FALL)[1.0] for each in (0.0, 1.0))
    more = paired_difference(apart, aligned).difference
    third = bootstrap_mean(apart - aligned / 3.0)
    return Check(
        "Without alignment prices elsewhere hardly follow: at full cross share less than a third "
        "of the fall of aligned books",
        "C3 (none up to .4)",
        f"{written(bootstrap_mean(apart), unit=' %')} without, "
        f"{written(bootstrap_mean(aligned), unit=' %')} with; "
        f"difference {written(more, unit=' points')}",
        below(third, 0.0),
    )


def _depth(found: "pd.DataFrame", thin: float, deep: float) -> Check:
    one, other = (_curve(found, depth, 1.0, FALL)[1.0] for depth in (deep, thin))
    return Check(
        "Open interest over depth decides: the fall elsewhere in thin markets is more than three "
        "times that in deep ones",
        "C1, C3 (n = OI x g / D)",
        f"{written(bootstrap_mean(one), unit=' %')} deep, "
        f"{written(bootstrap_mean(other), unit=' %')} thin",
        above(bootstrap_mean(other - 3.0 * one), 0.0),
    )


def _isolated(found: "pd.DataFrame") -> Check:
    none = found[found["cross_share"] == 0.0]
    cells = [bootstrap_mean(part[LIQUIDATED]) for _, part in none.groupby(PARAMETERS)]
    worst = max(cells, key=lambda cell: cell.value)
    return Check(
        "With isolated margin alone nothing spreads: below 2 % of open interest in every cell",
        "C1 (no off-diagonal terms)",
        f"at most {written(worst, unit=' %')}",
        every([below(cell, 2.0) for cell in cells]),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw the fall elsewhere over the cross share: alignment by depth."""
    shown = table[(table["metric"] == FALL) & table["alignment"].isin([0.0, 1.0])]
    shown = shown.assign(
        x=shown["cross_share"],
        group=[
            f"{'aligned' if row.alignment else 'mixed'}, {row.depth_capital / 1000:g}k"
            for row in shown.itertuples()
        ],
    )
    save_figure(line_figure(shown, "cross share", "fall of GOLD and OIL, %"), path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    thin = found["depth_capital"].min()
    curve, apart = (_curve(found, thin, each, FALL) for each in (1.0, 0.0))
    return (
        f"A 20 % fall of BTC takes unrelated markets down by "
        f"{written(bootstrap_mean(curve[1.0]), unit=' %')} through cross-margined accounts whose "
        f"positions all point one way, by {written(bootstrap_mean(apart[1.0]), unit=' %')} if they "
        f"do not, by {written(bootstrap_mean(curve[0.0]), unit=' %')} with isolated margin "
        f"(thinnest markets)."
    )

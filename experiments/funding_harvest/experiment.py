"""Harvesting funding: what carry earns in calm, and what the same traders lose in a squeeze."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from marketsim.report.canvas import save_figure
from marketsim.report.charts import line_figure
from marketsim.report.experiment import Check, above, below, every, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = ["carry_traders", "taker_fee"]
OF_CARRY = "populations.carry."
FIGURES = {
    "return, %": ("total_return", 100.0),
    "Sharpe gross": ("sharpe_gross", 1.0),
    "Sharpe net": ("sharpe_net", 1.0),
    "drawdown, %": ("max_drawdown", 100.0),
    "tail loss of a day, %": ("tail_loss_day", 100.0),
    "liquidated accounts, %": ("liquidated_share", 100.0),
    "ruined accounts, %": ("ruined_share", 100.0),
}
RETURN, GROSS, NET, DRAWDOWN, TAIL, LIQUIDATED, RUINED = FIGURES
#: The cell of the shipped scenarios.
USUAL_TRADERS, USUAL_FEE = 40, 0.0005


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Name the figures of the carry traders."""
    found = runs.copy()
    for name, (figure, scale) in FIGURES.items():
        found[name] = scale * runs[OF_CARRY + figure]
    return found


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds."""
    return cell_means(effects(runs), PARAMETERS, list(FIGURES))


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against the shapes of real markets and the claims of the design."""
    found = effects(runs)
    return [
        _earns(found),
        _hides(found),
        _collateral(found),
        _crowded(found),
        _costs(found),
        _ruin(found),
    ]


def _usual(found: "pd.DataFrame", variant: str, figure: str) -> "pd.Series":
    return _cell(found, variant, figure, USUAL_TRADERS, USUAL_FEE)


def _cell(
    found: "pd.DataFrame", variant: str, figure: str, traders: int, fee: float
) -> "pd.Series":
    here = found[
        (found["variant"] == variant)
        & (found["carry_traders"] == traders)
        & np.isclose(found["taker_fee"], fee)
    ]
    return here.set_index("seed")[figure]


def _earns(found: "pd.DataFrame") -> Check:
    sharpe, earned = (bootstrap_mean(_usual(found, "calm", each)) for each in (GROSS, RETURN))
    return Check(
        "In calm carry earns, at a gross Sharpe ratio of 5 to 15",
        "real market shapes: 5-15 gross",
        f"gross Sharpe {written(sharpe)}, return {written(earned, unit=' %')} in 14 days",
        every([above(earned, 0.0), above(sharpe, 5.0), below(sharpe, 15.0)]),
    )


def _hides(found: "pd.DataFrame") -> Check:
    earned, lost = (bootstrap_mean(_usual(found, each, RETURN)) for each in ("calm", "squeeze"))
    ratio = bootstrap_mean(
        _usual(found, "squeeze", DRAWDOWN) - 3.0 * _usual(found, "calm", DRAWDOWN)
    )
    falls, tails = (
        [
            written(bootstrap_mean(_usual(found, each, figure)), unit=" %")
            for each in ("calm", "squeeze")
        ]
        for figure in (DRAWDOWN, TAIL)
    )
    return Check(
        "The Sharpe ratio of calm hides the ruin: in the squeeze the same traders lose although "
        "hedged, with more than three times the drawdown",
        "real market shapes; DESIGN, carry",
        f"return {written(earned, unit=' %')} in calm, {written(lost, unit=' %')} in the squeeze; "
        f"drawdown {falls[0]} and {falls[1]}; worst day {tails[0]} and {tails[1]}",
        every([below(lost, 0.0), above(ratio, 0.0)]),
    )


def _collateral(found: "pd.DataFrame") -> Check:
    cash, coins = (_usual(found, each, LIQUIDATED) for each in ("squeeze", "collateral"))
    return Check(
        "Whether coins count as collateral decides: with a haircut of 10 % fewer than a fifth as "
        "many carry accounts are liquidated",
        "DESIGN, carry",
        f"{written(bootstrap_mean(cash), unit=' %')} of accounts without, "
        f"{written(bootstrap_mean(coins), unit=' %')} with; return "
        f"{written(bootstrap_mean(_usual(found, 'collateral', RETURN)), unit=' %')} with",
        below(bootstrap_mean(coins - 0.2 * cash), 0.0),
    )


def _crowded(found: "pd.DataFrame") -> Check:
    counts = sorted(found["carry_traders"].unique())
    few, many = (
        _cell(found, "calm", RETURN, count, USUAL_FEE) for count in (counts[0], counts[-1])
    )
    change = paired_difference(few, many).difference
    return Check(
        f"Carry crowds itself out: in calm {counts[-1]} traders earn less each than {counts[0]}",
        "its capital lowers the funding it lives on",
        f"{written(bootstrap_mean(few), unit=' %')} and {written(bootstrap_mean(many), unit=' %')}",
        below(change, 0.0) if len(counts) > 1 else None,
    )


def _costs(found: "pd.DataFrame") -> Check:
    fees = sorted(found["taker_fee"].unique())
    cheap, dear = (_cell(found, "calm", NET, USUAL_TRADERS, fee) for fee in (fees[0], fees[-1]))
    said = ", ".join(
        f"{1e4 * fee:g} bp: {written(bootstrap_mean(cell))}"
        for fee in fees
        for cell in [_cell(found, "calm", NET, USUAL_TRADERS, fee)]
    )
    half = bootstrap_mean(dear - 0.5 * cheap)
    return Check(
        "Costs eat it: at a taker fee of 15 bp the net Sharpe ratio in calm is less than half of "
        "that at 1 bp",
        "carry's own hurdle: two fees a round trip",
        said,
        below(half, 0.0) if len(fees) > 1 else None,
    )


def _ruin(found: "pd.DataFrame") -> Check:
    shares: dict[str, Interval] = {
        variant: bootstrap_mean(_usual(found, variant, RUINED)) for variant in ("calm", "squeeze")
    }
    return Check(
        "Some carry accounts are ruined (nine tenths lost) in the squeeze, none in calm",
        "DESIGN: a carry that earns quietly collapses",
        "; ".join(f"{name}: {written(share, unit=' %')}" for name, share in shares.items()),
        every([above(shares["squeeze"], 0.0), shares["calm"].value == 0.0]),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw the return over carry's capital, in calm and in the squeeze."""
    shown = table[(table["metric"] == RETURN) & np.isclose(table["taker_fee"], USUAL_FEE)]
    names = {"calm": "calm", "squeeze": "squeeze", "collateral": "squeeze, coins are collateral"}
    shown = shown.assign(x=shown["carry_traders"], group=[names[each] for each in shown["variant"]])
    save_figure(line_figure(shown, "carry traders", "return in 14 days, %"), path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    sharpe = bootstrap_mean(_usual(found, "calm", GROSS))
    parts = [
        written(bootstrap_mean(_usual(found, variant, figure)), unit=" %")
        for variant, figure in (
            ("calm", RETURN),
            ("squeeze", RETURN),
            ("squeeze", LIQUIDATED),
            ("collateral", LIQUIDATED),
        )
    ]
    return (
        f"Carry earns {parts[0]} in 14 calm days (gross Sharpe {written(sharpe)}) and makes "
        f"{parts[1]} in a squeeze that liquidates {parts[2]} of its hedged accounts; "
        f"{parts[3]} if coins are collateral."
    )

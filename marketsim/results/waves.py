"""Waves of auto-deleveraging: what each had to cover, what it took from whom, then and later.

A wave is all that is deleveraged in one step. *Needed* is the negative equity, at the mark, behind
the legs it closed, each leg's share of its pool's by maintenance margin. *Taken* is what the
deleveraged gave up: what the closed size would have been worth to them at the mark of that moment,
and of some time later, beyond what they received. Closed at the bankruptcy price, what is taken at
once is what was needed; who pays is what rules differ in.

References
----------
T. Chitra, Autodeleveraging, arXiv 2512.01112; T. Chitra et al., Autodeleveraging as Online
Learning, arXiv 2602.15182: overshoot, horizons, largest haircut.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

#: Minutes after a wave at which it is asked again what was given up.
HORIZONS = (5, 60)


def tabulate_waves(
    liquidations: "pd.DataFrame",
    deleveragings: "pd.DataFrame",
    markets: "pd.DataFrame",
    step_minutes: float,
) -> "pd.DataFrame":
    """Sum up every wave of auto-deleveraging, in order.

    Parameters
    ----------
    liquidations, deleveragings, markets : DataFrame
        Tables of a run.
    step_minutes : float

    Returns
    -------
    DataFrame
        `step`, `hours`; `closures` and `accounts` deleveraged; `notional_usd` closed, at the mark;
        `needed_usd`; `taken_usd` at the wave and `taken_<n>min_usd` n minutes later (NaN where the
        run ends before); `largest_share`, the largest part of one account's position that was
        closed, and `largest_profit_share`, the largest part of the profit on one that was taken at
        the wave (NaN where none had any).
    """
    import pandas as pd

    closed = deleveragings.assign(
        taken_usd=deleveragings["cost_usd"],
        **{
            f"taken_{n}min_usd": _taken_later(deleveragings, markets, n / step_minutes)
            for n in HORIZONS
        },
    )
    legs = liquidations[liquidations["adl_size"] > 0]
    side = np.where(legs["side"] == "long", 1.0, -1.0)
    gap = side * (legs["bankruptcy_price"] - legs["mark_price"])
    needed = (gap * legs["adl_size"]).groupby(legs["step"]).sum()
    notional = (legs["mark_price"] * legs["adl_size"]).groupby(legs["step"]).sum()
    by_step = closed.groupby("step")
    share = _largest_shares(closed)
    taken = [name for name in closed if name.startswith("taken_")]
    sums = by_step[taken].sum(min_count=1)
    waves = pd.DataFrame(
        {
            "hours": by_step["hours"].first(),
            "closures": by_step.size(),
            "accounts": by_step["account"].nunique(),
            "notional_usd": notional,
            "needed_usd": needed,
        }
    )
    return waves.join(sums).join(share).reset_index()


def _taken_later(closed: "pd.DataFrame", markets: "pd.DataFrame", steps: float) -> Any:
    """Return what each closed size would have brought beyond its cash so many steps later, USD.

    At the first recorded mark from then on; NaN where there is none.
    """
    taken = np.full(len(closed), np.nan)
    for name, rows in markets.groupby("market", sort=False):
        own = (closed["market"] == name).to_numpy()
        recorded = rows["step"].to_numpy()
        place = np.searchsorted(recorded, closed["step"].to_numpy()[own] + steps)
        mark = np.append(rows["mark_price"].to_numpy(), np.nan)[place]
        taken[own] = -(closed["cash_usd"][own] + closed["size"][own] * mark)
    return taken


def _largest_shares(closed: "pd.DataFrame") -> "pd.DataFrame":
    """Return the largest shares of one account's position and of its profit, by wave."""
    import pandas as pd

    positions = closed.groupby(["step", "account", "market"])
    held, profit = positions["size_before"].first().abs(), positions["profit_usd"].first()
    part = positions["size"].sum().abs() / held
    lost = positions["taken_usd"].sum() / profit.where(profit > 0)
    largest = pd.DataFrame({"largest_share": part, "largest_profit_share": lost})
    return largest.groupby("step").max()


def summarise_waves(waves: "pd.DataFrame") -> dict[str, Any]:
    """Sum up all waves of a run; what does not exist is None.

    Parameters
    ----------
    waves : DataFrame
        As `tabulate_waves` returns them.

    Returns
    -------
    dict
        `waves` (how many), their `closures`, and sums of `notional_usd`, `needed_usd` and what was
        taken, at each horizon of the waves it is known of; medians over the waves of the largest
        shares.
    """
    sums = [name for name in waves if name.endswith("_usd")]
    shares = ["largest_share", "largest_profit_share"]
    known = {name: waves[name].dropna() for name in (*sums, *shares)}
    return {
        "waves": len(waves),
        "closures": int(waves["closures"].sum()),
        **{name: float(known[name].sum()) if len(known[name]) else None for name in sums},
        **{f"median_{name}": _median(known[name]) for name in shares},
    }


def _median(values: "pd.Series[float]") -> float | None:
    return float(values.median()) if len(values) else None

"""The figures of a run: of every market, of markets together, and of all accounts.

A figure that does not exist is None. Where a row of the series covers several steps, its last step
stands for them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from marketsim.engine.state import ATOMS
from marketsim.tape.moments import Figures, autocorrelation, excess_kurtosis, finite, present
from marketsim.tape.result import RunResult

#: Two rates this close are the same rate.
SAME_RATE = 1e-12
#: Figures of markets that add up.
SUMS = (
    "liquidated_usd",
    "liquidations",
    "open_interest_usd",
    "volume_usd",
    "funding_paid_usd",
)
#: Figures of markets that are averaged, each market counting the same.
MEANS = (
    "depth_share",
    "turnover_day",
    "index_fall",
    "mark_fall",
    "premium_std_bp",
    "premium_kurtosis",
    "premium_acf_1h",
    "funding_mean_bp_8h",
    "funding_std_bp_8h",
    "funding_at_interest_share",
    "funding_negative_share",
    "funding_at_cap_share",
    "cap_steps_share",
    "herd_index_abs",
    "crowd_paid_share",
    "leverage",
    "long_distance",
    "short_distance",
)


def market_figures(result: RunResult, m: int) -> Figures:
    """Measure one market; what each figure is, `marketsim.results.summary.summarise` says.

    Parameters
    ----------
    result : RunResult
    m : int

    Returns
    -------
    dict
    """
    series = result.series[:, m]
    mark_usd = series["mark_ticks"] * result.tick_atoms[m] / ATOMS
    open_interest = series["open_interest"] * mark_usd
    premium_bp = series["premium"] * 1e4
    liquidated = usd(series["liquidated_atoms"].sum())
    held = _mean(open_interest)
    index = series["index_price"]
    volume = finite(np.sum(series["volume"] * mark_usd))
    days = result.num_steps * result.step_minutes / 1440.0
    two_sided = (series["best_bid"] > 0) & (series["best_ask"] > 0)
    return {
        "liquidated_usd": liquidated,
        "liquidated_share": _ratio(liquidated, held),
        "liquidations": int(series["num_liquidations"].sum()),
        "open_interest_usd": held,
        "open_interest_max_usd": finite(open_interest.max()) if len(series) else None,
        "premium_mean_bp": _mean(premium_bp),
        "premium_std_bp": finite(np.std(premium_bp)) if len(series) else None,
        "premium_kurtosis": finite(excess_kurtosis(premium_bp)) if len(series) else None,
        "premium_acf_1h": _hourly_autocorrelation(result, premium_bp),
        **_funding_figures(result, m),
        "two_sided_share": _mean(two_sided),
        "volume_usd": volume,
        "turnover_day": _ratio(_ratio(volume, days), held),
        "depth_share": _median(result.depth_share[:, m]),
        "index_start": finite(index[0]) if len(index) else None,
        "index_end": finite(index[-1]) if len(index) else None,
        "index_min": finite(index.min()) if len(index) else None,
        "index_fall": _fall(index),
        "mark_fall": _fall(series["mark_ticks"]),
        **_crowd_figures(series),
    }


def _funding_figures(result: RunResult, m: int) -> Figures:
    is_own = result.funding["market"] == m
    funding, cap = result.funding[is_own], result.funding_cap[is_own]
    rate = funding["rate"]
    is_at_cap = np.abs(rate) >= cap - SAME_RATE
    # The rate in force at a row is that of the settlement before it.
    place = np.searchsorted(funding["step"], result.steps["step"], side="right") - 1
    is_settled = place >= 0
    return {
        "funding_mean_bp_8h": _mean(rate * 1e4),
        "funding_std_bp_8h": finite(np.std(rate * 1e4)) if len(rate) else None,
        "funding_at_interest_share": _mean(np.abs(rate - funding["interest_rate"]) <= SAME_RATE),
        "funding_negative_share": _mean(rate < 0),
        "funding_at_cap_share": _mean(is_at_cap),
        "cap_steps_share": _mean(is_at_cap[place[is_settled]]) if is_settled.any() else None,
        "funding_paid_usd": usd(funding["paid_atoms"].sum()),
        "settlements": len(funding),
    }


def _crowd_figures(series: Any) -> Figures:
    herd, rate = series["herd_index"], series["funding_rate"]
    is_sided = (rate != 0.0) & (herd != 0.0) & ~np.isnan(herd)
    return {
        "herd_index": _mean(herd),
        "herd_index_abs": _mean(np.abs(herd)),
        "crowd_paid_share": _mean((herd * rate < 0.0)[is_sided]),
        "long_share": _mean(series["long_share"]),
        "leverage": _mean(series["leverage"]),
        "long_distance": _mean(series["long_distance"]),
        "short_distance": _mean(series["short_distance"]),
    }


def joint_figures(markets: Sequence[Mapping[str, float | None]]) -> Figures:
    """Sum and average the figures of markets; without markets there is none.

    Parameters
    ----------
    markets : sequence of mapping
        As `market_figures` returns them.

    Returns
    -------
    dict
        `SUMS`, `MEANS` and `liquidated_share`, the sum over the sum of open interest.
    """
    figures: Figures = {}
    for names, average in ((SUMS, np.sum), (MEANS, np.mean)):
        for name in names:
            found = [market[name] for market in markets]
            known = [value for value in found if value is not None]
            figures[name] = finite(average(known)) if known else None
    figures["liquidated_share"] = _ratio(figures["liquidated_usd"], figures["open_interest_usd"])
    return figures


def account_figures(populations: Mapping[str, Mapping[str, Any]], fund: str) -> Figures:
    """Count what befell the accounts, the insurance fund left out.

    Parameters
    ----------
    populations : mapping
        Figures of each population.
    fund : str
        Name of the insurance fund among them.

    Returns
    -------
    dict
    """
    members = [figures for name, figures in populations.items() if name != fund]
    num_accounts = sum(each["num_accounts"] for each in members)
    liquidated = sum(each["accounts_liquidated"] for each in members)
    traders = [each.get("num_traders", each["num_accounts"]) for each in members]
    ruined = sum(
        count * (each["ruined_share"] or 0.0) for count, each in zip(traders, members, strict=True)
    )
    return {
        "num_accounts": num_accounts,
        "accounts_liquidated": liquidated,
        "accounts_liquidated_share": _ratio(liquidated, num_accounts),
        "accounts_ruined": round(ruined),
        "accounts_ruined_share": _ratio(ruined, sum(traders)),
    }


def usd(atoms: Any) -> float:
    """Return an amount of atoms in USD."""
    return int(atoms) / ATOMS


def _mean(values: Any) -> float | None:
    """Average the values that exist."""
    known = present(values)
    return finite(np.mean(known)) if len(known) else None


def _median(values: Any) -> float | None:
    known = present(values)
    return finite(np.median(known)) if len(known) else None


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _fall(price: Any) -> float | None:
    """Return how far a price fell below its first, as a share of it."""
    return finite(1.0 - price.min() / price[0]) if len(price) and price[0] > 0 else None


def _hourly_autocorrelation(result: RunResult, values: Any) -> float | None:
    """Return the autocorrelation at an hour; None if the rows do not fit into one."""
    if len(values) < 2:
        return None
    first, second = result.steps["step"][:2]
    lag = 60.0 / (int(second - first) * result.step_minutes)
    if lag < 1.0 or abs(lag - round(lag)) > 1e-9:
        return None
    return finite(autocorrelation(values, round(lag)))

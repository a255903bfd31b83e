"""Statistics of what traders make: funding, basis, premium, volume, open interest, liquidations.

Defined as those published of real windows: see ``meta`` of a band file.
"""

import math
from collections.abc import Mapping

import numpy as np

from marketsim.study import funding_statistics as funding
from marketsim.study import returns
from marketsim.study.input_statistics import HOURS_OF_DAY, Values
from marketsim.study.window import Traded, Window
from marketsim.tape import moments
from marketsim.tape.result import Floats

#: The interest rate per 8 h of the venues the bands are of, and the rate that counts as the cap.
PINNED, AT_CAP = 1e-4, 3e-3
#: Of a premium or basis: outside the dead band of those venues.
OUTSIDE = 5e-4
#: Hours over which past returns are compared with a funding rate.
PASTS = (8, 24, 72, 168)
#: Share of the hours with the worst and the best returns.
EXTREME = 0.02


def emergent_statistics(window: Window) -> Values:
    """Measure what the traders of a window made.

    Parameters
    ----------
    window : Window

    Returns
    -------
    dict of list of float
        By name of the statistic, one value a market; NaN where it does not exist. Empty for a
        window of prices alone.
    """
    found: Values = {}
    traded = window.traded
    if traded is None:
        return found
    for m in range(len(window.market_names)):
        price = window.price["1h"][:, m]
        basis = price / traded.index[:, m] - 1.0
        hours, rate = traded.settlement_hours[m], traded.funding_rate[m]
        groups = {
            "funding": _of_funding(funding.eight_hourly(hours, rate)),
            "basis.1h": _of_premium(basis),
            "premium.1h": _of_premium(traded.premium[:, m]),
            "funding_vs_returns": _against_returns(hours, rate, price, basis),
            "volume.1h": _of_volume(traded.volume[:, m], price),
            "oi.1h": _of_open_interest(traded.open_interest[:, m], traded.mean_price[:, m]),
            "liq.1d": _of_liquidations(traded, m),
        }
        for group, statistics in groups.items():
            for name, value in statistics.items():
                found.setdefault(f"{group}.{name}", []).append(value)
    return found


def _of_funding(rate: Floats) -> Mapping[str, float]:
    found = funding.funding_statistics(rate, PINNED)
    known = moments.present(rate)
    names = (
        "mean",
        "std",
        "skew",
        "kurt_excess",
        "p01",
        "p99",
        "share_negative",
        "acf_1",
        "acf_21",
    )
    return {name: found[name] for name in (*names, "run_mean")} | {
        "share_at_1bp": found["share_at_interest"],
        "run_max": float(max(_runs(known >= 0.0), default=math.nan)),
        "share_at_cap": float(np.mean(np.abs(known) >= AT_CAP)) if len(known) else math.nan,
    }


def _runs(flags: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> list[int]:
    """Return the lengths of the runs of equal flags."""
    edges = np.flatnonzero(np.diff(flags)) + 1
    return np.diff([0, *edges.tolist(), len(flags)]).tolist() if len(flags) else []


def _of_premium(premium: Floats) -> Mapping[str, float]:
    known = moments.present(premium)
    some = len(known) > 0
    return {
        "mean_bp": 1e4 * _mean(premium),
        "std_bp": 1e4 * returns.standard_deviation(premium),
        "share_negative": funding.share_negative(premium),
        "share_outside_5bp": float(np.mean(np.abs(known) > OUTSIDE)) if some else math.nan,
        "half_life_ar1_h": funding.half_life(premium),
    }


def _against_returns(
    hours: Floats, rate: Floats, price: Floats, basis: Floats
) -> Mapping[str, float]:
    """Compare rates with what was before their settlement; row h - 1 of the hourly ends hour h."""
    row = np.rint(hours).astype(np.int64) - 1
    log_price = np.log(price)
    found = {}
    for past in PASTS:
        known = row >= past
        before = log_price[row[known]] - log_price[row[known] - past]
        found[f"past_{past}.spearman"] = rank_correlation(rate[known], before)
    known = row >= 7
    mean = np.array([basis[r - 7 : r + 1].mean() for r in row[known].tolist()])
    return found | {"basis_8h": correlation(rate[known], mean)}


def _of_volume(volume: Floats, price: Floats) -> Mapping[str, float]:
    hour = np.arange(len(volume)) % HOURS_OF_DAY
    logarithm = np.log(np.where(volume > 0.0, volume, np.nan))
    logarithm = logarithm - _mean_of_hour(logarithm, hour)
    size = np.abs(returns.log_returns(price))
    size = size / _mean_of_hour(size, hour[1:])
    return {
        "log_std": returns.standard_deviation(logarithm),
        "acf_log_1": moments.autocorrelation(logarithm, 1),
        "acf_log_24": moments.autocorrelation(logarithm, 24),
        "corr_abs_return": rank_correlation(logarithm[1:], size),
        "trend": _trend(volume),
    }


def _mean_of_hour(values: Floats, hour: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Floats:
    mean = np.full(HOURS_OF_DAY, np.nan)
    for h in np.unique(hour):
        mean[h] = _mean(values[hour == h])
    of_row: Floats = mean[hour]
    return of_row


def _of_open_interest(contracts: Floats, price: Floats) -> Mapping[str, float]:
    logarithm = np.log(np.where(contracts > 0.0, contracts, np.nan))
    change = np.diff(logarithm)
    size = np.abs(change)
    found = {
        "std": returns.standard_deviation(change),
        "kurt_excess": moments.excess_kurtosis(change),
        "acf_1": moments.autocorrelation(change, 1),
        "hill_abs_5pct": returns.hill_exponent(size, 0.05),
        "trend": _trend(contracts),
    }
    log_price = np.log(price)
    for hours in (8, 24):
        grown = logarithm[hours:] - logarithm[:-hours]
        moved = log_price[hours:] - log_price[:-hours]
        found[f"corr_ret_{hours}"] = correlation(grown, moved)
        found[f"corr_abs_{hours}"] = correlation(grown, np.abs(moved))
        if hours == 8:
            low, high = np.nanquantile(moved, [EXTREME, 1.0 - EXTREME])
            found["worst2pct_8h"] = _mean(grown[moved <= low])
            found["best2pct_8h"] = _mean(grown[moved >= high])
    return found


def _of_liquidations(traded: Traded, m: int) -> Mapping[str, float]:
    usd, held = traded.liquidated_usd[:, m], traded.open_interest_usd[:, m]
    share = moments.present(np.divide(usd, held, out=np.full(len(usd), np.nan), where=held > 0.0))
    if not len(share):
        share = np.full(1, np.nan)
    middle = float(np.median(usd))
    logarithm = np.log(np.where(usd > 0.0, usd, np.nan))
    return {
        "share_mean": float(share.mean()),
        "share_median": float(np.median(share)),
        "share_max": float(share.max()),
        "max_over_median": float(usd.max()) / middle if middle > 0.0 else math.nan,
        "acf_1": moments.autocorrelation(logarithm, 1),
        "days_over_5pct": float(np.mean(share > 0.05)),
        "days_over_10pct": float(np.mean(share > 0.1)),
    }


def _mean(values: Floats) -> float:
    """Return the mean of the values that are there, NaN without any."""
    known = moments.present(values)
    return float(known.mean()) if len(known) else math.nan


def _trend(values: Floats) -> float:
    """Return the logarithm of the mean of the last third over that of the first."""
    third = len(values) // 3
    if third == 0:
        return math.nan
    first, last = _mean(values[:third]), _mean(values[-third:])
    return math.log(last / first) if first > 0.0 and last > 0.0 else math.nan


def correlation(x: Floats, y: Floats) -> float:
    """Return Pearson's correlation over the pairs that are there; NaN if a side does not vary."""
    known = ~(np.isnan(x) | np.isnan(y))
    if known.sum() < 2 or np.ptp(x[known]) == 0.0 or np.ptp(y[known]) == 0.0:
        return math.nan
    return float(np.corrcoef(x[known], y[known])[0, 1])


def rank_correlation(x: Floats, y: Floats) -> float:
    """Return Spearman's rank correlation over the pairs that are there; ties share their rank."""
    from scipy.stats import rankdata

    known = ~(np.isnan(x) | np.isnan(y))
    return correlation(rankdata(x[known]), rankdata(y[known]))

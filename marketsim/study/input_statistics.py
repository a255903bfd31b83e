"""Statistics of the spot process: returns at every scale, and how markets move together.

They need no traders: what drives a market is put in, and is not what is claimed for the model.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from marketsim.study import returns
from marketsim.study.window import BARS, Window
from marketsim.tape import moments
from marketsim.tape.result import Floats

#: A statistic's values: one a market, of what markets do together one a set of three.
Values = dict[str, list[float]]

#: Markets whose common moves are one value.
TOGETHER = 3
#: Days of the window whose correlation is that of its worst days.
WORST_DAYS = 10
HOURS_OF_DAY = 24
#: Bars of a year, by scale; of finer ones no volatility is reported.
PER_YEAR = {"1h": 24 * 365, "1d": 365}


def input_statistics(window: Window) -> Values:
    """Measure a window's returns.

    Parameters
    ----------
    window : Window

    Returns
    -------
    dict of list of float
        By name of the statistic; NaN where it does not exist. Of fewer than three markets without
        those of markets together.
    """
    found: Values = {}
    for scale, price in window.price.items():
        change = returns.log_returns(price)
        for m in range(change.shape[1]):
            for name, value in _of_returns(change[:, m], scale).items():
                found.setdefault(f"returns.{scale}.{name}", []).append(value)
    hourly = returns.log_returns(window.price["1h"])
    for markets in combinations(range(hourly.shape[1]), TOGETHER):
        for name, value in _together(hourly[:, markets]).items():
            found.setdefault(f"cross.1h.{name}", []).append(value)
    return found


def _of_returns(r: Floats, scale: str) -> Mapping[str, float]:
    size = np.abs(r)
    found = {
        "kurt_excess": moments.excess_kurtosis(r),
        "acf_ret_1": moments.autocorrelation(r, 1),
        "acf_abs_1": moments.autocorrelation(size, 1),
    }
    if scale in PER_YEAR:
        found |= {
            "vol_annual_pct": 100.0 * returns.standard_deviation(r) * PER_YEAR[scale] ** 0.5,
            "skew": returns.skewness(r),
            "acf_abs_20": moments.autocorrelation(size, 20),
            "leverage": returns.leverage_effect(r),
        }
    else:
        found |= {
            "acf_abs_100": moments.autocorrelation(size, 100),
            "acf_abs_deseason_beta": returns.decay_exponent(_without_season(size, BARS[scale])),
        }
    if scale != "1d":
        found |= {
            "hill_abs_5pct": returns.hill_exponent(size, 0.05),
            "acf_abs_beta": returns.decay_exponent(size),
        }
    return found


def _without_season(size: Floats, bar_minutes: int) -> Floats:
    """Divide sizes of returns by their mean in the hour of the day; the first bar has no return."""
    hour = np.arange(1, len(size) + 1) * bar_minutes // 60 % HOURS_OF_DAY
    mean = np.full(HOURS_OF_DAY, np.nan)
    for h in np.unique(hour):
        mean[h] = moments.present(size[hour == h]).mean()
    usual = mean[hour]
    divided: Floats = np.full(len(size), np.nan)
    np.divide(size, usual, out=divided, where=usual > 0.0)
    return divided


def _together(hourly: Floats) -> Mapping[str, float]:
    known = hourly[~np.isnan(hourly).any(axis=1)]
    days = returns.correlation_by_window(known, HOURS_OF_DAY)[:, 1]
    found = {
        "pearson": returns.mean_correlation(known),
        "worst": returns.worst_correlation(known, returns.TAIL),
        "gaussian_worst": returns.gaussian_worst_correlation(known, returns.TAIL),
        "rolling_all": float(days.mean()) if len(days) else np.nan,
        "rolling_worst": float(days[:WORST_DAYS].mean()) if len(days) else np.nan,
        "tail_dep": returns.tail_dependence(known, returns.TAIL),
        "gaussian_tail_dep": returns.gaussian_tail_dependence(known, returns.TAIL),
    }
    found["worst_minus_gaussian_worst"] = found["worst"] - found["gaussian_worst"]
    found["tail_dep_over_gaussian"] = found["tail_dep"] / found["gaussian_tail_dep"]
    return found

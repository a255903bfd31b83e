"""Statistics of funding rates and of the premium."""

import math
from typing import Any

import numpy as np

from marketsim.study.returns import skewness, standard_deviation
from marketsim.tape.moments import autocorrelation, excess_kurtosis, present
from marketsim.tape.result import Floats

#: Two rates this close are the same rate: exchanges print eight decimals.
SAME_RATE = 5e-9
#: Funding rates are compared per 8 hours.
PERIOD_HOURS = 8.0


def eight_hourly(hours: Any, rate: Any) -> Floats:
    """Average rates paid more often than 8-hourly over blocks of 8 hours.

    What several short settlements pay is the mean of their rates (all per 8 h); a block with a
    missing settlement has none. Rates paid 8-hourly or less often stay as they are.

    Parameters
    ----------
    hours : array_like
        Times of settlement, increasing; blocks end at multiples of 8.
    rate : array_like
        Per 8 h.

    Returns
    -------
    ndarray
        Per 8 h, from the first complete block to the last; NaN for one that is not.
    """
    times, rates = np.asarray(hours, np.float64), np.asarray(rate, np.float64)
    if len(times) < 2:
        return rates
    interval = float(np.diff(times).min())
    if interval >= PERIOD_HOURS * (1.0 - 1e-9):
        return rates
    # A settlement pays for the time before it, so one at 8:00 ends the first block.
    block = np.ceil(times / PERIOD_HOURS - 1e-6).astype(np.int64)
    block -= block[0]
    counts = np.bincount(block)
    complete = counts == round(PERIOD_HOURS / interval)
    sums = np.bincount(block, weights=rates)
    averages: Floats = np.where(complete, sums / np.maximum(counts, 1), np.nan)
    known = np.flatnonzero(complete)
    return averages[known[0] : known[-1] + 1] if len(known) else averages[:0]


def share_at(rate: Any, level: Any) -> float:
    """Return the share of rates that equal `level` to the last printed digit; NaN without rates."""
    gap = np.abs(present(np.asarray(rate, np.float64) - level))
    return float(np.mean(gap < SAME_RATE)) if len(gap) else math.nan


def share_negative(values: Any) -> float:
    """Return the share of values below zero; NaN without values."""
    x = present(values)
    return float(np.mean(x < 0.0)) if len(x) else math.nan


def mean_run(values: Any) -> float:
    """Return the mean length of runs of one sign, zero counted as positive; NaN without values."""
    x = present(values)
    if len(x) == 0:
        return math.nan
    changes = int(np.count_nonzero(np.diff(x >= 0.0)))
    return len(x) / (changes + 1)


def funding_statistics(rate: Any, interest: Any) -> dict[str, float]:
    """Describe a series of 8-hourly funding rates.

    Parameters
    ----------
    rate : array_like
        Per 8 h, longs pay if above 0; NaN where there is none.
    interest : array_like or float
        Per 8 h: the rate a venue pays while the premium lies in its dead band.

    Returns
    -------
    dict
        `mean`, `std`, `skew`, `kurt_excess`, `p01`, `p99`, `share_at_interest`, `share_negative`,
        `acf_1` (8 h), `acf_3` (a day), `acf_21` (a week), `run_mean` (settlements). NaN where there
        are too few rates, or they do not vary.
    """
    rates = np.asarray(rate, np.float64)
    known = present(rates)
    some = len(known) > 0
    return {
        "mean": float(known.mean()) if some else math.nan,
        "std": standard_deviation(rates),
        "skew": skewness(rates),
        "kurt_excess": excess_kurtosis(rates),
        "p01": float(np.quantile(known, 0.01)) if some else math.nan,
        "p99": float(np.quantile(known, 0.99)) if some else math.nan,
        "share_at_interest": share_at(rates, interest),
        "share_negative": share_negative(rates),
        "acf_1": autocorrelation(rates, 1),
        "acf_3": autocorrelation(rates, 3),
        "acf_21": autocorrelation(rates, 21),
        "run_mean": mean_run(rates),
    }


def half_life(values: Any) -> float:
    """Return the half-life of a premium in rows, as a first-order autoregression has it.

    ln .5 / ln phi, with phi the autocorrelation at lag 1; NaN unless phi lies between 0 and 1.
    """
    phi = autocorrelation(values, 1)
    return math.log(0.5) / math.log(phi) if 0.0 < phi < 1.0 else math.nan

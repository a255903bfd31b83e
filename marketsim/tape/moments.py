"""Estimators for series with gaps, which a run's own figures and the analysis of runs share."""

import math
from typing import Any

import numpy as np

from marketsim.tape.result import Floats

#: Named figures; one that does not exist is None.
Figures = dict[str, float | None]


def finite(value: Any) -> float | None:
    """Return a number, None if it is none."""
    return float(value) if math.isfinite(value) else None


def present(values: Any) -> Floats:
    """Return the values that are not NaN."""
    array = np.asarray(values, np.float64)
    return array[~np.isnan(array)]


def autocorrelation(values: Any, lag: int) -> float:
    """Return the autocorrelation at a lag.

    Mean and variance are those of all present values; the products are averaged over the pairs
    with both ends present.

    Parameters
    ----------
    values : array_like
        On a regular grid; NaN where there is none.
    lag : int
        Rows.

    Returns
    -------
    float
        NaN without a pair, or if the values do not vary.
    """
    x = np.asarray(values, np.float64)
    known = present(x)
    if len(known) == 0 or np.ptp(known) == 0.0:
        return math.nan
    centred = x - known.mean()
    products = present(centred[lag:] * centred[: len(x) - lag]) if lag < len(x) else known[:0]
    return float(products.mean() / known.var()) if len(products) else math.nan


def excess_kurtosis(values: Any) -> float:
    """Return m4 / m2^2 - 3, without bias correction; NaN if the values do not vary."""
    return standardised_moment(values, 4) - 3.0


def standardised_moment(values: Any, order: int) -> float:
    """Return the central moment of an order over the standard deviation to that power, or NaN."""
    x = present(values)
    if len(x) == 0 or np.ptp(x) == 0.0:
        return math.nan
    centred = x - x.mean()
    return float(np.mean(centred**order) / np.mean(centred**2) ** (order / 2))

"""Statistics of returns: moments, tails, memory, and how markets move together.

Every estimator is defined so that it gives, on the same prices, the figures published for real
markets beside which `marketsim.study.validation` puts a run.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from marketsim.tape.moments import autocorrelation, present, standardised_moment
from marketsim.tape.result import Floats

#: Lags over which the decay of a memory is fitted.
DECAY_LAGS = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100)
#: Share of the rows that count as the tail of a market or of the worst days.
TAIL = 0.01
#: Hours in a year of 365 days.
YEAR_HOURS = 8760.0


def log_returns(price: Any) -> Floats:
    """Return the log returns of prices on a regular grid, along the first axis.

    Parameters
    ----------
    price : array_like
        Any unit; NaN where there is none.

    Returns
    -------
    ndarray
        One shorter; NaN beside a missing price.
    """
    change: Floats = np.diff(np.log(np.asarray(price, np.float64)), axis=0)
    return change


def skewness(values: Any) -> float:
    """Return m3 / m2^1.5, without bias correction; NaN if the values do not vary."""
    return standardised_moment(values, 3)


def standard_deviation(values: Any) -> float:
    """Return the standard deviation with the number of values as divisor; NaN without values."""
    x = present(values)
    return float(np.std(x)) if len(x) else math.nan


def hill_exponent(values: Any, share: float) -> float:
    r"""Estimate the power-law exponent of the upper tail.

    .. math:: 1 / \overline{\ln x_{(i)} - \ln x_{(k + 1)}}, \quad i = 1 \dots k

    Parameters
    ----------
    values : array_like
        Those above 0 count.
    share : float
        k over the number of positive values, rounded down.

    Returns
    -------
    float
        NaN if the tail holds nothing, or nothing above its threshold.

    References
    ----------
    B. M. Hill, "A simple general approach to inference about the tail of a distribution", Annals of
    Statistics 3 (1975).

    Examples
    --------
    >>> round(hill_exponent([8.0, 4.0, 2.0, 1.0], 0.5), 4)  # 1 / mean(ln 4, ln 2)
    0.9618
    """
    x = present(values)
    x = np.sort(x[x > 0.0])[::-1]
    k = math.floor(share * len(x))
    if k == 0:
        return math.nan
    excess = float(np.mean(np.log(x[:k]) - math.log(x[k])))
    return 1.0 / excess if excess > 0.0 else math.nan


def decay_exponent(values: Any) -> float:
    """Return beta of an autocorrelation falling as lag^-beta, fitted over `DECAY_LAGS`.

    Ordinary least squares of the logarithms, over the lags with a positive autocorrelation; NaN
    with fewer than two of them.
    """
    found = [(lag, autocorrelation(values, lag)) for lag in DECAY_LAGS]
    points = np.array([(math.log(lag), math.log(c)) for lag, c in found if c > 0.0])
    if len(points) < 2:
        return math.nan
    x, y = points[:, 0] - points[:, 0].mean(), points[:, 1]
    return -float((x * y).sum() / (x * x).sum())


def mean_correlation(returns: Floats) -> float:
    """Return the mean pairwise Pearson correlation of the columns; NaN with fewer than two."""
    if returns.shape[1] < 2 or len(returns) < 2 or (np.ptp(returns, axis=0) == 0.0).any():
        return math.nan
    matrix = np.asarray(np.corrcoef(returns, rowvar=False))
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())


def windowed_correlation(returns: Floats, rows: int, share: float) -> tuple[float, float]:
    """Compare the correlation of markets in all windows with that in the worst ones.

    The return of a window is the sum of the markets' mean return. Choosing windows by their return
    biases the correlation inside them less than choosing single rows.

    Parameters
    ----------
    returns : ndarray
        (T, M) simultaneous log returns.
    rows : int
        Length of a window; windows follow each other without overlap.
    share : float
        Of the windows with the lowest return, rounded down but at least one.

    Returns
    -------
    overall, worst : float
        Mean pairwise correlation, averaged over the windows; NaN without a window.
    """
    found = correlation_by_window(returns, rows)
    if len(found) == 0:
        return math.nan, math.nan
    count = max(math.floor(share * len(found)), 1)
    return float(found[:, 1].mean()), float(found[:count, 1].mean())


def correlation_by_window(returns: Floats, rows: int) -> Floats:
    """Return the mean return, summed, and the mean pairwise correlation of windows, worst first.

    Windows of so many rows follow each other without overlap; one without a correlation is left
    out.
    """
    windows = [returns[k : k + rows] for k in range(0, len(returns) - rows + 1, rows)]
    pairs = [(float(window.mean(axis=1).sum()), mean_correlation(window)) for window in windows]
    found = np.array([pair for pair in pairs if not math.isnan(pair[1])]).reshape(-1, 2)
    ordered: Floats = found[np.argsort(found[:, 0], kind="stable")]
    return ordered


def worst_correlation(returns: Floats, share: float) -> float:
    """Return the mean pairwise correlation in the `share` of rows with the lowest mean return.

    Rows are rounded down; choosing single rows lowers a correlation, see
    `gaussian_worst_correlation`. NaN with fewer than two rows.
    """
    count = math.floor(share * len(returns))
    lowest = np.argsort(returns.mean(axis=1), kind="stable")[:count]
    return mean_correlation(returns[lowest])


def gaussian_worst_correlation(returns: Floats, share: float) -> float:
    r"""Return what `worst_correlation` would be if the returns were Gaussian with their covariance.

    With c the covariances of the markets with their mean m, given :math:`m < \Phi^{-1}(share)`

    .. math:: \Sigma' = \Sigma - c c^T (1 - v) / \mathrm{Var}(m)

    where v is the variance of a standard normal variable below that quantile.
    """
    if returns.shape[1] < 2 or len(returns) < 2 or (np.ptp(returns, axis=0) == 0.0).any():
        return math.nan
    normal = NormalDist()
    bound = normal.inv_cdf(share)
    hazard = normal.pdf(bound) / share
    left = 1.0 - bound * hazard - hazard * hazard
    covariance: Floats = np.asarray(np.cov(returns, rowvar=False))
    with_mean = covariance.mean(axis=1)
    given = covariance - np.outer(with_mean, with_mean) * (1.0 - left) / with_mean.mean()
    deviation = np.sqrt(np.diag(given))
    matrix = given / np.outer(deviation, deviation)
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())


def gaussian_tail_dependence(returns: Floats, share: float) -> float:
    r"""Return what `tail_dependence` would be if the returns were Gaussian with their correlations.

    .. math::
        P(X < b, Y < b) = share^2 + \frac{1}{2 \pi} \int_0^\rho
        \frac{e^{-b^2 / (1 + r)}}{\sqrt{1 - r^2}} dr

    with r = sin(angle), by Gauss-Legendre quadrature.

    References
    ----------
    R. L. Plackett, "A reduction formula for normal multivariate integrals", Biometrika 41 (1954).
    """
    if returns.shape[1] < 2 or len(returns) < 2 or (np.ptp(returns, axis=0) == 0.0).any():
        return math.nan
    bound = NormalDist().inv_cdf(share)
    matrix: Floats = np.asarray(np.corrcoef(returns, rowvar=False))
    angle = np.arcsin(np.clip(matrix[np.triu_indices(len(matrix), 1)], -1.0, 1.0))
    points, weights = np.polynomial.legendre.leggauss(40)
    r = np.sin(0.5 * angle[:, None] * (points + 1.0))
    integral = 0.5 * angle * (weights * np.exp(-bound * bound / (1.0 + r))).sum(axis=1)
    joint = share * share + integral / (2.0 * math.pi)
    return float(joint.mean() / share)


def tail_dependence(returns: Floats, share: float) -> float:
    """Return the chance that a market is in its own worst `share` of rows, given another is.

    Mean over ordered pairs of columns; NaN with fewer than two columns or fewer rows than one in
    the tail.
    """
    num_rows, num_markets = returns.shape
    if share * num_rows < 1.0 or num_markets < 2:
        return math.nan
    is_worst = (returns <= np.quantile(returns, share, axis=0)).astype(np.float64)
    joint = is_worst.T @ is_worst / (share * num_rows)
    return float(joint[~np.eye(num_markets, dtype=bool)].mean())


def leverage_effect(returns: Any) -> float:
    """Return the mean correlation of a return with the sizes of the next 24."""
    r = np.asarray(returns, np.float64)
    found = []
    for lag in range(1, 25):
        now, then = r[:-lag], np.abs(r[lag:])
        both = ~np.isnan(now) & ~np.isnan(then)
        if both.sum() < 2 or np.ptp(now[both]) == 0.0 or np.ptp(then[both]) == 0.0:
            return math.nan
        found.append(np.corrcoef(now[both], then[both])[0, 1])
    return float(np.mean(found))


def annual_volatility(hourly: Any) -> float:
    """Return the annual volatility of hourly log returns, as a fraction."""
    return standard_deviation(hourly) * math.sqrt(YEAR_HOURS)

"""The estimators against independent implementations, hand-worked numbers and known processes."""

import math

import numpy as np
import pytest
from scipy import stats

from marketsim.study import returns
from marketsim.tape import moments


@pytest.fixture
def heavy() -> np.ndarray:
    return np.random.default_rng(1).standard_t(4, 2000)


def ar1(phi: float, num_rows: int, seed: int = 2) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(num_rows)
    x = np.zeros(num_rows)
    for t in range(1, num_rows):
        x[t] = phi * x[t - 1] + noise[t]
    return x


def test_log_returns_stop_at_a_missing_price():
    found = returns.log_returns([1.0, math.e, math.nan, 2.0, 2.0])
    assert found == pytest.approx([1.0, math.nan, math.nan, 0.0], nan_ok=True)


def test_moments_are_scipys(heavy):
    assert moments.excess_kurtosis(heavy) == pytest.approx(stats.kurtosis(heavy), rel=1e-12)
    assert returns.skewness(heavy) == pytest.approx(stats.skew(heavy), rel=1e-12)
    assert returns.standard_deviation(heavy) == pytest.approx(heavy.std(), rel=1e-12)


def test_missing_values_do_not_count_in_moments(heavy):
    holes = np.insert(heavy, [0, 7, 2000], math.nan)
    assert moments.excess_kurtosis(holes) == moments.excess_kurtosis(heavy)


def test_what_never_varies_has_no_moments_and_no_memory():
    flat = np.full(50, 0.1)
    assert math.isnan(moments.excess_kurtosis(flat))
    assert math.isnan(moments.autocorrelation(flat, 1))
    assert math.isnan(returns.mean_correlation(np.column_stack([flat, flat])))
    assert math.isnan(returns.hill_exponent(np.zeros(50), 0.5))
    assert math.isnan(moments.excess_kurtosis([]))


def test_hill_exponent_worked_by_hand():
    # The top 2 of 5 positive values: ln(8 / 2) and ln(4 / 2) average 1.5 ln 2.
    values = [1.0, 8.0, 0.0, 2.0, 4.0, 1.5, math.nan, -9.0]
    assert returns.hill_exponent(values, 0.4) == pytest.approx(1.0 / (1.5 * math.log(2.0)))


def test_hill_exponent_of_a_pareto_law_is_its_exponent():
    values = np.random.default_rng(3).pareto(3.0, 200_000) + 1.0
    error = 3.0 / math.sqrt(10_000)
    assert abs(returns.hill_exponent(values, 0.05) - 3.0) < 4.0 * error


def test_a_tail_of_nothing_has_no_exponent():
    assert math.isnan(returns.hill_exponent([3.0, 2.0, 1.0], 0.05))


def test_autocorrelation_worked_by_hand():
    # Mean 2, deviations -1 0 1 0, variance 1/2; products at lag 1 are 0 0 0, at lag 2 -1 and 0.
    assert moments.autocorrelation([1.0, 2.0, 3.0, 2.0], 1) == 0.0
    assert moments.autocorrelation([1.0, 2.0, 3.0, 2.0], 2) == pytest.approx(-1.0)


def test_autocorrelation_uses_pairs_with_both_ends_only():
    # Deviations 1, -1 and 0 around 2; only the first two are neighbours.
    found = moments.autocorrelation([3.0, 1.0, math.nan, 2.0], 1)
    assert found == pytest.approx(-1.0 / (2.0 / 3.0))
    assert math.isnan(moments.autocorrelation([3.0, math.nan, 2.0], 1))
    assert math.isnan(moments.autocorrelation([3.0, 2.0], 2))


@pytest.mark.parametrize("lag", [1, 3])
def test_autocorrelation_of_a_first_order_process_is_its_power(lag):
    num_rows, phi = 40_000, 0.6
    error = math.sqrt((1.0 + phi**2) / (1.0 - phi**2) / num_rows)
    found = moments.autocorrelation(ar1(phi, num_rows), lag)
    assert abs(found - phi**lag) < 4.0 * error


def test_decay_exponent_is_the_slope_of_the_memory(monkeypatch):
    memory = {lag: 0.3 * lag**-0.25 for lag in returns.DECAY_LAGS}
    memory[7] = -0.1  # has no logarithm and is left out
    monkeypatch.setattr(returns, "autocorrelation", lambda values, lag: memory[lag])
    assert returns.decay_exponent([]) == pytest.approx(0.25)


def test_mean_correlation_is_numpys_over_the_pairs():
    x = np.random.default_rng(4).standard_normal((500, 3)) @ [[1, 0.5, 0.2], [0, 1, 0.7], [0, 0, 1]]
    matrix = np.corrcoef(x.T)
    expected = (matrix[0, 1] + matrix[0, 2] + matrix[1, 2]) / 3.0
    assert returns.mean_correlation(x) == pytest.approx(expected)
    assert math.isnan(returns.mean_correlation(x[:, :1]))


def test_windowed_correlation_finds_the_worst_days():
    rng = np.random.default_rng(5)
    days = []
    for day in range(200):
        common, own = rng.standard_normal((24, 1)), rng.standard_normal((24, 2))
        # Days 30 and 31 fall, and move as one.
        is_bad = day in {30, 31}
        days.append(common * (3.0 if is_bad else 0.0) + own * 0.1 - 5.0 * is_bad)
    overall, worst = returns.windowed_correlation(np.vstack(days), 24, 0.01)
    assert worst > 0.99
    assert abs(overall - 0.01 * worst) < 4.0 / math.sqrt(24 * 198)


def test_windowed_correlation_looks_at_one_window_at_least():
    x = np.random.default_rng(6).standard_normal((3 * 24 + 5, 2))
    lowest = min(range(3), key=lambda k: x[24 * k : 24 * k + 24].mean())
    expected = np.corrcoef(x[24 * lowest : 24 * lowest + 24].T)[0, 1]
    assert returns.windowed_correlation(x, 24, 0.01)[1] == pytest.approx(expected)
    assert all(math.isnan(value) for value in returns.windowed_correlation(x[:20], 24, 0.01))


def test_tail_dependence_counts_shared_worst_rows():
    x = np.random.default_rng(7).standard_normal((100, 2))
    x[[3, 50, 90], 0] = -50.0
    x[[3, 50, 60], 1] = -50.0
    assert returns.tail_dependence(x, 0.03) == pytest.approx(2.0 / 3.0)
    assert math.isnan(returns.tail_dependence(x, 0.001))


def test_leverage_effect_sees_falls_that_bring_volatility():
    rng = np.random.default_rng(8)
    r = np.zeros(20_000)
    for t in range(1, len(r)):
        r[t] = rng.standard_normal() * (3.0 if r[t - 1] < -1.0 else 1.0)
    assert returns.leverage_effect(r) < -0.005
    assert abs(returns.leverage_effect(rng.standard_normal(20_000))) < 0.005


def test_annual_volatility_scales_with_the_root_of_time():
    assert returns.annual_volatility([0.01, -0.01]) == pytest.approx(0.01 * math.sqrt(8760.0))


def correlated(rho: float, num_rows: int) -> np.ndarray:
    rng = np.random.default_rng(8)
    common = rng.standard_normal((num_rows, 1))
    own = rng.standard_normal((num_rows, 3))
    return math.sqrt(rho) * common + math.sqrt(1.0 - rho) * own


def test_gaussian_returns_have_the_tails_that_are_said_of_them():
    x = correlated(0.6, 400_000)
    dependence = returns.tail_dependence(x, 0.01)
    assert returns.gaussian_tail_dependence(x, 0.01) == pytest.approx(dependence, abs=0.02)
    worst = returns.worst_correlation(x, 0.01)
    assert returns.gaussian_worst_correlation(x, 0.01) == pytest.approx(worst, abs=0.06)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.3, 0.9])
def test_gaussian_tail_dependence_is_scipys(rho):
    x = correlated(0.5, 50)[:, :2]
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
    x = x @ np.linalg.cholesky([[1.0, rho], [rho, 1.0]]).T
    bound = stats.norm.ppf(0.05)
    joint = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([bound, bound])
    assert returns.gaussian_tail_dependence(x, 0.05) == pytest.approx(joint / 0.05, rel=1e-5)


def test_worst_rows_and_windows_are_those_with_the_lowest_mean_return():
    x = np.array([[1.0, 1.0], [-1.0, -2.0], [2.0, 3.0], [-3.0, -1.0], [-2.0, -1.5], [0.0, 0.5]])
    assert returns.worst_correlation(x, 0.5) == pytest.approx(np.corrcoef(x[[1, 3, 4]].T)[0, 1])
    assert math.isnan(returns.worst_correlation(x, 0.2))
    by_window = returns.correlation_by_window(x, 3)
    expected = [[-3.5, np.corrcoef(x[3:].T)[0, 1]], [2.0, np.corrcoef(x[:3].T)[0, 1]]]
    assert by_window == pytest.approx(np.array(expected))


def test_two_markets_of_which_one_stands_still_have_no_gaussian_tails():
    flat = np.column_stack([np.zeros(50), np.arange(50.0)])
    assert math.isnan(returns.gaussian_tail_dependence(flat, 0.1))
    assert math.isnan(returns.gaussian_worst_correlation(flat, 0.1))

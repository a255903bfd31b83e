import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from marketsim.results.risk import max_drawdown, population_risk, sharpe_ratio
from marketsim.tape.result import RunResult


def over_days(result: RunResult, equity: list[int], fees: list[int]) -> RunResult:
    """The same accounts over days of two steps, a row a day, with the first population's wealth."""
    days = len(equity)
    wealth = np.zeros((days, 3), result.wealth.dtype).view(np.recarray)
    wealth["step"] = 2 * np.arange(days)[:, None]
    wealth["equity"], wealth["fees"] = 1, 0
    wealth["equity"][:, 0], wealth["fees"][:, 0] = equity, fees
    exposure = np.zeros((days, 3, 2), result.exposure.dtype).view(np.recarray)
    exposure["gross"][:, 0] = wealth["equity"][:, :1]
    return dataclasses.replace(result, wealth=wealth, exposure=exposure, step_minutes=720.0)


def test_sharpe_ratio_is_annual_mean_over_deviation() -> None:
    daily = np.array([0.01, 0.03] * 5)
    assert sharpe_ratio(daily) == pytest.approx(0.02 / (0.01 * (10 / 9) ** 0.5) * 365**0.5)


@pytest.mark.parametrize("daily", [np.full(9, 0.1) + np.arange(9), np.full(20, 0.1)])
def test_too_few_or_equal_returns_have_no_sharpe_ratio(daily: np.ndarray) -> None:
    assert sharpe_ratio(daily) is None


def test_drawdown_is_from_the_highest_point_so_far() -> None:
    assert max_drawdown(np.array([10.0, 5.0, 20.0, 8.0, 30.0])) == pytest.approx(0.6)
    assert max_drawdown(np.array([1.0, 2.0])) == 0.0
    assert max_drawdown(np.array([0.0, 2.0])) is None


def test_gross_returns_pay_the_fees_back(result: RunResult) -> None:
    gross = np.array([1.02, 0.99] * 6)
    wealth = np.concatenate([[1e9], 1e9 * np.cumprod(gross - 0.001)])
    fees = np.concatenate([[0.0], np.cumsum(0.001 * wealth[:-1])])
    figures = population_risk(over_days(result, wealth.tolist(), fees.tolist()))[0]
    assert figures["sharpe_gross"] == pytest.approx(sharpe_ratio(gross - 1.0), rel=1e-5)
    assert figures["sharpe_net"] == pytest.approx(sharpe_ratio(gross - 1.001), rel=1e-5)
    assert figures["leverage_mean"] == 2.0  # as much as the equity, in each of two markets
    assert figures["total_return"] == pytest.approx(wealth[-1] / wealth[0] - 1.0, rel=1e-6)


def test_shares_of_ruined_and_liquidated_accounts(make_result: Callable[..., RunResult]) -> None:
    result = make_result()
    equity = result.end.equity.copy()
    equity[0] = result.deposit[0] // 10 - 1
    equity[1] = result.deposit[1] // 10
    figures = population_risk(dataclasses.replace(result, end=result.end._replace(equity=equity)))
    assert [each["ruined_share"] for each in figures] == [0.5, 0.0, 0.0]
    assert [each["liquidated_share"] for each in figures] == [1.0, 0.0, 0.0]

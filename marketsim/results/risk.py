"""What a population earned and what it risked for it: return, Sharpe ratio, drawdown, ruin."""

import math
from typing import Any

import numpy as np

from marketsim.engine.state import NONE
from marketsim.results.outcomes import trader_outcomes
from marketsim.tape.result import Floats, RunResult

#: With fewer daily returns there is no Sharpe ratio.
MIN_DAYS = 10
DAYS_PER_YEAR = 365.0
#: Share of the worst returns that are the tail.
TAIL = 0.05
#: An account that has lost more than this share of what it brought is ruined.
RUIN = 0.9


def population_risk(result: RunResult) -> list[dict[str, float | None]]:
    """Measure return and risk of every population and, last, the insurance fund.

    `total_return` is the change of equity over equity at the start. Money that interventions and
    newcomers brought, or leavers took, is no return: what came counts as capital from the moment of
    the series before it, what left up to the moment after.
    `sharpe_gross` and `sharpe_net` are annualised Sharpe ratios of daily returns, before and after
    trading fees, without a risk-free rate. `max_drawdown` is the largest fall from a previous high,
    as a share of that high, at the times the population series has. `tail_loss_day` is the mean
    loss of the worst 5 % of the daily returns (expected shortfall), `tail_loss_account` that of the
    worst 5 % of the traders, what they ended with and took out over what they deposited (where
    traders come and go, an account's each by itself). `ruined_share` counts traders for whom that
    is less than a tenth, `liquidated_share` accounts that met a liquidation order. `leverage_mean`
    is gross notional over equity, mean over the population series. What does not exist is None.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    list of dict
    """
    num_groups = len(result.population_names) + 1
    group = np.where(result.population == NONE, num_groups - 1, result.population)
    traders = trader_outcomes(result)
    ruined = traders.got < (1.0 - RUIN) * traders.paid_in
    liquidated = np.zeros(len(group), bool)
    liquidated[result.liquidation["account"]] = True
    end_return = np.full(len(ruined), np.nan)
    np.divide(traders.got, traders.paid_in, out=end_return, where=traders.paid_in > 0)
    end_return -= 1.0
    days = _day_ends(result)
    figures: list[dict[str, float | None]] = []
    for g in range(num_groups):
        members = group == g
        those = members[traders.account]
        equity = result.wealth["equity"][:, g].astype(np.float64)
        owned = equity
        fees = result.wealth["fees"][:, g].astype(np.float64)
        equity, fees = _without_payments(result, members, equity, fees)
        daily, gross = _returns(equity[days]), _returns(equity[days], fees[days])
        held = result.exposure["gross"][:, g].sum(axis=1)
        figures.append(
            {
                "total_return": equity[-1] / equity[0] - 1.0 if equity[0] > 0 else None,
                "sharpe_gross": sharpe_ratio(gross),
                "sharpe_net": sharpe_ratio(daily),
                "max_drawdown": max_drawdown(equity),
                "tail_loss_day": tail_loss(daily) if len(daily) >= MIN_DAYS else None,
                "tail_loss_account": tail_loss(end_return[those]),
                "leverage_mean": _mean_leverage(held, owned),
                "ruined_share": float(np.mean(ruined[those])) if members.any() else None,
                "liquidated_share": float(np.mean(liquidated[members])) if members.any() else None,
            }
        )
    return figures


def equity_without_payments(result: RunResult, group: int) -> Floats:
    """Return a population's equity as it would be if nobody had paid in or taken out.

    Parameters
    ----------
    result : RunResult
    group : int
        Number of the population.

    Returns
    -------
    ndarray
        Atoms, at the moments of the population series; grows in proportion to what was there.
    """
    equity = result.wealth["equity"][:, group].astype(np.float64)
    return _without_payments(result, result.population == group, equity, np.zeros(len(equity)))[0]


def _without_payments(
    result: RunResult, members: Any, equity: Floats, fees: Floats
) -> tuple[Floats, Floats]:
    """Return a population's equity and fees as they would be if nobody had paid in or taken out.

    Between two moments equity grows in proportion to what was there and what came; what left had
    grown with it. Where there was nothing, nothing grows.
    """
    steps = result.wealth["step"][:, 0]
    flows = result.flows
    those = members[flows.account] & (flows.step < steps[-1])
    moment = np.searchsorted(steps, flows.step[those], side="right") - 1
    paid, taken = np.zeros(len(steps) - 1), np.zeros(len(steps) - 1)
    np.add.at(paid, moment, np.maximum(flows.atoms[those], 0))
    np.add.at(taken, moment, np.maximum(-flows.atoms[those], 0))
    if not (paid.any() or taken.any()):
        return equity, fees
    capital = equity[:-1] + paid
    growth = np.ones(len(capital))
    np.divide(equity[1:] + taken, capital, out=growth, where=capital > 0)
    alone = equity[0] * np.concatenate([[1.0], np.cumprod(growth)])
    scale = np.divide(alone[:-1], capital, out=np.zeros(len(capital)), where=capital > 0)
    return alone, np.concatenate([[0.0], np.cumsum(scale * np.diff(fees))])


def sharpe_ratio(daily: Floats) -> float | None:
    """Annualise mean over standard deviation of daily returns; None if they are too few or equal.

    Parameters
    ----------
    daily : ndarray

    Returns
    -------
    float or None

    References
    ----------
    W. F. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21 (1994).
    """
    if len(daily) < MIN_DAYS or not np.isfinite(daily).all():
        return None
    spread = float(np.std(daily, ddof=1))
    # Returns that are equal but for rounding have no spread to divide by.
    if spread <= 1e-12 * float(np.abs(daily).max()):
        return None
    return float(np.mean(daily)) / spread * math.sqrt(DAYS_PER_YEAR)


def max_drawdown(equity: Floats) -> float | None:
    """Return the largest fall from a previous high as a share of that high; None without equity.

    Examples
    --------
    >>> import numpy as np
    >>> max_drawdown(np.array([100.0, 120.0, 90.0, 130.0]))
    0.25
    """
    high = np.maximum.accumulate(equity)
    if not len(equity) or high[0] <= 0:
        return None
    return float(np.max((high - equity) / high))


def tail_loss(returns: Floats) -> float | None:
    """Return the mean loss of the worst `TAIL` of returns, at least one; None if one is missing.

    Examples
    --------
    >>> import numpy as np
    >>> tail_loss(np.array([0.1, -0.5, 0.2]))
    0.5
    """
    if not len(returns) or not np.isfinite(returns).all():
        return None
    worst = np.sort(returns)[: math.ceil(TAIL * len(returns))]
    return -float(np.mean(worst))


def _mean_leverage(gross: Floats, equity: Floats) -> float | None:
    has_equity = equity > 0
    return float(np.mean(gross[has_equity] / equity[has_equity])) if has_equity.any() else None


def _day_ends(result: RunResult) -> Any:
    """Return the rows of the population series at the start and at the end of each whole day.

    A row stands for the day's end if it is the last one by then; a series with rows further apart
    than a day has no daily returns.
    """
    steps = result.wealth["step"][:, 0]
    per_day = 1440.0 / result.step_minutes
    ends = np.arange(int(steps[-1] / per_day + 1e-9) + 1) * per_day
    rows = np.searchsorted(steps, ends + 1e-6, side="right") - 1
    return rows if (np.diff(rows) > 0).all() else rows[:1]


def _returns(equity: Floats, fees: Floats | None = None) -> Floats:
    """Return relative changes of equity, with the fees of each span paid back if they are given."""
    change = np.diff(equity)
    if fees is not None:
        change = change + np.diff(fees)
    result = np.full(len(change), np.nan)
    np.divide(change, equity[:-1], out=result, where=equity[:-1] > 0)
    return result

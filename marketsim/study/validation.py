"""A run held against real markets: each figure, the band it has to lie in, and the verdict.

The bands say what an ordinary, calm market of a large venue looks like. The same estimators gave,
on what Binance published of BTC, XRP, LTC and ADA by calendar year, 2019-2025 (funding: other
venues too), between the 10 % and the 90 % quantile: 29-62 % of settlements at the interest rate and
5-39 % negative, a premium of 2-12 bp standard deviation, and of hourly returns an excess kurtosis
of 13-78, Hill exponents of 2.2-2.9, a first autocorrelation of -.06 to .01, and of their sizes one
of .22-.33. Over all years the correlation within a day was .70, and .85 in the worst 1 % of days.
Hyperliquid liquidated 1-3 % of open interest a day (four coins, 2025-12 to 2026-01). No venue
publishes a reproduction number: its band is a judgement, not a quantile.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from marketsim.study import funding_statistics, returns
from marketsim.study.observed import Observed
from marketsim.tape import moments

#: Hours in a window of the cross-market correlation: a day.
WINDOW_HOURS = 24

Statistics = Mapping[str, float]


@dataclass(frozen=True)
class Figure:
    """A statistic of a run, how it is shown, and the band it has to lie in, if any."""

    name: str
    title: str
    key: str | None = None  #: of the real markets' quantiles
    low: float = -math.inf
    high: float = math.inf
    digits: int = 2
    scale: float = 1.0  #: what is shown over what was measured
    key_scale: float = 1.0  #: what was measured over what `key` holds
    is_magnitude: bool = False  #: the verdict is on the mean of absolute values

    @property
    def is_decided(self) -> bool:
        """Whether the figure has a band."""
        return math.isfinite(self.low) or math.isfinite(self.high)


@dataclass(frozen=True)
class Check:
    """A figure as a run has it.

    Attributes
    ----------
    markets : dict of float
        By market; empty where the figure belongs to all markets together. NaN: it does not exist,
        as the autocorrelation of something that never changed.
    value : float
        The mean over the markets (of absolute values for a figure of magnitude), or the figure of
        all markets together; NaN if any market has none.
    passed : bool or None
        Whether `value` lies in the band, which NaN does not; None: the figure has no band.
    real : tuple of float or None
        10 %, 50 % and 90 % quantiles over real markets and years.
    """

    figure: Figure
    markets: dict[str, float]
    value: float
    passed: bool | None
    real: tuple[float, float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers that JSON can hold; what does not exist is None."""
        figure = self.figure
        return {
            "name": figure.name,
            "title": figure.title,
            "low": moments.finite(figure.low),
            "high": moments.finite(figure.high),
            "value": moments.finite(self.value),
            "passed": self.passed,
            "markets": {name: moments.finite(value) for name, value in self.markets.items()},
            "real": list(self.real) if self.real else None,
        }


#: Figures of each market. Hourly returns are those of the mark price.
MARKET_FIGURES = (
    Figure(
        "funding_at_interest",
        "funding exactly at interest, share",
        "funding.share_at_1bp",
        0.25,
        0.65,
    ),
    Figure("funding_negative", "funding negative, share", "funding.share_negative", 0.04, 0.25),
    Figure("premium_std_bp", "premium sd, hourly, bp", "basis.1h.std_bp", 3.0, 12.0, digits=1),
    Figure("kurt_excess", "excess kurtosis, 1 h", "returns.1h.kurt_excess", 3.0, digits=1),
    Figure("hill", "Hill exponent of |r|, top 5 %", "returns.1h.hill_abs_5pct", 2.0, 4.0),
    Figure(
        "acf_return_1h",
        "ACF of r at 1 h (mean absolute)",
        "returns.1h.acf_ret_1",
        high=0.05,
        digits=3,
        is_magnitude=True,
    ),
    Figure("acf_absolute_1h", "ACF of |r| at 1 h", "returns.1h.acf_abs_1", 0.1, 0.4),
    Figure("liquidated_day", "liquidated a day, % of open int.", None, 0.002, 0.05, scale=100.0),
    Figure(
        "volatility",
        "volatility, % a year",
        "returns.1h.vol_annual_pct",
        digits=0,
        scale=100.0,
        key_scale=0.01,
    ),
    Figure("skew", "skewness of r", "returns.1h.skew"),
    Figure("acf_absolute_20h", "ACF of |r| at 20 h", "returns.1h.acf_abs_20"),
    Figure("acf_absolute_decay", "ACF of |r|, decay over 1-100 h", "returns.1h.acf_abs_beta"),
    Figure("leverage_effect", "leverage effect", "returns.1h.leverage", digits=3),
    Figure("premium_mean_bp", "premium mean, hourly, bp", "basis.1h.mean_bp", digits=1),
    Figure("premium_half_life_h", "premium half-life, h", "basis.1h.half_life_ar1_h", digits=1),
    Figure("venue_premium_std_bp", "venue's sample sd, hourly, bp", digits=1),
    Figure("venue_premium_std_step_bp", "venue's sample sd, all rows, bp", digits=1),
    Figure("funding_mean_bp", "funding mean, bp", "funding.mean", key_scale=1e4),
    Figure("funding_std_bp", "funding sd, bp", "funding.std", key_scale=1e4),
    Figure("funding_skew", "funding skewness", "funding.skew"),
    Figure("funding_kurt_excess", "funding excess kurtosis", "funding.kurt_excess", digits=1),
    Figure("funding_acf_8h", "funding ACF at 8 h", "funding.acf_1"),
    Figure("funding_acf_7d", "funding ACF at 7 d", "funding.acf_21"),
    Figure("funding_run", "funding run of one sign, 8 h", "funding.run_mean", digits=1),
)

#: Of the venue: the larger of R on paper of falls and rises, mean over the moments.
REPRODUCTION = Figure("reproduction_on_paper", "R on paper, mean", None, 0.05, 0.5, digits=3)

#: Figures of all markets together.
CROSS_FIGURES = (
    Figure("correlation_rise", "rise of correlation, worst 1 % days", None, 0.0),
    Figure("correlation", "correlation, mean over days", "cross.1h.rolling_all"),
    Figure("correlation_worst", "correlation, worst 1 % of days", "cross.1h.rolling_worst"),
    Figure("correlation_worst_5", "correlation, worst 5 % of days"),
    Figure("correlation_all_hours", "correlation, all hours at once", "cross.1h.pearson"),
    Figure("tail_dependence", "tail dependence, worst 1 % hours", "cross.1h.tail_dep"),
)


def check_bands(observed: Observed, targets: Mapping[str, Any] | None = None) -> list[Check]:
    """Measure a run and hold it against the bands.

    Parameters
    ----------
    observed : Observed
    targets : mapping, optional
        ``bands`` of a file of real statistics: quantiles ``p10``, ``median``, ``p90`` by key.

    Returns
    -------
    list of Check
        Those with a band first; of a single market without the figures of several, of a run without
        contagion matrices without the reproduction number.
    """
    bands = targets or {}
    names = observed.market_names
    found = [_market_statistics(observed, m) for m in range(len(names))]
    checks = []
    for figure in MARKET_FIGURES:
        values = np.array([statistics[figure.name] for statistics in found])
        mean = float(np.mean(np.abs(values) if figure.is_magnitude else values))
        by_market = dict(zip(names, values.tolist(), strict=True))
        checks.append(_check(figure, by_market, mean, bands))
    if len(names) > 1:
        together = _cross_statistics(observed)
        checks += [_check(figure, {}, together[figure.name], bands) for figure in CROSS_FIGURES]
    if len(observed.reproduction_on_paper):
        larger = np.fmax(*observed.reproduction_on_paper.T)
        checks.append(_check(REPRODUCTION, {}, _mean(larger), bands))
    return sorted(checks, key=lambda check: check.passed is None)


def _check(
    figure: Figure, markets: dict[str, float], value: float, bands: Mapping[str, Any]
) -> Check:
    # A strict bound: "above 3", "below .05"; and NaN lies in no band.
    passed = figure.low < value < figure.high if figure.is_decided else None
    real = None
    if figure.key is not None and figure.key in bands:
        band = bands[figure.key]
        low, middle, high = (figure.key_scale * float(band[q]) for q in ("p10", "median", "p90"))
        real = (low, middle, high)
    return Check(figure, markets, value, passed, real)


def _market_statistics(observed: Observed, m: int) -> Statistics:
    hourly = returns.log_returns(observed.hourly_mark[:, m])
    premium = observed.hourly_premium[:, m]
    hours = observed.settlement_hours[m]
    rate = funding_statistics.eight_hourly(hours, observed.funding_rate[m])
    interest = funding_statistics.eight_hourly(hours, observed.interest_rate[m])
    paid = funding_statistics.funding_statistics(rate, interest)
    return {
        "funding_at_interest": paid["share_at_interest"],
        "funding_negative": paid["share_negative"],
        "premium_std_bp": 1e4 * returns.standard_deviation(premium),
        "kurt_excess": moments.excess_kurtosis(hourly),
        "hill": returns.hill_exponent(np.abs(hourly), 0.05),
        "acf_return_1h": moments.autocorrelation(hourly, 1),
        "acf_absolute_1h": moments.autocorrelation(np.abs(hourly), 1),
        "liquidated_day": _mean(observed.daily_liquidated[:, m]),
        "volatility": returns.annual_volatility(hourly),
        "skew": returns.skewness(hourly),
        "acf_absolute_20h": moments.autocorrelation(np.abs(hourly), 20),
        "acf_absolute_decay": returns.decay_exponent(np.abs(hourly)),
        "leverage_effect": returns.leverage_effect(hourly),
        "premium_mean_bp": 1e4 * _mean(premium),
        "premium_half_life_h": funding_statistics.half_life(premium),
        "venue_premium_std_bp": 1e4 * returns.standard_deviation(observed.hourly_sample[:, m]),
        "venue_premium_std_step_bp": 1e4 * returns.standard_deviation(observed.sample[:, m]),
        "funding_mean_bp": 1e4 * paid["mean"],
        "funding_std_bp": 1e4 * paid["std"],
        "funding_skew": paid["skew"],
        "funding_kurt_excess": paid["kurt_excess"],
        "funding_acf_8h": paid["acf_1"],
        "funding_acf_7d": paid["acf_21"],
        "funding_run": paid["run_mean"],
    }


def _cross_statistics(observed: Observed) -> Statistics:
    hourly = returns.log_returns(observed.hourly_mark)
    overall, worst = returns.windowed_correlation(hourly, WINDOW_HOURS, returns.TAIL)
    return {
        "correlation_rise": worst - overall,
        "correlation": overall,
        "correlation_worst": worst,
        "correlation_worst_5": returns.windowed_correlation(hourly, WINDOW_HOURS, 0.05)[1],
        "correlation_all_hours": returns.mean_correlation(hourly),
        "tail_dependence": returns.tail_dependence(hourly, returns.TAIL),
    }


def validation_record(observed: Observed, checks: Sequence[Check]) -> dict[str, Any]:
    """Return which run was checked and how it did, ready for JSON.

    Parameters
    ----------
    observed : Observed
    checks : sequence of Check
        As `check_bands` returns them.

    Returns
    -------
    dict
    """
    return {
        "scenario": observed.scenario,
        "seed": observed.seed,
        "days": observed.days,
        "passed": not any(check.passed is False for check in checks),
        "checks": [check.as_dict() for check in checks],
    }


def _mean(values: Any) -> float:
    known = moments.present(values)
    return float(known.mean()) if len(known) else math.nan

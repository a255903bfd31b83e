import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketsim.study.observed import Observed
from marketsim.study.validation import Check, check_bands
from marketsim.tape import moments

HOURS = 90 * 24


def lifelike(seed: int = 1) -> Observed:
    """Ninety days of two markets with every shape the bands ask for."""
    rng = np.random.default_rng(seed)
    stress = np.repeat(np.where(rng.random(90) < 0.1, 3.0, 1.0), 24)
    common = stress * rng.standard_t(4, HOURS) - 0.2 * (stress > 1.0)
    own = rng.standard_t(4, (HOURS, 2))
    activity = np.repeat(np.exp(0.4 * rng.standard_normal(90)), 24)
    hourly = 0.003 * activity[:, None] * (common[:, None] + own)
    rate = rng.choice([1e-4, -1e-4, 3e-4], 270, p=[0.5, 0.15, 0.35])
    premium = 6e-4 * rng.standard_normal((HOURS, 2))
    return Observed(
        scenario="lifelike",
        seed=seed,
        days=90.0,
        conservation_error=0,
        market_names=("ONE", "TWO"),
        hourly_mark=100.0 * np.exp(hourly.cumsum(axis=0)),
        hourly_premium=premium,
        hourly_sample=premium,
        sample=premium,
        daily_liquidated=np.full((90, 2), 0.01),
        settlement_hours=(8.0 * np.arange(1, 271),) * 2,
        funding_rate=(rate, rate),
        interest_rate=(np.full(270, 1e-4),) * 2,
        reproduction_on_paper=np.full((90, 2), 0.2),
    )


def check_of(observed: Observed, name: str, **targets: Any) -> Check:
    (found,) = [check for check in check_bands(observed, targets) if check.figure.name == name]
    return found


def failures(observed: Observed) -> set[str]:
    return {check.figure.name for check in check_bands(observed) if check.passed is False}


def test_a_lifelike_market_holds_all_bands():
    assert failures(lifelike()) == set()
    assert sum(check.passed is True for check in check_bands(lifelike())) == 10


def test_the_reproduction_number_is_the_larger_of_falls_and_rises():
    numbers = np.array([[0.1, 0.3], [np.nan, 0.2], [np.nan, np.nan], [0.4, 0.0]])
    check = check_of(replace(lifelike(), reproduction_on_paper=numbers), "reproduction_on_paper")
    assert check.value == pytest.approx(0.3)
    assert check.passed
    without = replace(lifelike(), reproduction_on_paper=np.zeros((0, 2)))
    assert len(check_bands(without)) == len(check_bands(lifelike())) - 1


def gaussian(observed: Observed) -> Observed:
    steps = 0.005 * np.random.default_rng(2).standard_normal((HOURS, 2))
    return replace(observed, hourly_mark=100.0 * np.exp(steps.cumsum(axis=0)))


def trending(observed: Observed) -> Observed:
    """Returns of which a part comes an hour late."""
    r = np.diff(np.log(observed.hourly_mark), axis=0, prepend=math.log(100.0))
    late = r + 0.3 * np.roll(r, 1, axis=0)
    return replace(observed, hourly_mark=100.0 * np.exp(late.cumsum(axis=0)))


def funded(observed: Observed, rate: Any) -> Observed:
    rates = np.resize(np.asarray(rate, np.float64), 270)
    return replace(observed, funding_rate=(rates, rates))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda o: funded(o, [1e-4]), {"funding_at_interest", "funding_negative"}),
        (lambda o: funded(o, [1e-4, -1e-4]), {"funding_negative"}),
        (lambda o: funded(o, [2e-4, 2e-4, 2e-4, 2e-4, 1e-4, -1e-4]), {"funding_at_interest"}),
        (lambda o: replace(o, hourly_premium=o.hourly_premium / 4), {"premium_std_bp"}),
        (lambda o: replace(o, hourly_premium=o.hourly_premium * 3), {"premium_std_bp"}),
        (lambda o: replace(o, daily_liquidated=o.daily_liquidated * 10), {"liquidated_day"}),
        (lambda o: replace(o, daily_liquidated=o.daily_liquidated * 0), {"liquidated_day"}),
        (trending, {"acf_return_1h"}),
    ],
)
def test_each_band_can_break_alone(change, broken):
    assert failures(change(lifelike())) == broken


def test_gaussian_returns_look_like_no_market():
    assert failures(gaussian(lifelike())) >= {"kurt_excess", "hill", "acf_absolute_1h"}


def test_verdict_is_on_the_mean_of_the_markets():
    observed = lifelike()
    share = observed.daily_liquidated * [1.0, 6.0]
    found = check_of(replace(observed, daily_liquidated=share), "liquidated_day")
    assert found.markets == pytest.approx({"ONE": 0.01, "TWO": 0.06})
    assert (found.value, found.passed) == (pytest.approx(0.035), True)


def test_opposite_autocorrelations_do_not_cancel(monkeypatch):
    signs = iter([0.08, -0.08])

    def memory(values: Any, lag: int) -> float:
        return next(signs) if lag == 1 and np.min(values) < 0.0 else 0.2

    monkeypatch.setattr(moments, "autocorrelation", memory)
    found = check_of(lifelike(), "acf_return_1h")
    assert (found.value, found.passed) == (pytest.approx(0.08), False)


def test_what_does_not_exist_does_not_pass():
    observed = lifelike()
    empty = np.zeros(0)
    quiet = replace(
        observed,
        hourly_mark=np.full((HOURS, 2), 100.0),
        settlement_hours=(empty, empty),
        funding_rate=(empty, empty),
        interest_rate=(empty, empty),
        daily_liquidated=np.full((90, 2), np.nan),
        hourly_premium=np.full((HOURS, 2), np.nan),
    )
    assert len(failures(quiet)) == 9
    records = [check.as_dict() for check in check_bands(quiet)]
    text = json.dumps(records, allow_nan=False)
    assert json.loads(text)[0]["value"] is None


def test_a_single_market_is_not_asked_for_correlations():
    observed = lifelike()
    one = replace(
        observed,
        market_names=("ONE",),
        **{
            name: getattr(observed, name)[:, :1]
            for name in (
                "hourly_mark",
                "hourly_premium",
                "hourly_sample",
                "sample",
                "daily_liquidated",
            )
        },
    )
    assert not any(check.figure.name.startswith("correlation") for check in check_bands(one))
    assert failures(one) == set()


def test_real_quantiles_come_in_the_unit_of_the_figure():
    band = {"p10": 1e-5, "median": 1e-4, "p90": 2e-4, "n": 4}
    found = check_of(lifelike(), "funding_mean_bp", **{"funding.mean": band})
    assert found.real == pytest.approx((0.1, 1.0, 2.0))
    assert found.passed is None
    assert check_of(lifelike(), "hill", **{"funding.mean": band}).real is None


def test_hourly_settlements_are_compared_per_eight_hours():
    observed = lifelike()
    hours = np.arange(1.0, 2161.0)
    rate = np.repeat(observed.funding_rate[0], 8)
    hourly = replace(
        observed,
        settlement_hours=(hours, hours),
        funding_rate=(rate, rate),
        interest_rate=(np.full(2160, 1e-4),) * 2,
    )
    for name in ("funding_at_interest", "funding_std_bp", "funding_acf_8h"):
        assert check_of(hourly, name).value == pytest.approx(check_of(observed, name).value)

import math

import numpy as np
import pytest

from marketsim.study import funding_statistics


def test_hourly_rates_are_averaged_over_blocks_of_eight_hours():
    hours = np.arange(1, 17)
    rate = np.arange(16.0)
    assert funding_statistics.eight_hourly(hours, rate) == pytest.approx([3.5, 11.5])


def test_a_block_with_a_missing_settlement_has_no_rate():
    hours = np.delete(np.arange(3, 36), 18)  # 3 to 35 without 21
    found = funding_statistics.eight_hourly(hours, hours.astype(float))
    assert found == pytest.approx([12.5, np.nan, 28.5], nan_ok=True)
    assert len(funding_statistics.eight_hourly(hours[:9], hours[:9])) == 0
    statistics = funding_statistics.funding_statistics(found, 12.5)
    assert statistics["mean"] == pytest.approx(20.5)
    assert statistics["share_at_interest"] == 0.5


def test_eight_hourly_rates_stay_as_they_are():
    assert funding_statistics.eight_hourly([8.0, 16.0, 24.0], [1.0, 2.0, 3.0]).tolist() == [
        1.0,
        2.0,
        3.0,
    ]
    assert funding_statistics.eight_hourly([8.0], [1.0]).tolist() == [1.0]
    assert funding_statistics.eight_hourly([], []).tolist() == []


def test_a_rate_is_at_interest_to_the_last_printed_digit():
    rate = [1e-4, 1.00004e-4, 1.0001e-4, -1e-4]
    assert funding_statistics.share_at(rate, 1e-4) == 0.5
    assert funding_statistics.share_at(rate, [1e-4, 1e-4, 1.0001e-4, -1e-4]) == 1.0
    assert math.isnan(funding_statistics.share_at([], 1e-4))


def test_zero_is_not_negative_and_belongs_to_a_positive_run():
    rate = [0.0, 1.0, -1.0, -2.0, 0.0, 0.0]
    assert funding_statistics.share_negative(rate) == pytest.approx(2 / 6)
    assert funding_statistics.mean_run(rate) == 2.0


def test_statistics_name_what_they_measure():
    rate = np.array([1e-4, 1e-4, -2e-4, 4e-4])
    found = funding_statistics.funding_statistics(rate, 1e-4)
    assert found["mean"] == pytest.approx(1e-4)
    assert found["share_at_interest"] == 0.5
    assert found["share_negative"] == 0.25
    assert found["std"] == pytest.approx(rate.std())
    assert found["run_mean"] == pytest.approx(4 / 3)
    assert math.isnan(found["acf_21"])


def test_no_settlements_have_no_statistics():
    assert all(
        math.isnan(value) for value in funding_statistics.funding_statistics([], 1e-4).values()
    )


def test_half_life_is_that_of_the_autocorrelation():
    # Deviations from 3: 1 1 0 -1 -1; variance 4/5, products 1 0 0 1 average 1/2: phi 5/8.
    found = funding_statistics.half_life([4.0, 4.0, 3.0, 2.0, 2.0])
    assert found == pytest.approx(math.log(0.5) / math.log(0.625))
    assert math.isnan(funding_statistics.half_life([1.0, -1.0, 1.0, -1.0]))

"""Figures of markets, of markets together and of all accounts, on tapes whose numbers are known."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from marketsim.results.figures import joint_figures, market_figures
from marketsim.results.summary import run_figures
from marketsim.tape.result import RunResult


@pytest.fixture
def tape(make_result: Callable[..., RunResult]) -> RunResult:
    """Four steps of two markets, funding settled after the second and the fourth."""
    result = make_result()
    result.series["herd_index"][:, 0] = [0.5, -0.5, 0.1, math.nan]
    result.series["funding_rate"][:, 0] = [0.0, 0.01, -0.01, 0.01]
    result.series["mark_ticks"][:, 1] = [200, 150, 100, 300]
    result.series["liquidated_atoms"][:, 0] = [0, 100_000_000, 0, 100_000_000]
    result.funding["rate"] = [0.01, 0.0, -0.005, 0.0]
    return result


def test_a_fall_is_measured_from_the_first_price(tape):
    assert market_figures(tape, 1)["mark_fall"] == 0.5
    assert market_figures(tape, 0)["mark_fall"] == 0.0  # it only rises


def test_liquidated_share_is_over_mean_open_interest(tape):
    figures = market_figures(tape, 0)
    assert figures["liquidated_share"] == pytest.approx(200.0 / figures["open_interest_usd"])
    assert figures["open_interest_max_usd"] == pytest.approx(1_002.0)


def test_depth_share_is_the_median_over_the_hours_at_which_anything_was_open(tape):
    assert market_figures(tape, 0)["depth_share"] == pytest.approx(0.02)
    assert market_figures(tape, 1)["depth_share"] is None
    assert joint_figures([market_figures(tape, m) for m in (0, 1)])["depth_share"] == 0.02


def test_turnover_is_volume_a_day_over_mean_open_interest(tape):
    figures = market_figures(tape, 0)
    # four steps of half an hour: a twelfth of a day
    daily = 12 * figures["volume_usd"] / figures["open_interest_usd"]
    assert figures["turnover_day"] == pytest.approx(daily)
    assert figures["volume_usd"] > 0.0


def test_a_rate_at_the_cap_counts_per_settlement_and_per_step_it_is_in_force(tape):
    figures = market_figures(tape, 0)
    assert figures["funding_at_cap_share"] == 0.5
    # settled after steps 1 and 3: in force at steps 1 and 2, and at step 3 something less
    assert figures["cap_steps_share"] == pytest.approx(2 / 3)


def test_the_crowd_is_paid_where_funding_has_the_other_sign(tape):
    figures = market_figures(tape, 0)
    assert figures["herd_index"] == pytest.approx(0.1 / 3)
    assert figures["herd_index_abs"] == pytest.approx(1.1 / 3)
    assert figures["crowd_paid_share"] == 1.0  # short and +1 %, long and -1 %; no rate at first


def test_premium_memory_needs_rows_that_fit_into_an_hour(make_result):
    result = make_result()
    result.series["premium"][:, 0] = [1.0, 2.0, 3.0, 2.0]
    figures = market_figures(result, 0)  # rows of half an hour: lag 2
    assert figures["premium_acf_1h"] == pytest.approx(-1.0)
    uneven = dataclasses.replace(result, step_minutes=45.0)
    assert market_figures(uneven, 0)["premium_acf_1h"] is None


def test_a_premium_that_jumps_between_two_values_is_flat_topped(make_result):
    result = make_result()
    result.series["premium"][:, 0] = [1.0, -1.0, 1.0, -1.0]
    assert market_figures(result, 0)["premium_kurtosis"] == pytest.approx(-2.0)
    result.series["premium"][:, 0] = 1.0
    assert market_figures(result, 0)["premium_kurtosis"] is None


def test_markets_together_are_sums_and_means(tape):
    one, other = (market_figures(tape, m) for m in range(2))
    both = joint_figures([one, other])
    assert both["liquidated_usd"] == 200.0
    assert both["mark_fall"] == 0.25
    assert both["herd_index_abs"] == pytest.approx((1.1 / 3 + other["herd_index_abs"]) / 2)


def test_unshocked_markets_are_those_that_no_shock_moves(tape):
    assert set(run_figures(tape)["unshocked"].values()) == {None}
    struck = run_figures(dataclasses.replace(tape, struck=("BTC",)))
    assert struck["unshocked"] == joint_figures([market_figures(tape, 1)])
    both = run_figures(dataclasses.replace(tape, struck=("BTC", "DOGE")))
    assert set(both["unshocked"].values()) == {None}


def test_accounts_are_counted_without_the_fund(make_result):
    result = make_result()
    equity = result.end.equity.copy()
    equity[[0, 3]] = 0  # one of two in the crowd, and the fund
    figures = run_figures(dataclasses.replace(result, end=result.end._replace(equity=equity)))
    assert (figures["num_accounts"], figures["accounts_ruined"]) == (3, 1)
    assert figures["accounts_ruined_share"] == pytest.approx(1 / 3)
    assert figures["accounts_liquidated"] == 2
    assert figures["populations"]["crowd"]["tail_loss_account"] == 1.0


def test_figures_of_no_step_at_all_have_the_same_names(make_result):
    result = make_result()
    empty = make_result(
        num_steps=0,
        series=result.series[:0],
        steps=result.steps[:0],
        funding=result.funding[:0],
        funding_cap=result.funding_cap[:0],
        deviation=np.zeros((0, 2, 1)),
    )
    for name in ("markets", "populations", "unshocked"):
        assert run_figures(empty)[name].keys() == run_figures(result)[name].keys()
    assert (
        run_figures(empty)["markets"]["BTC"].keys() == run_figures(result)["markets"]["BTC"].keys()
    )
    assert run_figures(empty).keys() == run_figures(result).keys()

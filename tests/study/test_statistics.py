"""Intervals, paired differences and sensitivity indices against closed forms and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from marketsim.study.statistics import (
    bootstrap_groups,
    bootstrap_mean,
    bootstrap_means,
    first_order_indices,
    morris_indices,
    paired_difference,
    sobol_indices,
    variance_ratio,
)


def test_identical_twins_differ_by_exactly_zero():
    figure = np.random.default_rng(1).lognormal(size=10)
    found = paired_difference(figure, figure.copy())
    assert found.difference == (0.0, 0.0, 0.0)
    assert found.variance_ratio == math.inf


def test_the_paired_interval_is_that_of_scipy():
    rng = np.random.default_rng(2)
    base = rng.normal(size=12)
    twin = base + 0.4 + 0.3 * rng.normal(size=12)
    expected = stats.ttest_rel(twin, base).confidence_interval(0.95)
    found = paired_difference(base, twin).difference
    assert found.low == pytest.approx(expected.low, rel=1e-12)
    assert found.high == pytest.approx(expected.high, rel=1e-12)


def test_a_pair_with_a_missing_run_does_not_count():
    found = paired_difference([1.0, math.nan, 5.0, 2.0], [2.0, 7.0, math.nan, 4.0])
    assert found.num_pairs == 2
    assert found.difference.value == 1.5


@pytest.mark.parametrize(("runs", "count"), [([], 0), ([3.0], 1)])
def test_fewer_than_two_pairs_have_no_interval(runs, count):
    found = paired_difference(runs, runs)
    assert found.num_pairs == count
    assert math.isnan(found.difference.low)
    assert math.isnan(found.variance_ratio)


def test_sides_of_different_length_are_refused():
    with pytest.raises(ValueError, match="do not pair"):
        paired_difference([1.0], [1.0, 2.0])


def test_the_variance_ratio_is_what_the_shared_luck_implies():
    # x = z + e, y = z + f with Var z = 9, Var e = Var f = 1: (10 + 10) / 2.
    rng = np.random.default_rng(3)
    shared = 3.0 * rng.normal(size=100_000)
    base, twin = shared + rng.normal(size=(2, 100_000))
    # Standard error of a ratio of variances of n normal pairs: below 10 sqrt(4 / n) = .06.
    assert variance_ratio(base, twin) == pytest.approx(10.0, abs=0.25)


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(4)
    intervals = [bootstrap_mean(rng.normal(5.0, 2.0, size=40)) for _ in range(300)]
    covered = np.mean([low <= 5.0 <= high for _, low, high in intervals])
    # Four standard errors, and the 1-2 % a bootstrap of 40 values is known to lack.
    assert 0.95 - 0.02 - 4 * math.sqrt(0.95 * 0.05 / 300) < covered


def test_the_bootstrap_interval_repeats_and_skips_missing_values():
    values = np.random.default_rng(5).normal(size=20)
    assert bootstrap_mean(values) == bootstrap_mean([*values, math.nan])
    assert bootstrap_mean([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0], [2.0, 3.0, math.nan]])
def test_there_is_no_interval_of_two_values_or_fewer(values):
    change = paired_difference(np.zeros(len(values)), values).difference
    for found in (bootstrap_mean(values), change):
        assert found.value == np.nanmean(values)
        assert np.isnan([found.low, found.high]).all()


def test_groups_are_drawn_whole_so_that_rows_which_share_their_luck_count_once():
    values = np.random.default_rng(8).normal(size=60)
    alone = bootstrap_groups(np.arange(60), lambda rows: float(values[rows].mean()))
    ten_fold = np.repeat(values, 10)
    together = bootstrap_groups(
        np.repeat(np.arange(60), 10), lambda rows: float(ten_fold[rows].mean())
    )
    assert together == pytest.approx(alone)
    half = 1.96 * values.std() / math.sqrt(60)  # the normal law's
    assert alone.high - alone.low == pytest.approx(2 * half, rel=0.1)


def test_draws_without_a_figure_do_not_count_and_two_groups_say_nothing():
    known = bootstrap_groups([1, 2, 3], lambda rows: 1.0 if 0 in rows else math.nan)
    assert known == (1.0, 1.0, 1.0)
    two = bootstrap_groups([1, 2, 2], lambda rows: float(len(rows)))
    assert two.value == 3.0
    assert math.isnan(two.low)


def test_sobol_indices_of_the_ishigami_function():
    from SALib.sample import sobol

    names = ["x1", "x2", "x3"]
    problem = {"num_vars": 3, "names": names, "bounds": [[-math.pi, math.pi]] * 3}
    x = sobol.sample(problem, 1024, calc_second_order=False, seed=6)
    y = np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])
    found = sobol_indices(names, y)
    # Closed forms at a = 7, b = .1 (Saltelli et al. 2008, section 4.6).
    for order, exact in {"first": (0.3139, 0.4424, 0.0), "total": (0.5576, 0.4424, 0.2437)}.items():
        for interval, value in zip(found[order].values(), exact, strict=True):
            assert interval.value == pytest.approx(value, abs=0.04)
            assert interval.low < interval.value < interval.high


def test_morris_effects_of_a_linear_function_are_its_slopes():
    from SALib.sample import morris

    names = ["steep", "flat", "idle"]
    problem = {"num_vars": 3, "names": names, "bounds": [[0.0, 1.0]] * 3}
    x = morris.sample(problem, 8, num_levels=4, seed=7)
    found = morris_indices(names, x, x @ [5.0, -2.0, 0.0], levels=4)
    values = [interval.value for interval in found.values()]
    np.testing.assert_allclose(values, [5.0, 2.0, 0.0], atol=1e-12)


def test_an_output_that_never_moves_has_no_indices():
    assert math.isnan(morris_indices(["x"], [[0.0], [1.0]] * 3, [3.0] * 6, 2)["x"].value)
    assert math.isnan(sobol_indices(["x"], [3.0] * 6)["total"]["x"].value)


def test_a_trajectory_with_a_failed_run_does_not_count():
    from SALib.sample import morris

    names = ["steep", "flat"]
    problem = {"num_vars": 2, "names": names, "bounds": [[0.0, 1.0]] * 2}
    x = morris.sample(problem, 6, num_levels=4, seed=7)
    y = x @ [5.0, -2.0]
    y[:3] = [1e9, math.nan, -1e9]  # of the first trajectory
    found = morris_indices(names, x, y, levels=4)
    np.testing.assert_allclose([each.value for each in found.values()], [5.0, 2.0], atol=1e-12)
    y[:15] = math.nan  # one trajectory is left
    assert math.isnan(morris_indices(names, x, y, levels=4)["steep"].value)


def test_a_block_of_a_saltelli_design_with_a_failed_run_does_not_count():
    y = np.random.default_rng(8).normal(size=4 * 16)
    found = sobol_indices(["x", "y"], y)
    broken = np.insert(y, 8, [1e9, math.nan, 1e9, 1e9])
    assert sobol_indices(["x", "y"], broken) == found


def test_first_order_shares_of_a_linear_function_from_any_sample():
    x = stats.qmc.LatinHypercube(3, rng=9).random(1000)
    found = first_order_indices(["strong", "weak", "idle"], x, x @ [3.0, 1.0, 0.0])
    values = [interval.value for interval in found.values()]
    np.testing.assert_allclose(values, [0.9, 0.1, 0.0], atol=0.03)  # squares of the slopes


def test_a_small_sample_has_no_first_order_shares():
    x = np.linspace(0.0, 1.0, 59)[:, None]
    assert math.isnan(first_order_indices(["x"], x, x[:, 0])["x"].value)


def test_means_of_many_figures_are_those_of_each():
    table = np.random.default_rng(10).lognormal(size=(6, 5))
    table[:, 1] = 2.0
    table[:5, 2] = math.nan
    table[2, 3] = math.nan
    found = bootstrap_means(table)
    for column, interval in zip(table.T, found, strict=True):
        np.testing.assert_equal(interval, bootstrap_mean(column))
    assert found[1] == (2.0, 2.0, 2.0)
    assert math.isnan(found[2].low)
    assert found[3].low < found[3].value < found[3].high

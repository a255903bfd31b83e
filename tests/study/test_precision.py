"""Intervals that are too wide to answer, and how many runs would do."""

import numpy as np
import pandas as pd
import pytest

from marketsim.study.analysis import _differences, cell_means, sensitivities
from marketsim.study.precision import TOLERANCE, constant_metrics, find_wide
from marketsim.sweep.design import Design, parse_design
from marketsim.sweep.sampling import Cells

A, B = "populations.crowd.count", "venue.fee"
RANGES = {A: {"low": 0.0, "high": 1.0}, B: {"low": 0.0, "high": 1.0}}
NOTHING = pd.DataFrame()


def drawn(kind: str, size: int) -> Design:
    return parse_design({"base": "calm", "kind": kind, "size": size, "parameters": RANGES})


def runs_of(design: Design, noise: float) -> pd.DataFrame:
    cells = Cells(design)
    values = np.array([cells.values(cell) for cell in range(len(cells))])
    rng = np.random.default_rng(1)
    loss = values[:, 0] + 0.5 * values[:, 1] + noise * rng.standard_normal(len(values))
    facts = {"cell": range(len(cells)), "variant": "base", "loss": loss, "fee": 3.0}
    return pd.DataFrame(facts | {A: values[:, 0], B: values[:, 1]})


def wide_of(design: Design, noise: float):
    table = sensitivities(runs_of(design, noise), design, ["loss"])
    return find_wide(design, NOTHING, NOTHING, table, ())


def test_sixty_four_sobol_runs_of_a_noisy_market_do_not_answer() -> None:
    design = drawn("saltelli", 16)  # 64 runs
    assert len(Cells(design)) == 64
    found = {each.of: each for each in wide_of(design, noise=1.0)}
    first = found["first"]
    assert first.half > 0.3
    assert (first.field, first.now, first.aim) == ("size", 16, TOLERANCE)
    assert first.needed >= 16 * (first.half / TOLERANCE) ** 2
    assert first.needed & (first.needed - 1) == 0  # a power of two
    assert first.runs == first.needed * 4


def test_as_many_runs_as_are_named_do_answer() -> None:
    needed = max(each.needed for each in wide_of(drawn("saltelli", 16), noise=0.05))
    assert needed > 16
    assert wide_of(drawn("saltelli", needed), noise=0.05) == []


def test_an_effect_is_measured_by_the_largest() -> None:
    (found,) = wide_of(drawn("morris", 4), noise=1.0)
    assert (found.of, found.field) == ("mu_star", "size")
    assert wide_of(drawn("morris", 4), noise=0.0) == []


def test_too_few_points_for_any_interval_are_named() -> None:
    (found,) = wide_of(drawn("sobol", 16), noise=0.0)
    assert np.isnan(found.half)
    assert found.needed == 64


def paired(replicates: int, effect: float, noise: float) -> list:
    design = parse_design(
        {"base": "calm", "replicates": replicates, "variants": {"one": {}, "two": {"days": 1}}}
    )
    rng = np.random.default_rng(5)
    rows = [
        {
            "cell": 0,
            "variant": name,
            "seed": seed,
            "loss": 100.0 + (effect if name == "two" else 0.0) + noise * rng.standard_normal(),
        }
        for seed in range(replicates)
        for name in design.variant_names
    ]
    runs = pd.DataFrame(rows)
    found = _differences(runs, design, ["loss"], "one")
    return find_wide(design, cell_means(runs, [], ["loss"]), found, NOTHING, ())


def test_a_difference_that_leaves_zero_out_has_answered() -> None:
    assert paired(10, effect=500.0, noise=100.0) == []


def test_a_difference_that_may_be_zero_is_measured_by_the_means() -> None:
    assert paired(10, effect=0.0, noise=1.0) == []  # at most a tenth, and that is an answer
    (found,) = paired(10, effect=0.0, noise=100.0)
    assert (found.table, found.of, found.field, found.now) == (
        *("differences", "two", "replicates"),
        10,
    )
    assert found.runs == 2 * found.needed > 20


def test_one_replicate_has_no_interval() -> None:
    (found,) = paired(1, effect=1.0, noise=1.0)
    assert np.isnan(found.half)
    assert found.needed == 2


def test_means_are_measured_by_their_range_over_the_design() -> None:
    design = parse_design({"base": "calm", "replicates": 8, "parameters": {A: [1, 2]}})
    rng = np.random.default_rng(3)

    def wide(step: float):
        rows = [
            {"cell": c, "variant": "base", A: c, "loss": step * c + rng.standard_normal()}
            for c in range(2)
            for _ in range(8)
        ]
        return find_wide(
            design, cell_means(pd.DataFrame(rows), [A], ["loss"]), NOTHING, NOTHING, ()
        )

    assert wide(100.0) == []
    (found,) = wide(2.0)
    assert (found.table, found.needed > 8) == ("means", True)


@pytest.mark.parametrize("value", [3.0, np.nan])
def test_what_never_moves_is_constant(value: float) -> None:
    runs = pd.DataFrame({"loss": [1.0, 2.0], "fee": [value, value]})
    assert constant_metrics(runs, ("loss", "fee")) == ("fee",)

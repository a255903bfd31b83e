"""Tables about a sweep whose every number is known."""

import math

import pandas as pd
import pytest

from marketsim.study.analysis import cell_means, paired_differences, phase_table


@pytest.fixture
def runs() -> pd.DataFrame:
    """Two by two cells, three seeds, two variants: base = 10 a + b + seed, twin = base + a."""
    rows = []
    for cell, (a, b) in enumerate([(1, 1), (1, 2), (2, 1), (2, 2)]):
        for seed in range(3):
            base = 10.0 * a + b + seed
            place = {"cell": cell, "seed": seed, "a": a, "b": b}
            rows.append(place | {"variant": "base", "loss": base})
            rows.append(place | {"variant": "twin", "loss": base + a})
    return pd.DataFrame(rows).sample(frac=1.0, random_state=1)


def test_a_cell_has_the_mean_of_its_replicates_with_an_interval(runs):
    means = cell_means(runs, ["a", "b"], ["loss"]).set_index(["cell", "variant"])
    row = means.loc[(3, "base")]
    assert (row["a"], row["b"], row["runs"], row["value"]) == (2, 2, 3, 23.0)
    assert 22.0 <= row["low"] < 23.0 < row["high"] <= 24.0


def test_pairs_are_made_by_seed_whatever_the_order_of_the_rows(runs):
    found = paired_differences(runs, ["loss"], "base", "twin").set_index("cell")
    assert found["difference"].tolist() == [1.0, 1.0, 2.0, 2.0]
    assert found["low"].tolist() == [1.0, 1.0, 2.0, 2.0]
    assert found["variance_ratio"].tolist() == [math.inf] * 4


def test_a_run_that_failed_leaves_its_pair_out(runs):
    failed = (runs["cell"] == 0) & (runs["seed"] == 1) & (runs["variant"] == "twin")
    runs.loc[failed, "loss"] = math.nan
    found = paired_differences(runs, ["loss"], "base", "twin").set_index("cell")
    assert found["pairs"].tolist() == [2, 3, 3, 3]
    means = cell_means(runs, ["a", "b"], ["loss"]).set_index(["cell", "variant"])
    assert means.loc[(0, "twin"), "value"] == 13.0


def test_a_phase_table_has_a_row_and_a_column_per_value(runs):
    base = runs[(runs["variant"] == "base") & (runs["cell"] != 1)]
    table = phase_table(cell_means(base, ["a", "b"], ["loss"]), "loss", "a", "b")
    assert table.loc[2].tolist() == [22.0, 23.0]
    assert table.loc[1, 1] == 12.0
    assert math.isnan(table.loc[1, 2])

"""The runs of a sweep as labelled arrays, and back to the same frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim.sweep.design import Design
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.query import query_sweep
from marketsim.sweep.runner import run_sweep
from marketsim.sweep.table import load_sweep
from tests.sweep.conftest import Inline

xarray = pytest.importorskip("xarray")

Make = Callable[..., Design]
COUNT, INTERVAL = "populations.crowd.count", "venue.funding.interval_hours"
DRAWN = {
    "kind": "latin",
    "size": 5,
    "parameters": {COUNT: {"low": 2.0, "high": 9.0, "integer": True}},
}
LISTED = {
    "kind": "table",
    "table": [{COUNT: 3, "venue.funding.cap": 0.1}, {COUNT: 5}],
    "parameters": {},
}
VARIANTS = {"variants": {"plain": {}, "wide": {"markets.BTC.tick_size": 1.0}}}


def as_frame(arrays: Any, like: pd.DataFrame) -> pd.DataFrame:
    found = arrays.to_dataframe().reset_index()
    found = found[found["status"] != ""]
    found = found.sort_values(["cell", "variant", "replicate"], ignore_index=True)
    return found[[*like]].astype(like.dtypes)


@pytest.mark.parametrize(
    "changes", [{}, VARIANTS, DRAWN, LISTED], ids=["grid", "variants", "latin", "table"]
)
def test_runs_come_back_exactly(
    design: Make, inline: Inline, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run_sweep(design(**changes), tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    arrays = runs.to_xarray()
    pd.testing.assert_frame_equal(
        as_frame(arrays, runs), pd.DataFrame(runs), check_exact=True, check_frame_type=False
    )


def test_a_grid_lies_along_its_parameters(design: Make, inline: Inline, tmp_path: Path) -> None:
    run_sweep(design(**VARIANTS), tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    arrays = runs.to_xarray()
    assert dict(arrays.sizes) == {COUNT: 2, INTERVAL: 2, "variant": 2, "replicate": 3}
    assert arrays["volume_usd"].attrs["units"] == "USD"
    assert arrays["seed"].values.tolist() == [0, 1, 2]
    chosen = arrays["volume_usd"].sel({COUNT: 5, INTERVAL: 8, "variant": "wide"})
    rows = runs[(runs[COUNT] == 5) & (runs[INTERVAL] == 8) & (runs["variant"] == "wide")]
    assert chosen.values.tolist() == rows["volume_usd"].tolist()


def test_other_designs_lie_along_their_cells(design: Make, inline: Inline, tmp_path: Path) -> None:
    run_sweep(design(**DRAWN), tmp_path / "out", executor=inline)
    arrays = load_sweep(tmp_path / "out").to_xarray()
    assert dict(arrays.sizes) == {"cell": 5, "variant": 1, "replicate": 3}
    assert arrays[COUNT].dims == ("cell",)


def test_missing_runs_are_empty_and_the_others_come_back(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    run_sweep(design(), tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    some = runs[runs.index != 4]
    arrays = some.to_xarray()
    assert int((arrays["status"] == "").sum()) == 1
    assert int(np.isnan(arrays["volume_usd"]).sum()) == 1
    whole = pd.DataFrame(some).reset_index(drop=True)
    pd.testing.assert_frame_equal(as_frame(arrays, some), whole, check_exact=True)


def test_kept_series_lie_over_time_and_market(design: Make, inline: Inline, tmp_path: Path) -> None:
    run_sweep(design(keep=("series",)), tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    arrays = runs.to_xarray(series=True)
    price = arrays["series.mark_price"]
    assert price.dims == (COUNT, INTERVAL, "variant", "replicate", "time", "market")
    assert price.attrs["units"] == "USD"
    series = query_sweep(tmp_path / "out", "SELECT * FROM series ORDER BY step")
    for place in ({COUNT: 3, INTERVAL: 8, "replicate": 2}, {COUNT: 5, INTERVAL: 1, "replicate": 0}):
        key = str(arrays["key"].sel(place | {"variant": "base"}).values)
        one = series[series["key"] == key]
        chosen = price.sel(place | {"variant": "base", "market": "BTC"})
        assert chosen.values.tolist() == one["mark_price"].tolist()
        assert chosen["hours"].values.tolist() == one["hours"].tolist()


def test_series_that_were_not_kept_are_refused(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    run_sweep(design(), tmp_path / "out", executor=inline)
    with pytest.raises(SweepFolderError, match=r'keep = \["series"\]'):
        load_sweep(tmp_path / "out").to_xarray(series=True)


def test_runs_whose_place_is_unknown_or_taken_are_refused(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    run_sweep(design(), tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    with pytest.raises(ValueError, match="columns replicate are missing: keep them"):
        runs.drop(columns="replicate").to_xarray()
    with pytest.raises(ValueError, match="some are there twice"):
        pd.concat([runs, runs]).to_xarray()

"""Tables of a run as labelled arrays, and back to the same frames."""

import sys

import numpy as np
import pandas as pd
import pytest

import marketsim
from marketsim.results.arrays import GRIDS, MissingPackageError
from marketsim.results.columns import describe_column
from marketsim.results.tables import BUILDERS
from marketsim.tape.files import RunFolderError

xarray = pytest.importorskip("xarray")

EVERYTHING = [
    ("record.depth_minutes", "60"),
    ("record.snapshot_minutes", "120"),
    ("record.fills", "true"),
    ("populations.noise.turnover", "{stay_hours = 4.0, wait_hours = 1.0}"),
]

CALENDAR = """\
name = "short"
days = 0.25
spot = {{ kind = "history", history = {{ path = "{}" }} }}

[markets.BTC]
price = 40000.0
tick_size = 0.1
lot_size = 0.001

[populations.crowd]
strategy = "noise"
count = 3
"""


@pytest.fixture(scope="module")
def run():
    return marketsim.run_scenario("contagion", seed=1, days=0.25, overrides=EVERYTHING)


def as_frame(arrays: "xarray.Dataset", like: pd.DataFrame) -> pd.DataFrame:
    found = arrays.to_dataframe().reset_index()
    if "time" in like:
        found["time"] = found["time"].dt.tz_localize("UTC")
    return found[[*like]].astype(like.dtypes)


@pytest.mark.parametrize("table", GRIDS)
def test_a_table_comes_back_exactly(run, table) -> None:
    frame = run.table(table)
    pd.testing.assert_frame_equal(as_frame(run.to_xarray(table), frame), frame, check_exact=True)


def test_arrays_are_made_of_tables_that_there_are() -> None:
    assert set(GRIDS) < set(BUILDERS)


def test_markets_lie_over_time_and_market_with_units(run) -> None:
    arrays = run.to_xarray()
    assert arrays["mark_price"].dims == ("time", "market")
    assert list(arrays["market"].values) == list(run.market_names)
    gold = run.markets[run.markets["market"] == "GOLD"].set_index("hours")["premium"]
    assert (arrays["premium"].sel(market="GOLD").values == gold.to_numpy()).all()
    assert arrays["hours"].values.tolist() == arrays["time"].values.tolist()
    assert arrays.attrs["seed"] == 1
    assert arrays.attrs["digest"] == run.digest
    for name, variable in arrays.variables.items():
        column = describe_column("markets", "hours" if name == "time" else str(name))
        assert variable.attrs.get("units", "") == column.unit
        assert variable.attrs["description"] == column.text


def test_of_a_folder_they_are_the_same(run, tmp_path) -> None:
    there = run.save(tmp_path / "run")
    xarray.testing.assert_identical(there.to_xarray("accounts"), run.to_xarray("accounts"))


def test_a_calendar_is_the_coordinate_of_time(tmp_path) -> None:
    prices = tmp_path / "btc.csv"
    moments = pd.date_range("2024-01-01", periods=20, freq="1h", tz="UTC")
    rows = [f"{moment.isoformat()},{40_000 + 10 * n}" for n, moment in enumerate(moments)]
    prices.write_text("\n".join(["time,BTC", *rows]))
    scenario = tmp_path / "short.toml"
    scenario.write_text(CALENDAR.format(prices))
    run = marketsim.run_scenario(scenario, seed=1)
    arrays = run.to_xarray()
    assert np.issubdtype(arrays["time"].dtype, np.datetime64)
    at = arrays["mark_price"].sel(time="2024-01-01T03:00").values
    later = run.markets[run.markets["time"] == moments[3]]["mark_price"]
    assert at.reshape(-1).tolist() == later.tolist()
    pd.testing.assert_frame_equal(as_frame(arrays, run.markets), run.markets, check_exact=True)


def test_events_are_no_arrays(run) -> None:
    with pytest.raises(RunFolderError, match="'fills' is a list of events"):
        run.to_xarray("fills")
    with pytest.raises(RunFolderError, match="no table 'fill'"):
        run.to_xarray("fill")


def test_without_xarray_it_is_said_how_to_install_it(run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'marketsim-perps\[xarray\]'"):
        run.to_xarray()

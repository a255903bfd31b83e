"""``marketsim analyze`` on sweeps of a tiny market."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result

from marketsim.sweep.design import parse_design
from marketsim.sweep.runner import run_sweep
from marketsim.sweep.table import load_sweep

Cli = Callable[..., Result]
COUNT = "populations.crowd.count"


@pytest.fixture
def sweep(tiny: Path) -> Callable[..., Path]:
    """Make a sweep of the tiny market in this process."""

    def make(**fields: Any) -> Path:
        design = {"base": str(tiny), "metrics": ["volume_usd", "fees_usd"], "replicates": 3}
        with ThreadPoolExecutor(1) as executor:
            run_sweep(parse_design(design | fields), "swept", executor=executor)
        return Path("swept")

    return make


def test_means_of_cells_are_printed_and_written(marketsim: Cli, sweep: Any) -> None:
    folder = sweep(parameters={COUNT: [3, 6]})
    done = marketsim("analyze", folder)
    assert done.exit_code == 0
    assert "6 of 6 runs" in done.stdout
    table = pd.read_csv(folder / "analysis" / "means.csv")
    runs = load_sweep(folder)
    for count in (3, 6):
        row = table[(table[COUNT] == count) & (table["metric"] == "volume_usd")].iloc[0]
        assert row["value"] == pytest.approx(runs[runs[COUNT] == count]["volume_usd"].mean())
        assert row["low"] <= row["value"] <= row["high"]
    assert (folder / "analysis" / "volume_usd.png").stat().st_size > 1000


def test_twins_are_compared_with_the_base_that_is_asked_for(marketsim: Cli, sweep: Any) -> None:
    folder = sweep(kind="pairs", variants={"few": {}, "many": {COUNT: 9}})
    done = marketsim("analyze", folder, "--base", "many", "--json", "--no-figures", "--out", "here")
    found = json.loads(done.stdout)
    runs = load_sweep(folder).set_index("variant")
    (row,) = [row for row in found["differences"] if row["metric"] == "volume_usd"]
    change = runs.loc["few", "volume_usd"].to_numpy() - runs.loc["many", "volume_usd"].to_numpy()
    assert row["difference"] == pytest.approx(change.mean())
    assert (row["variant"], row["pairs"]) == ("few", 3)
    assert {path.name for path in Path("here").iterdir()} == {
        "means.csv",
        "differences.csv",
        "analysis.md",
    }


def test_a_drawn_design_has_sensitivities(marketsim: Cli, sweep: Any) -> None:
    ranges = {
        COUNT: {"low": 3, "high": 30, "integer": True},
        "populations.crowd.attention": {"low": 1.0, "high": 1.1},
    }
    folder = sweep(kind="morris", size=4, replicates=1, parameters=ranges)
    done = marketsim("analyze", folder, "--json")
    found = {
        row["parameter"]: row["value"]
        for row in json.loads(done.stdout)["sensitivities"]
        if row["metric"] == "volume_usd"
    }
    assert found[COUNT] > found["populations.crowd.attention"]
    assert (folder / "analysis" / "mu_star-volume_usd-base.png").exists()


def test_intervals_too_wide_and_constant_figures_are_named(marketsim: Cli, sweep: Any) -> None:
    ranges = {
        COUNT: {"low": 3, "high": 30, "integer": True},
        "populations.crowd.attention": {"low": 1.0, "high": 1.1},
    }
    folder = sweep(
        kind="saltelli",
        size=2,
        replicates=1,
        parameters=ranges,
        metrics=["volume_usd", "adl_usd"],
    )
    done = marketsim("analyze", folder)
    text = " ".join(done.stdout.split())
    assert "What the runs do not answer" in text
    assert "volume_usd, first-order share of the variance: +-" in text
    assert "instead of 2 would do (" in text
    assert "the same, or not there, in every run: adl_usd" in text
    record = json.loads(marketsim("analyze", folder, "--json", "--no-figures").stdout)
    assert record["constant"] == ["adl_usd"]
    assert {each["metric"] for each in record["wide"]} == {"volume_usd"}
    assert all(each["needed"] > each["now"] == 2 for each in record["wide"])
    assert "too wide" in (folder / "analysis" / "analysis.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--metric", "volume"],
            "'volume' is no metric of these runs (did you mean 'volume_usd'?)",
        ),
        (["--base", "fem"], "variant 'fem': must be one of few, many (did you mean 'few'?)"),
    ],
)
def test_what_the_sweep_has_not_is_refused(
    marketsim: Cli, sweep: Any, options: list[str], message: str
) -> None:
    folder = sweep(kind="pairs", variants={"few": {}, "many": {COUNT: 9}}, replicates=1)
    done = marketsim("analyze", folder, *options)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_file_in_the_place_of_the_tables_is_refused_and_kept(
    marketsim: Cli, sweep: Any, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    done = marketsim("analyze", sweep(parameters={COUNT: [3, 6]}), "--out", taken)
    assert done.exit_code == 2
    assert f"--out {taken}: is a file, not a folder" in done.stderr
    assert taken.read_text() == "mine"


def test_a_folder_without_a_sweep_is_refused(marketsim: Cli, tmp_path: Path) -> None:
    done = marketsim("analyze", tmp_path)
    assert done.exit_code == 2
    assert "not the folder of a sweep" in done.stderr

"""More replicates of a sweep are added to those it has."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from marketsim.sweep.design import Design, load_design
from marketsim.sweep.lock import Shard, SweepFolderError
from marketsim.sweep.manifest import read_manifest
from marketsim.sweep.rerun import find_run
from marketsim.sweep.runner import run_sweep
from marketsim.sweep.status import sweep_status
from marketsim.sweep.table import load_sweep
from tests.sweep.conftest import GRID, Inline

Make = Callable[..., Design]


def test_only_the_new_replicates_are_made(design: Make, inline: Inline, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    run_sweep(design(replicates=2), out, executor=inline)
    before = load_sweep(out)
    report = run_sweep(design(replicates=5), out, executor=inline)
    assert (report.stored, report.done, report.total) == (8, 12, 20)
    made_at_once = run_sweep(design(replicates=5), whole, executor=inline)
    assert report.result == report.recorded == made_at_once.result
    runs = load_sweep(out)
    assert sorted(runs["replicate"].unique()) == [0, 1, 2, 3, 4]
    kept = runs[runs["replicate"] < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)  # `wall_s` too: they were not made again


def test_an_extended_sweep_is_whole_in_every_other_way(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    begun = run_sweep(design(replicates=1), out, executor=inline)
    run_sweep(design(replicates=2), out, executor=inline, shard=Shard(1, 2))
    status = sweep_status(out)
    assert (status["runs"], status["missing"]) == (8, 2)
    assert status["recorded"] is None  # the result of fewer replicates is not this sweep's
    done = run_sweep(design(replicates=2), out, executor=inline)
    assert sweep_status(out)["recorded"] == done.result != begun.result
    key = load_sweep(out)["key"].iloc[-1]
    assert find_run(out, key).seed == 1
    run_sweep(design(replicates=3), out, executor=inline)  # and again
    assert len(load_sweep(out)) == read_manifest(out).num_runs == 12


def test_fewer_replicates_are_refused(design: Make, inline: Inline, tmp_path: Path) -> None:
    run_sweep(design(replicates=3), tmp_path / "out", executor=inline)
    with pytest.raises(SweepFolderError, match=r"design.replicates: 3 there, 2 here"):
        run_sweep(design(replicates=2), tmp_path / "out", executor=inline)


def test_a_changed_parameter_is_refused_with_more_replicates_too(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    run_sweep(design(replicates=1), tmp_path / "out", executor=inline)
    other = GRID.replace("[3, 5]", "[3, 6]")
    with pytest.raises(SweepFolderError, match=r"count.levels: \[3, 5\] there, \[3, 6\] here") as e:
        run_sweep(design(other, replicates=2), tmp_path / "out", executor=inline)
    assert "replicates" not in str(e.value)


def test_a_damaged_extension_is_refused(design: Make, inline: Inline, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_sweep(design(replicates=1), out, executor=inline)
    run_sweep(design(replicates=2), out, executor=inline)
    file = out / "sweep.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"begun_as": "0" * 32}))
    with pytest.raises(SweepFolderError, match=r"sweep.json: damaged"):
        load_sweep(out)


@pytest.mark.parametrize("form", [None, "quick"])
def test_replicates_of_a_file_are_overridden(tiny: Path, form: str | None) -> None:
    file = tiny.parent / "design.toml"
    file.write_text(f"{GRID}\n[quick]\nreplicates = 2\n")
    assert load_design(file, form, replicates=7).replicates == 7
    assert load_design(file, form).replicates == (2 if form else 3)

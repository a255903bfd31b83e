"""A run made again with more written down is the same run, and says so if it is not."""

import dataclasses
import json

import pandas as pd
import pytest

from marketsim.account.rerun import RECORDED_BY, remake, rerun_with
from marketsim.results.run import Run, load_run
from marketsim.scenario.schema import Record
from marketsim.tape.files import RunFolderError, hash_file, seal
from tests.account.conftest import make_run


def test_a_remade_run_has_what_its_folder_lacks_and_the_rest_from_it(jump: Run):
    seen: list[tuple[int, int]] = []
    settings = {"snapshot_minutes": 30.0, "fills": True, "depth_minutes": 10.0}
    remade = remake(jump, settings, lambda *done: seen.append(done))
    assert set(remade.tables) == {*jump.tables, "snapshots", "fills", "depth"}
    assert seen[-1] == (180, 180)
    pd.testing.assert_frame_equal(remade.markets, jump.markets)
    assert sorted(remade.snapshots["step"].unique()) == [0, 30, 60, 90, 120, 150, 180]
    last = remade.snapshots[remade.snapshots["step"] == 180]
    assert last["equity_usd"].to_list() == jump.accounts["equity_end_usd"].to_list()
    assert remade.fills["step"].max() < 180
    assert (remade.seed, remade.digest, remade.path) == (jump.seed, jump.digest, jump.path)


def test_a_finer_record_replaces_the_coarser_one(jump: Run):
    coarse = jump.liquidation_heatmap["step"].nunique()
    fine = remake(jump, {"heatmap_minutes": 5.0}).liquidation_heatmap
    assert fine["step"].nunique() > coarse


def test_every_setting_of_a_record_decides_about_tables_known(jump: Run):
    known = {name for tables in RECORDED_BY.values() for name in tables}
    # A warm-up decides when the record begins and R measured is a figure: neither is about a table.
    measured = {name for name in Record.model_fields if name.startswith("reproduction_")}
    for setting in Record.model_fields.keys() - {"warm_up"} - measured:
        assert RECORDED_BY[setting.partition("_")[0]]
    assert known - {"snapshots", "depth", "book", "fills"} <= set(jump.tables)


@pytest.fixture
def altered(jump: Run, tmp_path) -> Run:
    """A run folder whose table of accounts another version wrote, by the look of it."""
    scenario = tmp_path / "jump.toml"
    scenario.write_text(jump.scenario_text)
    folder = make_run(scenario, tmp_path / "run")
    file = folder / "accounts.parquet"
    table = pd.read_parquet(file)
    table.loc[3, "cash_end_usd"] += 1.0
    table.to_parquet(file)
    record = json.loads((folder / "run.json").read_text())
    with file.open("rb") as stream:
        facts = {"bytes": file.stat().st_size, "hash": hash_file(stream)}
    record["tables"]["accounts"] |= facts
    del record["hash"]
    (folder / "run.json").write_text(json.dumps(seal(record)))
    return load_run(folder)


def test_a_run_of_another_version_is_refused_by_table_and_value(altered: Run):
    with pytest.raises(RunFolderError, match=r"accounts: the cash end usd of .* another version"):
        rerun_with(altered, {"fills": True})


def test_a_wrong_setting_is_named(jump: Run):
    with pytest.raises(ValueError, match="snapshot_minutes"):
        rerun_with(jump, {"snapshot_minutes": 0.7})


def test_a_remade_run_is_still_a_run(jump: Run):
    remade = remake(jump, {"fills": True})
    assert {each.name for each in dataclasses.fields(jump)} < {
        each.name for each in dataclasses.fields(remade)
    }
    assert len(remade.cascades()) == len(jump.cascades())


def test_what_was_added_before_stays_and_is_not_held_against_the_folder(jump: Run):
    fine = remake(jump, {"heatmap_minutes": 5.0})
    both = remake(fine, {"depth_minutes": 10.0})
    assert both.liquidation_heatmap["step"].nunique() == 180 // 5
    assert "depth" in both.tables


def test_a_table_that_is_not_made_again_is_named(jump: Run):
    claimed = dataclasses.replace(jump, tables=(*jump.tables, "book"))
    with pytest.raises(RunFolderError, match="the table book is empty when done again"):
        rerun_with(claimed, {"fills": True})

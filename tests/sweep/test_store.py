import errno
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import marketsim.tape.files
from marketsim.sweep.design import Design
from marketsim.sweep.lock import (
    SHARED,
    Shard,
    SweepFolderError,
    active_drivers,
    choose_shard,
    locked,
)
from marketsim.sweep.manifest import claim, read_manifest, write_manifest
from marketsim.sweep.parts import live_parts
from marketsim.sweep.plan import Plan
from marketsim.sweep.query import query_sweep
from marketsim.sweep.store import Store, drop_runs, read_runs, stored_keys
from marketsim.sweep.table import count_runs, load_sweep, result_hash
from marketsim.sweep.worker import ERROR, OK, Outcome
from marketsim.tape.files import FolderError

Make = Callable[..., Design]
WHOLE = "1-of-1"


def outcome(key: str, figure: float = 1.0, **changes: Any) -> Outcome:
    return Outcome(key, OK, "", "d" + key, (figure, np.nan), 0.1, {})._replace(**changes)


def packed(**columns: Any) -> bytes:
    stream = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue().to_pybytes()


@pytest.fixture
def plan(design: Make) -> Plan:
    return Plan(design(replicates=100, metrics=["a", "b"]))


@pytest.fixture
def folder(plan: Plan, tmp_path: Path) -> Path:
    path = tmp_path / "sweep"
    write_manifest(path, plan, ("a", "b"))
    return path


def parts_of(folder: Path) -> list[Path]:
    return sorted((folder / "runs").glob("*.parquet"))


def fill(plan: Plan, folder: Path, first: int, last: int, label: str = WHOLE) -> Store:
    """Store the runs first to last - 1, a part for each."""
    store = Store(folder, read_manifest(folder), label)
    for number in range(first, last):
        run = plan.run(number)
        store.add(run, outcome(run.key, number))
        store.flush()
    return store


def test_what_is_added_is_there_after_a_flush(plan: Plan, folder: Path) -> None:
    store = Store(folder, read_manifest(folder), WHOLE)
    run = plan.run(5)
    store.add(run, outcome(run.key, 2.5))
    assert len(stored_keys(folder)) == 0
    store.flush()
    (table,) = read_runs(folder)
    (row,) = table.to_pylist()
    assert row["key"] == run.key
    assert (row["cell"], row["variant"], row["replicate"], row["seed"]) == (1, "base", 1, 1)
    assert row["populations.crowd.count"], row["venue.funding.interval_hours"] == (3, 8)
    assert (row["a"], row["status"], row["error"], row["wall_s"]) == (2.5, "ok", "", 0.1)
    assert np.isnan(row["b"])


@pytest.mark.slow
def test_parts_do_not_pile_up(plan: Plan, folder: Path) -> None:
    store = fill(plan, folder, 0, 300)
    assert len(parts_of(folder)) < 35
    keys = stored_keys(folder)
    assert sorted(keys) == sorted(plan.keys[:300])
    store.close()
    assert len(parts_of(folder)) == 1
    assert sorted(stored_keys(folder)) == sorted(plan.keys[:300])


def test_a_later_driver_goes_on_after_the_parts_of_an_earlier(plan: Plan, folder: Path) -> None:
    fill(plan, folder, 0, 20)
    fill(plan, folder, 20, 40).close()
    (part,) = live_parts(folder)
    assert (part.label, part.first, part.last) == ("1-of-1", 0, 39)
    assert len(stored_keys(folder)) == 40


def test_a_part_that_was_merged_counts_once_and_is_cleared(plan: Plan, folder: Path) -> None:
    fill(plan, folder, 0, 3)
    kept = {file: file.read_bytes() for file in parts_of(folder)}
    Store(folder, read_manifest(folder), WHOLE).close()
    (merged,) = parts_of(folder)
    for file, data in kept.items():  # as if the driver had been killed before removing them
        file.write_bytes(data)
    (folder / "runs" / ".1-of-1.0000009-0000009.parquet.77.tmp").write_bytes(b"half")
    (folder / "series").mkdir()
    (folder / "series" / "1-of-1.0000001-0000001.parquet").write_bytes(b"of no run")
    assert len(stored_keys(folder)) == 3
    Store(folder, read_manifest(folder), WHOLE)
    assert {file.name for file in (folder / "runs").iterdir()} == {merged.name, "1-of-1.json"}


def test_series_that_no_run_answers_for_are_cleared(design: Make, tmp_path: Path) -> None:
    plan = Plan(design(keep=["series"]))
    folder = tmp_path / "sweep"
    write_manifest(folder, plan, ("a", "b"))
    (folder / "series").mkdir()
    (folder / "series" / "1-of-1.0000000-0000000.parquet").write_bytes(b"of no run")
    Store(folder, read_manifest(folder), WHOLE)
    assert list((folder / "series").iterdir()) == []


def test_kept_tables_with_other_columns_go_together(design: Make, tmp_path: Path) -> None:
    plan = Plan(design(keep=["series", "events"]))
    folder = tmp_path / "sweep"
    write_manifest(folder, plan, ("a", "b"))
    store = Store(folder, read_manifest(folder), WHOLE)
    tables = [{"key": ["k0"], "x": [1.0]}, {"key": ["k1", "k1"], "y": [2.0, 3.0]}]
    for number, table in enumerate([*tables, *tables]):
        run = plan.run(number)
        kept = {"series": packed(**table), "events": packed(key=pa.array([], pa.string()))}
        store.add(run, outcome(run.key, kept=kept))
        if number != 1:
            store.flush()
    store.close()
    found = query_sweep(folder, "SELECT key, count(x) AS x, sum(y) AS y FROM series GROUP BY key")
    assert found.sort_values("key")["x"].tolist() == [2, 0]
    assert found.sort_values("key")["y"].iloc[1] == 10.0
    assert not (folder / "events").exists()  # there were none


def test_failed_runs_can_be_dropped(plan: Plan, folder: Path) -> None:
    store = Store(folder, read_manifest(folder), WHOLE)
    for number in range(4):
        run = plan.run(number)
        status = ERROR if number == 2 else OK
        store.add(run, outcome(run.key, status=status))
    store.flush()
    assert count_runs(folder) == {OK: 3, ERROR: 1}
    drop_runs(folder, lambda runs: pc.equal(runs["status"], OK))
    assert count_runs(folder) == {OK: 3}
    assert plan.keys[2] not in stored_keys(folder)


def test_a_result_hash_depends_on_the_runs_alone(plan: Plan, folder: Path, tmp_path: Path) -> None:
    fill(plan, folder, 0, 20).close()
    other = tmp_path / "other"
    write_manifest(other, plan, ("a", "b"))
    fill(plan, other, 10, 20, "2-of-2")
    fill(plan, other, 0, 10, "1-of-2")
    assert result_hash(folder) == result_hash(other)
    fill(plan, other, 20, 21, "1-of-2")
    assert result_hash(folder) != result_hash(other)


def test_a_result_hash_sees_every_figure(plan: Plan, folder: Path, tmp_path: Path) -> None:
    hashes = set()
    for number, change in enumerate([{}, {"figures": (1.0, 2.0)}, {"digest": "e"}]):
        path = tmp_path / str(number)
        write_manifest(path, plan, ("a", "b"))
        store = Store(path, read_manifest(path), WHOLE)
        store.add(plan.run(0), outcome(plan.run(0).key, **change))
        store.close()
        hashes.add(result_hash(path))
    assert len(hashes) == 3


def test_load_sweep_gives_one_row_per_run_of_each_point(design: Make, tmp_path: Path) -> None:
    variants = {"plain": {}, "slow": {"venue.funding.interval_hours": 4}}
    plan = Plan(design(variants=variants))
    folder = tmp_path / "sweep"
    write_manifest(folder, plan, ("a", "b"))
    assert load_sweep(folder).empty
    fill(plan, folder, 0, len(plan)).close()
    runs = load_sweep(folder)
    assert list(runs.columns) == [
        "key", "cell", "variant", "replicate", "seed",
        "populations.crowd.count", "venue.funding.interval_hours", "a", "b",
        "digest", "status", "error", "wall_s",
    ]  # fmt: skip
    assert len(runs) == 4 * 2 * 3
    assert runs["key"].nunique() == len(plan) == 18
    slow = runs[(runs["variant"] == "slow") & (runs["replicate"] == 0)]
    assert slow["venue.funding.interval_hours"].tolist() == [1, 8, 1, 8]  # as the cell says
    assert slow["key"].nunique() == 2
    assert runs.attrs["metrics"] == ["a", "b"]


def test_a_parameter_s_column_is_numbers_or_text(design: Make, tmp_path: Path) -> None:
    mixed = {"kind": "lognormal", "median": 3.0, "sigma": 0.5}
    levels = {
        "populations.crowd.leverage": [2, mixed],
        "insurance_fund": [1, 2.5],
        "spot.median": [True, False],
    }
    plan = Plan(design(parameters=levels, replicates=1))
    folder = tmp_path / "sweep"
    write_manifest(folder, plan, ("a", "b"))
    fill(plan, folder, 0, 1)
    fill(plan, folder, 1, len(plan)).close()
    runs = load_sweep(folder)
    assert runs["insurance_fund"].tolist() == [1.0, 1.0, 2.5, 2.5] * 2
    assert runs["spot.median"].tolist()[:2] == [True, False]
    assert set(runs["populations.crowd.leverage"]) == {
        "2", '{"kind": "lognormal", "median": 3.0, "sigma": 0.5}',
    }  # fmt: skip


def test_a_question_that_makes_no_sense_is_refused(plan: Plan, folder: Path) -> None:
    for sql in ("SELEC 1", "SELECT nothing FROM runs", ""):
        with pytest.raises(SweepFolderError):
            query_sweep(folder, sql)


def test_a_folder_of_another_design_is_refused_with_the_difference(
    design: Make, folder: Path
) -> None:
    levels = {"populations.crowd.count": [3, 6], "venue.funding.interval_hours": [1, 8]}
    other = Plan(design(replicates=100, metrics=["a", "b"], parameters=levels))
    with pytest.raises(SweepFolderError, match=r"count.levels: \[3, 5\] there, \[3, 6\] here"):
        claim(folder, other)
    changed = Plan(design(replicates=100, metrics=["a", "b"], set={"insurance_fund": 5.0}))
    with pytest.raises(
        SweepFolderError, match=r"base\.insurance_fund: .*not stated.* there, 5 here"
    ):
        claim(folder, changed)


def test_a_folder_of_another_version_is_refused(
    design: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketsim.sweep.plan.model_version", lambda: "9.9.9+new")
    with pytest.raises(SweepFolderError, match=r"begun by marketsim 0.*this is 9\.9\.9\+new"):
        claim(folder, Plan(design(replicates=100, metrics=["a", "b"])))


def test_the_name_of_a_design_may_change(design: Make, folder: Path) -> None:
    again = Plan(design(replicates=100, metrics=["a", "b"], name="other", description="new"))
    assert claim(folder, again) is not None


def test_a_folder_with_something_else_in_it_is_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(SweepFolderError, match=r"is not the folder of a sweep, it holds thesis"):
        claim(tmp_path / "full", plan)
    assert claim(tmp_path / "new", plan) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such folder"),
        ("{", "cannot be read"),
        ("{}", "not written by marketsim"),
        ('{"format": "marketsim-sweep", "format_version": 99}', "format version 99"),
        ('{"format": "marketsim-sweep", "format_version": 2}', "damaged, or changed"),
    ],
)
def test_a_folder_that_is_no_sweep_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    folder = tmp_path / "sweep"
    if text is not None:
        folder.mkdir()
        (folder / "sweep.json").write_text(text)
    with pytest.raises(SweepFolderError, match=said):
        load_sweep(folder)


def test_a_damaged_part_is_named(plan: Plan, folder: Path) -> None:
    fill(plan, folder, 0, 2).close()
    (file,) = parts_of(folder)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SweepFolderError, match=r"1-of-1.*damaged"):
        stored_keys(folder)


def test_a_full_disk_leaves_no_half_part_and_keeps_what_waits(
    plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fill(plan, folder, 0, 1)
    run = plan.run(1)
    store.add(run, outcome(run.key))

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(marketsim.tape.files.os, "fsync", full)
        with pytest.raises(FolderError, match="disk full"):
            store.flush()
    assert len(parts_of(folder)) == len(stored_keys(folder)) == 1
    store.close()
    assert len(stored_keys(folder)) == 2


class KilledError(BaseException):
    """Stands for SIGKILL: nothing is done to the folder any more."""


FULL = OSError(errno.ENOSPC, "No space left on device")


def stop_after(patch: pytest.MonkeyPatch, number: int, error: BaseException) -> None:
    """Let what changes a folder fail once it has been done so many times."""
    made = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            if made > number:
                raise error
            return function(*args, **kwargs)

        return change

    changes: list[tuple[Any, str]] = [(marketsim.tape.files.os, "fsync")]
    if error is not FULL:
        changes += [(Path, "replace"), (Path, "unlink")]
    for owner, name in changes:
        patch.setattr(owner, name, counted(getattr(owner, name)))


def store_runs(plan: Plan, folder: Path) -> None:
    """Store the runs that are not there yet, each as a part with its series; some are merged."""
    store = Store(folder, read_manifest(folder), WHOLE)
    there = set(stored_keys(folder))
    for number in range(len(plan)):
        run = plan.run(number)
        if plan.keys[number] not in there:
            store.add(run, outcome(run.key, number, kept={"series": packed(key=[run.key])}))
            store.flush()
    store.close()


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(KilledError(), id="killed", marks=pytest.mark.slow),
        pytest.param(FULL, id="full"),
    ],
)
def test_a_driver_stopped_at_any_change_of_its_folder_loses_and_doubles_nothing(
    design: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr("marketsim.sweep.store.PARTS_MERGED", 2)
    monkeypatch.setattr(marketsim.tape.files.os, "fsync", lambda number: None)  # slow
    plan = Plan(design(replicates=1, metrics=["a", "b"], keep=["series"]))
    results = set()
    for number in count():
        folder = tmp_path / str(number)
        write_manifest(folder, plan, ("a", "b"))
        with monkeypatch.context() as patch, suppress(KilledError, FolderError):
            stop_after(patch, number, error)
            store_runs(plan, folder)
            break
        before = stored_keys(folder)
        assert len(before) == len(set(before))
        store_runs(plan, folder)
        assert set(before) <= set(stored_keys(folder))
        results.add(result_hash(folder))
        series = query_sweep(folder, "SELECT key FROM series")["key"]
        assert sorted(series) == sorted(plan.keys.astype(str))
        assert len(list(folder.glob("*/*"))) == 3  # a part, its series, the list
    results.add(result_hash(folder))
    assert len(results) == 1
    assert number > 10


def test_a_second_driver_is_refused_unless_it_takes_another_shard(tmp_path: Path) -> None:
    with locked(tmp_path, Shard(1, 2)):
        for other in (Shard(1, 2), Shard(), Shard(2, 3), SHARED):
            refused = pytest.raises(SweepFolderError, match="is at work on shard 1/2 of this sweep")
            with refused, locked(tmp_path, other):
                pass
        with locked(tmp_path, Shard(2, 2)):
            held = [shard.label for shard, _ in active_drivers(tmp_path)]
            assert held == ["1-of-2", "2-of-2"]
    refused = pytest.raises(SweepFolderError, match="is at work on this sweep")
    with locked(tmp_path, Shard()), refused, locked(tmp_path, Shard(1, 2)):
        pass
    assert active_drivers(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "variables", "label"),
    [
        (None, {}, "1-of-1"),
        ("2/3", {"SLURM_ARRAY_TASK_ID": "1"}, "2-of-3"),
        ("any", {}, "any"),
        (None, {"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "3"}, "any"),
        (None, {"JOB_COMPLETION_INDEX": "0"}, "any"),
    ],
)
def test_the_shard_is_the_user_s_and_in_an_array_what_is_left(
    text: str | None, variables: dict[str, str], label: str
) -> None:
    assert choose_shard(text, variables).label == label


@pytest.mark.parametrize("text", ["0/3", "4/3", "half", "/3", ""])
def test_a_shard_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 1 to n, such as 2/3, or any"):
        choose_shard(text, {"SLURM_ARRAY_TASK_ID": "1"})

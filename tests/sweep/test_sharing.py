"""Drivers that share a sweep: by claims, by shards, and where no lock reaches the others."""

import itertools
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

import marketsim.sweep.lock
from marketsim.report.sweep_page import report_lines, status_lines
from marketsim.run.cores import usable_cores
from marketsim.sweep.claims import claimed
from marketsim.sweep.design import Design
from marketsim.sweep.lock import SHARED, Shard, SweepFolderError, active_drivers, locked
from marketsim.sweep.manifest import claim, write_manifest
from marketsim.sweep.parts import list_labels
from marketsim.sweep.plan import Plan
from marketsim.sweep.query import query_sweep
from marketsim.sweep.runner import SweepReport, run_sweep
from marketsim.sweep.status import sweep_status
from marketsim.sweep.store import Store, read_runs, stored_keys
from marketsim.sweep.table import count_runs, load_sweep, result_hash
from marketsim.sweep.worker import ERROR, OK
from tests.sweep.conftest import Inline
from tests.sweep.test_store import KilledError, outcome, stop_after

Make = Callable[..., Design]


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every driver be on a machine of its own, which no lock of another reaches."""
    machines = itertools.count()
    monkeypatch.setattr(marketsim.sweep.lock, "_machine", lambda: str(next(machines)))
    for module in ("lock", "claims"):
        monkeypatch.setattr(f"marketsim.sweep.{module}.take_lock", lambda *_, **__: True)


def test_drivers_that_share_a_sweep_claim_different_runs(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    keys = np.array([f"{number:032x}" for number in range(1300)], "S32")
    with ExitStack() as one, ExitStack() as other:
        first = claimed(tmp_path, keys, "any.one", one)
        second = claimed(tmp_path, keys, "any.other", other)
        taken = [next(turn) for _ in range(600) for turn in (first, second)]
        taken += [*first, *second]
    assert sorted(taken) == list(range(1300))


def test_what_a_driver_that_died_had_claimed_is_made_by_another(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    keys = np.array([f"{number:032x}" for number in range(20)], "S32")
    with ExitStack() as survivor:
        with ExitStack() as dead:
            begun = [*itertools.islice(claimed(tmp_path, keys, "any.dead", dead), 5)]
            going_on = claimed(tmp_path, keys, "any.survivor", survivor)
            taken = [*itertools.islice(going_on, 15)]
            assert not set(begun) & set(taken)
        assert sorted([*taken, *going_on]) == list(range(20))


@pytest.mark.parametrize("tasks", [(0, 2, 4, 6), (1, 2, 4), (0,)])
def test_any_array_makes_the_whole(
    design: Make, inline: Inline, tmp_path: Path, tasks: tuple[int, ...]
) -> None:
    expected = run_sweep(design(), tmp_path / "whole", executor=inline).result
    reports = [run_sweep(design(), tmp_path / "out", executor=inline, shard=SHARED) for _ in tasks]
    assert [report.done for report in reports] == [12, *[0] * (len(tasks) - 1)]
    assert reports[-1].result == expected


def test_a_driver_that_shares_leaves_to_others_what_they_have(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    run_sweep(design(), tmp_path / "out", executor=inline, max_failures=None, shard=Shard(1, 4))
    plan = Plan(design())
    with ExitStack() as other:
        held = [next(claimed(tmp_path / "out", plan.keys, "any.other", other)) for _ in range(1)]
        report = run_sweep(design(), tmp_path / "out", executor=inline, shard=SHARED)
    assert (report.stored, report.done) == (3, 12 - 3 - len(held))
    assert report_lines(report)[-1] == "1 are other drivers' to make"
    assert run_sweep(design(), tmp_path / "out", executor=inline, shard=SHARED).done == 1


def test_drivers_that_share_refuse_one_that_wants_all(tmp_path: Path) -> None:
    with locked(tmp_path, SHARED) as one, locked(tmp_path, SHARED) as other:
        assert one.label != other.label
        refused = pytest.raises(SweepFolderError, match=r"at work on this sweep with others; .*any")
        with refused, locked(tmp_path, Shard()):
            pass


def test_a_driver_takes_the_seat_of_one_that_ended_on_the_same_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path, Shard()) as seat:
        first = seat.label
    with locked(tmp_path, Shard()) as seat:
        assert seat.label == first
    monkeypatch.setattr(marketsim.sweep.lock, "_machine", lambda: "another")
    with locked(tmp_path, Shard()) as seat:
        assert seat.label != first
        assert seat.label.rpartition("-")[0] == first.rpartition("-")[0]  # hosts of one name


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("shard", [Shard(), SHARED])
def test_two_drivers_without_a_common_lock_lose_nothing_and_count_nothing_twice(
    design: Make, inline: Inline, tmp_path: Path, shard: Shard
) -> None:
    made = design(keep=["series"])
    alone = run_sweep(made, tmp_path / "alone", executor=inline)
    out = tmp_path / "out"
    others: list[SweepReport] = []

    def another(report: SweepReport) -> None:
        if not others:
            others.append(run_sweep(made, out, executor=inline, shard=shard))

    report = run_sweep(made, out, executor=inline, shard=shard, progress=another)
    assert len(list_labels(out)) == 2
    assert len(stored_keys(out)) > len(set(stored_keys(out))) == 12  # some were made twice
    assert report.result == others[0].result == alone.result == result_hash(out)
    assert len(load_sweep(out)) == count_runs(out).total() == 12
    assert sweep_status(out)["ok"] == 12
    counts = query_sweep(out, "SELECT count(*) AS n, count(DISTINCT key) AS runs FROM runs")
    assert counts.iloc[0].tolist() == [12, 12]
    series = query_sweep(out, "SELECT key, count(*) AS n FROM series GROUP BY key")
    assert series["n"].tolist() == [30] * 12


def test_of_a_run_stored_twice_that_which_came_to_its_end_counts(
    design: Make, tmp_path: Path
) -> None:
    plan = Plan(design(metrics=["a", "b"]))
    manifest = write_manifest(tmp_path, plan, ("a", "b"))
    for label, failing in (("1-of-1.a-1", 0), ("1-of-1.b-2", 1)):
        store = Store(tmp_path, manifest, label)
        for number in range(2):
            key = plan.run(number).key
            store.add(plan.run(number), outcome(key, status=ERROR if number == failing else OK))
        store.close()
    rows = [row for table in read_runs(tmp_path) for row in table.to_pylist()]
    assert {row["key"] for row in rows} == set(plan.keys[:2].astype(str))
    assert [row["status"] for row in rows] == [OK, OK]
    assert count_runs(tmp_path) == {OK: 2}


def test_a_driver_killed_as_it_writes_its_plan_leaves_a_folder_that_can_go_on(
    design: Make, inline: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(design())
    expected = run_sweep(design(), tmp_path / "whole", executor=inline).result
    for number in itertools.count():
        out = tmp_path / str(number)
        with monkeypatch.context() as patch, suppress(KilledError):
            stop_after(patch, number, KilledError())
            write_manifest(out, plan, ("fees_usd",))
            break
        assert claim(out, plan) is None
        assert any(out.iterdir()) or number == 0
        assert run_sweep(design(), out, executor=inline).result == expected
    assert number >= 4


def test_status_names_the_shards_that_lack_runs(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_sweep(design(), out, executor=inline, shard=Shard(1, 3))
    with locked(out, Shard(2, 3)):
        status = sweep_status(out)
    assert status["shards"] == [
        {"shard": "2-of-3", "missing": 4, "is_at_work": True},
        {"shard": "3-of-3", "missing": 4, "is_at_work": False},
    ]
    lines = status_lines(status)
    assert "shard 2-of-3 lacks 4 runs" in lines
    assert "shard 3-of-3 lacks 4 runs, and nobody is at work on it" in lines
    for number in (2, 3):
        run_sweep(design(), out, executor=inline, shard=Shard(number, 3))
    assert sweep_status(out)["shards"] == []


def test_status_says_who_waits_and_who_works(
    design: Make, inline: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run_sweep(design(), out, executor=inline)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\necho "12|12_[4-6]|Resources"\necho "99|99|Priority"\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with locked(out, SHARED) as seat:
        seat.tell(workers=0, waiting=2)
        waits = status_lines(sweep_status(out))
        seat.tell(workers=3, waiting=0)
        works = status_lines(sweep_status(out))
    who = f"process {os.getpid()} on {os.uname().nodename}, job 12_3, shard any"
    assert f"waits: {who}: 0 workers, 2 jobs in the queue" in waits
    assert f"at work: {who}: 3 workers" in works
    assert "waits: job 12_[4-6] (Resources)" in works
    assert not any("99" in line for line in works if line.startswith("waits"))
    assert active_drivers(out) == []


def test_status_of_a_sweep_whose_driver_waits_for_its_first_worker(tmp_path: Path) -> None:
    with locked(tmp_path, Shard()) as seat:
        seat.tell(workers=0, waiting=2)
        with pytest.raises(SweepFolderError, match=r"waits: process .*: 0 workers, 2 jobs in the"):
            sweep_status(tmp_path)


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({}, 8),
        ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "4"}, 2),
        ({"SLURM_CPUS_ON_NODE": "4"}, 4),
        ({"SLURM_CPUS_PER_TASK": "64"}, 8),
    ],
)
def test_a_job_uses_the_cores_it_was_given(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert usable_cores() == cores

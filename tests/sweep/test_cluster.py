import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from marketsim.sweep.cluster import ClusterWarning, connected
from marketsim.sweep.design import Design
from marketsim.sweep.runner import ExecutorLostError, SweepReport, run_sweep
from marketsim.sweep.slurm import ClusterError
from marketsim.sweep.store import stored_keys
from marketsim.sweep.table import load_sweep
from tests.sweep.conftest import Inline

Make = Callable[..., Design]


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


def test_a_dask_cluster_gives_the_same_results(
    design: Make, inline: Inline, local: LocalCluster, tmp_path: Path
) -> None:
    here = run_sweep(design(), tmp_path / "here", executor=inline)
    with connected(local.scheduler_address) as found:
        assert found.num_workers == 2
        there = run_sweep(design(), tmp_path / "there", executor=found, workers=found.num_workers)
    assert there.done == 12
    assert there.result == here.result


@pytest.mark.slow
def test_a_killed_dask_worker_costs_no_run(
    design: Make, inline: Inline, local: LocalCluster, tmp_path: Path
) -> None:
    processes = [worker.pid for worker in local.workers.values()]
    killed = []

    def kill(report: object) -> None:
        if not killed:
            killed.append(processes[0])
            os.kill(processes[0], signal.SIGKILL)

    with connected(local.scheduler_address) as found:
        there = run_sweep(design(replicates=20), tmp_path / "there", executor=found, progress=kill)
    here = run_sweep(design(replicates=20), tmp_path / "here", executor=inline)
    assert (there.done, there.failures, there.result) == (80, 0, here.result)
    assert len(set(stored_keys(tmp_path / "there"))) == 80


@pytest.mark.slow
def test_a_cluster_that_is_closed_ends_the_sweep_and_keeps_what_was_done(
    design: Make, local: LocalCluster, tmp_path: Path
) -> None:
    def close(report: object) -> None:
        local.close()

    with (
        pytest.raises(ExecutorLostError, match="the same command goes on"),
        connected(local.scheduler_address) as found,
    ):
        run_sweep(design(replicates=20), tmp_path / "out", executor=found, progress=close)
    runs = load_sweep(tmp_path / "out")
    assert 0 < len(runs) < 80
    assert list(runs["error"].unique()) == [""]


@pytest.mark.slow
def test_it_is_said_when_nobody_works_and_the_sweep_goes_on_with_new_workers(
    design: Make, inline: Inline, local: LocalCluster, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("marketsim.sweep.cluster.SILENCE", 1.0)
    monkeypatch.setattr("marketsim.sweep.cluster.LOOK_SECONDS", 0.1)

    def end(report: SweepReport) -> None:
        if report.done == 1:
            local.scale(0)
            threading.Timer(6.0, local.scale, [1]).start()

    with (
        connected(local.scheduler_address) as found,
        pytest.warns(ClusterWarning, match="nobody works: tcp://.* has no workers; start some"),
        pytest.warns(ClusterWarning, match="1 workers are there now"),
    ):
        there = run_sweep(design(replicates=20), tmp_path / "out", executor=found, progress=end)
    here = run_sweep(design(replicates=20), tmp_path / "here", executor=inline)
    assert (there.failures, there.result) == (0, here.result)


def test_an_address_where_nobody_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketsim.sweep.cluster.PATIENCE", 1)
    began = time.monotonic()
    with (
        pytest.raises(ClusterError, match="no Dask scheduler answers there within 1 s"),
        connected("tcp://127.0.0.1:9"),
    ):
        pass
    assert time.monotonic() - began < 30
    with pytest.raises(ClusterError, match="such as tcp://host:8786"), connected("nonsense://x"):
        pass


def test_a_scheduler_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketsim.sweep.cluster.PATIENCE", 2)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        pytest.raises(ClusterError, match="the scheduler has no workers"),
        connected(cluster.scheduler_address),
    ):
        pass

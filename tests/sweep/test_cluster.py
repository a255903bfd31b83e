import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from marketsim.sweep.cluster import connected
from marketsim.sweep.design import Design
from marketsim.sweep.runner import ExecutorLostError, run_sweep
from marketsim.sweep.slurm import ClusterError
from marketsim.sweep.store import stored_keys
from marketsim.sweep.table import load_sweep
from tests.sweep.conftest import Inline

Make = Callable[..., Design]

#: SLURM's commands, doing on this machine what they are asked for.
SBATCH = """\
#!/bin/sh
echo "$@" >> "$SLURM_LOG"
[ "$1" = --test-only ] && exit 0
setsid sh "$1.kept" > /dev/null 2>&1 &
echo "submitted $!" >> "$SLURM_LOG"
echo "Submitted batch job $!"
"""
SBATCH = SBATCH.replace('setsid sh "$1.kept"', 'cp "$1" "$1.kept"; setsid sh "$1.kept"')
SCANCEL = """\
#!/bin/sh
for job in "$@"; do kill -- "-$job" 2> /dev/null; done
exit 0
"""
SQUEUE = """\
#!/bin/sh
for job in $(sed -n 's/^submitted //p' "$SLURM_LOG"); do
    kill -s 0 -- "-$job" 2> /dev/null && echo "$job|RUNNING|None"
done
exit 0
"""
REFUSAL = """\
#!/bin/sh
echo "sbatch: error: invalid partition specified: nope" >&2
exit 1
"""


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put programs at the front of the search path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_LOG", str(tmp_path / "slurm.log"))

    def make(**texts: str) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    return make


def test_a_dask_cluster_gives_the_same_results(
    design: Make, inline: Inline, local: LocalCluster, tmp_path: Path
) -> None:
    here = run_sweep(design(), tmp_path / "here", executor=inline)
    with connected(local.scheduler_address) as found:
        assert found.num_workers == 2
        there = run_sweep(design(), tmp_path / "there", executor=found, workers=found.num_workers)
    assert there.done == 12
    assert there.result == here.result


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


def test_slurm_s_jobs_become_workers(
    design: Make, inline: Inline, tmp_path: Path, commands: Callable[..., None]
) -> None:
    commands(sbatch=SBATCH, scancel=SCANCEL, squeue=SQUEUE)
    (tmp_path / "slurm.toml").write_text(
        'jobs = 2\n[cluster]\ncores = 1\nmemory = "1GB"\nqueue = "long"\ninterface = "lo"\n'
    )
    with connected("slurm:slurm.toml") as found:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert found.num_workers == 2
        there = run_sweep(design(), tmp_path / "there", executor=found)
    here = run_sweep(design(), tmp_path / "here", executor=inline)
    assert there.result == here.result
    submitted = (tmp_path / "slurm.log").read_text().splitlines()
    assert len([line for line in submitted if line.startswith("submitted ")]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("= 1", "not a TOML file"),
        ("jobs = 0\n[cluster]\n", "jobs = 0"),
        ("jobs = 1\n", "cluster: missing"),
        ('jobs = 1\n[cluster]\ncores = 1\nmemory = "1GB"\ncolour = "red"\n', "colour"),
        ('jobs = 1\n[cluster]\ncores = 1\nmemory = "1GB"\n', "invalid partition specified: nope"),
    ],
)
def test_slurm_settings_that_make_no_sense_are_refused(
    tmp_path: Path, commands: Callable[..., None], text: str | None, said: str
) -> None:
    commands(sbatch=REFUSAL)
    if text is not None:
        (tmp_path / "slurm.toml").write_text(text)
    with pytest.raises(ClusterError, match=said), connected(f"slurm:{tmp_path}/slurm.toml"):
        pass


def test_without_slurm_there_are_no_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slurm.toml").write_text('jobs = 1\n[cluster]\ncores = 1\nmemory = "1GB"\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ClusterError, match="sbatch: No such file"),
        connected(f"slurm:{tmp_path}/slurm.toml"),
    ):
        pass


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

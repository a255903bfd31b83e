"""Sweeps on a real SLURM, one node on loopback: whatever becomes of its jobs, the same results."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from marketsim.sweep.status import sweep_status
from marketsim.sweep.store import stored_keys
from marketsim.sweep.table import result_hash
from tests.cluster.conftest import ENVIRONMENT, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("slurm")]

COMMAND = [sys.executable, "-c", "from marketsim.cli import main; main()"]
ARRAY = f"""\
#!/bin/bash
#SBATCH --job-name=naps
#SBATCH --output=logs/%x-%A_%a.out
#SBATCH --open-mode=append
#SBATCH --cpus-per-task=1
#SBATCH --mem=300M
export PYTHONPATH={ROOT} NAP=0.02
exec {COMMAND[0]} -c "{COMMAND[2]}" sweep design.toml --out out --quiet
"""
SETTINGS = f"""\
jobs = 2
[cluster]
cores = 1
memory = "500MB"
interface = "lo"
job_script_prologue = ["export PYTHONPATH={ROOT} NAP=0.02"]
"""


def call(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def start(tmp_path: Path, settings: str) -> "subprocess.Popen[str]":
    (tmp_path / "slurm.toml").write_text(settings)
    return subprocess.Popen(
        [*COMMAND, "sweep", "design.toml", "--out", "out", "-q", "--cluster", "slurm:slurm.toml"],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, call("squeue")
        time.sleep(0.5)


def num_stored(out: Path) -> int:
    return len(stored_keys(out)) if (out / "sweep.json").exists() else 0


def test_an_array_with_gaps_a_cancelled_and_a_requeued_job(
    design: Callable[[int], Path], local_result: Callable[[Path], str], tmp_path: Path
) -> None:
    expected = local_result(design(20))
    out = tmp_path / "out"
    (tmp_path / "array.sh").write_text(ARRAY)
    (tmp_path / "logs").mkdir()
    array = call("sbatch", "--parsable", "--array=0-6:2", "array.sh")
    wait_for(lambda: num_stored(out) > 10, 120)
    status = sweep_status(out)
    assert {driver["job"] for driver in status["drivers"]} <= {f"{array}_{n}" for n in (0, 2, 4, 6)}
    assert status["queued"], "more jobs than the node has cores"
    call("scontrol", "requeue", f"{array}_0")
    call("scancel", f"{array}_2")
    wait_for(lambda: not call("squeue", "--noheader", "--name", "naps"), 240)
    again = call("sbatch", "--parsable", "--array=0", "array.sh")
    wait_for(lambda: not call("squeue", "--noheader", "--jobs", again), 120)
    assert sweep_status(out)["missing"] == 0
    assert result_hash(out) == expected
    assert not any("Traceback" in log.read_text() for log in (tmp_path / "logs").iterdir())


def test_jobs_that_reach_their_walltime_are_replaced(
    design: Callable[[int], Path], local_result: Callable[[Path], str], tmp_path: Path
) -> None:
    expected = local_result(design(50))
    # Runs of one and a half seconds: work for several jobs, however fast the machine.
    slow = SETTINGS.replace("NAP=0.02", "NAP=0.05")
    harsh = 'lifetime = "1h"\n' + slow + 'queue = "short"\nwalltime = "00:01:00"\n'
    driver = start(tmp_path, harsh)
    wait_for(lambda: call("squeue", "--noheader", "--name", "naps"), 60)
    said, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, errors
    assert f"result {expected}" in said
    logs = list((tmp_path / "out" / "logs").glob("naps-*.err"))
    assert len(logs) > 2  # more jobs than are kept up
    assert any("DUE TO TIME LIMIT" in log.read_text() for log in logs)


def test_a_killed_driver_is_gone_on_with(
    design: Callable[[int], Path], local_result: Callable[[Path], str], tmp_path: Path
) -> None:
    expected = local_result(design(10))
    encrypted = "tls = true\n" + SETTINGS.replace("jobs = 2", "jobs = 1")
    driver = start(tmp_path, encrypted)
    wait_for(lambda: num_stored(tmp_path / "out") > 5, 120)
    listening = [row for row in call("ss", "-ltnpH").splitlines() if f"pid={driver.pid}," in row]
    assert listening
    assert all("127.0.0.1:" in row for row in listening)
    driver.kill()
    driver.communicate()
    call("scancel", "--name", "naps")
    again = start(tmp_path, encrypted)
    said, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert f"result {expected}" in said
    logs = sorted((tmp_path / "out" / "logs").glob("naps-*.err"), key=os.path.getmtime)
    assert "Traceback" not in logs[-1].read_text()
    assert "tls://" in logs[-1].read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('wallime = "10"', "cluster.wallime: unknown field (did you mean 'walltime'?)"),
        ('queue = "nope"', 'queue = "nope"'),
        ('memory = "900GB"', 'memory = "900GB"'),
    ],
)
def test_what_slurm_cannot_give_is_refused_at_once(
    design: Callable[[int], Path], tmp_path: Path, line: str, said: str
) -> None:
    design(1)
    settings = [old for old in SETTINGS.splitlines() if old.split()[0] != line.split(maxsplit=1)[0]]
    driver = start(tmp_path, "\n".join([*settings, line]))
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 2
    assert said in errors
    assert "Traceback" not in errors

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marketsim.sweep.runner import run_sweep
from tests.sweep.conftest import GRID, tiny

__all__ = ["tiny"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Programs of Debian's packages munge, slurmctld, slurmd and slurm-client.
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
#: A trader who takes time, unless there is no need to.
SLEEPY = """\
import os
import time

import marketsim


class Sleepy(marketsim.Strategy):
    def decide(self, market, traders):
        time.sleep(float(os.environ.get("NAP", "0")))
"""
#: What a job needs to find: this package, its kernels, and the time to be caught at work.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "NAP": "0.02"}


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A SLURM of one node on this machine."""
    if os.geteuid() != 0:
        pytest.skip("only root starts a SLURM")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"SLURM is not installed: no {', '.join(missing)}")
    node = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(node / "slurm.conf"))
        subprocess.run(["bash", HERE / "start.sh", node], check=True)
        yield
        subprocess.run(["bash", HERE / "stop.sh", node], check=True)


@pytest.fixture
def design(tiny: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Write a design of four cells with a trader who takes time."""

    def write(replicates: int) -> Path:
        (tmp_path / "sleepy.py").write_text(SLEEPY)
        text = GRID.replace("replicates = 3", f'name = "naps"\nreplicates = {replicates}')
        mine = f'strategy = "{tmp_path}/sleepy.py:Sleepy", count = 1, attention = 0.001'
        file = tmp_path / "design.toml"
        file.write_text(f'{text}[set]\n"populations.mine" = {{ {mine} }}\n')
        return file

    return write


@pytest.fixture
def local_result(tmp_path: Path) -> Callable[[Path], str]:
    """Return the hash of a design's results, made without a cluster and without naps."""
    return lambda design: run_sweep(design, tmp_path / "local", workers=1).result

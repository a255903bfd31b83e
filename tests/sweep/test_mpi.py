"""A sweep on the executor of mpi4py: rank 0 is the driver, the others make the runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from marketsim.sweep.design import Design
from marketsim.sweep.runner import run_sweep
from tests.sweep.conftest import GRID, Inline

ROOT = Path(__file__).parents[2]
SCRIPT = """\
import os

import marketsim
from mpi4py.futures import MPIPoolExecutor

def whereabouts(_):
    return os.getpid()

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        assert os.getpid() not in set(executor.map(whereabouts, range(4)))
        report = marketsim.run_sweep("design.toml", "out", executor=executor)
    print(report.done, report.result)
"""
#: Open MPI in a container: it is asked to run as root, with more ranks than cores, on this machine.
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_btl": "self,vader",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mpi4py") is None, reason="mpi4py is not installed")
@pytest.mark.skipif(which("mpiexec") is None, reason="no mpiexec (Debian: openmpi-bin)")
def test_two_ranks_make_the_same_sweep(
    design: Callable[..., Design], inline: Inline, tmp_path: Path
) -> None:
    (tmp_path / "design.toml").write_text(GRID)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        ["mpiexec", "-n", "2", sys.executable, "-m", "mpi4py.futures", "script.py"],
        env=os.environ | SETTINGS | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = run_sweep(design(), tmp_path / "inline", executor=inline)
    assert done.stdout.split() == ["12", expected.result]

"""What code prints with compiled kernels, and with kernels that are plain Python."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numba

ROOT = Path(__file__).resolve().parents[1]


def print_both_ways(code: str) -> tuple[str, str]:
    """Run code in this process, and in one whose kernels are compiled if those here are not."""
    here = io.StringIO()
    with redirect_stdout(here):
        exec(code, {})
    other = "0" if numba.config.DISABLE_JIT else "1"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"NUMBA_DISABLE_JIT": other, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return here.getvalue(), done.stdout

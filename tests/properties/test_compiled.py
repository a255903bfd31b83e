"""Compiled or not, the engine gives the same bytes."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numba
from hypothesis import given

from tests.properties.plans import last, plans
from tests.properties.profile import tried

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import pickle, sys
from tests.properties.test_compiled import digests
print(*digests(pickle.load(open(sys.argv[1], "rb"))))
"""


def digests(found):
    """Play plans; hash all arrays of each end."""
    return [
        hashlib.blake2b(
            b"".join(array.tobytes() for array in last(plan)), digest_size=8
        ).hexdigest()
        for plan in found
    ]


def test_uncompiled_kernels_give_the_same_bytes(tmp_path):
    found = []

    @tried(25)
    @given(plans())
    def collect(plan):
        found.append(plan)

    collect()
    file = tmp_path / "plans.pickle"
    file.write_bytes(pickle.dumps(found))
    other = "0" if numba.config.DISABLE_JIT else "1"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(file)],
        check=False,
        env=os.environ | {"NUMBA_DISABLE_JIT": other, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == digests(found)
    assert len(set(done.stdout.split())) > 10

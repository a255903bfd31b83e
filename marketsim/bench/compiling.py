"""The compile workload: what a first run takes that has all its kernels to compile.

`quickstart` is opened and makes one step, each time with an empty cache and in a Python of its own,
compiled by one process and by two in turns. `wall_s` is what a user waits, Python's start and all;
`cpu_s` is of all processes, `own_cpu_s` of the one that runs: with nothing else to do, a machine
of two cores takes about as long. The last line has ratios, two processes to one: the median of the
turns'.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from marketsim.bench.measure import median, show

#: Times that either compiles.
TURNS = 3

#: A first run; it prints its CPU time, and that of the process beside it.
_FIRST_RUN = """
import os
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
Simulation(load_scenario("quickstart"), 0).run(1)
times = os.times()
print([times.user + times.system, times.children_user + times.children_system])
"""


class FirstRun(NamedTuple):
    """What one took, seconds."""

    wall_s: float
    cpu_s: float
    own_cpu_s: float


def bench(runs: int | None) -> None:
    """Compile and print the lines.

    Parameters
    ----------
    runs : int, optional
        Of either kind.
    """
    turns = [(_first_run(is_alone=True), _first_run(is_alone=False)) for _ in range(runs or TURNS)]
    for system, made in zip(
        ("one process", "two processes"), zip(*turns, strict=True), strict=True
    ):
        figures = {
            name: round(median(getattr(run, name) for run in made), 2) for name in FirstRun._fields
        }
        show({"workload": "compile", "system": system, "runs": len(turns)} | figures)
    ratios = {
        name: round(median(getattr(two, name) / getattr(one, name) for one, two in turns), 3)
        for name in FirstRun._fields
    }
    show({"workload": "compile", "system": "two processes / one", "ratio": ratios})


def _first_run(*, is_alone: bool) -> FirstRun:
    with tempfile.TemporaryDirectory(prefix="marketsim-bench-") as cache:
        env = os.environ | {"MARKETSIM_CACHE_DIR": cache}
        if is_alone:
            env["SLURM_CPUS_PER_TASK"] = "1"  # as in a job of one core
        began = time.perf_counter()
        command = [sys.executable, "-c", _FIRST_RUN]
        done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE)
        wall = time.perf_counter() - began
    own, beside = json.loads(done.stdout)
    return FirstRun(wall, own + beside, own)

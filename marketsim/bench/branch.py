"""The branch workload: what it costs to copy a running market, and to save and load one.

Two lines. *branches*: a market of 1,000 traders after a day is copied 100 times in memory;
`cpu_s` and `wall_s` are of all copies together. *save and load*: a market of a million traders is
written to a file and made of it again; `save_s` and `load_s` are seconds on the wall, the disk
included, and `file_mb` is what it takes there. Each is a median, by a process of its own.
"""

import gc
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from marketsim.bench.market import SEED, sized_scenario
from marketsim.bench.measure import REPETITIONS, median, peak_rss_mb, show, timed
from marketsim.run.loading import load_simulation
from marketsim.run.simulation import Simulation

#: Traders, steps before, and copies of the first measurement.
NUM_ACCOUNTS = 1_000
STEPS = 1_440
BRANCHES = 100
#: Traders and steps of the second.
MANY_ACCOUNTS = 1_000_000
FEW_STEPS = 3
#: Its repetitions take seconds each.
FEW_REPETITIONS = 3


def bench(accounts: int | None, steps: int | None) -> None:
    """Make both measurements and print their lines.

    Parameters
    ----------
    accounts, steps : int, optional
        Size of both markets; their own sizes by default.
    """
    for what, size, length, repetitions in (
        ("branches", accounts or NUM_ACCOUNTS, steps or STEPS, REPETITIONS),
        ("save and load", accounts or MANY_ACCOUNTS, steps or FEW_STEPS, FEW_REPETITIONS),
    ):
        arguments = json.dumps([what, size, length, repetitions])
        code = f"from marketsim.bench.branch import measure; measure(*{arguments})"
        subprocess.run([sys.executable, "-c", code], check=True)


def measure(what: str, num_accounts: int, steps: int, repetitions: int) -> None:
    """Make one measurement in this process and print its line.

    Parameters
    ----------
    what : {"branches", "save and load"}
    num_accounts, steps, repetitions : int
    """
    simulation = Simulation(sized_scenario(num_accounts, steps + 1), SEED)
    simulation.run(steps)
    run = _copy if what == "branches" else _save_and_load
    line = {"workload": "branch", "system": what, "num_accounts": num_accounts, "steps": steps}
    figures = run(simulation, repetitions)
    show(line | figures | {"peak_rss_mb": peak_rss_mb(), "repetitions": repetitions})


def _copy(simulation: Simulation, repetitions: int) -> dict[str, float]:
    timings = []
    for _ in range(repetitions):
        timings.append(timed(partial(simulation.branch, BRANCHES)))
        gc.collect()
    return {
        "branches": BRANCHES,
        "cpu_s": round(median(each.cpu for each in timings), 4),
        "wall_s": round(median(each.wall for each in timings), 4),
    }


def _save_and_load(simulation: Simulation, repetitions: int) -> dict[str, float]:
    saves, loads = [], []
    with tempfile.TemporaryDirectory(prefix="marketsim-bench-") as folder:
        file = Path(folder) / "bench.market"
        for _ in range(repetitions):
            saves.append(timed(partial(simulation.save, file)))
            loads.append(timed(partial(load_simulation, file)))
            gc.collect()
        size = file.stat().st_size
    return {
        "file_mb": round(size / 2**20, 1),
        "save_s": round(median(each.wall for each in saves), 3),
        "load_s": round(median(each.wall for each in loads), 3),
        "save_cpu_s": round(median(each.cpu for each in saves), 3),
        "load_cpu_s": round(median(each.cpu for each in loads), 3),
    }

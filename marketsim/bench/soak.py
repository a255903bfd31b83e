"""The soak workload: many runs in one process, and one long run of many accounts.

Two lines, each by a process of its own. *runs*: four hours of `quickstart` are run from start to
result (`run_scenario`) a thousand times; `rss_mb` is the most that the process held after one of
the first 50 runs and after one of the others, and `growth_percent` is by how much the second is
more.
*long run*: `ordinary` with 100,000 accounts for 30 days; `conservation_error` is the largest number
of atoms that was missing from the books, or too many, after any step: 0, or the benchmark stops.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

from marketsim.bench.market import SEED, sized_scenario
from marketsim.bench.measure import peak_rss_mb, show, timed
from marketsim.model.runs import run_scenario
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

RUNS = 1_000
#: Runs that may take memory that stays: code, caches, the allocator's own.
SETTLING_RUNS = 50
#: Steps of each of the many runs, of a minute.
SHORT_STEPS = 240
#: Accounts and steps of the long run.
NUM_ACCOUNTS = 100_000
STEPS = 30 * 1_440
#: It tells how far it is as often.
STRETCHES = 30


def bench(accounts: int | None, steps: int | None, runs: int | None) -> None:
    """Make both measurements and print their lines.

    Parameters
    ----------
    accounts, steps : int, optional
        Size of the long run.
    runs : int, optional
        Number of the many.
    """
    for call in (
        f"measure_runs({runs or RUNS})",
        f"measure_long_run({accounts or NUM_ACCOUNTS}, {steps or STEPS})",
    ):
        code = f"from marketsim.bench import soak; soak.{call}"
        subprocess.run([sys.executable, "-c", code], check=True)


def measure_runs(runs: int) -> None:
    """Run a scenario so many times in this process and print what it holds."""
    scenario = load_scenario("quickstart", [("days", repr(SHORT_STEPS / 1_440))])
    settling = min(SETTLING_RUNS, max(runs // 2, 1))
    held: list[float] = []

    def run_all() -> None:
        for seed in range(runs):
            run = run_scenario(scenario, seed)
            check_books(run.summary["conservation_error_atoms"])
            held.append(held_mb())
            if len(held) % 100 == 0:
                sys.stderr.write(f"{len(held):,} of {runs:,} runs, {held[-1]:,.0f} MiB\n")

    timing = timed(run_all)
    first = max(held[:settling])
    later = max(held[settling:], default=first)
    line = {
        "workload": "soak",
        "system": "runs",
        "num_accounts": scenario.num_traders,
        "steps": SHORT_STEPS,
        "runs": runs,
    }
    figures = {
        "rss_mb": [first, later],
        "growth_percent": round(100 * (later / first - 1), 2),
        "cpu_s": round(timing.cpu, 1),
        "peak_rss_mb": peak_rss_mb(),
    }
    show(line | figures)


def measure_long_run(num_accounts: int, steps: int) -> None:
    """Run one market in this process and print how exact its books are."""
    simulation = Simulation(sized_scenario(num_accounts, steps), SEED)
    cpu = 0.0
    for stretch in range(STRETCHES):
        goal = steps * (stretch + 1) // STRETCHES
        cpu += timed(partial(simulation.run, goal - simulation.step_count)).cpu
        check_books(int(simulation.state.totals[0].conservation_error))
        sys.stderr.write(f"step {goal:,} of {steps:,}, {cpu:,.0f} s of CPU\n")
    line = {
        "workload": "soak",
        "system": "long run",
        "num_accounts": simulation.scenario.num_traders,
        "steps": steps,
    }
    figures = {
        "conservation_error": int(simulation.state.totals[0].conservation_error),
        "cpu_s": round(cpu, 1),
        "rss_mb": held_mb(),
        "peak_rss_mb": peak_rss_mb(),
    }
    show(line | figures)


def check_books(error: int) -> None:
    """Make sure that no atom is missing.

    Raises
    ------
    RuntimeError
    """
    if error != 0:
        raise RuntimeError(f"soak workload: the books are {error} atoms out")


def held_mb() -> float:
    """Return the memory this process holds, MiB; where that is not to be known, the most so far."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return peak_rss_mb() or 0.0
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return round(int(fields["VmRSS"].split()[0]) / 2**10, 1)

"""The market workload: the shipped scenario with any number of traders, all stages and recording.

Every measurement runs in a process of its own, so its peak memory is its own, after a run of a
few steps that compiles what is not compiled yet. The clock covers all steps and the collection of
the result; building the traders is `build_s`. An order is whatever a trader sends: orders,
withdrawals, transfers.
"""

import gc
import json
import subprocess
import sys
import time
from functools import partial

from marketsim.bench.measure import Timing, median, show, summary, timed
from marketsim.model import PerpMarket
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario

SCENARIO = "calm"
NUM_ACCOUNTS = 1_000
STEPS = 10_080
SEED = 1
REPETITIONS = 5
_MINUTES_PER_DAY = 1440
#: Steps of the untimed run: enough to reach every stage.
_WARM_UP = 10


def sized_scenario(num_accounts: int, steps: int) -> Scenario:
    """Load the shipped scenario with its populations scaled to `num_accounts` traders in all."""
    counts = {name: each.count for name, each in load_scenario(SCENARIO).populations.items()}
    scaled = scaled_counts(counts, num_accounts)
    sizes = [(f"populations.{name}.count", str(count)) for name, count in scaled.items()]
    return load_scenario(SCENARIO, [*sizes, ("days", repr(steps / _MINUTES_PER_DAY))])


def scaled_counts(counts: dict[str, int], total: int) -> dict[str, int]:
    """Scale counts to a total, each at least 1 where the total allows; the largest takes the rest.

    Examples
    --------
    >>> scaled_counts({"makers": 12, "noise": 300}, 1000)
    {'makers': 38, 'noise': 962}
    """
    whole = sum(counts.values())
    scaled = {name: max(count * total // whole, 1) for name, count in counts.items()}
    largest = max(scaled, key=lambda name: scaled[name])
    scaled[largest] = max(scaled[largest] + total - sum(scaled.values()), 1)
    return scaled


def measure(num_accounts: int, steps: int, repetitions: int) -> None:
    """Time the workload in this process and print the line."""
    scenario = sized_scenario(num_accounts, steps)
    PerpMarket(sized_scenario(NUM_ACCOUNTS, _WARM_UP), rng=SEED).run(_WARM_UP)
    timings: list[Timing] = []
    builds: list[float] = []
    orders = 0
    for _ in range(repetitions):
        began = time.perf_counter()
        model = PerpMarket(scenario, rng=SEED)
        builds.append(time.perf_counter() - began)
        timings.append(timed(partial(_run, model, steps)))
        orders = int(model.result().outcome.sum())
        del model
        gc.collect()  # a Mesa model holds itself: two would count as the memory of one
    traders = sum(each.count for each in scenario.populations.values())
    line = summary("market", "marketsim", traders, steps, orders, timings)
    show(line | {"num_markets": len(scenario.markets), "build_s": round(median(builds), 4)})


def _run(model: PerpMarket, steps: int) -> None:
    model.run(steps)
    model.result()


def bench(accounts: int | None, steps: int | None, repetitions: int = REPETITIONS) -> None:
    """Time the workload in a child process and print its line."""
    sizes = accounts or NUM_ACCOUNTS, steps or STEPS, repetitions
    code = f"from marketsim.bench.market import measure; measure(*{json.dumps(sizes)})"
    subprocess.run([sys.executable, "-c", code], check=True)

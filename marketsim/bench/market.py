"""The market workload: `ordinary` with any number of traders, all stages and recording.

The second line is the same with one trader in a hundred replaced by a user's own in plain Python,
and the ratio of the two times.

Every measurement runs in a process of its own, so its peak memory is its own, after a run of a
few steps that compiles what is not compiled yet. The clock covers all steps and the collection of
the result; building the traders is `build_s`. An order is whatever a trader sends: orders,
withdrawals, transfers.
"""

import gc
import json
import math
import subprocess
import sys
import time
from functools import partial

from marketsim.agents.herd import Herd
from marketsim.bench.measure import Timing, median, show, summary, timed
from marketsim.model.market import PerpMarket
from marketsim.model.trader import Trader
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario

SCENARIO = "ordinary"
NUM_ACCOUNTS = 1_000
STEPS = 10_080
SEED = 1
REPETITIONS = 5
_MINUTES_PER_DAY = 1440
#: Share of the traders that are the user's own, in the second measurement.
OWN_SHARE = 0.01
#: Steps of the untimed run: enough to reach every stage.
_WARM_UP = 10


class Contrarian(Trader):
    """Sells what is dear against its index and buys what is cheap, with a tenth of its equity."""

    def step(self) -> None:
        """Hold the position the last premium asks for."""
        for market in self.model.markets:
            side = -math.copysign(1.0, self.model.premium(market))
            wanted = 0.1 * side * self.equity / self.model.mid_price(market)
            self.order(market, wanted - self.size(market))


def sized_scenario(num_accounts: int, steps: int, own: int = 0) -> Scenario:
    """Load the scenario with `num_accounts` traders in all, `own` of them the user's.

    Everybody is as busy as in the scenario. The herd's rate of imitation counts heads: with a
    hundred times as many each would change sides a hundred times as often, so its independence
    grows with its number.
    """
    populations = load_scenario(SCENARIO).populations
    counts = {name: each.count for name, each in populations.items()}
    scaled = scaled_counts(counts, num_accounts - own)
    changes = [(f"populations.{name}.count", str(count)) for name, count in scaled.items()]
    for name, each in populations.items():
        if each.strategy == "herd":
            independence = Herd(**each.parameters).independence * scaled[name] / each.count
            field = f"populations.{name}.parameters.independence"
            changes.append((field, repr(independence)))
    if own:
        mine = {"strategy": "contrarian", "count": str(own), "capital": "10_000.0"}
        changes += [(f"populations.own.{field}", value) for field, value in mine.items()]
    return load_scenario(SCENARIO, [*changes, ("days", repr(steps / _MINUTES_PER_DAY))])


def scaled_counts(counts: dict[str, int], total: int) -> dict[str, int]:
    """Scale counts to a total, each rounded and at least 1; the largest takes what is left over.

    Rounded, not cut off: few makers send most of the orders, and a size that cuts one of them off
    is not the same market.

    Examples
    --------
    >>> scaled_counts({"makers": 12, "noise": 300}, 1000)
    {'makers': 38, 'noise': 962}
    """
    whole = sum(counts.values())
    scaled = {name: max(round(count * total / whole), 1) for name, count in counts.items()}
    largest = max(scaled, key=lambda name: scaled[name])
    scaled[largest] = max(scaled[largest] + total - sum(scaled.values()), 1)
    return scaled


def measure(num_accounts: int, steps: int, repetitions: int) -> None:
    """Time the workload in this process and print the line."""
    few = max(round(OWN_SHARE * num_accounts), 1)
    scenarios = [sized_scenario(num_accounts, steps, own) for own in (0, few)]
    for own in (0, few):
        _new(sized_scenario(max(NUM_ACCOUNTS, 2 * few), _WARM_UP, own)).run(_WARM_UP)
    timings: list[list[Timing]] = [[], []]
    builds: list[float] = []
    orders = [0, 0]
    for _ in range(repetitions):
        for n, scenario in enumerate(scenarios):
            began = time.perf_counter()
            model = _new(scenario)
            builds.append(time.perf_counter() - began)
            timings[n].append(timed(partial(_run, model, steps)))
            orders[n] = int(model.result().outcome.sum())
            del model
            gc.collect()  # a Mesa model holds itself: two would count as the memory of one
    traders = scenarios[0].num_traders
    line = summary("market", "marketsim", traders, steps, orders[0], timings[0])
    show(
        line | {"num_markets": len(scenarios[0].markets), "build_s": round(median(builds[::2]), 4)}
    )
    mixed = summary(
        "market", f"marketsim with {few} own traders", traders, steps, orders[1], timings[1]
    )
    show(mixed | {"ratio": round(mixed["wall_s"] / max(line["wall_s"], 1e-9), 3)})


def _new(scenario: Scenario) -> PerpMarket:
    return PerpMarket(scenario, rng=SEED, strategies={"contrarian": Contrarian})


def _run(model: PerpMarket, steps: int) -> None:
    model.run(steps)
    model.result()


def bench(accounts: int | None, steps: int | None, repetitions: int = REPETITIONS) -> None:
    """Time the workload in a child process and print its line."""
    sizes = accounts or NUM_ACCOUNTS, steps or STEPS, repetitions
    code = f"from marketsim.bench.market import measure; measure(*{json.dumps(sizes)})"
    subprocess.run([sys.executable, "-c", code], check=True)

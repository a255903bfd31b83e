"""The contagion workload: what it costs to watch the reproduction number.

A market of many traders in five markets, run with a contagion matrix every ten steps and without,
by turns in one process. The clock covers all steps and the collection of the result, where R is
taken of every matrix. `ratio` is on over off by CPU time, the median over the repetitions of each
pair's ratio; a pair runs one right after the other.
"""

import gc
from functools import partial

from marketsim.bench.market import SEED, sized_scenario
from marketsim.bench.measure import REPETITIONS, Timing, median, show, summary, timed
from marketsim.contagion.recorder import reproduction_number
from marketsim.run.simulation import Simulation
from marketsim.scenario.markets import Market
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import RunResult

NUM_ACCOUNTS = 10_000
NUM_MARKETS = 5
STEPS = 240
#: Steps between two matrices.
EVERY = 10
#: Steps of the untimed run: enough to reach every stage.
_WARM_UP = 10


def bench(accounts: int | None, steps: int | None, repetitions: int = REPETITIONS) -> None:
    """Time the workload with and without contagion matrices and print the lines.

    Parameters
    ----------
    accounts, steps : int, optional
    """
    scenario = widened(sized_scenario(accounts or NUM_ACCOUNTS, steps or STEPS))
    scenarios = {on: _recording(scenario, on) for on in (True, False)}
    timings: dict[bool, list[Timing]] = {True: [], False: []}
    _finish(Simulation(scenarios[True], SEED), _WARM_UP)
    orders = moments = 0
    for repetition in range(repetitions):
        # The first of a pair finds the caches as the pair before left them: take turns.
        for on in (True, False) if repetition % 2 else (False, True):
            simulation = Simulation(scenarios[on], SEED)
            timings[on].append(timed(partial(_finish, simulation, scenario.num_steps)))
            result = simulation.result()
            orders, moments = int(result.outcome.sum()), max(moments, len(result.contagion))
            del simulation, result
            gc.collect()
    ratios = [on.cpu / off.cpu for on, off in zip(timings[True], timings[False], strict=True)]
    for on, system in ((False, "without contagion"), (True, "with contagion")):
        traders, length = scenario.num_traders, scenario.num_steps
        line = summary("contagion", system, traders, length, orders, timings[on])
        line |= {"num_markets": len(scenario.markets), "num_matrices": moments if on else 0}
        show(line | ({"ratio": round(median(ratios), 4)} if on else {}))


def widened(scenario: Scenario) -> Scenario:
    """Give the scenario as many markets as the workload has; the new ones copy the last."""
    names = [*scenario.markets]
    markets: dict[str, Market] = dict(scenario.markets)
    for number in range(len(names), NUM_MARKETS):
        markets[f"M{number}"] = scenario.markets[names[-1]]
    data = scenario.model_dump(mode="python", exclude_none=True)
    return Scenario.model_validate(data | {"markets": markets})


def _recording(scenario: Scenario, on: bool) -> Scenario:
    minutes = EVERY * scenario.step_minutes if on else "never"
    record = scenario.record.model_copy(update={"contagion_minutes": minutes})
    return scenario.model_copy(update={"record": record})


def _finish(simulation: Simulation, steps: int) -> RunResult:
    simulation.run(steps)
    result = simulation.result()
    if len(result.contagion):
        reproduction_number(result.contagion)
    return result

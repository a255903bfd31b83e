"""The causes workload: what it costs to record why every liquidation came.

Two scenarios, each run with `record.causes` on and off by turns in one process: the market workload
with the traders of `marketsim bench market`, in which little is liquidated, and `contagion`, in
which most of a crowd is. The clock covers all steps, the collection of the result and, where they
are recorded, the table of causes and the figures of the cascades. `ratio` is on over off by CPU
time, the median over the repetitions of each pair's ratio; a pair runs one right after the other.
"""

import gc
from functools import partial

from marketsim.bench.market import NUM_ACCOUNTS, SEED, STEPS, sized_scenario
from marketsim.bench.measure import REPETITIONS, Timing, median, show, summary, timed
from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.ties import cascade_figures
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import RunResult

#: Steps of the untimed run: enough to reach every stage.
_WARM_UP = 10


def bench(accounts: int | None, steps: int | None, repetitions: int = REPETITIONS) -> None:
    """Time both scenarios with and without causes and print the lines.

    Parameters
    ----------
    accounts, steps : int, optional
        Size of the market workload; `contagion` keeps its own traders and runs `steps`, if given.
    """
    ordinary = sized_scenario(accounts or NUM_ACCOUNTS, steps or STEPS)
    for scenario in (ordinary, load_scenario("contagion")):
        _compare(scenario, min(steps or scenario.num_steps, scenario.num_steps), repetitions)


def _compare(scenario: Scenario, steps: int, repetitions: int) -> None:
    timings: dict[bool, list[Timing]] = {True: [], False: []}
    orders = liquidations = 0
    scenarios = {on: _recording(scenario, on) for on in timings}
    _finish(Simulation(scenarios[True], SEED), min(_WARM_UP, steps))
    for repetition in range(repetitions):
        # The first of a pair finds the caches as the pair before left them: take turns.
        for on in (True, False) if repetition % 2 else (False, True):
            simulation = Simulation(scenarios[on], SEED)
            timings[on].append(timed(partial(_finish, simulation, steps)))
            result = simulation.result()
            orders, liquidations = int(result.outcome.sum()), len(result.liquidation)
            del simulation, result
            gc.collect()
    ratios = [on.cpu / off.cpu for on, off in zip(timings[True], timings[False], strict=True)]
    for on, system in ((False, "without causes"), (True, "with causes")):
        line = summary("causes", system, scenario.num_traders, steps, orders, timings[on])
        line |= {"scenario": scenario.name, "liquidations": liquidations}
        show(line | ({"ratio": round(median(ratios), 4)} if on else {}))


def _recording(scenario: Scenario, on: bool) -> Scenario:
    record = scenario.record.model_copy(update={"causes": on})
    return scenario.model_copy(update={"record": record})


def _finish(simulation: Simulation, steps: int) -> RunResult:
    simulation.run(steps)
    result = simulation.result()
    if simulation.scenario.record.causes:
        tabulate_causes(result)
        cascade_figures(result)
    return result

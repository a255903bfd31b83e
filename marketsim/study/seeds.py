"""The statistics of a scenario over many seeds, run in worker processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from marketsim.engine.index import update_index
from marketsim.engine.spot import move_spot
from marketsim.engine.state import NONE
from marketsim.model.opening import open_simulation
from marketsim.scenario.schema import Scenario
from marketsim.streams import draw_news
from marketsim.study.emergent_statistics import emergent_statistics
from marketsim.study.input_statistics import Values, input_statistics
from marketsim.study.window import check_grid, window_of_prices, window_of_result
from marketsim.sweep.pool import WorkerPool
from marketsim.tape.result import RunResult

if TYPE_CHECKING:
    from marketsim.run.progress import Progress
    from marketsim.run.simulation import Simulation

T = TypeVar("T")


def measure_seeds(
    scenario: Scenario,
    seeds: Sequence[int],
    *,
    spot_only: bool = False,
    workers: int = 1,
    progress: "Progress | None" = None,
) -> list[Values]:
    """Run a scenario with several seeds and measure the window at the end of each.

    Parameters
    ----------
    scenario : Scenario
    seeds : sequence of int
    spot_only : bool, optional
        Move the spot prices alone: no trader decides, and returns are those of the index.
    workers : int, optional
        Processes.
    progress : callable, optional
        Called after every run with how many are done and how many there are.

    Returns
    -------
    list of dict
        The statistics of each seed, in the order of the seeds.

    Raises
    ------
    WindowError
        If the runs are too short, or their rows too far apart.
    ArithmeticError
        If the books of a run do not balance.
    ValueError
        If spot alone is asked for where it answers to the traders.
    """
    if spot_only and scenario.spot.reflexivity > 0.0:
        raise ValueError("spot.reflexivity is above 0: spot prices answer to what traders do")
    rows = scenario.step_minutes if spot_only else scenario.record.series_minutes
    days = scenario.num_steps * scenario.step_minutes / 1440.0
    check_grid(days, max(rows, scenario.step_minutes))
    measure = partial(measure_spot if spot_only else measure_run, scenario)
    return over_seeds(measure, seeds, workers, progress)


def over_seeds(
    measure: Callable[[int], T],
    seeds: Sequence[int],
    workers: int = 1,
    progress: "Progress | None" = None,
) -> list[T]:
    """Measure every seed in worker processes; what is returned keeps the order of the seeds.

    Parameters
    ----------
    measure : callable
        Called with a seed, with more than one worker in another process.
    seeds : sequence of int
    workers : int, optional
        Processes; 1 is this one.
    progress : callable, optional
        Called after every seed with how many are done and how many there are.

    Raises
    ------
    concurrent.futures.BrokenExecutor
        If no worker can be started, as by a script that does not say ``if __name__ ==
        "__main__":``.
    """
    num_workers = min(workers, len(seeds))
    if num_workers == 1:
        done = []
        for seed in seeds:
            done.append(measure(seed))
            if progress is not None:
                progress(len(done), len(seeds))
        return done
    found: dict[int, T] = {}
    with WorkerPool(num_workers) as pool:
        waiting = {pool.submit(measure, seed): seed for seed in seeds}
        try:
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
                if progress is not None:
                    progress(len(found), len(seeds))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # the others would be made in vain
            raise
    return [found[seed] for seed in seeds]


def measure_run(scenario: Scenario, seed: int) -> Values:
    """Run a scenario to its end and measure the window there."""
    window = window_of_result(run_to_end(scenario, seed))
    return {**input_statistics(window), **emergent_statistics(window)}


def run_to_end(scenario: Scenario, seed: int) -> RunResult:
    """Run a scenario to its end; raise ArithmeticError if its books do not balance."""
    simulation = open_simulation(scenario, seed)
    simulation.run(simulation.num_steps)
    result = simulation.result()
    if result.conservation_error:
        raise ArithmeticError(
            f"seed {seed}: the books are off by {result.conservation_error} atoms"
        )
    return result


def measure_spot(scenario: Scenario, seed: int) -> Values:
    """Measure the window of index prices that a run would have, without its traders."""
    simulation: Simulation = open_simulation(scenario, seed)
    world, state = simulation.world, simulation.state
    price = np.empty((simulation.num_steps, len(state.market)))
    for t in range(len(price)):
        draw_news(seed, t, world)
        if move_spot(world, state, t) != NONE or update_index(world, state, t) != NONE:
            raise ArithmeticError(f"seed {seed}: a price left its range in step {t}")
        price[t] = state.market["index_price"]
    names = simulation.market_names
    return input_statistics(window_of_prices(price, names, scenario.step_minutes))

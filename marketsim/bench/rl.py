"""The rl workload: what a learner that decides in every step costs beside the market it is in.

Two markets: the floor of the learning tasks, a hundred traders in one market, and `quickstart` with
one trader more. *one learner* plays an episode of so many steps; `env_steps_per_cpu_s` is what that
comes to, `ratio` the time over that of the bare run, `reset_ms` the CPU time of a reset with a new
seed. *64 learners* play as many markets side by side, a kernel call a step; their `ratio` is the
market steps in a second of CPU over those of the same markets side by side with nobody learning,
and `ratio_to_runs` over those of runs that go one after the other without a stop. The measurements
take turns; figures are medians over the repetitions.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from marketsim.bench.measure import Timing, median, show, summary, timed
from marketsim.rl.perp_env import PerpEnv
from marketsim.rl.table import Table
from marketsim.rl.tasks import SCENARIOS
from marketsim.rl.vector import PerpVectorEnv
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario

SEED = 1
STEPS = 1_000
#: Steps of the markets side by side: they are many.
FEW_STEPS = 100
STACKED = 64
RESETS = 50
REPETITIONS = 5
#: Lets a learner join a scenario.
JOIN = [("populations.me.strategy", "manual"), ("populations.me.count", "1")]


def bench(accounts: int | None, steps: int | None) -> None:  # noqa: ARG001  the markets are given
    """Make all measurements and print their lines."""
    for scenario in (
        load_scenario(SCENARIOS / "floor.toml"),
        load_scenario("quickstart", JOIN),
    ):
        _measure_one(scenario, steps or STEPS)
        _measure_many(scenario, min(steps or FEW_STEPS, FEW_STEPS))


def _measure_one(scenario: Scenario, steps: int) -> None:
    """Time one learner that holds random positions."""
    env = PerpEnv(scenario, decide_every=scenario.step_minutes)
    env.reset(seed=SEED)
    size = len(scenario.markets)
    draws = np.random.default_rng(SEED).uniform(-0.2, 0.2, (steps, size)).astype(np.float32)
    _act(env, draws[:2])
    timings = _in_turns(
        lambda: partial(_act, _fresh(env), draws),
        lambda: partial(Simulation(scenario, SEED).run, steps),
    )
    orders = int(env.result().outcome.sum())
    resets = [timed(partial(env.reset, seed=seed)).cpu for seed in range(RESETS)]
    learner, bare = (median(each.cpu for each in timing) for timing in timings)
    line = summary("rl", "one learner", scenario.num_traders, steps, orders, timings[0])
    figures = {
        "num_markets": size,
        "env_steps_per_cpu_s": round(steps / learner),
        "ratio": round(learner / bare, 3),
        "reset_ms": round(1e3 * median(resets), 3),
    }
    show(line | figures)


def _measure_many(scenario: Scenario, steps: int) -> None:
    """Time many learners side by side, the same markets without them, and runs by themselves."""
    env = PerpVectorEnv(STACKED, scenario, decide_every=scenario.step_minutes)
    still = np.zeros((STACKED, len(scenario.markets)), np.float32)
    alone = Table(scenario, [], 1, size=STACKED)
    env.reset(seed=SEED)
    env.step(still)

    def seats() -> Callable[[], object]:
        env.reset(seed=SEED)
        return partial(_again, partial(env.step, still), steps)

    def stand() -> Callable[[], object]:
        for n in range(STACKED):
            alone.open(n, SEED + n)
        return partial(_again, alone.play, steps)

    def go() -> Callable[[], object]:
        runs = [Simulation(scenario, SEED + n) for n in range(STACKED)]
        return partial(_each, runs, steps)

    timings = _in_turns(seats, stand, go)
    learners, bare, runs = (median(each.cpu for each in timing) for timing in timings)
    orders = sum(int(env.run_of(n).result().outcome.sum()) for n in range(STACKED))
    line = summary("rl", f"{STACKED} learners", scenario.num_traders, steps, orders, timings[0])
    figures = {
        "num_markets": len(scenario.markets),
        "env_steps_per_cpu_s": round(STACKED * steps / learners),
        "ratio": round(bare / learners, 3),
        "ratio_to_runs": round(runs / learners, 3),
    }
    show(line | figures)


def _in_turns(*prepare: Callable[[], Callable[[], object]]) -> list[list[Timing]]:
    """Time what each prepares, in turns."""
    timings: list[list[Timing]] = [[] for _ in prepare]
    for _ in range(REPETITIONS):
        for timing, make in zip(timings, prepare, strict=True):
            timing.append(timed(make()))
    return timings


def _again(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def _each(runs: list[Simulation], steps: int) -> None:
    for run in runs:
        run.run(steps)


def _fresh(env: PerpEnv) -> PerpEnv:
    env.reset(seed=SEED)
    return env


def _act(env: PerpEnv, actions: Any) -> None:
    """Play on, beginning anew where an episode ends."""
    for action in actions:
        *_, is_out, has_ended, _ = env.step(action)
        if is_out or has_ended:
            env.reset(seed=SEED)

"""The own workload: what a call into a user's own trader costs beyond the trader's own work.

A market of built-in traders, alone and with traders of a user's own who wake in every step: a
vectorised strategy of one trader, one plain trader, and a hundred plain ones. Each reads prices and
its account and trades to a new position. `call_us` is the CPU time by which the run is longer than
the run without them, over the number of calls, less `work_us`: the same arithmetic on plain arrays
or numbers, timed by itself. What is left is the stop of the kernels, what the trader is shown, its
orders, and their way through the market. The runs take turns; figures are medians over the
repetitions.
"""

import gc
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from marketsim.agents.own import Strategy
from marketsim.bench.market import NUM_ACCOUNTS, SEED, sized_scenario
from marketsim.bench.measure import REPETITIONS, Timing, median, show, summary, timed
from marketsim.model.market import PerpMarket
from marketsim.model.trader import Trader
from marketsim.scenario.schema import Scenario

STEPS = 1_000
#: Steps of the untimed run: enough to reach every stage.
_WARM_UP = 10
#: A mean wait of so few steps ends in the next one.
_AT_ONCE = 1e-6
#: Times the arithmetic is repeated to be timed.
_WORK = 2_000


def wanted_sizes(premium: Any, mid: Any, equity: Any) -> Any:
    """Work of the vectorised strategy: positions against the premium, coins."""
    usd = 0.1 * equity[:, None] / len(mid)
    return np.where(premium > 0.0, -usd, usd) / mid


def wanted_size(premium: float, mid: float, equity: float) -> float:
    """Work of the plain trader: a position against the premium, coins."""
    return -0.1 * math.copysign(equity, premium) / mid


class Vectorised(Strategy):
    """Stands against the premium in all markets."""

    def decide(self, market: Any, traders: Any) -> None:
        """Move to the positions the last premium asks for."""
        traders.move_to(wanted_sizes(market.premium, market.mid, traders.equity))


class Single(Trader):
    """Stands against the premium in one market."""

    def step(self) -> None:
        """Move to the position the last premium asks for."""
        market, name = self.model, self.model.markets[0]
        wanted = wanted_size(market.premium(name), market.mid_price(name), self.equity)
        self.order(name, wanted - self.size(name))


def bench(accounts: int | None, steps: int | None, repetitions: int = REPETITIONS) -> None:
    """Time the market alone and with each kind of own traders, and print the lines.

    Parameters
    ----------
    accounts, steps : int, optional
    """
    length = steps or STEPS
    ordinary = sized_scenario(accounts or NUM_ACCOUNTS, length)
    array, number = np.full(len(ordinary.markets), 1e-4), 1e-4
    works = {
        Vectorised: partial(wanted_sizes, array, array, np.full(1, 1e4)),
        Single: partial(wanted_size, number, number, 1e4),
    }
    cases: list[tuple[str, type, int]] = [
        ("vectorised", Vectorised, 1),
        ("plain", Single, 1),
        ("100 plain", Single, 100),
    ]
    scenarios = [ordinary, *(_with_own(ordinary, count) for _, _, count in cases)]
    classes = [None, *(own for _, own, _ in cases)]
    for scenario, own in zip(scenarios, classes, strict=True):
        _new(scenario, own).run(min(_WARM_UP, length))
    timings: list[list[Timing]] = [[] for _ in scenarios]
    orders = [0 for _ in scenarios]
    for _ in range(repetitions):
        for n, (scenario, own) in enumerate(zip(scenarios, classes, strict=True)):
            model = _new(scenario, own)
            timings[n].append(timed(partial(model.run, length)))
            orders[n] = int(model.result().outcome.sum())
            del model
            gc.collect()
    show(summary("own", "without own traders", ordinary.num_traders, length, orders[0], timings[0]))
    for n, (name, own, count) in enumerate(cases, 1):
        extra = [mine.cpu - alone.cpu for mine, alone in zip(timings[n], timings[0], strict=True)]
        work = _work_us(works[own])
        line = summary("own", name, scenarios[n].num_traders, length, orders[n], timings[n])
        call = 1e6 * float(np.median(extra)) / (length * count) - work
        show(line | {"call_us": round(call, 1), "work_us": round(work, 1)})


def _work_us(work: Callable[[], object]) -> float:
    """Time the arithmetic of one call."""
    spans = []
    for _ in range(REPETITIONS):
        began = time.process_time()
        for _ in range(_WORK):
            work()
        spans.append((time.process_time() - began) / _WORK)
    return 1e6 * median(spans)


def _with_own(scenario: Scenario, count: int) -> Scenario:
    data = scenario.model_dump(mode="python", exclude_none=True)
    own = {"strategy": "own", "count": count, "capital": 1e4, "attention": _AT_ONCE}
    return Scenario.model_validate(data | {"populations": {**data["populations"], "own": own}})


def _new(scenario: Scenario, own: type | None) -> PerpMarket:
    return PerpMarket(scenario, rng=SEED, strategies={"own": own} if own else None)

"""Beside peers: the same orders in other programs, and how time grows with the size of a market.

*book* is the workload of `marketsim.bench.book` on the book alone, beside `bourse` (its vectorised
environment), which has no accounts either. *market* is the same with accounts, so that every trade
asks for margin, fees, cash and positions, beside a plain model in Mesa with an object per trader,
and beside `pams`, which has cash and positions; both models are kept with the tests. The systems
take turns in one process. Before the clock starts all have to make the same trades of the same
orders in the same sequence. In `pams` all that an order trades is at the price of its last trade:
of its trades the parties and sizes are compared, and that price.

What grows is the scenario `ordinary`, all stages and recording; an exponent of 1 means that twice
the size takes twice the time.
"""

import importlib.util
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from marketsim.bench.book import (
    BASE_PRICE,
    SEED,
    Bourse,
    Ladder,
    Orders,
    Ours,
    System,
    draw_orders,
    time_in_turns,
)
from marketsim.bench.market import SCENARIO, sized_scenario
from marketsim.bench.measure import median, timed
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario

NUM_ACCOUNTS = (1_000, 10_000)
#: Orders of one repetition; a plain model in Python makes some 100,000 a second.
ORDERS = 100_000
REPETITIONS = 5
_CHECKED = 40, 15  #: accounts and steps whose trades are compared
#: Steps of `pams`: every withdrawal goes through all orders, so that 10,000 traders take a minute.
_PAMS_STEPS = 5
_MODELS = Path(__file__).parents[2] / "tests" / "benchmarks"
_MINUTES_PER_DAY = 1440

#: Taker, maker, lots signed for the taker, price in ticks.
Trade: TypeAlias = tuple[int, int, int, int]
#: By trader, in the sequence of action: whether it buys, lots, price in ticks.
_Wanted: TypeAlias = dict[int, tuple[bool, int, int]]


class Modelled:
    """The workload on a model in Python that is kept with the tests."""

    name: str

    def __init__(self, num_accounts: int) -> None:
        self.market = _module_of(self.name).Market(num_accounts, BASE_PRICE)

    def run(self, orders: Orders) -> None:
        """Play the steps of `orders`."""
        for step in zip(*orders, strict=True):
            self.market.play(dict(enumerate(_listed(step))))

    def check(self) -> None:
        """Make sure that orders met.

        Raises
        ------
        RuntimeError
        """
        if not self.market.trades:
            raise RuntimeError(f"market workload: the model in {self.name} did not trade")


class Mesa(Modelled):
    """The workload on a plain model in Mesa."""

    name = "mesa"


class Pams(Modelled):
    """The workload on the runner, the order book and the accounts of `pams`."""

    name = "pams"


def bench(accounts: int | None, steps: int | None, repetitions: int = REPETITIONS) -> None:
    """Compare with what is installed, then let the market grow; print two tables in Markdown."""
    bourse = [Bourse] if _found("bourse", "pip install bourse") else []
    pams = _found("pams", "pip install --no-deps pams") and _MODELS.is_dir()
    if not _MODELS.is_dir():
        sys.stderr.write(f"the models in Mesa and pams are left out: there is no {_MODELS}\n")
    check_trades()
    _say(
        "| workload | system | accounts | steps | orders per CPU second | marketsim is faster by |"
    )
    _say("| --- | --- | ---: | ---: | ---: | ---: |")
    sizes = (accounts,) if accounts else NUM_ACCOUNTS
    for num_accounts in sizes:
        _compare("book", [Ladder, *bourse], num_accounts, steps, repetitions)
    for num_accounts in sizes:
        mesa = [Mesa] if _MODELS.is_dir() else []
        _compare("market", [Ours, *mesa], num_accounts, steps, repetitions)
    if pams:
        few = min(steps or _PAMS_STEPS, _PAMS_STEPS)
        _compare("market", [Ours, Pams], sizes[0], few, repetitions)
    _say("")
    _say("| what grows | from | to | CPU seconds | exponent |")
    _say("| --- | ---: | ---: | --- | ---: |")
    for what, scenarios in _growing(accounts or NUM_ACCOUNTS[0], steps or _MINUTES_PER_DAY):
        _grow(what, scenarios, repetitions)


def check_trades() -> None:
    """Make sure that every system makes the same trades of the same orders in the same sequence.

    Raises
    ------
    RuntimeError
    """
    num_accounts, steps = _CHECKED
    ours = Ours(num_accounts)
    others: dict[str, Callable[[_Wanted], list[Trade]]] = {}
    if importlib.util.find_spec("bourse") is not None:
        others["bourse"] = _BourseBook().trades
    for model in (Mesa, Pams):
        if _MODELS.is_dir() and importlib.util.find_spec(model.name) is not None:
            others[model.name] = partial(_trades_of, model(num_accounts).market)
    orders = draw_orders(num_accounts, steps, SEED)
    for number, step in enumerate(zip(*orders, strict=True)):
        ours.step(*step)
        fills = ours.state.fill[: ours.state.totals[0].num_fills]
        columns = [fills[name].tolist() for name in ("taker", "maker", "size", "price")]
        made: list[Trade] = list(zip(*columns, strict=True))
        # Who acts first takes the first order, in place of an order of its own.
        wanted = dict(zip(map(int, ours.sequence), _listed(step), strict=True))
        for name, trades in others.items():
            expected = _at_last_prices(made) if name == "pams" else made
            if trades(wanted) != expected:
                raise RuntimeError(f"{name} trades otherwise than marketsim in step {number}")


def _at_last_prices(trades: list[Trade]) -> list[Trade]:
    """Return the trades of a step with all that an order trades at the price of its last trade."""
    last = {taker: price for taker, _, _, price in trades}
    return [(taker, maker, size, last[taker]) for taker, maker, size, _ in trades]


class _BourseBook:
    """The order book of `bourse`, which takes orders one by one."""

    def __init__(self) -> None:
        import bourse

        self.book = bourse.core.OrderBook(0, 1)
        self.owner: dict[int, int] = {}
        self.resting: dict[int, int] = {}
        self.seen = 0
        self.time = 0

    def trades(self, wanted: _Wanted) -> list[Trade]:
        """Play a step; return its trades."""
        for i, (is_buy, size, price) in wanted.items():
            self.time += 1
            self.book.set_time(self.time)
            if i in self.resting:
                self.book.cancel_order(self.resting[i])
            self.resting[i] = self.book.place_order(is_buy, size, i, price)
            self.owner[self.resting[i]] = i
        every = self.book.get_trades()
        new, self.seen = every[self.seen :], len(every)
        return [self._trade(*trade) for trade in new]

    def _trade(self, _: int, buys: bool, price: int, size: int, taker: int, maker: int) -> Trade:
        """Return a trade; `bourse` tells whether the order that was there buys."""
        return self.owner[taker], self.owner[maker], -size if buys else size, price


def _trades_of(market: Any, wanted: _Wanted) -> list[Trade]:
    market.play_in_order(wanted)
    return [tuple(trade) for trade in market.trades]


def _module_of(system: str) -> Any:
    """Import a model that is no part of the package."""
    name = f"marketsim_{system}_market"
    if name not in sys.modules:
        path = _MODELS / f"{system}_market.py"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{path} is no module")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _found(package: str, how: str) -> bool:
    """Tell whether a package is installed, and say so if not."""
    if importlib.util.find_spec(package) is not None:
        return True
    sys.stderr.write(f"{package} is not installed and is left out ({how})\n")
    return False


def _listed(step: Any) -> list[tuple[bool, int, int]]:
    """Return the orders of a step as Python numbers."""
    return list(zip(*(each.tolist() for each in step), strict=True))


def _compare(
    workload: str,
    systems: list[Callable[[int], System]],
    num_accounts: int,
    given_steps: int | None,
    repetitions: int,
) -> None:
    steps = given_steps or max(ORDERS // num_accounts, 5)
    names, timings = time_in_turns(systems, num_accounts, steps, repetitions)
    for name, each in zip(names, timings, strict=True):
        speed = num_accounts * steps / median(one.cpu for one in each)
        # Each repetition against its neighbour: what disturbs the machine disturbs both.
        ratio = median(a.cpu / max(b.cpu, 1e-9) for a, b in zip(each, timings[0], strict=True))
        beside = f"{ratio:,.1f} ×" if each is not timings[0] else ""
        shown = name if each is not timings[0] else "marketsim"
        size = f"{num_accounts:,} | {steps:,}"
        _say(f"| {workload} | {shown} | {size} | {speed:,.0f} | {beside} |")


def _growing(accounts: int, steps: int) -> list[tuple[str, dict[int, Scenario]]]:
    """List what grows, and the scenarios of its sizes."""
    traders = {n: sized_scenario(n, steps) for n in (accounts, 2 * accounts, 4 * accounts)}
    times = {n: sized_scenario(accounts, n) for n in (steps, 2 * steps, 4 * steps)}
    markets = {n: _with_markets(n, steps) for n in (3, 6, 12)}
    return [("traders", traders), ("markets", markets), ("steps", times)]


def _with_markets(number: int, steps: int) -> Scenario:
    """Load the scenario with more markets, each like the last."""
    text = "{ price = 200.0, tick_size = 0.01, lot_size = 0.1, maker_fee = 0.0 }"
    more = [(f"markets.M{n}", text) for n in range(4, number + 1)]
    return load_scenario(SCENARIO, [*more, ("days", repr(steps / _MINUTES_PER_DAY))])


def _grow(what: str, scenarios: dict[int, Scenario], repetitions: int) -> None:
    """Time the sizes in turns; print their times and the exponent that fits them best."""
    spent: dict[int, list[float]] = {size: [] for size in scenarios}
    for _ in range(repetitions):
        for size, scenario in scenarios.items():
            simulation = Simulation(scenario, SEED)
            spent[size].append(timed(partial(simulation.run, simulation.num_steps)).cpu)
    seconds = {size: median(each) for size, each in spent.items()}
    sizes = [math.log(size) for size in seconds]
    exponent = np.polyfit(sizes, [math.log(each) for each in seconds.values()], 1)[0]
    shown = ", ".join(f"{each:.2f}" for each in seconds.values())
    _say(f"| {what} | {min(seconds):,} | {max(seconds):,} | {shown} | {exponent:.2f} |")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

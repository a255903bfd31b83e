"""The book workload: everybody replaces a limit order in every step, here and in `bourse`.

Each step every one of N agents, in random order, withdraws its previous order and submits one
limit order: side random, size uniform on 1..5 lots, price P0 - d to buy and P0 + d to sell with d
uniform on -10..40 ticks.

Timed, for both systems: whole steps, from arrays of sides, sizes and prices to the trades. Both
get the same arrays, drawn before the clock starts, and both draw the random order of action while
it runs. Ours goes through `clearing.place_order`: initial margin of both parties of a trade is
checked; positions, cash, fees and the cause of every entry are booked. `bourse` (its vectorised
environment) has no accounts. Both keep the trades. Withdrawals are not counted as orders. The
first steps, which fill the book and touch the memory for the first time, are not timed.

The *ladder* is our own book without accounts: orders are withdrawn, meet and rest, and nobody has
margin, cash, positions or fees. Its trades are the same, which is made sure of first.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from marketsim.bench.measure import REPETITIONS, Timing, median, show, summary, timed
from marketsim.engine import book, clearing, ledger, mark, matching, near
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.allocation import allocate
from marketsim.engine.state import ATOMS, NONE, ONE, Outcome, State, widen

NUM_ACCOUNTS = (1_000, 10_000, 100_000)
#: Orders of one repetition, shared out over the steps.
ORDERS = 1_000_000
SEED = 1

#: P0, ticks.
BASE_PRICE = 100_000
_NEAREST, _FURTHEST = -10, 40
_LARGEST = 5
_WARM_UP = 2
_DEPOSIT = 1_000_000 * ATOMS


class Orders(NamedTuple):
    """The order of every agent in every step; all shapes are (steps, N)."""

    is_buy: Any
    size: Any  #: lots
    price: Any  #: ticks


def draw_orders(num_accounts: int, steps: int, seed: int) -> Orders:
    """Draw the workload."""
    rng = np.random.default_rng(seed)
    shape = steps, num_accounts
    is_buy = rng.integers(0, 2, shape, np.uint8).astype(bool)
    size = rng.integers(1, _LARGEST + 1, shape, np.uint32)
    distance = rng.integers(_NEAREST, _FURTHEST + 1, shape, np.int32)
    price = np.where(is_buy, BASE_PRICE - distance, BASE_PRICE + distance).astype(np.uint32)
    return Orders(is_buy, size, price)


class System(Protocol):
    """A program that the workload is timed on."""

    name: str

    def run(self, orders: Orders) -> None:
        """Play the steps of `orders`."""

    def check(self) -> None:
        """Make sure that orders met."""


class Ours:
    """The workload on this engine."""

    name = "marketsim"

    def __init__(self, num_accounts: int) -> None:
        self.state = _new_market(num_accounts)
        self.sequence = np.arange(num_accounts)
        self.chance = SEED
        self.placed = 0

    def run(self, orders: Orders) -> None:
        """Play the steps of `orders`."""
        for is_buy, size, price in zip(*orders, strict=True):
            self.step(is_buy, size, price)
        self.placed += orders.size.size

    def step(self, is_buy: Any, size: Any, price: Any) -> None:
        """Play one step."""
        self.chance = play_step(self.state, self.sequence, self.chance, is_buy, size, price)

    def check(self) -> None:
        """Make sure that every order was accepted and that the books balance.

        Raises
        ------
        RuntimeError
        """
        accepted = int(self.state.totals[0].outcome[Outcome.ACCEPTED.value])
        if accepted != self.placed or ledger.conservation_error(self.state) != 0:
            raise RuntimeError(f"book workload: {accepted} of {self.placed} orders accepted")


class Ladder(Ours):
    """The workload on the book of this engine alone."""

    name = "ladder"

    def step(self, is_buy: Any, size: Any, price: Any) -> None:
        """Play one step."""
        self.chance = play_ladder_step(self.state, self.sequence, self.chance, is_buy, size, price)

    def check(self) -> None:
        """Make sure that orders met.

        Raises
        ------
        RuntimeError
        """
        if self.state.totals[0].num_fills == 0:
            raise RuntimeError("book workload: the ladder did not trade")


class Bourse:
    """The workload on the vectorised environment of `bourse`."""

    name = "bourse"

    def __init__(self, num_accounts: int) -> None:
        import bourse

        # Time stamps of one step must not run into the next one's: they are its queue priority.
        step_size = 4 * num_accounts
        self.env = bourse.core.StepEnvNumpy(SEED, 0, 1, step_size)
        self.traders = np.arange(num_accounts, dtype=np.uint32)
        self.resting: Any = None

    def run(self, orders: Orders) -> None:
        """Play the steps of `orders`."""
        for is_buy, size, price in zip(*orders, strict=True):
            if self.resting is not None:
                self.env.submit_cancellations(self.resting)
            self.resting = self.env.submit_limit_orders((is_buy, size, self.traders, price))
            self.env.step()

    def check(self) -> None:
        """Make sure that orders met.

        Raises
        ------
        RuntimeError
        """
        if not self.env.get_trades():
            raise RuntimeError("book workload: bourse did not trade")


def _new_market(num_accounts: int) -> State:
    """Make one market: 5 % initial margin, 2.5 % maintenance, taker fee 5 bp, maker rebate 1 bp."""
    state = allocate(
        num_accounts, 1, num_accounts + 1, num_orders=num_accounts + 1, num_fills=5 * num_accounts
    )
    market = state.market[0]
    market.tick_atoms = 100
    market.tick_size = 0.1
    market.lot_size = 0.001
    market.mark_ticks = BASE_PRICE
    market.taker_fee = 500_000
    market.maker_fee = -100_000
    tier = state.tier[0, 0]
    tier.initial_fraction = ONE // 20
    tier.maintenance_fraction = ONE // 40
    state.venue[0].spot_haircut = ONE
    state.totals[0].record_fills = 1
    state.totals[0].deposits = num_accounts * _DEPOSIT
    state.pool["cash"][:num_accounts] = _DEPOSIT
    return state


@kernel
def play_step(state: State, sequence: Any, chance: int, is_buy: Any, size: Any, price: Any) -> int:
    """Let every agent in random order replace its order by the next one drawn.

    Overwrites `sequence`; `chance` is the state of a generator good enough to shuffle, and
    returned as it is afterwards.
    """
    m = widen(0)
    none = widen(0)
    chance = begin_step(state, sequence, chance)
    for n in range(len(sequence)):
        fetch_ahead(state, sequence, n)
        i = sequence[n]
        book.withdraw_orders(state, i, m, none)
        lots = widen(size[n])
        outcome = clearing.place_order(
            state, i, m, lots if is_buy[n] else -lots, widen(price[n]), none, none
        )
        state.totals[0].outcome[outcome] += 1
    return chance


@kernel
def play_ladder_step(
    state: State, sequence: Any, chance: int, is_buy: Any, size: Any, price: Any
) -> int:
    """Do what `play_step` does on the book alone."""
    chance = begin_step(state, sequence, chance)
    for n in range(len(sequence)):
        fetch_ahead(state, sequence, n)
        book.withdraw_orders(state, sequence[n], 0, 0)
        side = 1 if is_buy[n] else -1
        place_bare(state, sequence[n], side, widen(size[n]), widen(price[n]))
    return chance


@inlined
def place_bare(state: State, i: int, side: int, size: int, price: int) -> None:
    """Bring one order to the book of the first market: it meets others, and what is left rests."""
    left = size
    while left > 0:
        k = matching.next_maker(state, i, 0, side, price)
        if k == NONE:
            break
        order = state.order[k]
        lots = min(left, order.size)
        fill = state.fill[state.totals[0].num_fills]
        fill.step = state.totals[0].step
        fill.market = 0
        fill.taker = i
        fill.maker = order.account
        fill.size = side * lots
        fill.price = order.price
        state.totals[0].num_fills += 1
        book.reduce_order(state, k, lots)
        left -= lots
    if left > 0:
        book.add_order(state, i, 0, side, left, price, state.market[0].mid2, 0, 0)


@kernel
def begin_step(state: State, sequence: Any, chance: int) -> int:
    """Shuffle the agents; return what the generator stands at."""
    state.totals[0].num_fills = 0
    mark.snapshot_mid(state)
    for n in range(len(sequence) - 1, 0, -1):
        chance = (chance * 1_103_515_245 + 12_345) & (2**31 - 1)
        pick = chance * (n + 1) >> 31
        sequence[n], sequence[pick] = sequence[pick], sequence[n]
    return chance


@inlined
def fetch_ahead(state: State, sequence: Any, n: int) -> None:
    """Ask for what the agents after the `n`-th need, if they are many."""
    if len(sequence) >= near.MANY_ACCOUNTS and n + near.FAR < len(sequence):
        near.prefetch_account(state, sequence[n + near.FAR])
        near.prefetch_order(state, sequence[n + near.MIDDLE], 0)
        near.prefetch_neighbours(state, sequence[n + near.CLOSE], 0)


def compare_fills(num_accounts: int = 50, steps: int = 20) -> None:
    """Make sure that accounts change no trade.

    Raises
    ------
    RuntimeError
    """
    ours, ladder = Ours(num_accounts), Ladder(num_accounts)
    orders = draw_orders(num_accounts, steps, SEED)
    for step in range(steps):
        now = Orders(*(each[step : step + 1] for each in orders))
        fills = []
        for system in (ours, ladder):
            system.run(now)
            fills.append(system.state.fill[: system.state.totals[0].num_fills])
        if not np.array_equal(fills[0], fills[1]):
            raise RuntimeError(f"book workload: the ladder trades otherwise in step {step}")


def bench(accounts: int | None, steps: int | None, repetitions: int = REPETITIONS) -> None:
    """Time the workload on every system there is, in turns, and print the lines."""
    systems: list[Callable[[int], System]] = [Ours, Ladder]
    if importlib.util.find_spec("bourse") is not None:
        systems.append(Bourse)
    else:
        sys.stderr.write("bourse is not installed: only marketsim is timed (pip install bourse)\n")
    compare_fills()
    first = 0.0
    for num_accounts in (accounts,) if accounts else NUM_ACCOUNTS:
        num_steps = steps or max(ORDERS // num_accounts, 5)
        ours = _compare(systems, num_accounts, num_steps, repetitions)
        if first:
            label = f"marketsim / marketsim at {NUM_ACCOUNTS[0]} accounts"
            show(ours | {"system": label, "ratio": round(ours["orders_per_cpu_s"] / first, 3)})
        first = first or ours["orders_per_cpu_s"]


def time_in_turns(
    systems: Sequence[Callable[[int], System]], num_accounts: int, steps: int, repetitions: int
) -> tuple[list[str], list[list[Timing]]]:
    """Time the same orders on every system, in turns; return their names and all timings."""
    warm_up = draw_orders(num_accounts, _WARM_UP, SEED)
    orders = draw_orders(num_accounts, steps, SEED + 1)
    timings: list[list[Timing]] = [[] for _ in systems]
    names = [""] * len(systems)
    for _ in range(repetitions):
        for s, new_system in enumerate(systems):
            system = new_system(num_accounts)
            system.run(warm_up)
            timings[s].append(timed(partial(system.run, orders)))
            system.check()
            names[s] = system.name
    return names, timings


def _compare(
    systems: Sequence[Callable[[int], System]], num_accounts: int, steps: int, repetitions: int
) -> dict[str, Any]:
    """Time one size; return the line of the first system."""
    names, timings = time_in_turns(systems, num_accounts, steps, repetitions)
    lines = [
        summary("book", name, num_accounts, steps, num_accounts * steps, each)
        for name, each in zip(names, timings, strict=True)
    ]
    for line in lines:
        show(line)
    for s in range(1, len(systems)):
        # Each repetition against its neighbour: what disturbs the machine disturbs both.
        pairs = zip(timings[s], timings[0], strict=True)
        ratio = median(theirs.cpu / ours.cpu for theirs, ours in pairs)
        label = f"{names[0]} / {names[s]}"
        show(lines[0] | {"system": label, "ratio": round(ratio, 3)})
    return lines[0]

"""The hints workload: what each hint of `marketsim.engine.near` gains, and what aligning does.

The market and the book of the other workloads, with all hints, without each, without any, and with
records that begin anywhere instead of on a cache line; at 1,000 traders, whose records fit the
processor's caches, and at 100,000. Every variant is compiled for itself, a minute or two when it is
met first, and runs in a process of its own. All play the same
stretch of steps one after the other, then the next, so that whatever the machine does meanwhile
happens to all. A round's ratio is the median over its stretches of CPU time without the hint over
CPU time with all; every round starts new processes, because where their memory happens to lie
matters as much as a hint.

`gain_percent` is the median over the rounds, `from_percent` and `to_percent` the second smallest
and the second largest: between those of ten rounds the true median lies 97.9 times in 100.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from marketsim.bench import book
from marketsim.bench.market import SEED, sized_scenario
from marketsim.bench.measure import show, timed
from marketsim.engine import records
from marketsim.engine.near import HINTS
from marketsim.run.simulation import Simulation

NUM_ACCOUNTS = (1_000, 100_000)
#: Steps of a stretch times traders.
TRADER_STEPS = 1_000_000
#: Timed stretches of a round; one before them, which also compiles, is not.
STRETCHES = 10
ROUNDS = 10
#: What a variant is without, as `MARKETSIM_WITHOUT` says it.
_VARIANTS = {
    "all": "",
    **{hint: hint for hint in HINTS},
    "any hint": " ".join(HINTS),
    "alignment": "",
}
#: Bytes at a multiple of which NumPy's memory begins.
_UNALIGNED = 16


def market_stretches(num_accounts: int, steps: int) -> Iterator[Callable[[], object]]:
    """Make what runs the market one stretch further, again and again."""
    scenario = sized_scenario(num_accounts, steps * (STRETCHES + 1))
    simulation = Simulation(scenario, SEED)
    while True:
        yield partial(simulation.run, steps)


def book_stretches(num_accounts: int, steps: int) -> Iterator[Callable[[], object]]:
    """Make what plays one stretch of the book workload, again and again."""
    ours = book.Ours(num_accounts)
    for seed in itertools.count(SEED):
        yield partial(ours.run, book.draw_orders(num_accounts, steps, seed))


WORKLOADS = {"market": market_stretches, "book": book_stretches}


def serve(workload: str, num_accounts: int, steps: int, variant: str) -> None:
    """Play a stretch for every line read, and answer with the seconds it took."""
    if variant == "alignment":
        records.CACHE_LINE = _UNALIGNED
    stretches = WORKLOADS[workload](num_accounts, steps)
    for _, stretch in zip(sys.stdin, stretches, strict=False):
        sys.stdout.write(f"{timed(stretch).cpu}\n")
        sys.stdout.flush()


def bench(accounts: int | None, steps: int | None, rounds: int = ROUNDS) -> None:
    """Measure every hint in both workloads and print a line each."""
    sizes = (accounts,) if accounts else NUM_ACCOUNTS
    for workload, num_accounts in itertools.product(WORKLOADS, sizes):
        length = steps or max(TRADER_STEPS // num_accounts, 1)
        found = [_ratios(workload, num_accounts, length, number) for number in range(rounds)]
        for variant in _VARIANTS:
            if variant != "all":
                gains = sorted(100.0 * (ratios[variant] - 1.0) for ratios in found)
                show(
                    {
                        "workload": "hints",
                        "system": f"{workload} without {variant}",
                        "num_accounts": num_accounts,
                        "steps": length * STRETCHES,
                        "gain_percent": round(statistics.median(gains), 1),
                        "from_percent": round(gains[1], 1),
                        "to_percent": round(gains[-2], 1),
                        "rounds": rounds,
                    }
                )


def _ratios(workload: str, num_accounts: int, steps: int, number: int) -> dict[str, float]:
    """Play one round: CPU time of every variant over that with all hints."""
    # Whoever comes after another finds the processor's caches as that left them: take turns.
    order = list(_VARIANTS)[:: -1 if number % 2 else 1]
    with ExitStack() as stack:
        players = {
            variant: stack.enter_context(_start(workload, num_accounts, steps, variant))
            for variant in order
        }
        for variant in order:
            _play(players[variant])
        seconds = [
            {variant: _play(players[variant]) for variant in order} for _ in range(STRETCHES)
        ]
    return {
        variant: statistics.median(each[variant] / each["all"] for each in seconds)
        for variant in _VARIANTS
    }


def _start(workload: str, num_accounts: int, steps: int, variant: str) -> "subprocess.Popen[str]":
    arguments = json.dumps([workload, num_accounts, steps, variant])
    code = f"from marketsim.bench.hints import serve; serve(*{arguments})"
    environment = {**os.environ, "MARKETSIM_WITHOUT": _VARIANTS[variant]}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _play(player: "subprocess.Popen[str]") -> float:
    """Let a process play its next stretch; return the seconds it took."""
    assert player.stdin is not None
    assert player.stdout is not None
    player.stdin.write("\n")
    player.stdin.flush()
    answer = player.stdout.readline()
    if not answer:
        raise RuntimeError("hints workload: a process ended before it was done")
    return float(answer)

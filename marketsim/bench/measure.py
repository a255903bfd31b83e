"""Clocks, peak memory and the JSON lines of a benchmark."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

#: Repetitions of every figure; odd, so that the median is one of them.
REPETITIONS = 7


class Timing(NamedTuple):
    """What one repetition took, seconds."""

    cpu: float
    wall: float


def timed(work: Callable[[], object]) -> Timing:
    """Run `work` once by both clocks."""
    wall = time.perf_counter()
    cpu = time.process_time()
    work()
    return Timing(time.process_time() - cpu, time.perf_counter() - wall)


def peak_rss_mb() -> float | None:
    """Return the largest memory this process ever held, MiB; None where it cannot be known."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def summary(
    workload: str, system: str, num_accounts: int, steps: int, orders: int, timings: list[Timing]
) -> dict[str, Any]:
    """Sum up the repetitions of one measurement: every figure is a median.

    Parameters
    ----------
    orders : int
        Orders of one repetition.
    """
    return {
        "workload": workload,
        "system": system,
        "num_accounts": num_accounts,
        "steps": steps,
        "orders": orders,
        "orders_per_cpu_s": round(orders / median(each.cpu for each in timings)),
        "wall_s": round(median(each.wall for each in timings), 4),
        "peak_rss_mb": peak_rss_mb(),
        "repetitions": len(timings),
    }


def median(values: Iterable[float]) -> float:
    """Return the median, never zero: a clock may not see very short work."""
    return max(statistics.median(values), 1e-9)


def show(line: dict[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()

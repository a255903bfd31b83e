"""The cores of this machine, as far as they are this process's."""

import os

from marketsim.scenario.coercion import whole_number


def usable_cores() -> int:
    """Return the number of cores this process may use: in a job of SLURM's, those of the job."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(cores, max(int(granted), 1)) if granted.isdecimal() else cores


def count_workers(workers: int | None) -> int:
    """Return how many worker processes are asked for: one for every usable core, if none are.

    Raises
    ------
    TypeError, ValueError
        If it is no whole number above 0.
    """
    if workers is None:
        return usable_cores()
    if whole_number("workers", workers) < 1:
        raise ValueError(f"workers = {workers}: must be 1 or more")
    return int(workers)

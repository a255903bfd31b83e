"""The cores of this machine, as far as they are this process's."""

import os


def usable_cores() -> int:
    """Return the number of cores this process may use: in a job of SLURM's, those of the job."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(cores, max(int(granted), 1)) if granted.isdecimal() else cores

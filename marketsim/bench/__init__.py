"""How fast the engine is: the *book* workload beside a peer, the *market* workload alone.

The *causes* workload tells what recording the causes of liquidations costs.

One JSON object per line on standard output, with at least ``workload``, ``system``,
``num_accounts``, ``steps``, ``orders_per_cpu_s``, ``wall_s`` and ``peak_rss_mb``. Lines with a
``ratio`` compare the two systems their ``system`` names, or a system with the one above it.
"""

__all__ = ["main"]


def main(workload: str | None, accounts: int | None, steps: int | None) -> None:
    """Time one workload, or all, and print what was measured.

    Parameters
    ----------
    workload : {"book", "market", "causes"}, optional
        All if None.
    accounts, steps : int, optional
        Size of the workload; its own sizes by default.
    """
    from marketsim.bench import book, causes, market

    workloads = {"book": book, "market": market, "causes": causes}
    for name in [workload] if workload else workloads:
        workloads[name].bench(accounts, steps)

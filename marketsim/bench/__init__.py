"""How fast the engine is: the *book* workload beside a peer, the *market* workload alone.

One JSON object per line on standard output, with at least ``workload``, ``system``,
``num_accounts``, ``steps``, ``orders_per_cpu_s``, ``wall_s`` and ``peak_rss_mb``. Lines with a
``ratio`` compare the two systems their ``system`` names.
"""

__all__ = ["main"]


def main(workload: str | None, accounts: int | None, steps: int | None) -> None:
    """Time one workload, or both, and print what was measured.

    Parameters
    ----------
    workload : {"book", "market"}, optional
        Both if None.
    accounts, steps : int, optional
        Size of the workload; its own sizes by default.
    """
    from marketsim.bench import book, market

    if workload != "market":
        book.bench(accounts, steps)
    if workload != "book":
        market.bench(accounts, steps)

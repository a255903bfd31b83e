"""How fast the engine is: the *book* workload beside a peer, the *market* workload alone.

The *causes* workload tells what recording the causes of liquidations costs, the *contagion*
workload what watching the reproduction number does, the *own* workload what calls into users' own
traders cost, the *sweep* workload what a sweep costs beside its runs (its lines have ``runs`` in
place of accounts and steps), and the *branch* workload what copying, saving and loading a running
market does (its lines have seconds in place of orders). The *live* workload tells how fast the page
is (its lines have steps and frames a second, and bytes).

Four workloads only run when they are named: *compile* tells what a first run takes that compiles
(its lines have seconds); *rl* tells what learning agents cost beside their
markets (its lines have steps of an environment, and the time of a reset) and needs the extra
``rl``; *hints* tells what every prefetch gains (its lines have percentages); *soak* tells whether
many runs in one process take more and more memory, and whether the books of a long run are exact
(its lines have MiB and atoms).

One JSON object per line on standard output, with at least ``workload``, ``system``,
``num_accounts``, ``steps``, ``orders_per_cpu_s``, ``wall_s`` and ``peak_rss_mb``. Lines with a
``ratio`` compare the two systems their ``system`` names, or a system with the one above it.
"""

__all__ = ["main"]


def main(
    workload: str | None, accounts: int | None, steps: int | None, runs: int | None = None
) -> None:
    """Time one workload, or all, and print what was measured.

    Parameters
    ----------
    workload : str, optional
        "book", "market", "causes", "contagion", "own", "sweep", "branch", "live",
        "compile", "rl", "hints" or "soak". All but the last four if None.
    accounts, steps : int, optional
        Size of the workload; its own sizes by default.
    runs : int, optional
        Size of the sweep workload, and of the soak; first runs of the compile workload.
    """
    from marketsim.bench import book, branch, causes, contagion, hints, live, market, own, sweep

    workloads = {
        "book": book,
        "market": market,
        "causes": causes,
        "contagion": contagion,
        "own": own,
        "branch": branch,
        "live": live,
        "hints": hints,
    }
    every_time = ["book", "market", "causes", "contagion", "own", "sweep", "branch", "live"]
    for name in [workload] if workload else every_time:
        if name == "rl":
            from marketsim.bench import rl

            rl.bench(accounts, steps)
        elif name == "sweep":
            sweep.bench(runs)
        elif name == "compile":
            from marketsim.bench import compiling

            compiling.bench(runs)
        elif name == "soak":
            from marketsim.bench import soak

            soak.bench(accounts, steps, runs)
        else:
            workloads[name].bench(accounts, steps)

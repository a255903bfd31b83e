"""``marketsim bench``: how fast the engine is, beside its peers."""

from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse


class Workload(StrEnum):
    """What is timed."""

    BOOK = "book"
    MARKET = "market"
    CAUSES = "causes"
    CONTAGION = "contagion"
    OWN = "own"
    SWEEP = "sweep"
    BRANCH = "branch"
    LIVE = "live"
    COMPILE = "compile"
    RL = "rl"
    HINTS = "hints"
    SOAK = "soak"


def bench(
    workload: Annotated[
        Workload | None,
        typer.Argument(
            help="book, market, causes, contagion, own, sweep, branch, live, compile, rl, hints "
            "or soak. [default: all but the last four]"
        ),
    ] = None,
    accounts: Annotated[int | None, typer.Option(min=1, help="Number of traders.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of steps.")] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of runs of sweep, soak or compile. [default: 10,000, 1,000 or 3]",
        ),
    ] = None,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Compare book and market with bourse, a plain Mesa model and pams in turns, let "
            "the market grow, and print tables in Markdown.",
        ),
    ] = False,
) -> None:
    """Time the book, a market, own traders, causes, sweeps, copies, the page, learners, compiling.

    One JSON object per line and system.
    """
    with explained():
        from marketsim.bench import main
        from marketsim.cli.run import announce_compiling

        if workload is Workload.RL and not (find_spec("gymnasium") and find_spec("pettingzoo")):
            refuse("bench rl: gymnasium and pettingzoo are missing: pip install -e '.[rl]'")
        announce_compiling(quiet=False)
        if peers:
            if workload is not None or runs is not None:
                refuse(
                    "--peers compares book and market: it takes no workload and no --runs, "
                    "only --accounts and --steps"
                )
            from marketsim.bench.peers import bench as bench_peers

            bench_peers(accounts, steps)
            return
        main(workload.value if workload else None, accounts, steps, runs)

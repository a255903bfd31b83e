"""``marketsim replay``: a run as one HTML file that opens by double click and plays."""

from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse, say
from marketsim.cli.run import announce_compiling
from marketsim.cli.targets import choose_page
from marketsim.cli.trust import Trust, confirm_strategies


def replay(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    run2: Annotated[
        Path | None,
        typer.Argument(help="A second run folder, drawn behind it: its twin by one rule, say."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="HTML file. [default: RUN-replay.html]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Make one HTML file of a run that opens by double click and plays it, without a network.

    With two runs the second is the ghost of the first:
    `marketsim replay runs/contagion-7 runs/contagion-isolated-7 -o twins.html`.

    A run is done again from its folder and checked against what was recorded. That runs the
    strategies of your own it had; outside the current folder you are asked.
    """
    with explained():
        target = choose_page(out, run, "replay", force)
        if not target.resolve().parent.is_dir():
            refuse(f"{target}: there is no folder {target.parent}")

        from marketsim.account.rerun import read_scenario
        from marketsim.report.layout import write_text
        from marketsim.report.progress_bars import progress_bar
        from marketsim.report.replay import record_runs, replay_page
        from marketsim.results.run import load_run
        from marketsim.tape.files import check_writable

        check_writable(target)
        first = load_run(run)
        second = None if run2 is None else load_run(run2)
        for folder in (first, second):
            if folder is not None:
                confirm_strategies(read_scenario(folder), trust)
        announce_compiling(quiet)
        with progress_bar(first.scenario, quiet) as advance:
            recorded = record_runs(first, second, advance)
        page = replay_page(recorded)
        write_text(page, target)
        say(f"written to {target} ({len(page.encode()) / 1e6:.2f} MB): open it in a browser")

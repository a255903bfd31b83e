"""``marketsim report``: a run, a sweep or a comparison as one self-contained page."""

from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained, say
from marketsim.cli.run import announce_compiling
from marketsim.cli.targets import choose_page
from marketsim.cli.trust import Trust, confirm_strategies


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|SWEEP", help="Folder of a run, a sweep or a comparison.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="HTML file. [default: FOLDER-report.html]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Write one page of what was found: the story in numbers, figures, tables, limits, commands.

    It opens in any browser, without a network. A run that lacks what a figure needs is made again,
    in memory.
    """
    with explained():
        target = choose_page(out, folder, "report", force)

        from marketsim.report.layout import write_text
        from marketsim.report.swept_runs import is_sweep
        from marketsim.tape.files import check_writable

        check_writable(target)
        text = _sweep(folder, quiet) if is_sweep(folder) else _run(folder, trust, quiet)
        write_text(text, target)
        say(f"written to {target} ({len(text.encode()) / 1e6:.1f} MB): open it in a browser")


def _sweep(folder: Path, quiet: bool) -> str:
    from marketsim.report.progress_bars import progress_bar
    from marketsim.report.sweep_report import report_sweep

    with progress_bar("drawing", quiet, "figures") as advance:
        return report_sweep(folder, advance)


def _run(folder: Path, trust: bool, quiet: bool) -> str:
    from marketsim.account.rerun import read_scenario
    from marketsim.report.progress_bars import progress_bar
    from marketsim.report.run_report import needs_rerun, report_run
    from marketsim.results.run import load_run

    run = load_run(folder)
    if not needs_rerun(run):
        return report_run(run)
    confirm_strategies(read_scenario(run), trust)
    announce_compiling(quiet)
    with progress_bar(f"making {run.scenario} again", quiet) as advance:
        return report_run(run, advance)

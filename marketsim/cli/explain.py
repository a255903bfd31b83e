"""``marketsim explain``: an account of a finished run, its margin maths and its liquidations."""

import json
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse
from marketsim.cli.run import announce_compiling
from marketsim.cli.trust import Trust, confirm_strategies


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    account: Annotated[
        int | None,
        typer.Option(
            help="Number of the account, as in liquidations.parquet; left out, the first that were "
            "liquidated are named."
        ),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            help="Show the end of this step, from 0. [default: just before the first liquidation, "
            "else the end of the run]"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON object.")
    ] = False,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Show an account's margin maths line by line, and why and how it was liquidated.

    The run is done again from its scenario and seed up to that step, and checked against what was
    recorded. That runs the strategies of your own it had; outside the current folder you are asked.
    """
    with explained():
        from marketsim.account.explain import explain as find
        from marketsim.account.explain import liquidated_first
        from marketsim.account.rerun import read_scenario
        from marketsim.report.progress_bars import progress_bar
        from marketsim.results.run import load_run

        folder = load_run(run)
        if account is None:
            refuse(f"--account N: state the number of an account; {liquidated_first(folder)}")
        confirm_strategies(read_scenario(folder), trust)
        announce_compiling(quiet)
        with progress_bar(folder.scenario, quiet) as advance:
            found = find(folder, account, step, advance)
        if as_json:
            typer.echo(json.dumps(found.to_dict(), allow_nan=False))
            return
        from rich.console import Console

        from marketsim.report.explanation_page import render_explanation

        Console(highlight=False).print(render_explanation(found))

"""``marketsim adl``: the waves of auto-deleveraging of a run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained


def adl(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    largest: Annotated[int, typer.Option(min=1, help="How many waves to show.")] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all waves as one JSON object.")
    ] = False,
) -> None:
    """Show who was made to close when neither book nor insurance fund took what was liquidated.

    A line for each wave (all that is deleveraged in one step): what the bankrupt lacked, what was
    taken from winners for it, at once and with the marks of 5 and 60 minutes later, and the largest
    part of one account's position that was closed.
    """
    with explained():
        from marketsim.results.run import load_run
        from marketsim.results.waves import wave_figures

        loaded = load_run(run)
        waves = loaded.adl_waves()
        summary = {"scenario": loaded.scenario, "seed": loaded.seed, **wave_figures(waves)}
        if as_json:
            from marketsim.report.layout import records

            typer.echo(json.dumps(summary | {"each": records(waves)}, allow_nan=False))
            return
        from rich.console import Console

        from marketsim.report.adl_page import render_waves

        Console(highlight=False).print(render_waves(summary, waves, largest))

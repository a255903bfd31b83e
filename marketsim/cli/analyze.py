"""``marketsim analyze``: what a sweep says, as tables and figures."""

import json
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse_file


def analyze(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a sweep.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A metric or a pattern such as 'markets.*.mark_fall'; may be repeated. "
            "[default: the headline figures]"
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Variant the others are compared with. [default: the first]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of tables and figures. [default: DIR/analysis]")
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw figures as PNG files.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tables as one JSON object.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar, no tables.")
    ] = False,
) -> None:
    """Analyse a sweep: means with intervals, paired differences, sensitivities, phase tables."""
    with explained():
        from marketsim.report.findings import analysis_record, render_analysis, write_analysis
        from marketsim.report.progress_bars import progress_bar
        from marketsim.study.analysis import analyze_sweep

        target = out or folder / "analysis"
        refuse_file(target)
        with progress_bar("averaging", quiet, "cells") as advance:
            found = analyze_sweep(folder, metric, base, advance)
        with progress_bar("drawing", quiet, "figures") as advance:
            written = write_analysis(found, target, figures=figures, progress=advance)
        if as_json:
            typer.echo(json.dumps(analysis_record(found) | {"out": str(target)}, allow_nan=False))
        elif not quiet:
            from rich.console import Console

            Console().print(render_analysis(found))
            typer.echo(f"{len(written)} files written to {target}")

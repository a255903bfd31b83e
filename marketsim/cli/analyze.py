"""``marketsim analyze``: what a sweep says, as tables and figures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import explained
from marketsim.cli.run import progress_bar

if TYPE_CHECKING:
    import pandas as pd

    from marketsim.study.analysis import SweepAnalysis

#: Rows of a table that are printed; all of them are in the files.
MOST_ROWS = 30


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
        from marketsim.report.findings import write_analysis
        from marketsim.study.analysis import analyze_sweep

        with progress_bar("averaging", quiet, "cells") as advance:
            found = analyze_sweep(folder, metric, base, advance)
        target = out or folder / "analysis"
        with progress_bar("drawing", quiet, "figures") as advance:
            written = write_analysis(found, target, figures=figures, progress=advance)
        if as_json:
            typer.echo(json.dumps(_as_dict(found, target), allow_nan=False))
        elif not quiet:
            _print(found)
            typer.echo(f"{len(written)} files written to {target}")


def _as_dict(found: "SweepAnalysis", target: Path) -> dict[str, Any]:
    from marketsim.report.findings import tables
    from marketsim.report.numbers import records

    return {
        "name": found.design.name,
        "runs": found.num_runs,
        "ok": found.num_ok,
        "failed": found.num_failed,
        "metrics": found.metrics,
        **{name: records(table) for name, table in tables(found).items()},
        "out": str(target),
    }


def _print(found: "SweepAnalysis") -> None:
    from rich.console import Console

    from marketsim.report.findings import counts, phase_text, tables, title
    from marketsim.report.numbers import to_rich

    console = Console()
    console.print(f"{found.design.name}: {counts(found)}", highlight=False)
    shown = tables(found)
    # Means of a drawn design's many cells say little: its sensitivities do.
    if "sensitivities" in shown:
        del shown["means"]
    for name, table in shown.items():
        console.print(f"\n{title(found, name)}", style="bold", highlight=False)
        for metric, part in table.groupby("metric", sort=False):
            console.print(_lay_out(part, str(metric), found))
            if len(part) > MOST_ROWS:
                left = len(part) - MOST_ROWS
                console.print(f"... and {left:,} more in {name}.csv", highlight=False)
    for phase in found.phases:
        heading = f"{phase.metric}, {phase.variant}"
        console.print("", to_rich(phase_text(phase), heading, names=()))


def _lay_out(part: "pd.DataFrame", metric: str, found: "SweepAnalysis") -> Any:
    from marketsim.report.numbers import short_names, to_rich, with_intervals

    table = with_intervals(part.head(MOST_ROWS)).drop(columns="metric")
    # The parameters tell the cells apart, and a column that never changes tells nothing.
    idle = ["cell"] if found.design.parameter_names else []
    idle += [name for name in ("cell", "variant") if name in part and len(part[name].unique()) == 1]
    table = table.drop(columns=idle, errors="ignore")
    table = table.rename(columns=short_names(found.design.parameter_names))
    return to_rich(table, metric, names=("variant", "index", "parameter"))

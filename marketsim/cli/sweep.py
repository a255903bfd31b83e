"""``marketsim sweep``: a design becomes a folder of runs."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketsim.cli.errors import FAILURE, explained, refuse, say

if TYPE_CHECKING:
    from marketsim.sweep.runner import SweepReport

#: The sweep came to its end, but some of its runs failed.
SOME_FAILED = 3


def sweep(
    design: Annotated[Path, typer.Argument(help="Design, a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder of the sweep; an unfinished one goes on.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. [default: one per core]")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|slurm:FILE.toml",
            help="Make the runs on a Dask cluster: its scheduler's address, or jobs of SLURM.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N|any",
            help="Only every N-th run, from the I-th on, or any that no other driver has taken. "
            "[default in a job array: any]",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="series,events", help="Kept beside figures. [default: the design's]"),
    ] = None,
    replicates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Runs of each cell and variant; those that a sweep has are not made again. "
            "[default: the design's]",
        ),
    ] = None,
    form: Annotated[
        str | None, typer.Option(metavar="quick|full", help="Form of the design, if it has forms.")
    ] = None,
    max_failures: Annotated[
        int | None, typer.Option(min=1, help="Stop when so many runs have failed.")
    ] = None,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Make failed runs again, and those of damaged parts."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm a very large design.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Run a design on all cores; the same command goes on with an unfinished sweep.

    Exit code 3: it came to its end, but some runs failed.
    """
    with explained():
        from marketsim.engine._jit import is_compiled
        from marketsim.report.progress_bars import sweep_progress
        from marketsim.scenario.inputs import InputLog
        from marketsim.sweep.design import load_design
        from marketsim.sweep.lock import Shard, choose_shard
        from marketsim.sweep.plan import MAX_RUNS
        from marketsim.sweep.runner import (
            ExecutorLostError,
            StoreError,
            TooManyFailuresError,
            run_sweep,
        )

        with InputLog() as read:
            loaded = load_design(design, form, _split(keep), replicates)
        try:
            chosen = choose_shard(shard, os.environ)
        except ValueError as error:
            refuse(f"--shard {error}")
        if retry and chosen != Shard():
            refuse("--retry and --shard exclude each other, and so do --retry and a job array")
        if cluster is None and not quiet and not is_compiled():
            typer.echo("compiling first, this takes up to a minute ...", err=True)
        if cluster is not None and workers is not None:
            refuse("--workers and --cluster exclude each other")
        try:
            with sweep_progress(loaded.name, quiet) as advance:
                report = run_sweep(
                    loaded,
                    out,
                    workers=workers,
                    cluster=cluster,
                    shard=chosen,
                    max_failures=max_failures,
                    most_runs=None if yes else MAX_RUNS,
                    retry=retry,
                    progress=advance,
                    stated_in=read,
                )
        except KeyboardInterrupt:
            typer.echo(
                f"interrupted; what was done is in {out}, the same command goes on", err=True
            )
            raise typer.Exit(FAILURE) from None
        except (ExecutorLostError, StoreError) as error:
            say(f"stopped: {error}")
            raise typer.Exit(FAILURE) from None
        except TooManyFailuresError as error:
            say(f"stopped: {error}")
            raise typer.Exit(SOME_FAILED) from None
        _report(report, as_json)
        if report.failures:
            raise typer.Exit(SOME_FAILED)


def _split(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _report(report: "SweepReport", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.to_dict()))
        return
    from marketsim.report.sweep_page import report_lines

    typer.echo("\n".join(report_lines(report)))
    if report.failures:
        typer.echo(f"what failed: marketsim status {report.folder}", err=True)

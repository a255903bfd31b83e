"""``marketsim calibrate``: dials of a scenario fitted to target statistics."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import FAILURE, explained, refuse, say
from marketsim.cli.sweep import SOME_FAILED


def calibrate(
    targets: Annotated[
        Path, typer.Argument(metavar="TARGETS", help="Targets and dials, a TOML file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the search; an unfinished one goes on.")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Settings tried in all. [default: the file's]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. [default: one per core]")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|slurm:FILE.toml",
            help="Run on a Dask cluster: a scheduler's address, or SLURM settings.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Turn dials of a scenario until its runs have target statistics.

    The result depends on the file alone, not on the number of workers. Exit code 3: it came to its
    end, but some trials failed.
    """
    with explained():
        from marketsim.report.calibration_page import calibration_record, render_calibration
        from marketsim.report.progress_bars import progress_bar
        from marketsim.scenario.inputs import InputLog
        from marketsim.study import calibrate as search
        from marketsim.study.targets import load_targets

        if cluster is not None and workers is not None:
            refuse("--workers and --cluster exclude each other")
        with InputLog() as read:
            wanted = load_targets(targets)
        if trials is not None:
            wanted = wanted.model_copy(update={"trials": trials})
        try:
            with progress_bar(wanted.name, quiet, "runs") as advance:
                found = search.calibrate(
                    wanted,
                    out,
                    workers=workers,
                    cluster=cluster,
                    progress=advance,
                    stated_in=read,
                )
        except KeyboardInterrupt:
            typer.echo(
                f"interrupted; what was done is in {out}, the same command goes on", err=True
            )
            raise typer.Exit(FAILURE) from None
        if as_json:
            typer.echo(json.dumps(calibration_record(found), allow_nan=False))
        else:
            from rich.console import Console

            Console().print(render_calibration(found))
            typer.echo(f"the scenario is {found.folder / search.BEST_FILE}")
        failed = [trial for trial in found.trials if math.isnan(trial.distance)]
        if failed:
            text = f"{len(failed)} of {len(found.trials)} trials failed; trial {failed[0].number}: "
            say(text + failed[0].error)
            raise typer.Exit(SOME_FAILED)

"""``marketsim rerun``: one run of a sweep again, alone, as a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import FAILURE, explained
from marketsim.cli.run import DEFAULT_PARENT, simulate


def rerun(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    key: Annotated[str, typer.Argument(help="Key of the run, or its first digits.")],
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write. [default: runs/KEY, or the next free]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing run folder.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Make one run of a sweep again and compare its digest with the stored one."""
    with explained():
        from marketsim.sweep.rerun import find_run

        found = find_run(folder, key)

        from marketsim.results.folder import check_target, free_path, write_run
        from marketsim.results.summary import summarise

        target = check_target(out or free_path(DEFAULT_PARENT, found.key), force)
        result = simulate(found.scenario, found.seed, quiet)
        summary = summarise(result)
        written = write_run(result, target, force, summary=summary)
        typer.echo(f"run {found.key}, seed {found.seed}: written to {written}")
        if not found.digest:
            what = f"ended as {found.status}" if found.status else "has not been made yet"
            typer.echo(f"digest {summary['digest']}; in the sweep this run {what}")
        elif summary["digest"] == found.digest:
            typer.echo(f"digest {found.digest}, the same as in the sweep")
        else:
            why = "" if found.is_same_model else f", which marketsim {found.model} made"
            typer.echo(
                f"failed: digest {summary['digest']}, not {found.digest} as in the sweep{why}",
                err=True,
            )
            raise typer.Exit(FAILURE)

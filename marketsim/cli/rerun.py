"""``marketsim rerun``: one run of a sweep again, alone, as a run folder."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import FAILURE, explained
from marketsim.cli.run import DEFAULT_PARENT, simulate
from marketsim.cli.trust import Trust, confirm_strategies


def rerun(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    key: Annotated[str, typer.Argument(help="Key of the run, or its first digits.")],
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write. [default: runs/KEY, or the next free]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing run folder.")] = False,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Make one run of a sweep again and compare its digest with the stored one."""
    with explained():
        from marketsim.sweep.rerun import find_run

        found = find_run(folder, key)
        confirm_strategies(found.scenario, trust)

        from marketsim.results.folder import check_target, free_path, write_run
        from marketsim.results.summary import summarise
        from marketsim.scenario.inputs import STATEMENTS, InputLog

        target = check_target(out or free_path(DEFAULT_PARENT, found.key), force)
        with InputLog(found.inputs, f"when the sweep in {folder} was begun"):
            result = simulate(found.scenario, found.seed, quiet)
        stated_in = [each for each in found.inputs if each.what in STATEMENTS]
        result = replace(result, inputs=(*stated_in, *result.inputs))
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

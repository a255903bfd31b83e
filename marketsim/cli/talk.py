"""``marketsim talk``: replays and slides of the story, ready to be shown."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketsim.cli.errors import FAILURE, explained, refuse, refuse_file, say
from marketsim.cli.run import announce_compiling

if TYPE_CHECKING:
    from marketsim.run.progress import Progress


def talk(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder, made if missing.")] = Path(
        "talk"
    ),
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of an earlier talk there.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Make a talk of five chapters and nine slides from shipped scenarios, in a few minutes.

    The chapters are replays that open by double click, without a network; index.html leads through
    them.
    """
    with explained():
        refuse_file(out)
        if out.is_dir() and any(out.iterdir()) and not force:
            refuse(
                f"--out {out}: is not empty; --force replaces the files of an earlier talk there"
            )

        from marketsim.report.progress_bars import progress_bar
        from marketsim.report.talk import write_talk
        from marketsim.tape.files import check_writable

        check_writable(out / "index.html")
        announce_compiling(quiet)

        def stage(name: str) -> "AbstractContextManager[Progress | None]":
            return progress_bar(name, quiet)

        try:
            for file in write_talk(out, stage):
                if not quiet:
                    typer.echo(f"written {file}")
        except KeyboardInterrupt:
            say(f"interrupted; what was written is whole, in {out}; --force begins anew there")
            raise typer.Exit(FAILURE) from None
        typer.echo(f"open {out / 'index.html'} in a browser")

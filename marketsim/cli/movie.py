"""``marketsim movie``: a run as a moving picture."""

from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained
from marketsim.cli.targets import spare


def movie(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help=".gif, or .mp4 where ffmpeg is installed. [default: RUN.gif]"
        ),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="On a dark page.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Draw a run as a movie: prices, liquidations as they burn, what has been sold where.

    Time runs slowly where much is liquidated.
    """
    with explained():
        target = spare(out or Path(f"{run.resolve().name}.gif"), force)

        from marketsim.report.canvas import find_look
        from marketsim.report.movie import check_movie, write_movie
        from marketsim.report.progress_bars import progress_bar
        from marketsim.results.run import load_run
        from marketsim.tape.files import check_writable

        check_movie(target)
        check_writable(target)
        finished = load_run(run)
        with progress_bar("drawing", quiet, "pictures") as advance:
            write_movie(finished, target, find_look(dark=dark), advance)
        typer.echo(f"drawn {target} ({target.stat().st_size / 1e6:.1f} MB)")

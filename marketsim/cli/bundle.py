"""``marketsim bundle``: a run, a sweep or an experiment as one file that repeats its digest."""

from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse


def bundle(
    target: Annotated[
        str,
        typer.Argument(metavar="RUN|SWEEP|EXPERIMENT", help="A folder, or an experiment's name."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Zip to write, replaced. [default: NAME-bundle.zip]"),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the experiments. [default: as for experiment]"),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw figures.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Pack what a reviewer needs: scenario or design, inputs, digests, versions, figures.

    Unpacked anywhere, `sh run-all.sh` makes it all again and compares the digest;
    `ro-crate-metadata.json` describes the files. What is damaged is refused by name.
    """
    with explained():
        from marketsim.report.bundle import gather
        from marketsim.report.crate import pack
        from marketsim.report.experiment import experiments_folder
        from marketsim.report.progress_bars import progress_bar
        from marketsim.sweep.plan import model_version
        from marketsim.tape.files import check_writable

        if out is not None:
            if out.suffix != ".zip":
                refuse(f"--out {out}: must end in .zip")
            check_writable(out)
        with progress_bar("drawing", quiet, "figures") as advance:
            contents = gather(
                target, root or experiments_folder(), figures=figures, progress=advance
            )
        file = out or Path(f"{contents.name}.zip")
        pack(contents, file)
        model = contents.versions.get("model", model_version())
        if model != model_version():
            typer.echo(
                f"made by marketsim {model}, this is {model_version()}: run-all.sh repeats the "
                "digest with that version",
                err=True,
            )
        if not quiet:
            typer.echo(f"written to {file}: unpack it anywhere, then sh run-all.sh")

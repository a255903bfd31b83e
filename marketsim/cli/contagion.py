"""``marketsim contagion``: how close a run came to running away, who leads, who is exposed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketsim.cli.errors import explained, refuse

if TYPE_CHECKING:
    from marketsim.contagion.exposure import Exposure
    from marketsim.results.run import Run


def contagion(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures, PNG; made if it is not there.")
    ] = None,
    exposure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write who holds what at the end: USD by account and market (.csv), or as a "
            "graph (.gexf).",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No tables.")] = False,
) -> None:
    """Show the reproduction number of a run, its contagion matrix at the peak, and exposure.

    R is the number of dollars liquidated for each dollar liquidated, over all markets: below 1 a
    small move dies out, at 1 it runs away. It is computed from the state; `marketsim reproduction`
    measures it.
    """
    with explained():
        if exposure is not None and exposure.suffix not in (".csv", ".gexf"):
            refuse(f"--exposure {exposure}: must end in .csv or .gexf")

        from marketsim.results.contagion import summarise_contagion
        from marketsim.results.run import load_run

        loaded = load_run(run)
        series = loaded.contagion()
        if not len(series.steps):
            refuse(f"{run}: the run is too short, it holds no contagion matrix")
        held = loaded.exposure()
        drawn = _draw(loaded, out) if out is not None else []
        if exposure is not None:
            _write(held, exposure)
        summary = {
            "scenario": loaded.scenario,
            "seed": loaded.seed,
            "markets": list(series.markets),
            **summarise_contagion(series, held),
        }
        if as_json:
            content = summary | {"figures": [str(path) for path in drawn]}
            typer.echo(json.dumps(content, allow_nan=False))
        elif not quiet:
            from rich.console import Console

            from marketsim.report.contagion_page import render_contagion

            hours = dict(zip(series.steps.tolist(), series.hours.tolist(), strict=True))
            Console(highlight=False).print(render_contagion(summary, hours))
            for path in drawn:
                typer.echo(f"drawn {path}")
            if exposure is not None:
                typer.echo(f"written to {exposure}")


def _write(held: "Exposure", file: Path) -> None:
    write = held.write_csv if file.suffix == ".csv" else held.write_gexf
    try:
        write(file)
    except OSError as error:
        refuse(f"--exposure {file}: cannot be written: {error.strerror}")


def _draw(run: "Run", out: Path) -> list[Path]:
    from marketsim.report.contagion_page import draw_contagion

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(f"--out {out}: cannot be made: {error}")
    return draw_contagion(run, out)

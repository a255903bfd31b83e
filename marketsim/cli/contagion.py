"""``marketsim contagion``: how close a run came to running away, who leads, who is exposed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketsim.cli.errors import explained, refuse

if TYPE_CHECKING:
    from marketsim.results.run import Run


def contagion(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures, PNG; made if it is not there.")
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
        from marketsim.results.contagion import summarise_contagion
        from marketsim.results.run import load_run

        loaded = load_run(run)
        series = loaded.contagion()
        if not len(series.steps):
            refuse(f"{run}: the run is too short, it holds no contagion matrix")
        drawn = _draw(loaded, out) if out is not None else []
        summary = {
            "scenario": loaded.scenario,
            "seed": loaded.seed,
            "markets": list(series.markets),
            **summarise_contagion(series, loaded.exposure()),
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


def _draw(run: "Run", out: Path) -> list[Path]:
    from marketsim.report.contagion_page import draw_contagion

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(f"--out {out}: cannot be made: {error}")
    return draw_contagion(run, out)

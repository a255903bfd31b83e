"""``marketsim cascade``: the largest cascades of a run as trees."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketsim.cli.errors import explained, refuse

if TYPE_CHECKING:
    from marketsim.results.cascades import Cascade
    from marketsim.results.run import Run


def cascade(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    largest: Annotated[int, typer.Option(min=1, help="How many cascades to show.")] = 3,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as one JSON object.")
    ] = False,
    graph: Annotated[
        Path | None,
        typer.Option(help="Write who caused whose liquidation to this .graphml or .json file."),
    ] = None,
    min_weight: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Ties weaker than this do not count.")
    ] = 0.05,
    share: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="List those of at least this share of open interest within --hours, in --markets "
            "over --generations, instead of trees.",
        ),
    ] = None,
    hours: Annotated[float, typer.Option(help="See --share.")] = 2.0,
    markets: Annotated[int, typer.Option(min=1, help="See --share.")] = 2,
    generations: Annotated[int, typer.Option(min=1, help="See --share.")] = 4,
) -> None:
    """Show the largest liquidation cascades of a run: who took whom down, where, and why.

    A line of the tree: generation, account, what was liquidated of it (USD), why. What hangs below
    it owes most to it.
    """
    with explained():
        from marketsim.results.cascades import summarise_cascades
        from marketsim.results.run import load_run

        if graph is not None and graph.suffix not in (".graphml", ".json"):
            refuse(f"--graph {graph}: must end in .graphml or .json")
        loaded = load_run(run)
        found = loaded.cascades(min_weight)
        if graph is not None:
            _write_graph(loaded, min_weight, graph)
        if share is not None:
            _list_large(loaded, found, share, hours, markets, generations, as_json)
            return
        summary = {
            "scenario": loaded.scenario,
            "seed": loaded.seed,
            "markets": list(loaded.market_names),
            **summarise_cascades(found),
        }
        if as_json:
            content = summary | {"cascades": [each.as_dict() for each in found[:largest]]}
            typer.echo(json.dumps(content, allow_nan=False))
            return
        from rich.console import Console

        from marketsim.report.cascade_tree import render_cascades

        shown = render_cascades(summary, found[:largest], loaded.liquidations, loaded.causes)
        Console(highlight=False).print(shown)


def _list_large(
    run: "Run",
    cascades: "list[Cascade]",
    share: float,
    hours: float,
    markets: int,
    generations: int,
    as_json: bool,
) -> None:
    from marketsim.report.cascade_tree import large_lines
    from marketsim.results.large_cascades import find_large_cascades

    if not 0.0 < hours < math.inf:
        refuse(f"--hours {hours}: must be a number above 0")
    minutes = float(run.summary["step_minutes"])
    found = find_large_cascades(
        cascades,
        run.liquidations,
        run.markets,
        minutes,
        share=share,
        hours=hours,
        markets=markets,
        generations=generations,
    )
    if as_json:
        content = {"scenario": run.scenario, "seed": run.seed}
        content |= {"large_cascades": [each.as_dict() for each in found]}
        typer.echo(json.dumps(content, allow_nan=False))
    else:
        typer.echo("\n".join(large_lines(found, share, hours, minutes)))


def _write_graph(run: "Run", min_weight: float, file: Path) -> None:
    from marketsim.contagion.graph import write_graphml, write_json

    write = write_json if file.suffix == ".json" else write_graphml
    try:
        write(run.graph(min_weight), file)
    except OSError as error:
        refuse(f"--graph {file}: cannot be written: {error.strerror}")

"""``marketsim reproduction``: force liquidations in copies of a market and count what follows."""

import json
import math
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse
from marketsim.cli.run import Changes, announce_compiling, parse_set

#: Largest key of a draw.
MAX_KEY = 2**24 - 1


def reproduction(
    scenario: Annotated[
        str, typer.Argument(help="Name of a shipped scenario, or the path of a TOML file.")
    ],
    at_hours: Annotated[float, typer.Option(help="Hours after the start at which to measure.")],
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Of all random draws. [default: the scenario's]"),
    ] = None,
    n: Annotated[
        int, typer.Option("-n", "--draws", min=1, help="Liquidations, each in a copy.")
    ] = 50,
    horizon: Annotated[float, typer.Option(help="Hours in which what follows is counted.")] = 0.25,
    key: Annotated[
        int, typer.Option(min=0, max=MAX_KEY, help="Another one draws other accounts.")
    ] = 0,
    side: Annotated[
        str | None,
        typer.Option(help='Only sales ("falls") or purchases ("rises"). [default: both]'),
    ] = None,
    all_generations: Annotated[
        bool,
        typer.Option(
            "--all-generations",
            help="Carry out what is set off, and count what that sets off in turn, too.",
        ),
    ] = False,
    set_: Changes = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Measure the reproduction number R of a market at one moment.

    In copies of the market with the same luck one account near the edge is liquidated by force; R
    is how many dollars of others that liquidates, per dollar. At 1 a small move runs away.
    `marketsim contagion` shows R as it is computed from the state alone.
    """
    with explained():
        overrides = [parse_set(text) for text in set_ or []]

        from marketsim.contagion.recorder import SIDES
        from marketsim.report.progress_bars import progress_bar
        from marketsim.run.forced import measure_reproduction
        from marketsim.run.simulation import Simulation
        from marketsim.scenario.loader import load_scenario
        from marketsim.tape.moments import finite

        if side not in (None, *SIDES):
            refuse(f"--side {side}: must be falls or rises")
        loaded = load_scenario(scenario, overrides)
        last = math.inf if isinstance(loaded.days, str) else 24.0 * loaded.days
        if not 0.0 <= at_hours < last:
            refuse(f"--at-hours {at_hours:g}: must lie within the {last:g} h of {loaded.name}")
        if not 0.0 < horizon <= last - at_hours:
            refuse(f"--horizon {horizon:g}: must be above 0, and end within {last - at_hours:g} h")
        steps = round(60.0 * at_hours / loaded.step_minutes)
        announce_compiling(quiet)
        simulation = Simulation(loaded, loaded.seed if seed is None else seed)
        with progress_bar(loaded.name, quiet) as advance:
            simulation.run(steps, advance)
        with progress_bar("copies", quiet, "copies") as advance:
            found = measure_reproduction(
                simulation,
                n,
                horizon,
                key,
                side="falls" if side == "falls" else "rises" if side else None,
                generations="all" if all_generations else "first",
                progress=advance,
            )
        matrix = simulation.contagion()
        summary = {
            "scenario": loaded.name,
            "seed": simulation.seed,
            "hours": steps * loaded.step_minutes / 60.0,
            **found.to_dict(),
            "computed": {each: finite(matrix.reproduction_number(each)) for each in SIDES},
            "on_paper": {each: finite(matrix.reproduction_on_paper(each)) for each in SIDES},
        }
        if as_json:
            typer.echo(json.dumps(summary, allow_nan=False))
            return
        from rich.console import Console

        from marketsim.report.reproduction_page import render_reproduction

        Console(highlight=False).print(render_reproduction(summary))

"""``marketsim run``: a scenario and a seed become a run folder."""

import json
import math
import os
import shlex
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from marketsim.cli.checkpoint import (
    Checkpoint,
    place_checkpoint,
    remove_checkpoint,
    resume_run,
    run_and_save,
)
from marketsim.cli.errors import FAILURE, explained, refuse, say
from marketsim.cli.trust import Trust

if TYPE_CHECKING:
    from marketsim.run.simulation import Simulation
    from marketsim.scenario.schema import Scenario
    from marketsim.tape.result import RunResult

#: The option that changes a scenario's fields; `parse_set` reads what it is given.
Changes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH.TO.FIELD=VALUE",
        help="Change one field of the scenario; may be repeated.",
    ),
]
#: Where runs go that are not told where.
DEFAULT_PARENT = Path("runs")


def run(
    scenario: Annotated[
        str | None,
        typer.Argument(help="Name of a shipped scenario, or the path of a TOML file."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Of all random draws. [default: the scenario's]"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="How many steps. [default: the scenario's days]")
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="How many simulated days, instead of --steps.")
    ] = None,
    set_: Changes = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder to write. [default: runs/SCENARIO-SEED, or the next free]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing run folder.")] = False,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            help="Save the run every so many steps, beside its folder, as FOLDER.market; removed "
            "once the folder is written.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Go on from a saved run; SCENARIO may be left out with it."
        ),
    ] = None,
    trust: Trust = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar, no notices, no table.")
    ] = False,
) -> None:
    """Simulate a scenario and write a run folder."""
    with explained():
        overrides = [parse_set(text) for text in set_ or []]
        if days is not None:
            if steps is not None:
                refuse("--steps and --days exclude each other")
            overrides.append(("days", positive_days(days)))
        if scenario is None and (resume is None or overrides or steps is not None):
            refuse("name a SCENARIO, or go on with --resume FILE and nothing changed")

        from marketsim.scenario.inputs import InputLog

        read = InputLog()
        with read:
            loaded = None if scenario is None else _load(scenario, overrides, steps)
        if resume is not None:
            simulation = resume_run(resume, loaded, seed, trust)
            loaded, seed = simulation.scenario, simulation.seed
        assert loaded is not None

        from marketsim.results.folder import check_target, free_path, write_run

        seed = loaded.seed if seed is None else seed
        stem = f"{loaded.name}-{seed}"
        minutes = loaded.num_steps * loaded.step_minutes
        rows = int(minutes / loaded.record.series_minutes) * len(loaded.markets)
        target = check_target(out or free_path(DEFAULT_PARENT, stem), force, rows)
        saving = place_checkpoint(checkpoint, target, out is not None, force, trust)

        from marketsim.agents.own import OwnTraderError
        from marketsim.results.summary import summarise
        from marketsim.run.out_of_range import PriceOutOfRangeError, StatedInterventionError

        if resume is None:
            simulation = _open(loaded, seed, quiet)
            simulation.inputs.precede(read)
        failure = None
        try:
            result = finish(simulation, quiet, saving)
        except (OwnTraderError, PriceOutOfRangeError, StatedInterventionError) as error:
            if error.result is None:
                raise
            result, failure = error.result, error

        summary = summarise(result)
        # Another run may have taken the default name meanwhile.
        target = write_run(result, out or free_path(DEFAULT_PARENT, stem), force, summary=summary)
        if as_json or failure is None:
            _report(summary, target, as_json, quiet)
        if failure is not None:
            say(f"failed: {failure}; the steps before it are in {target}")
            raise typer.Exit(FAILURE)
        if saving is not None:
            remove_checkpoint(saving.file)
        if result.conservation_error:
            msg = f"the books are off by {result.conservation_error} atoms"
            raise ArithmeticError(msg)


def parse_set(text: str, option: str = "--set") -> tuple[str, str]:
    """Split the text of an option into the path of a field and its value."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        refuse(f"{option} {text}: must read path.to.field=value")
    return path.strip(), value.strip()


def positive_days(days: float) -> str:
    """Return `days` as the text of an override; refuse what is no length of time."""
    if not (math.isfinite(days) and days > 0):
        refuse(f"--days {days}: must be above 0")
    return repr(days)


def _load(name: str, overrides: list[tuple[str, str]], steps: int | None) -> "Scenario":
    """Load the scenario; `steps` becomes its `days`, so that the run folder states it."""
    from marketsim.scenario.loader import load_scenario

    loaded = load_scenario(name, overrides)
    if steps is None and loaded.is_open:
        refuse(f'{name}: days = "open": it has no end; say how long to run, with --steps N')
    if steps is None:
        return loaded
    days = steps * loaded.step_minutes / 1440
    with warnings.catch_warnings(action="ignore"):  # they have been shown
        return load_scenario(name, [*overrides, ("days", repr(days))])


def simulate(scenario: "Scenario", seed: int, quiet: bool) -> "RunResult":
    """Run a scenario to its end, with a progress bar if someone watches."""
    return finish(_open(scenario, seed, quiet), quiet)


def _open(scenario: "Scenario", seed: int, quiet: bool) -> "Simulation":
    from marketsim.model.opening import open_simulation

    announce_compiling(quiet)
    if scenario.warm_up_steps == 0:
        return open_simulation(scenario, seed)
    from marketsim.report.progress_bars import progress_bar

    with progress_bar(f"{scenario.name}: warm-up", quiet) as advance:
        return open_simulation(scenario, seed, progress=advance)


def finish(simulation: "Simulation", quiet: bool, saving: Checkpoint | None = None) -> "RunResult":
    """Run to the end, with a progress bar if someone watches.

    Parameters
    ----------
    simulation : Simulation
    quiet : bool
    saving : Checkpoint, optional
        How it is saved on its way.
    """
    from marketsim.agents.own import OwnTraderError
    from marketsim.report.progress_bars import progress_bar
    from marketsim.results.record import ENDED_EARLY
    from marketsim.run.out_of_range import PriceOutOfRangeError, StatedInterventionError

    try:
        with progress_bar(simulation.scenario.name, quiet) as advance:
            if saving is not None:
                run_and_save(simulation, saving, advance)
            else:
                left = simulation.num_steps - simulation.step_count
                simulation.run(left, progress=advance)
    except (OwnTraderError, PriceOutOfRangeError, StatedInterventionError) as error:
        if error.step > 0:
            done = simulation.result()
            error.result = replace(done, notes=(*done.notes, f"{ENDED_EARLY} {error}"))
        raise
    return simulation.result()


def announce_compiling(quiet: bool) -> None:
    """Say so as soon as a kernel has to be compiled."""
    from marketsim.engine import _linking
    from marketsim.report.progress_bars import compiling

    _linking.listeners[:] = [] if quiet else [compiling]


def _report(summary: dict[str, Any], target: Path, as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary | {"out": str(target)}, allow_nan=False))
        if not quiet:
            typer.echo(f"written to {target}", err=True)
        return
    if quiet:
        return
    from rich.console import Console

    from marketsim.report.run_page import render_summary

    console = Console(soft_wrap=False)
    console.print(render_summary(summary))
    typer.echo(f"written to {target}")
    shown = shlex.quote(os.path.relpath(target))
    typer.echo(f"look into it: marketsim report {shown}   (also cascade, plot, replay, movie)")

"""``marketsim validate``: a run beside real markets, figure by figure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import FAILURE, explained, refuse
from marketsim.cli.run import positive_days, simulate

if TYPE_CHECKING:
    from marketsim.study.observed import Observed
    from marketsim.study.validation import Check

#: Length of a run that is given none: what the bands were set for.
DEFAULT_DAYS = 90.0
#: Columns of a terminal that hold the table with `--targets`.
WIDTH = 100


def validate(
    target: Annotated[
        str,
        typer.Argument(
            help="Name of a shipped scenario or a TOML file, which is simulated; or a run folder."
        ),
    ] = "calm",
    days: Annotated[
        float | None, typer.Option(help="How many days to simulate. [default: 90]")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Of all random draws. [default: the scenario's]"),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(help="JSON file of real statistics, shown beside the run's own."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar, no table.")
    ] = False,
) -> None:
    """Check a run against the shapes of real markets; exit code 1 if a band does not hold."""
    with explained():
        bands = _read_bands(targets) if targets is not None else {}

        from marketsim.study.observed import AnalysisError
        from marketsim.study.validation import validate as check

        try:
            observed = _observe(target, days, seed, quiet)
        except AnalysisError as error:
            refuse(f"{target}: {error}")
        if observed.conservation_error:
            msg = f"the books are off by {observed.conservation_error} atoms"
            raise ArithmeticError(msg)
        checks = check(observed, bands)
        _report(observed, checks, as_json, quiet)
        if not all(check.passed in {True, None} for check in checks):
            raise typer.Exit(FAILURE)


def _observe(target: str, days: float | None, seed: int | None, quiet: bool) -> "Observed":
    from marketsim.scenario.loader import list_scenarios, load_scenario
    from marketsim.study.observed import observe_result, observe_run

    folder = Path(target).expanduser()
    # A folder that happens to bear a shipped scenario's name is only meant if it holds a run.
    is_shipped = target in {name for name, _ in list_scenarios()}
    if (folder / "run.json").is_file() or (folder.is_dir() and not is_shipped):
        if days is not None or seed is not None:
            refuse("--days and --seed are for a scenario; a run folder has its own")
        from marketsim.results.run import load_run

        return observe_run(load_run(folder))
    length = positive_days(DEFAULT_DAYS if days is None else days)
    scenario = load_scenario(target, [("days", length)])
    return observe_result(simulate(scenario, scenario.seed if seed is None else seed, quiet))


def _read_bands(file: Path) -> Mapping[str, Any]:
    """Read the quantiles of real statistics by key; refuse a file that holds none."""
    try:
        content = json.loads(file.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        refuse(f"--targets {file}: cannot be read as JSON: {error}")
    bands = content.get("bands") if isinstance(content, dict) else None
    if not isinstance(bands, dict) or not all(_is_band(band) for band in bands.values()):
        refuse(f"--targets {file}: no table `bands` with p10, median and p90 of each statistic")
    return bands


def _is_band(band: Any) -> bool:
    quantiles = ("p10", "median", "p90")
    return isinstance(band, dict) and all(isinstance(band.get(q), int | float) for q in quantiles)


def _report(observed: "Observed", checks: "list[Check]", as_json: bool, quiet: bool) -> None:
    from marketsim.study.validation import validation_record

    if as_json:
        typer.echo(json.dumps(validation_record(observed, checks), allow_nan=False))
    if as_json or quiet:
        return
    from rich.console import Console

    from marketsim.report.validation_page import render_validation

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(render_validation(observed, checks))

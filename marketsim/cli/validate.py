"""``marketsim validate``: a run beside real markets, figure by figure."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import FAILURE, explained, refuse
from marketsim.cli.run import positive_days, simulate

if TYPE_CHECKING:
    from rich.table import Table

    from marketsim.study.observed import Observed
    from marketsim.study.validation import Check

#: Length of a run that is given none: what the bands were set for.
DEFAULT_DAYS = 90.0
#: More markets than this get a column for the lowest and the highest instead of one each.
MOST_COLUMNS = 4
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
    failed = sum(check.passed is False for check in checks)
    if as_json:
        record = {
            "scenario": observed.scenario,
            "seed": observed.seed,
            "days": observed.days,
            "passed": failed == 0,
            "checks": [check.as_dict() for check in checks],
        }
        typer.echo(json.dumps(record, allow_nan=False))
    if as_json or quiet:
        return
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(
        f"[bold]{observed.scenario}[/]  seed {observed.seed}, {observed.days:g} days\n"
        "r: hourly log return of the mark price; premium: mid over index, less one",
        highlight=False,
    )
    console.print(_table(observed, checks))
    decided = sum(check.passed is not None for check in checks)
    console.print(
        f"{decided - failed} of {decided} bands hold; a band is for the mean of the markets",
        style="bold red" if failed else "bold green",
        highlight=False,
    )


def _table(observed: "Observed", checks: "list[Check]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    names = observed.market_names
    columns = names if len(names) <= MOST_COLUMNS else ("lowest", "highest")
    has_real = any(check.real for check in checks)
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True, overflow="ellipsis", max_width=8)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("band", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    if has_real:
        table.add_column("real p10 / 50 / 90", justify="right", no_wrap=True)
    was_decided = True
    for check in checks:
        if was_decided and check.passed is None:
            table.add_section()
            table.add_row(Text("for information", style="dim"))
        was_decided = check.passed is not None
        cells = [_show(check, value) for value in _cells(check, columns)]
        verdict = {True: Text("ok", "green"), False: Text("FAIL", "bold red"), None: Text("")}
        row = [check.figure.title, *cells, _show(check, check.value), _band(check)]
        real = " / ".join(_show(check, value) for value in check.real) if check.real else ""
        table.add_row(*row, verdict[check.passed], *([real] if has_real else []))
    return table


def _cells(check: "Check", columns: tuple[str, ...]) -> list[float | None]:
    values = check.markets
    if not values:
        return [None] * len(columns)
    if set(columns) == set(values):
        return [values[name] for name in columns]
    return [min(values.values()), max(values.values())]


def _show(check: "Check", value: float | None) -> str:
    """Print a number as its figure wants it; "-" stands for "does not exist"."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "-"
    return f"{value * check.figure.scale:.{check.figure.digits}f}"


def _band(check: "Check") -> str:
    low, high = check.figure.low, check.figure.high
    scale = check.figure.scale
    if math.isfinite(low) and math.isfinite(high):
        return f"{low * scale:g}-{high * scale:g}"
    if math.isfinite(low):
        return f"> {low * scale:g}"
    return f"< {high * scale:g}" if math.isfinite(high) else ""

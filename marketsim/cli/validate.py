"""``marketsim validate``: runs beside real markets, statistic by statistic."""

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
#: More seeds than this are a slip of the hand.
MOST_SEEDS = 10_000


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
        typer.Option(
            help="JSON file of real statistics, shown beside the run's own; with --seeds instead "
            "of the bands that are shipped."
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Many runs against windows of real markets: how many, from the seed on, or which, "
            "as in 1001-1010 or 1-5,9."
        ),
    ] = None,
    spot_only: Annotated[
        bool,
        typer.Option(
            "--spot-only", help="With --seeds: the spot process alone, without its traders."
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for --seeds. [default: one a core]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar, no table.")
    ] = False,
) -> None:
    """Check a run against the shapes of real markets; exit code 1 if a band does not hold.

    With --seeds, hold every statistic of many runs against windows of real markets, what is put in
    (the spot process) and what emerges apart; exit code 1 unless both reach their goals.
    """
    with explained():
        if seeds is not None:
            _judge(target, days, seed, targets, seeds, spot_only, workers, as_json, quiet)
            return
        if spot_only or workers is not None:
            refuse("--spot-only and --workers are for many runs: state --seeds, for example 10")
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


def _judge(
    target: str,
    days: float | None,
    seed: int | None,
    targets: Path | None,
    stated: str,
    spot_only: bool,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from marketsim.cli.run import announce_compiling
    from marketsim.report.progress_bars import progress_bar
    from marketsim.scenario.loader import load_scenario
    from marketsim.study.bands import BandError, load_bands, shipped_bands
    from marketsim.study.seeds import measure_seeds
    from marketsim.study.verdict import judge, verdict_record
    from marketsim.study.window import WindowError
    from marketsim.sweep.runner import usable_cores

    length = positive_days(DEFAULT_DAYS if days is None else days)
    scenario = load_scenario(target, [("days", length)])
    chosen = parse_seeds(stated, scenario.seed if seed is None else seed)
    try:
        bands = shipped_bands() if targets is None else load_bands(targets)
        announce_compiling(quiet)
        with progress_bar(scenario.name, quiet, "runs") as progress:
            found = measure_seeds(
                scenario,
                chosen,
                spot_only=spot_only,
                workers=workers or usable_cores(),
                progress=progress,
            )
    except (BandError, WindowError, ValueError) as error:
        refuse(str(error))
    verdict = judge(found, bands)
    if as_json:
        head = {"scenario": scenario.name, "days": float(length), "seeds": chosen}
        record = {**head, "spot_only": spot_only, **verdict_record(verdict)}
        typer.echo(json.dumps(record, allow_nan=False))
    elif not quiet:
        from marketsim.report.verdict_page import render_verdict

        _show(render_verdict(verdict, scenario.name, chosen, float(length)))
    if not all(each.passed for each in verdict.roles):
        raise typer.Exit(FAILURE)


def parse_seeds(stated: str, first: int) -> list[int]:
    """Read which seeds are meant: a number of them from `first` on, or ranges.

    Examples
    --------
    >>> parse_seeds("3", 7), parse_seeds("1001-1003,9", 7)
    ([7, 8, 9], [1001, 1002, 1003, 9])
    """
    ranges = []
    if stated.strip().isdecimal():
        ranges.append((first, first + int(stated) - 1))
    else:
        for part in stated.split(","):
            low, dash, high = part.strip().partition("-")
            if not low.isdecimal() or (dash and not high.isdecimal()):
                refuse(f"--seeds {stated}: not a number of seeds, nor ranges such as 1-20 or 1-5,9")
            ranges.append((int(low), int(high if dash else low)))
    count = sum(max(high - low + 1, 0) for low, high in ranges)
    if not 2 <= count <= MOST_SEEDS:
        refuse(f"--seeds {stated}: {count} seeds; an interval needs 2, and at most {MOST_SEEDS}")
    found = [seed for low, high in ranges for seed in range(low, high + 1)]
    if len(set(found)) < len(found):
        refuse(f"--seeds {stated}: the ranges overlap, and a seed counts once")
    return found


def _show(page: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(page)


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
    from marketsim.report.validation_page import render_validation

    _show(render_validation(observed, checks))

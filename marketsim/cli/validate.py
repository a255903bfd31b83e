"""``marketsim validate``: runs beside real markets, statistic by statistic."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import FAILURE, explained, refuse
from marketsim.cli.run import announce_compiling, positive_days

if TYPE_CHECKING:
    from marketsim.study.validate import PlausibleRuns, RunValidation, SeedsValidation

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
    plausibility: Annotated[
        bool,
        typer.Option(
            "--plausibility",
            help="With --seeds: whether such a market could be (depth, turnover, returns, time at "
            "the cap, trends), for any scenario and length; without --days its own.",
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
    (the spot process) and what emerges apart; exit code 1 unless both reach their goals. With
    --plausibility, hold them against the limits of a plausible market instead; exit code 1 if a
    figure is outside for more than half of what was measured.
    """
    with explained():
        if seeds is None and (spot_only or plausibility or workers is not None):
            refuse(
                "--spot-only, --plausibility and --workers are for many runs: state --seeds, for "
                "example 10"
            )
        if plausibility and (spot_only or targets is not None):
            refuse(
                "--plausibility holds runs against limits: it goes with neither --spot-only "
                "nor --targets"
            )
        if days is not None:
            positive_days(days)

        from marketsim.report.progress_bars import progress_bar
        from marketsim.study.bands import BandError
        from marketsim.study.observed import AnalysisError
        from marketsim.study.validate import validate as hold

        chosen = None if seeds is None else parse_seeds(seeds)
        announce_compiling(quiet)
        try:
            unit = "steps" if seeds is None else "runs"
            with progress_bar(target, quiet, unit) as progress:
                found = hold(
                    target,
                    days=days,
                    seed=seed,
                    targets=targets,
                    seeds=chosen,
                    spot_only=spot_only,
                    plausibility=plausibility,
                    workers=workers,
                    progress=progress,
                )
        except BandError as error:
            refuse(f"--targets {error}")
        except AnalysisError as error:
            refuse(f"{target}: {error}")
        except ValueError as error:
            refuse(str(error))
        if as_json:
            typer.echo(json.dumps(found.to_dict(), allow_nan=False))
        elif not quiet:
            _show(_laid_out(found))
        if not found.passed:
            raise typer.Exit(FAILURE)


def parse_seeds(stated: str) -> int | list[int]:
    """Read which seeds are meant: a number of them, or ranges.

    Examples
    --------
    >>> parse_seeds("3"), parse_seeds("1001-1003,9")
    (3, [1001, 1002, 1003, 9])
    """
    if stated.strip().isdecimal():
        return int(stated)
    from marketsim.study.validate import MOST_SEEDS

    ranges = []
    for part in stated.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            refuse(f"--seeds {stated}: not a number of seeds, nor ranges such as 1-20 or 1-5,9")
        ranges.append(range(int(low), int(high if dash else low) + 1))
    if sum(map(len, ranges)) > MOST_SEEDS:
        refuse(f"--seeds {stated}: at most {MOST_SEEDS} seeds")
    return [seed for each in ranges for seed in each]


def _laid_out(found: "RunValidation | SeedsValidation | PlausibleRuns") -> Any:
    from marketsim.study.validate import PlausibleRuns, RunValidation

    if isinstance(found, RunValidation):
        from marketsim.report.validation_page import render_validation

        return render_validation(found.observed, found.checks)
    if isinstance(found, PlausibleRuns):
        from marketsim.report.plausibility_page import render_plausibility

        return render_plausibility(found.figures, found.scenario, found.seeds, found.days)
    from marketsim.report.verdict_page import render_verdict

    return render_verdict(found.verdict, found.scenario, found.seeds, found.days)


def _show(page: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(page)

"""``marketsim compare``: a scenario beside its twin with something changed, seed by seed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from marketsim.cli.errors import FAILURE, explained, refuse
from marketsim.cli.run import parse_set
from marketsim.cli.sweep import SOME_FAILED


def compare(
    scenario: Annotated[
        str, typer.Argument(help="Name of a shipped scenario, or the path of a TOML file.")
    ],
    change: Annotated[
        list[str],
        typer.Option(
            metavar="PATH.TO.FIELD=VALUE", help="What the twin has changed; may be repeated."
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH.TO.FIELD=VALUE", help="Change a field of both; may be repeated."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, max=1_000_000, help="Pairs of runs.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the first pair, the next has one more.")] = 0,
    days: Annotated[
        float | None, typer.Option(help="Days simulated. [default: the scenario's]")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A metric or a pattern such as 'markets.*.mark_fall'; may be repeated. "
            "[default: the headline figures]"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. [default: one per core]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the runs; an unfinished comparison goes on there."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Run pairs with the same luck and show what a change does to every headline figure."""
    with explained():
        from marketsim.report.comparison_page import (
            comparison_notes,
            comparison_record,
            render_comparison,
        )
        from marketsim.report.progress_bars import sweep_progress
        from marketsim.study import compare as twins

        changes = _parse(change, "--change")
        try:
            with sweep_progress(f"{scenario} and its twin", quiet) as advance:
                found = twins.compare(
                    scenario,
                    changes,
                    seeds=seeds,
                    first_seed=seed,
                    days=days,
                    set_=_parse(set_ or [], "--set"),
                    metrics=metric or twins.HEADLINE_AND_PARTS,
                    workers=workers,
                    out=out,
                    progress=advance,
                )
        except KeyboardInterrupt:
            kept = f"what was done is in {out}, the same command goes on"
            lost = "nothing was kept; with --out DIR the same command goes on where it stopped"
            typer.echo(f"interrupted: {lost if out is None else kept}", err=True)
            raise typer.Exit(FAILURE) from None
        if as_json:
            asked = {"scenario": scenario, "changes": changes, "seeds": seeds}
            typer.echo(json.dumps(asked | comparison_record(found), allow_nan=False))
        else:
            from rich.console import Console

            title = f"{scenario}, {seeds} seeds; twin: {', '.join(change)}"
            Console().print(render_comparison(found, title))
            typer.echo(comparison_notes(found))
        if found.attrs["failed"]:
            where = "" if out is None else f"; why: marketsim status {out}"
            typer.echo(f"{found.attrs['failed']} runs failed{where}", err=True)
            raise typer.Exit(SOME_FAILED)


def _parse(texts: list[str], option: str) -> dict[str, Any]:
    from marketsim.scenario.loader import parse_value

    found: dict[str, Any] = {}
    for text in texts:
        path, value = parse_set(text, option)
        if path in found:
            refuse(f"{option} {path}: is given twice, {found[path]} and {value}; leave one out")
        found[path] = parse_value(value)
    return found

"""``marketsim compare``: a scenario beside its twin with something changed, seed by seed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import FAILURE, explained, refuse
from marketsim.cli.run import parse_set
from marketsim.cli.sweep import SOME_FAILED, sweep_progress

if TYPE_CHECKING:
    import pandas as pd


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
            typer.echo(json.dumps(_as_dict(found, scenario, changes, seeds), allow_nan=False))
        else:
            _print(found, f"{scenario}, {seeds} seeds; twin: {', '.join(change)}")
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


def _as_dict(
    found: "pd.DataFrame", scenario: str, changes: dict[str, Any], seeds: int
) -> dict[str, Any]:
    from marketsim.report.numbers import records

    return {
        "scenario": scenario,
        "changes": changes,
        "seeds": seeds,
        "failed": found.attrs["failed"],
        "identical": found.attrs["identical"],
        "differences": records(found),
    }


def _print(found: "pd.DataFrame", title: str) -> None:
    from rich.console import Console

    from marketsim.report.numbers import interval, number, to_rich

    is_zero = (found["base"] == 0) & (found["twin"] == 0)
    known = found[(found["pairs"] > 0) & ~is_zero]
    clear = (known["low"] > 0) | (known["high"] < 0)
    ends = zip(known["difference"], known["low"], known["high"], strict=True)
    shown = known[["base", "twin"]].astype(object).map(lambda value: number(value, 3))
    names = known["metric"].str.removeprefix("markets.").str.removeprefix("populations.")
    shown.insert(0, "metric", names)
    shown["difference"] = [interval(*each, digits=3) for each in ends]
    shown[""] = clear.map({True: "*", False: ""})
    shown["luck"] = known["variance_ratio"].map(lambda value: number(value, 3))
    console = Console()
    console.print(to_rich(shown, title, names=("metric", "")))
    typer.echo(
        "* the 95 % interval leaves zero out; luck: how many times more pairs of independent\n"
        f"seeds would need for it; {len(found) - len(known)} figures that are zero or missing "
        "are left out"
    )
    if found.attrs["identical"]:
        typer.echo(f"the change made no difference at all in {found.attrs['identical']} pairs")

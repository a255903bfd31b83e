"""``marketsim stress``: a portfolio of the user's own under a shock, margin mode by margin mode."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketsim.cli.errors import explained, refuse
from marketsim.cli.run import announce_compiling, parse_set

if TYPE_CHECKING:
    from marketsim.account.funding_cost import Settlement
    from marketsim.account.portfolio import Portfolio

#: Days of funding at given rates.
DEFAULT_DAYS = 30.0


def stress(
    portfolio: Annotated[
        Path,
        typer.Argument(help="TOML file: tables venue and markets of a scenario, positions, cash."),
    ],
    shock: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MARKET=MOVE",
            help="Move of a market, as BTC=-20%; may be repeated, the moves come together.",
        ),
    ] = None,
    path: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            help="Let the shock come in so many jumps, as in a run of so many steps. "
            "[default: continuously, prices are exact to the tick]",
        ),
    ] = None,
    funding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RATE",
            help="Rate per 8 h of all positions (0.01%) or of one market (BTC=0.01%, may be "
            "repeated); a file of the rates a market was charged (BTC=rates.csv, as exchanges "
            "publish them); or a run folder, for its rates.",
        ),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(help="Days of funding. [default: 30, or those of the files or run folder]"),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            help="Only cross, isolated or partial margin; may be repeated. [default: all under "
            "which the portfolio can be]"
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH.TO.FIELD=VALUE",
            help="Change one field of the portfolio, as venue.preset=dydx; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notices.")] = False,
) -> None:
    """Show what a shock and funding do to a portfolio under each margin mode.

    The rules are those of the venue's preset. What is liquidated is closed
    at the mark: the portfolio is taken to be too small to move prices.
    """
    with explained():
        shocks = dict(_parse_rate("--shock", text) for text in shock or [])
        if path is not None and not shocks:
            refuse("--path: says how --shock comes, which is not given")
        overrides = [parse_set(text) for text in set_ or []]

        from marketsim.account.funding_cost import cost_funding
        from marketsim.account.portfolio import load_portfolio
        from marketsim.account.stress import stress as find

        loaded = load_portfolio(portfolio, overrides)
        settlements, length = _settlements(loaded, funding or [], days)
        announce_compiling(quiet)
        found = find(loaded, shocks, modes=mode or None, num_steps=path)
        started = [each.mode for each in found.modes] if settlements else []
        costs = [cost_funding(loaded, each, settlements, length) for each in started]
        if as_json:
            record = found.to_dict() | {"funding": [cost.to_dict() for cost in costs]}
            typer.echo(json.dumps(record, allow_nan=False))
            return
        from rich.console import Console

        from marketsim.report.stress_page import render_stress

        Console(highlight=False).print(render_stress(found, costs))


def _parse_rate(option: str, text: str) -> tuple[str, float]:
    """Split ``BTC=-20%`` into a market and a fraction."""
    name, equals, value = text.partition("=")
    fraction = _fraction(value)
    if not equals or not name.strip() or fraction is None:
        refuse(f"{option} {text}: must read MARKET=NUMBER%, as BTC=-20%")
    if "%" not in value and 1.0 <= abs(fraction) < math.inf:
        meant = f"did you mean {name.strip()}={value.strip()}%?"
        refuse(f"{option} {text}: without % it is a share, {100.0 * fraction:+g} %; {meant}")
    return name.strip(), fraction


def _fraction(text: str) -> float | None:
    """Return a number, perhaps in percent, as a fraction; None if it is none."""
    number = text.strip()
    try:
        return float(number[:-1]) / 100.0 if number.endswith("%") else float(number)
    except ValueError:
        return None


def _settlements(
    portfolio: "Portfolio", funding: Sequence[str], days: float | None
) -> "tuple[Sequence[Settlement], float]":
    """Turn what --funding says into settlements and the days they stand for."""
    from marketsim.account.funding_cost import filed_rates, given_rates, recorded_rates
    from marketsim.scenario.funding_file import read_rates

    if not funding:
        if days is not None:
            refuse("--days: states the days of --funding, which is not given")
        return [], 0.0
    if len(funding) == 1 and "=" not in funding[0]:
        rate = _fraction(funding[0])
        if rate is None:
            if Path(funding[0]).is_file():
                refuse(f"--funding {funding[0]}: say of which market: BTC={funding[0]}")
            from marketsim.results.run import load_run

            run = load_run(funding[0])
            recorded = recorded_rates(portfolio, run, days)
            length = run.summary["steps"] * run.summary["step_minutes"] / 1440.0
            return recorded, float(length) if days is None else days
        rates: dict[str, float] = dict.fromkeys(portfolio.positions, rate)
        files: dict[str, Path] = {}
    else:
        files = dict(_files(funding))
        rates = dict(
            _parse_rate("--funding", text)
            for text in funding
            if text.partition("=")[0].strip() not in files
        )
    found: list[Settlement] = []
    if files:
        read = {
            name: read_rates(path, name, f"--funding {name}=FILE") for name, path in files.items()
        }
        found, days = filed_rates(portfolio, read, days)
    length = DEFAULT_DAYS if days is None else days
    if rates or not files:
        found += given_rates(portfolio, rates, length)
    return sorted(found, key=lambda each: each.hours), length


def _files(funding: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Go through what --funding gives as MARKET=FILE."""
    for text in funding:
        name, equals, value = text.partition("=")
        path = Path(value.strip())
        is_file = path.exists() or (path.suffix and not value.rstrip().endswith("%"))
        if equals and name.strip() and is_file and _fraction(value) is None:
            yield name.strip(), path

"""``marketsim stress``: a portfolio of the user's own under a shock, margin mode by margin mode."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import explained, refuse
from marketsim.cli.run import announce_compiling, parse_set

if TYPE_CHECKING:
    from rich.console import Console

    from marketsim.account.funding_cost import FundingCost, Settlement
    from marketsim.account.portfolio import Portfolio
    from marketsim.account.stress import Seizure, Stress

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
            "repeated); or a run folder, for its rates.",
        ),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(help="Days of funding. [default: 30, or those of the run folder]"),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="Only cross, isolated or partial margin; may be repeated."),
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
        from marketsim.account.stress import check_modes
        from marketsim.account.stress import stress as find

        loaded = load_portfolio(portfolio, overrides)
        modes = check_modes(loaded, mode or None)
        settlements, length = _settlements(loaded, funding or [], days)
        announce_compiling(quiet)
        found = find(loaded, shocks, modes=modes, num_steps=path)
        costs = [cost_funding(loaded, each, settlements, length) for each in modes if settlements]
        if as_json:
            record = found.to_dict() | {"funding": [_plain(cost) for cost in costs]}
            typer.echo(json.dumps(record, allow_nan=False))
            return
        from rich.console import Console

        _report(Console(highlight=False), found, costs)


def _parse_rate(option: str, text: str) -> tuple[str, float]:
    """Split ``BTC=-20%`` into a market and a fraction."""
    name, equals, value = text.partition("=")
    fraction = _fraction(value)
    if not equals or not name.strip() or fraction is None:
        refuse(f"{option} {text}: must read MARKET=NUMBER%, as BTC=-20%")
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
    from marketsim.account.funding_cost import given_rates, recorded_rates

    if not funding:
        if days is not None:
            refuse("--days: states the days of --funding, which is not given")
        return [], 0.0
    if len(funding) == 1 and "=" not in funding[0]:
        rate = _fraction(funding[0])
        if rate is None:
            from marketsim.results.run import load_run

            run = load_run(funding[0])
            found = recorded_rates(portfolio, run, days)
            length = run.summary["steps"] * run.summary["step_minutes"] / 1440.0
            return found, float(length) if days is None else days
        rates = dict.fromkeys(portfolio.positions, rate)
    else:
        rates = dict(_parse_rate("--funding", text) for text in funding)
    length = DEFAULT_DAYS if days is None else days
    return given_rates(portfolio, rates, length), length


def _plain(cost: "FundingCost") -> dict[str, Any]:
    return asdict(cost) | {"total_usd": cost.total_usd}


def _report(console: "Console", found: "Stress", costs: "Sequence[FundingCost]") -> None:
    moves = {name: move for name, move in found.shocks.items() if move}
    console.print(f"[bold]{found.portfolio}[/]  venue {found.venue}\n")
    console.print(_limits(found))
    if moves:
        from marketsim.report.account_page import percent

        text = ", ".join(f"{name} {percent(move, 1)}" for name, move in moves.items())
        pace = "" if found.num_steps is None else f", in {found.num_steps} jumps"
        console.print(f"\n[bold]shock[/]  {text}{pace}")
        console.print(_losses(found))
        _show_seizures(console, found)
    if costs:
        console.print()
        _show_funding(console, costs)


def _limits(found: "Stress") -> Any:
    """Put the liquidation prices of every position side by side."""
    from marketsim.report.account_page import money, new_table, price

    names = [each.mode for each in found.modes]
    table = new_table("liquidated at, if it alone moves", "price now", *names)
    start = found.modes[0].start
    for position in start.positions:
        cells = []
        for each in found.modes:
            for pool in each.start.pools:
                move = next((m for m in pool.moves if m.market == position.market), None)
                if move and any(one.market == position.market for one in pool.positions):
                    cells.append("never" if move.exhausted_at is None else price(move.exhausted_at))
        label = f"{position.market} {position.size:+,.6g}"
        table.add_row(label, price(position.mark_price), *cells)
    table.add_row("", "", *("" for _ in names))
    for title, name in (("equity", "equity_usd"), ("buffer to maintenance margin", "buffer_usd")):
        table.add_row(f"{title}, USD", "", *(money(getattr(m.start, name)) for m in found.modes))
    return table


def _losses(found: "Stress") -> Any:
    from marketsim.report.account_page import money, new_table, percent

    modes = found.modes
    table = new_table("USD", *(each.mode for each in modes))
    table.add_row("equity before", *(money(each.equity_start_usd) for each in modes))
    table.add_row("equity after", *(money(each.equity_end_usd) for each in modes))
    table.add_row("  had nothing been liquidated", *(money(each.held_end_usd) for each in modes))
    table.add_row("liquidation fees", *(money(each.penalty_usd) for each in modes))
    table.add_row("cash to add to keep all", *(money(each.needed_usd) for each in modes))
    firsts = [each.seizures[0] if each.seizures else None for each in modes]
    table.add_row("", *("" for _ in modes))
    table.add_row("first liquidated", *("nothing" if one is None else one.market for one in firsts))
    table.add_row(
        "  when it has moved",
        *(
            "" if one is None else percent(one.mark_price / found.prices[one.market] - 1.0)
            for one in firsts
        ),
    )
    return table


def _show_seizures(console: "Console", found: "Stress") -> None:
    """List what is liquidated, mode by mode, in order."""
    from marketsim.report.account_page import money, new_table, price

    table = new_table(
        "liquidated", "position", "at", "of shock", "closed", "last at", "fee USD", left=2
    )
    moved = [name for name, move in found.shocks.items() if move]
    for each in found.modes:
        for n, one in enumerate(each.seizures):
            closed = one.closed / abs(one.size)
            table.add_row(
                each.mode if n == 0 else "",
                f"{one.market} {one.size:+,.6g}",
                price(one.mark_price),
                f"{100 * one.share:.2f} %",
                f"{100 * closed:.1f} %",
                price(one.last_price),
                money(one.fee_usd),
            )
            if n == 0 and len(moved) > 1:
                table.add_row("", _prices(one, moved))
    if table.row_count:
        console.print()
        console.print(table)


def _prices(one: "Seizure", moved: Sequence[str]) -> Any:
    from rich.text import Text

    from marketsim.report.account_page import price

    others = [f"{name} {price(one.prices[name])}" for name in moved if name != one.market]
    return Text(f"with {', '.join(others)}" if others else "", "dim")


def _show_funding(console: "Console", costs: "Sequence[FundingCost]") -> None:
    from marketsim.report.account_page import money, new_table

    first = costs[0]
    console.print(f"[bold]funding[/]  {first.days:g} days, prices as they are")
    console.print(f"mean rate per 8 h: {_rates(first.mean_rate)}")
    ends = any(cost.liquidated_hours is not None for cost in costs)
    title = "paid until liquidated, USD" if ends else "paid, USD"
    table = new_table(title, *(cost.mode for cost in costs))
    for name in first.paid_usd:
        table.add_row(name, *(money(cost.paid_usd[name]) for cost in costs))
    table.add_row("total", *(money(cost.total_usd) for cost in costs))
    table.add_row("buffer at the end", *(money(cost.buffer_end_usd) for cost in costs))
    if ends:
        table.add_row("liquidated by funding", *map(_end, costs))
    console.print(table)


def _end(cost: "FundingCost") -> str:
    if cost.liquidated_hours is None:
        return "no"
    return f"{'+'.join(cost.liquidated_markets)}, day {cost.liquidated_hours / 24.0:.1f}"


def _rates(rates: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * rate:.4g} %" for name, rate in rates.items())

"""What a shock and funding do to a portfolio, margin mode by margin mode, for a terminal."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.account.funding_cost import FundingCost
from marketsim.account.stress import Seizure, Stress
from marketsim.report.layout import new_table
from marketsim.report.numbers import money, percent, price, signed_percent


def render_stress(found: Stress, costs: Sequence[FundingCost]) -> Group:
    """Put what happens under each margin mode side by side.

    Parameters
    ----------
    found : Stress
    costs : sequence of FundingCost
        Of the same modes; empty if funding was not asked for.

    Returns
    -------
    rich.console.Group
    """
    return Group(*_parts(found, costs))


def _parts(found: Stress, costs: Sequence[FundingCost]) -> Iterator[RenderableType]:
    yield Text.assemble((found.portfolio, "bold"), f"  venue {found.venue}\n")
    yield _limits(found)
    for mode in found.cannot_start:
        yield Text.assemble("\n", ("cannot start", "bold"), f"  {mode.reason}")
    moves = {name: move for name, move in found.shocks.items() if move}
    if moves:
        text = ", ".join(f"{name} {signed_percent(move, 1)}" for name, move in moves.items())
        pace = "" if found.num_steps is None else f", in {found.num_steps} jumps"
        yield Text.assemble("\n", ("shock", "bold"), f"  {text}{pace}")
        yield _losses(found)
        seizures = _seizures(found, list(moves))
        if seizures.row_count:
            yield Text()
            yield seizures
    if costs:
        yield Text()
        yield Text.assemble(("funding", "bold"), f"  {costs[0].days:g} days, prices as they are")
        yield Text(f"mean rate per 8 h: {_rates(costs[0].mean_rate)}")
        yield _funding(costs)


def _limits(found: Stress) -> Table:
    """Put the liquidation prices of every position side by side."""
    names = [each.mode for each in found.modes]
    table = new_table("liquidation price, if it alone moves", "price now", *names)
    start = found.modes[0].start
    for position in start.positions:
        same = [
            one
            for each in found.modes
            for one in each.start.positions
            if one.market == position.market
        ]
        limits = [one.liquidation_price for one in same]
        cells = ["never" if limit is None else price(limit) for limit in limits]
        label = f"{position.market} {position.size:+,.6g}"
        table.add_row(label, price(position.mark_price), *cells)
    table.add_row("", "", *("" for _ in names))
    for title, name in (("equity", "equity_usd"), ("buffer to maintenance margin", "buffer_usd")):
        table.add_row(f"{title}, USD", "", *(money(getattr(m.start, name)) for m in found.modes))
    return table


def _losses(found: Stress) -> Table:
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
            "" if one is None else signed_percent(one.mark_price / found.prices[one.market] - 1.0)
            for one in firsts
        ),
    )
    return table


def _seizures(found: Stress, moved: Sequence[str]) -> Table:
    """List what is liquidated, mode by mode, in order."""
    table = new_table(
        "liquidated", "position", "first at", "of shock", "closed", "last at", "fee USD", left=2
    )
    for each in found.modes:
        for n, one in enumerate(each.seizures):
            table.add_row(
                each.mode if n == 0 else "",
                f"{one.market} {one.size:+,.6g}",
                price(one.mark_price),
                percent(one.share),
                percent(one.closed / abs(one.size), 1),
                price(one.last_price),
                money(one.fee_usd),
            )
            if n == 0 and len(moved) > 1:
                table.add_row("", _prices(one, moved))
    return table


def _prices(one: Seizure, moved: Sequence[str]) -> Text:
    others = [f"{name} {price(one.prices[name])}" for name in moved if name != one.market]
    return Text(f"with {', '.join(others)}" if others else "", "dim")


def _funding(costs: Sequence[FundingCost]) -> Table:
    ends = any(cost.liquidated_hours is not None for cost in costs)
    title = "paid until liquidated, USD" if ends else "paid, USD"
    table = new_table(title, *(cost.mode for cost in costs))
    for name in costs[0].paid_usd:
        table.add_row(name, *(money(cost.paid_usd[name]) for cost in costs))
    table.add_row("total", *(money(cost.total_usd) for cost in costs))
    table.add_row("buffer at the end", *(money(cost.buffer_end_usd) for cost in costs))
    if ends:
        table.add_row("liquidated by funding", *map(_end, costs))
    return table


def _end(cost: FundingCost) -> str:
    if cost.liquidated_hours is None:
        return "no"
    return f"{'+'.join(cost.liquidated_markets)}, day {cost.liquidated_hours / 24.0:.1f}"


def _rates(rates: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * rate:.4g} %" for name, rate in rates.items())

"""``marketsim explain``: an account of a finished run, its margin maths and its liquidations."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketsim.cli.errors import explained
from marketsim.cli.run import announce_compiling, progress_bar

if TYPE_CHECKING:
    from rich.console import RenderableType

    from marketsim.contagion.explain import CauseOfLiquidation, Explanation, LiquidationOrder

#: Orders, causes and counterparties shown; the rest is counted.
MOST_ORDERS, MOST_CAUSES, MOST_TRADERS = 12, 8, 3
#: What caused a loss, in words; the market goes in front.
KINDS = {
    "index": "index moves",
    "forced": "earlier liquidations",
    "other": "other flow",
    "funding": "funding",
    "fees": "fees and trading costs",
    "collateral": "collateral: coins, stablecoins, transfers",
    "requirement": "the margin requirement rose",
}


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    account: Annotated[
        int, typer.Option(help="Number of the account, as in liquidations.parquet.")
    ],
    step: Annotated[
        int | None,
        typer.Option(
            help="Show the end of this step, from 0. [default: just before the first liquidation, "
            "else the end of the run]"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Show an account's margin maths line by line, and why and how it was liquidated.

    The run is done again from its scenario and seed up to that step, and checked against what was
    recorded.
    """
    with explained():
        from marketsim.contagion.explain import explain as find
        from marketsim.record.run import load_run

        folder = load_run(run)
        announce_compiling(quiet)
        with progress_bar(folder.scenario, quiet) as advance:
            found = find(folder, account, step, advance)
        if as_json:
            typer.echo(json.dumps(found.to_dict(), allow_nan=False))
            return
        from rich.console import Console

        console = Console(highlight=False)
        for part in _render(found):
            console.print(part)


def _render(found: "Explanation") -> "list[RenderableType]":
    from rich.text import Text

    from marketsim.report.statement import render_statement

    parts: list[RenderableType] = [
        Text.assemble(
            (found.scenario, "bold"),
            f"  seed {found.seed}, account {found.account}: {found.population} "
            f"({found.strategy}), {found.margin_mode} margin",
        ),
        Text(_moment(found)),
        Text(),
        render_statement(found.statement),
        Text(),
    ]
    if found.before is not None:
        parts += [*_why(found), Text()]
    if found.liquidations:
        parts += [*_how(found), Text()]
    else:
        parts += [Text("never liquidated in this run"), Text()]
    return [*parts, *_outcome(found)]


def _moment(found: "Explanation") -> str:
    when = f"step {found.step:,} of {found.num_steps:,} ({found.hours:,.1f} h)"
    if found.seized_round is None:
        return f"{when}, at its end"
    text = f"{when}, round {found.seized_round} of liquidation, as it was seized"
    if not found.is_exact:
        text += (
            f"\nothers came first in that round and changed it: seized with "
            f"{found.seizure_equity_usd:,.2f} USD of equity\nfor "
            f"{found.seizure_maintenance_usd:,.2f} USD of maintenance margin"
        )
    return text


def _why(found: "Explanation") -> "list[RenderableType]":
    """Say what the step of the seizure changed, and what the recorded causes are."""
    from rich.text import Text

    from marketsim.report.statement import money, new_table, percent, price, signed

    assert found.before is not None
    table = new_table("mark", "a step before", "as seized", "move")
    held = {position.market for position in found.before.positions}
    for name, before in found.marks_before.items():
        if name in held:
            after = found.marks[name]
            table.add_row(name, price(before), price(after), percent(after / before - 1.0))
    pools = new_table("buffer, USD", "a step before", "as seized", "change")
    after_by_pool = {pool.pool: pool for pool in found.statement.pools}
    for pool in found.before.pools:
        now = after_by_pool.get(pool.pool)
        if pool.positions and now is not None:
            change = signed(now.buffer_usd - pool.buffer_usd)
            pools.add_row(pool.name, money(pool.buffer_usd), money(now.buffer_usd), change)
    first = found.liquidations[0]
    parts: list[RenderableType] = [Text("why", "bold"), table, Text(), pools]
    if first.causes:
        parts += [Text(), Text("lost since the pool was last safe"), *_causes(first.causes)]
    return parts


def _causes(causes: "tuple[CauseOfLiquidation, ...]") -> "list[RenderableType]":
    """Sum causes up by market and kind, the largest first, and name the worst liquidation."""
    from rich.text import Text

    from marketsim.report.statement import money, new_table

    table = new_table("weight", "USD", "cause", left=0)
    table.columns[2].justify = "left"
    groups: dict[tuple[str, str], list[CauseOfLiquidation]] = {}
    for cause in causes:
        groups.setdefault((cause.market, cause.kind), []).append(cause)
    ordered = sorted(groups.items(), key=lambda item: -sum(one.weight for one in item[1]))
    for (market, kind), group in ordered[:MOST_CAUSES]:
        weight = sum(one.weight for one in group)
        loss = sum(one.loss_usd for one in group)
        table.add_row(f"{100 * weight:.1f} %", money(loss), f"{market} {KINDS[kind]}".strip())
        by_parent = sorted((c for c in group if c.parent is not None), key=lambda c: -c.weight)
        for one in by_parent[:MOST_TRADERS]:
            text = Text(f"  {one.parent_name}", "dim")
            table.add_row(Text(f"{100 * one.weight:.1f} %", "dim"), money(one.loss_usd), text)
        if len(by_parent) > MOST_TRADERS:
            table.add_row("", "", Text(f"  and {len(by_parent) - MOST_TRADERS} more", "dim"))
    return [table]


def _how(found: "Explanation") -> "list[RenderableType]":
    """List what was closed where, at what price, who took the rest and what it cost."""
    from rich.text import Text

    from marketsim.report.statement import money, new_table, price

    table = new_table(
        "step", "market", "held", "in book", "at", "mark", "rest to", "left", "cost USD", left=2
    )
    table.columns[6].justify = "left"
    for order in found.liquidations[:MOST_ORDERS]:
        table.add_row(
            f"{order.step}.{order.round}",
            order.market,
            f"{order.size_before:+,.5g}",
            f"{order.book_size:,.5g}",
            price(order.average_price),
            price(order.mark_price),
            {"none": "-", "later": "-"}.get(order.rest_taken_by, order.rest_taken_by),
            f"{order.size_after:+,.5g}" if order.size_after else "0",
            money(_cost(order)),
        )
    parts: list[RenderableType] = [Text("how", "bold"), table]
    rest = found.liquidations[MOST_ORDERS:]
    if rest:
        parts.append(Text(f"and {len(rest)} more orders up to step {rest[-1].step}; see --json"))
    parts += [Text(line) for line in _sums(found)]
    for order in found.liquidations:
        parts += [Text(line) for line in _counterparties(order)]
    return parts


def _cost(order: "LiquidationOrder") -> float:
    """Sum up what the order cost against the mark: in the book, by fee, takeover and ADL."""
    return order.book_cost_usd + order.fee_usd + order.takeover_cost_usd + order.adl_cost_usd


def _sums(found: "Explanation") -> list[str]:
    orders = found.liquidations
    fee, book = (sum(getattr(o, name) for o in orders) for name in ("fee_usd", "book_cost_usd"))
    paid, shared = (
        sum(getattr(o, name) for o in orders) for name in ("fund_paid_usd", "socialised_usd")
    )
    notional = sum(order.notional_usd for order in orders)
    closed = "order" if len(orders) == 1 else "orders"
    return [
        f"{len(orders)} {closed} closed {notional:,.2f} USD at mark: {book:,.2f} lost to the book, "
        f"{fee:,.2f} in fees;",
        f"the insurance fund paid {paid:,.2f}"
        + (f", others shared a loss of {shared:,.2f}" if shared else ""),
    ]


def _counterparties(order: "LiquidationOrder") -> list[str]:
    """Name who was deleveraged against an order."""
    if not order.deleveragings:
        return []
    named = ", ".join(
        f"{one.population} {one.account} ({one.size:+,.5g})"
        for one in order.deleveragings[:MOST_TRADERS]
    )
    more = len(order.deleveragings) - MOST_TRADERS
    tail = f" and {more} more" if more > 0 else ""
    return [f"{order.step}.{order.round} {order.market} deleveraged: {named}{tail}"]


def _outcome(found: "Explanation") -> "list[RenderableType]":
    from rich.text import Text

    from marketsim.report.statement import money, new_table, signed

    table = new_table("over the whole run", "USD")
    table.add_row("deposit", money(found.deposit_usd))
    for name, usd in found.profit_usd.items():
        if usd:
            table.add_row(f"  {name}", signed(usd))
    table.add_row(Text("equity at the end", "bold"), money(found.equity_end_usd))
    return [table]

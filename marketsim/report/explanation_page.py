"""An account of a finished run: its margin maths, why and how it was liquidated."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.account.explain import CauseOfLiquidation, Explanation, LiquidationOrder
from marketsim.report.account_page import render_statement
from marketsim.report.layout import new_table
from marketsim.report.numbers import money, percent, price, signed_money, signed_percent

#: Orders, causes and counterparties shown; the rest is counted.
MAX_ORDERS, MAX_TRADERS = 12, 3
#: Causes of less than this share of the loss are not shown, nor whose fault less than that was.
MIN_CAUSE, MIN_BLAME = 0.001, 0.01
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


def render_explanation(found: Explanation) -> Group:
    """Lay an explanation out for a terminal of 80 columns.

    Parameters
    ----------
    found : Explanation

    Returns
    -------
    rich.console.Group
    """
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
    return Group(*parts, _outcome(found))


def _moment(found: Explanation) -> str:
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


def _why(found: Explanation) -> list[RenderableType]:
    """Say what the step of the seizure changed, and what the recorded causes are."""
    assert found.before is not None
    table = new_table("mark", "a step before", "as seized", "move")
    held = {position.market for position in found.before.positions}
    for name, before in found.marks_before.items():
        if name in held:
            after = found.marks[name]
            table.add_row(name, price(before), price(after), signed_percent(after / before - 1.0))
    pools = new_table("buffer, USD", "a step before", "as seized", "change")
    after_by_pool = {pool.pool: pool for pool in found.statement.pools}
    for pool in found.before.pools:
        now = after_by_pool.get(pool.pool)
        if pool.positions and now is not None:
            change = signed_money(now.buffer_usd - pool.buffer_usd)
            pools.add_row(pool.name, money(pool.buffer_usd), money(now.buffer_usd), change)
    first = found.liquidations[0]
    parts: list[RenderableType] = [Text("why", "bold"), table, Text(), pools]
    if any(pool.pool == first.pool and pool.is_liquidatable for pool in found.before.pools):
        parts.append(Text("below maintenance margin before: until now, no order could be filled"))
    if first.causes:
        parts += [Text(), Text("lost since the pool was last safe"), _causes(first.causes)]
    return parts


def _causes(causes: Sequence[CauseOfLiquidation]) -> Table:
    """Sum causes up by market and kind, the largest first, and name the worst liquidation."""
    table = new_table("weight", "USD", "cause", left=0)
    table.columns[2].justify = "left"
    groups: dict[tuple[str, str], list[CauseOfLiquidation]] = {}
    for cause in causes:
        groups.setdefault((cause.market, cause.kind), []).append(cause)
    lost = sum(max(one.loss_usd, 0.0) for one in causes)
    for (market, kind), group in sorted(groups.items(), key=lambda item: -_loss(item[1])):
        weight, loss = sum(one.weight for one in group), _loss(group)
        if abs(loss) < MIN_CAUSE * lost:
            continue
        table.add_row(percent(weight, 1), money(loss), f"{market} {KINDS[kind]}".strip())
        if weight < MIN_BLAME:
            continue
        by_parent = sorted((c for c in group if c.parent is not None), key=lambda c: -c.weight)
        for one in by_parent[:MAX_TRADERS]:
            text = Text(f"  {one.parent_name}", "dim")
            table.add_row(Text(percent(one.weight, 1), "dim"), money(one.loss_usd), text)
        if len(by_parent) > MAX_TRADERS:
            table.add_row("", "", Text(f"  and {len(by_parent) - MAX_TRADERS} more", "dim"))
    return table


def _loss(causes: Sequence[CauseOfLiquidation]) -> float:
    return sum(cause.loss_usd for cause in causes)


def _how(found: Explanation) -> list[RenderableType]:
    """List what was closed where, at what price, who took the rest and what it cost."""
    table = new_table(
        "step", "held", "in book", "at", "to mark", "rest to", "cost", "others pay", left=2
    )
    table.columns[5].justify = "left"
    for order in found.liquidations[:MAX_ORDERS]:
        paid = order.average_price
        table.add_row(
            f"{order.step}.{order.round}",
            f"{order.market} {order.size_before:+,.5g}",
            f"{order.book_size:,.4g}",
            price(paid),
            "-" if paid is None else signed_percent(paid / order.mark_price - 1.0),
            {"none": "-"}.get(order.rest_taken_by, order.rest_taken_by),
            money(order.book_cost_usd + order.fee_usd),
            money(_borne_by_others(order)),
        )
    parts: list[RenderableType] = [Text("how", "bold"), table]
    rest = found.liquidations[MAX_ORDERS:]
    if rest:
        parts.append(Text(f"and {len(rest)} more orders up to step {rest[-1].step}; see --json"))
    parts += [Text(line) for line in _sums(found)]
    for order in found.liquidations:
        parts += [Text(line) for line in _counterparties(order)]
    return parts


def _borne_by_others(order: LiquidationOrder) -> float:
    """Sum up what the fund, those deleveraged and all holders paid; negative: they gained."""
    by_fund = order.fund_paid_usd + order.takeover_cost_usd
    return by_fund + order.adl_cost_usd + order.socialised_usd


def _sums(found: Explanation) -> list[str]:
    orders = found.liquidations
    fields = (
        "notional_usd",
        "book_cost_usd",
        "fee_usd",
        "fund_paid_usd",
        "takeover_cost_usd",
        "adl_cost_usd",
        "socialised_usd",
    )
    total = {name: sum(getattr(order, name) for order in orders) for name in fields}
    by_fund = total["fund_paid_usd"] + total["takeover_cost_usd"]
    payers = {
        "the insurance fund": by_fund,
        "deleveraged traders": total["adl_cost_usd"],
        "all holders": total["socialised_usd"],
    }
    paid = [f"{name} paid {money(usd)}" for name, usd in payers.items() if usd]
    closed = "order" if len(orders) == 1 else "orders"
    return [
        f"{len(orders)} {closed} closed {money(total['notional_usd'])} USD at mark; the book cost "
        f"{money(total['book_cost_usd'])} against it,",
        f"liquidation fees were {money(total['fee_usd'])}" + "".join(f", {text}" for text in paid),
    ]


def _counterparties(order: LiquidationOrder) -> list[str]:
    """Name who was deleveraged against an order."""
    if not order.deleveragings:
        return []
    named = ", ".join(
        f"{one.population} {one.account} ({one.size:+,.5g})"
        for one in order.deleveragings[:MAX_TRADERS]
    )
    more = len(order.deleveragings) - MAX_TRADERS
    tail = f" and {more} more" if more > 0 else ""
    return [f"{order.step}.{order.round} {order.market} deleveraged: {named}{tail}"]


def _outcome(found: Explanation) -> Table:
    table = new_table("over the whole run", "USD")
    table.add_row("deposit", money(found.deposit_usd))
    for name, usd in found.profit_usd.items():
        if usd:
            table.add_row(f"  {name}", signed_money(usd))
    table.add_row(Text("equity at the end", "bold"), money(found.equity_end_usd))
    return table

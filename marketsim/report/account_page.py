"""An account's margin maths for a terminal of 80 columns."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.account.statement import PoolStatement, Statement
from marketsim.report.layout import new_table
from marketsim.report.numbers import money, percent, price, signed_money, signed_percent


def render_statement(statement: Statement) -> Group:
    """Lay out an account, pool by pool.

    Parameters
    ----------
    statement : Statement

    Returns
    -------
    rich.console.Group
    """
    parts: list[RenderableType] = []
    for pool in statement.pools:
        parts += [*_render_pool(pool), Text()]
    if not parts:
        return Group(Text("the account holds nothing"))
    return Group(*parts[:-1])


def _render_pool(pool: PoolStatement) -> Sequence[RenderableType]:
    parts: list[RenderableType] = [Text(pool.name, "bold"), _sum(pool)]
    if pool.positions:
        parts += [Text(), _positions(pool), Text(), _moves(pool)]
    return parts


def _sum(pool: PoolStatement) -> Table:
    """Add a pool up, line by line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, min_width=13)
    table.add_column()
    table.add_row("    cash in the wallet", money(pool.cash_usd), "USD")
    for one in pool.holdings:
        value = Text(f"market value {money(one.value_usd)}", "dim")
        table.add_row(f"      {one.amount:,.6g} {one.name}", "", value)
    if pool.holdings:
        table.add_row("  + these after their haircut", money(pool.holdings_usd), "")
    if not pool.positions:
        if pool.holdings:
            table.add_row("  = equity", money(pool.equity_usd), "")
        return table
    table.add_row("  + profit of open positions", money(pool.profit_usd), "")
    table.add_row("  = equity", money(pool.equity_usd), Text(_leverage(pool), "dim"))
    initial = f"initial margin {money(pool.initial_usd)}"
    table.add_row("  - maintenance margin", money(pool.maintenance_usd), Text(initial, "dim"))
    verdict = Text("below maintenance margin", "bold red") if pool.is_liquidatable else Text()
    table.add_row("  = buffer", money(pool.buffer_usd), verdict)
    if pool.draw_left_usd > 0:
        table.add_row("    may draw from the main pool", money(pool.draw_left_usd), "")
    return table


def _leverage(pool: PoolStatement) -> str:
    text = f"notional {money(pool.notional_usd)}"
    return text if pool.leverage is None else f"{text}, leverage {pool.leverage:.3g}"


def _positions(pool: PoolStatement) -> Table:
    table = new_table("", "size", "entry", "mark", "profit", "maintenance", "rate", "bankrupt at")
    for one in pool.positions:
        rate = one.maintenance_usd / one.notional_usd if one.notional_usd else 0.0
        table.add_row(
            one.market,
            f"{one.size:+,.6g}",
            price(one.entry_price),
            price(one.mark_price),
            money(one.profit_usd),
            money(one.maintenance_usd),
            percent(rate),
            price(one.bankruptcy_price),
        )
    return table


def _moves(pool: PoolStatement) -> Table:
    """Say what each market alone does to the pool."""
    table = new_table("if it alone moves", "+1 %", "-1 %", "liquidated at", "a move of")
    closed_form = {one.market: one for one in pool.positions}
    for move in pool.moves:
        limit, change = move.exhausted_at, move.exhausted_by
        if pool.is_liquidatable:  # show where that began
            one = closed_form.get(move.market)
            limit = None if one is None else one.maintenance_price
            change = None if one is None or limit is None else limit / one.mark_price - 1.0
        table.add_row(
            move.market,
            signed_money(move.up_usd),
            signed_money(move.down_usd),
            "never" if limit is None else price(limit),
            "" if change is None else signed_percent(change),
        )
    return table

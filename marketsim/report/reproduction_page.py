"""R measured, beside R computed, for a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.report.layout import titled_table
from marketsim.report.numbers import fixed, grouped

#: What was counted, by the generations asked for.
COUNTED = {
    "first": "liquidated by it, of others, per dollar: R measured",
    "all": "liquidated after it, by it or by what it liquidated, per dollar",
}


def render_reproduction(summary: dict[str, Any]) -> Group:
    """Lay what followed forced liquidations out for a terminal.

    Parameters
    ----------
    summary : dict
        `scenario`, `seed`, `hours`, `computed` and `on_paper` by side, and what
        `marketsim.contagion.offspring.Reproduction.to_dict` returns.

    Returns
    -------
    rich.console.Group
    """
    head = Text.assemble(
        (summary["scenario"], "bold"), f"  seed {summary['seed']}, after {summary['hours']:g} h"
    )
    refused = f", {summary['refused']} more could not be" if summary["refused"] else ""
    parts: list[RenderableType] = [
        head,
        Text(
            f"{summary['n']} accounts near the edge liquidated by force, each in a copy{refused}: "
            f"{grouped(summary['forced_usd'])} USD; followed for {summary['horizon_hours']:g} h"
        ),
        _table(summary),
    ]
    for name, said in (("computed", "R computed"), ("on_paper", "on paper")):
        sides = ", ".join(f"{side} {fixed(value, 3)}" for side, value in summary[name].items())
        parts.append(Text(f"{said}: {sides}"))
    return Group(*parts)


def _table(summary: dict[str, Any]) -> Table:
    table = titled_table(
        COUNTED[summary["generations"]], ["in", "mean", "95 %, from", "to"], is_dense=False
    )
    for name, row in {"all markets": summary, **summary["by_market"]}.items():
        table.add_row(name, *(fixed(row[key], 3) for key in ("mean", "low", "high")))
    return table

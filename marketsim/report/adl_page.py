"""Waves of auto-deleveraging for a terminal."""

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketsim.report.layout import new_table
from marketsim.report.numbers import counted, fixed, short
from marketsim.results.waves import HORIZONS

if TYPE_CHECKING:
    import pandas as pd


def render_waves(summary: dict[str, Any], waves: "pd.DataFrame", largest: int) -> Group:
    """Lay the largest waves out, in order of time.

    Parameters
    ----------
    summary : dict
        `scenario`, `seed` and what `marketsim.results.waves.wave_figures` returns.
    waves : DataFrame
        As `marketsim.results.waves.tabulate_waves` returns them.
    largest : int
        How many to show.

    Returns
    -------
    rich.console.Group
    """
    head = Text.assemble((summary["scenario"], "bold"), f"  seed {summary['seed']}: ")
    if not summary["count"]:
        return Group(head + Text("nobody was deleveraged"))
    later = ", ".join(f"{short(summary[f'taken_{n}min_usd'])} at {n} min" for n in HORIZONS)
    needed, taken = short(summary["needed_usd"]), short(summary["taken_usd"])
    share = fixed(summary["largest_share"], 3)
    head += Text(
        f"{counted(summary['count'], 'wave')} of auto-deleveraging, "
        f"{counted(summary['closures'], 'closure')}\n"
        f"needed {needed} USD, taken {taken} ({later})\n"
        f"largest share of one position closed: median {share}"
    )
    shown = waves.nlargest(largest, "notional_usd").sort_index()
    return Group(head, _table(shown))


def _table(waves: "pd.DataFrame") -> Table:
    horizons = [f"{n} min" for n in HORIZONS]
    names = ("hours", "accounts", "closed", "needed", "taken", *horizons, "share")
    table = new_table(*names, left=0)
    columns = ("notional_usd", "needed_usd", "taken_usd", *(f"taken_{n}min_usd" for n in HORIZONS))
    for _, row in waves.iterrows():
        amounts = (None if row[name] != row[name] else float(row[name]) for name in columns)
        table.add_row(
            f"{row['hours']:.2f}",
            f"{int(row['accounts'])}",
            *map(short, amounts),
            fixed(float(row["largest_share"]), 3),
        )
    return table

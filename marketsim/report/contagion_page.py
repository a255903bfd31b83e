"""How close a run came to running away, who leads, who is exposed: for a terminal, as figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.contagion.matrix import Contagion
from marketsim.report.layout import titled_table
from marketsim.report.numbers import fixed

if TYPE_CHECKING:
    import pandas as pd

#: More markets than this make too wide a table for a terminal.
MAX_COLUMNS = 6
#: Markets named that lead a side.
MAX_LEADERS = 3


def render_contagion(summary: dict[str, Any], hours: Mapping[int, float]) -> Group:
    """Lay reproduction numbers, the matrix at their peak and exposure out for a terminal.

    Parameters
    ----------
    summary : dict
        `scenario`, `seed`, `markets` and what `marketsim.results.contagion.summarise_contagion`
        returns.
    hours : mapping of int to float
        Time of each moment, by its step.

    Returns
    -------
    rich.console.Group
    """
    parts: list[RenderableType] = [
        Text.assemble(
            (summary["scenario"], "bold"),
            f"  seed {summary['seed']}: reproduction number R at {summary['moments']:,} moments",
        )
    ]
    peaks = summary["peak"]
    parts += [_side(side, peaks[side], summary["mean"][side], hours) for side in peaks]
    side = max(peaks, key=lambda each: peaks[each]["reproduction_number"] or 0)
    if len(summary["markets"]) <= MAX_COLUMNS:
        parts += [
            _matrix(f"M at the peak of {side}: column moves, row follows", peaks[side]["matrix"]),
            _matrix(
                "overlap at the end: of the row's positions, in the column's pools too",
                summary["overlap"],
            ),
        ]
    return Group(*parts, _concentration(summary["concentration"]))


def _side(side: str, peak: dict[str, Any], mean: float, hours: Mapping[int, float]) -> Text:
    number = peak["reproduction_number"]
    if number is None:
        return Text(f"{side}: not known, a side of a book was empty throughout")
    leaders = sorted((peak["leaders"] or {}).items(), key=lambda item: -abs(item[1]))
    led = ", ".join(f"{name} {share:.0%}" for name, share in leaders[:MAX_LEADERS] if share)
    return Text(
        f"{side}: mean {mean:.3f}, most {number:.3f} after {hours[peak['step']]:g} h"
        + (f", led by {led}" if led else "")
    )


def _matrix(title: str, matrix: dict[str, dict[str, float | None]]) -> Table:
    table = titled_table(title, matrix, is_dense=False)
    for name, row in matrix.items():
        table.add_row(name, *(fixed(value, 3) for value in row.values()))
    return table


def _concentration(rows: list[dict[str, Any]]) -> Table:
    columns = ["side", "accounts", "USD", "Herfindahl", "top 10, %"]
    table = titled_table("positions at the end", columns, is_dense=False)
    for row in rows:
        share = row["top_10_share"]
        table.add_row(
            row["market"],
            row["side"],
            f"{row['accounts']:,}",
            f"{row['notional_usd']:,.0f}",
            fixed(row["herfindahl"], 3),
            fixed(None if share is None else 100 * share, 0),
        )
    return table


def draw_contagion(
    contagion: Contagion, heatmaps: Mapping[str, "pd.DataFrame"], folder: Path
) -> list[Path]:
    """Draw R over time, M at its peak and the liquidation heat maps.

    Parameters
    ----------
    contagion : Contagion
    heatmaps : mapping of pandas.DataFrame
        By market, as `marketsim.results.run.Run.heatmap` returns them; an empty one is left out.
    folder : Path
        Must be there.

    Returns
    -------
    list of Path
        What was drawn.
    """
    from marketsim.report.charts import heat_map, line_figure, save_figure

    numbers = contagion.reproduction_number
    lines = numbers.reset_index().melt("hours", var_name="group", value_name="value").dropna()
    lines = lines.rename(columns={"hours": "x"}).assign(low=lines["value"], high=lines["value"])
    figure = line_figure(lines, "hours", "reproduction number R", marker="")
    drawn = [save_figure(figure, folder / "reproduction_number.png")]
    larger = numbers.max()
    side = str(larger.fillna(-1.0).idxmax())
    matrix = contagion.peak(side).table(side)
    # The figure's rows go upwards: the first market on top, as in a table.
    figure = heat_map(matrix[::-1], "market that moves", "market that follows", f"M, {side}")
    drawn.append(save_figure(figure, folder / "contagion_matrix.png"))
    for market, grid in heatmaps.items():
        if not len(grid):
            continue
        held = grid.where(grid > 0.0)
        figure = heat_map(held, "hours", f"mark of {market}, USD", "USD liquidated there")
        drawn.append(save_figure(figure, folder / f"liquidation_heatmap_{market}.png"))
    return drawn

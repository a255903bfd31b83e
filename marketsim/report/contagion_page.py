"""How close a run came to running away, who leads, who is exposed: for a terminal, as figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.report.layout import titled_table
from marketsim.report.numbers import fixed
from marketsim.results.run import Run

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
    parts.append(_on_paper(summary))
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


def _on_paper(summary: dict[str, Any]) -> Text:
    means = [f"{side} {fixed(value, 3)}" for side, value in summary["mean_on_paper"].items()]
    shares = [f"{name} {share:.0%}" for name, share in summary["recovery"].items()]
    return Text(
        f"on paper, with books that never refill: mean of {', '.join(means)}; measured, a book "
        f"takes back in a step, of what liquidations move it by: {', '.join(shares)}"
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


def draw_contagion(run: Run, folder: Path) -> list[Path]:
    """Draw R over time with the matrix at its peak, and every market's liquidation heat map.

    Parameters
    ----------
    run : Run
    folder : Path
        Must be there.

    Returns
    -------
    list of Path
        What was drawn.
    """
    from marketsim.report.canvas import find_look, save_figure
    from marketsim.report.picture import draw_picture
    from marketsim.report.plots.kinds import find_kind

    look = find_look()
    pictures: dict[str, tuple[str, dict[str, str]]] = {"contagion": ("contagion", {})}
    if "liquidation_heatmap" in run.tables:
        held = run.liquidation_heatmap["market"].astype(str)
        for market in (name for name in run.market_names if (held == name).any()):
            kind = "liquidation-heatmap"
            pictures[f"{kind}-{market}"] = (kind, {"market": market})
    return [
        save_figure(draw_picture(find_kind(kind), [run], look, options), folder / f"{name}.png")
        for name, (kind, options) in pictures.items()
    ]

"""``marketsim contagion``: how close a run came to running away, who leads, who is exposed."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import explained, refuse

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from marketsim.contagion.matrix import Contagion, ContagionMatrix
    from marketsim.results.run import Run

#: More markets than this make too wide a table for a terminal.
MOST_COLUMNS = 6


def contagion(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures, PNG; made if it is not there.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No tables.")] = False,
) -> None:
    """Show the reproduction number of a run, its contagion matrix at the peak, and exposure.

    R is the number of dollars liquidated for each dollar liquidated, over all markets: below 1 a
    small move dies out, at 1 it runs away.
    """
    with explained():
        from marketsim.results.run import load_run

        loaded = load_run(run)
        series = loaded.contagion()
        if not len(series.steps):
            refuse(f"{run}: the run is too short, it holds no contagion matrix")
        drawn = _draw(loaded, series, out) if out is not None else []
        summary = _summary(loaded, series)
        if as_json:
            content = summary | {"figures": [str(path) for path in drawn]}
            typer.echo(json.dumps(content, allow_nan=False))
        elif not quiet:
            from rich.console import Console

            _show(Console(highlight=False), loaded, series, summary)
            for path in drawn:
                typer.echo(f"drawn {path}")


def _summary(run: "Run", series: "Contagion") -> dict[str, Any]:
    from marketsim.contagion.recorder import SIDES

    numbers = series.reproduction_number
    peaks = {side: series.peak(side) for side in SIDES}
    exposure = run.exposure()
    return {
        "scenario": run.scenario,
        "seed": run.seed,
        "markets": list(series.markets),
        "moments": len(series.steps),
        "steps": series.steps.tolist(),
        "reproduction_number": {
            side: [_finite(value) for value in numbers[side]] for side in SIDES
        },
        "mean": {side: _finite(numbers[side].mean()) for side in SIDES},
        "peak": {side: _peak(peaks[side], side) for side in SIDES},
        "concentration": [
            {str(key): _finite(value) for key, value in row.items()}
            for row in exposure.concentration().to_dict("records")
        ],
        "overlap": _nested(exposure.overlap()),
        "alignment": _nested(exposure.alignment()),
    }


def _peak(matrix: "ContagionMatrix", side: str) -> dict[str, Any]:
    number = matrix.reproduction_number(side)
    known = math.isfinite(number)
    return {
        "step": matrix.step,
        "reproduction_number": _finite(number),
        "matrix": _nested(matrix.table(side)),
        "leaders": matrix.leaders(side) if known else None,
        "amplification": _nested(matrix.amplification(side)) if number < 1.0 else None,
    }


def _nested(table: Any) -> dict[str, dict[str, float | None]]:
    """Return a square table as numbers by row and column."""
    return {
        str(row): {str(column): _finite(table.loc[row, column]) for column in table.columns}
        for row in table.index
    }


def _finite(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _show(console: "Console", run: "Run", series: "Contagion", summary: dict[str, Any]) -> None:
    hours = dict(zip(summary["steps"], series.hours.tolist(), strict=True))
    console.print(
        f"[bold]{run.scenario}[/]  seed {run.seed}: reproduction number R at "
        f"{summary['moments']:,} moments"
    )
    for side in summary["peak"]:
        peak = summary["peak"][side]
        number, mean = peak["reproduction_number"], summary["mean"][side]
        if number is None:
            console.print(f"{side}: not known, a side of a book was empty throughout")
            continue
        leaders = sorted((peak["leaders"] or {}).items(), key=lambda item: -abs(item[1]))
        led = ", ".join(f"{name} {share:.0%}" for name, share in leaders[:3] if share)
        console.print(
            f"{side}: mean {mean:.3f}, most {number:.3f} after {hours[peak['step']]:g} h"
            + (f", led by {led}" if led else "")
        )
    side = max(summary["peak"], key=lambda each: summary["peak"][each]["reproduction_number"] or 0)
    if len(series.markets) <= MOST_COLUMNS:
        peak = summary["peak"][side]["matrix"]
        console.print(_matrix_table(f"M at the peak of {side}: column moves, row follows", peak))
        console.print(
            _matrix_table(
                "overlap at the end: of the row's positions, in the column's pools too",
                summary["overlap"],
            )
        )
    console.print(_concentration_table(summary["concentration"]))


def _matrix_table(title: str, matrix: dict[str, dict[str, float | None]]) -> "Table":
    table = _new_table(title, list(matrix))
    for name, row in matrix.items():
        table.add_row(name, *("-" if value is None else f"{value:.3f}" for value in row.values()))
    return table


def _concentration_table(rows: list[dict[str, Any]]) -> "Table":
    table = _new_table(
        "positions at the end", ["side", "accounts", "USD", "Herfindahl", "top 10, %"]
    )
    for row in rows:
        share, index = row["top_10_share"], row["herfindahl"]
        table.add_row(
            row["market"],
            row["side"],
            f"{row['accounts']:,}",
            f"{row['notional_usd']:,.0f}",
            "-" if index is None else f"{index:.3f}",
            "-" if share is None else f"{100 * share:.0f}",
        )
    return table


def _new_table(title: str, columns: list[str]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, min_width=len(title), title=title)
    table.title_justify = "left"
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=14)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _draw(run: "Run", series: "Contagion", out: Path) -> list[Path]:
    """Draw R over time, M at its peak and the liquidation heat map of every market."""
    import pandas as pd

    from marketsim.report.charts import heat_map, line_figure, save_figure

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(f"--out {out}: cannot be made: {error}")
    numbers = series.reproduction_number
    lines = numbers.reset_index().melt("hours", var_name="group", value_name="value").dropna()
    lines = lines.rename(columns={"hours": "x"}).assign(low=lines["value"], high=lines["value"])
    drawn = [
        save_figure(
            line_figure(lines, "hours", "reproduction number R", marker=""),
            out / "reproduction_number.png",
        )
    ]
    larger = numbers.max()
    side = str(larger.fillna(-1.0).idxmax())
    matrix = series.peak(side).table(side)
    # The figure's rows go upwards: the first market on top, as in a table.
    figure = heat_map(matrix[::-1], "market that moves", "market that follows", f"M, {side}")
    drawn.append(save_figure(figure, out / "contagion_matrix.png"))
    if "liquidation_heatmap" in run.tables:
        for market in series.markets:
            grid = run.heatmap(market)
            if not len(grid):
                continue
            scaled = pd.DataFrame(grid).where(grid > 0.0)
            figure = heat_map(scaled, "hours", f"mark of {market}, USD", "USD liquidated there")
            drawn.append(save_figure(figure, out / f"liquidation_heatmap_{market}.png"))
    return drawn

"""``marketsim query``: SQL over the runs of a sweep."""

import csv
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from marketsim.cli.errors import explained, refuse


def query(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    sql: Annotated[
        str,
        typer.Argument(
            help="DuckDB's SQL; tables: runs, and series and events if the sweep keeps them. Write "
            'names that have dots in double quotes: SELECT avg("markets.BTC.volume_usd") FROM runs'
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array, an object per row.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Ask a sweep a question in SQL."""
    with explained():
        if as_json and as_csv:
            refuse("--json and --csv exclude each other")
        from marketsim.sweep.query import query_rows

        columns, rows = query_rows(folder, sql)
        if as_json:
            records = [dict(zip(columns, map(_plain, row), strict=True)) for row in rows]
            typer.echo(json.dumps(records, default=str))
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerows([columns, *rows])
        else:
            typer.echo("\n".join(_aligned(columns, rows)))


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _aligned(columns: list[str], rows: list[tuple[Any, ...]]) -> list[str]:
    """Lay rows out: numbers to six digits and to the right, texts to the left."""
    texts = [columns, *([_written(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    is_text = [any(isinstance(row[j], str) for row in rows) for j in range(len(columns))]
    return [
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, is_text, strict=True)
        ).rstrip()
        for line in texts
    ]


def _written(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)

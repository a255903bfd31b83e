"""``marketsim query``: SQL over the runs of a sweep."""

import csv
import json
import sys
from pathlib import Path
from typing import Annotated

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
        from marketsim.report.layout import aligned, json_rows
        from marketsim.sweep.query import query_rows

        columns, rows = query_rows(folder, sql)
        if as_json:
            typer.echo(json.dumps(json_rows(columns, rows), default=str))
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerows([columns, *rows])
        else:
            typer.echo("\n".join(aligned(columns, rows)))

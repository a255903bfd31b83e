"""``marketsim query``: SQL over the runs of a sweep."""

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
        from marketsim.sweep.table import query_sweep

        found = query_sweep(folder, sql)
        if as_json:
            typer.echo(found.to_json(orient="records"))
        elif as_csv:
            found.to_csv(sys.stdout, index=False)
        else:
            typer.echo(found.to_string(index=False, max_colwidth=40))

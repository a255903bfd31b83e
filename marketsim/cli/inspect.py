"""``marketsim inspect``: how a file of prices or funding rates is understood."""

import json
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse
from marketsim.cli.run import parse_set


def inspect(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, JSON, Parquet or Arrow (feather), also packed by gzip, zip, bzip2, xz, zstd."
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="State a field of spot.history, as close=last or bar_minutes=60; may be repeated.",
        ),
    ] = None,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print a scenario that replays the file, nothing else.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON object.")
    ] = False,
) -> None:
    """Show how a file of prices or funding rates is understood, and a scenario that replays it.

    For example: `marketsim inspect BTCUSDT-1h.zip`, then
    `marketsim inspect BTCUSDT-1h.zip --toml > btc.toml` and `marketsim run btc.toml`.
    """
    with explained():
        from pydantic import ValidationError

        from marketsim.scenario.inspection import inspect_file
        from marketsim.scenario.loader import parse_value
        from marketsim.scenario.spot_model import History

        fields = {"path": file}
        for text in set_ or []:
            field, value = parse_set(text)
            fields[field.removeprefix("spot.history.")] = parse_value(value)
        try:
            history = History.model_validate(fields)
        except ValidationError as error:
            wrong = error.errors()[0]
            refuse(f"--set {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}")
        found = inspect_file(history)
        if as_json:
            typer.echo(json.dumps(found.to_dict(), allow_nan=False))
            return
        if as_toml:
            typer.echo(found.toml, nl=False)
            return
        from rich.console import Console

        from marketsim.report.inspection_page import render_inspection

        Console(highlight=False).print(render_inspection(found))
        typer.echo("\nA scenario that replays it (--toml prints it alone):\n")
        typer.echo(found.toml, nl=False)

"""``marketsim status``: how far a sweep has come."""

import json
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained


def status(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how far a sweep has come, what failed and who is at work on it."""
    with explained():
        from marketsim.report.sweep_page import status_lines
        from marketsim.sweep.status import sweep_status

        found = sweep_status(folder)
        typer.echo(json.dumps(found) if as_json else "\n".join(status_lines(found)))

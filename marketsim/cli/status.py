"""``marketsim status``: how far a sweep has come."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from marketsim.cli.errors import explained


def status(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how far a sweep has come, what failed and who is at work on it."""
    with explained():
        from marketsim.sweep.status import sweep_status

        found = sweep_status(folder)
        typer.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    made = found["runs"] - found["missing"]
    share = made / found["runs"]
    lines = [
        f"{found['name']} ({found['kind']}): {made:,} of {found['runs']:,} runs ({share:.0%}), "
        f"{found['error']:,} failed, {found['quarantined']:,} quarantined"
    ]
    if found["wall_s"] is not None:
        lines.append(f"{found['wall_s']:.3g} s a run; marketsim {found['model']}")
    lines += [
        f"at work: process {each.get('process')} on {each.get('host')}, shard {each['shard']}"
        for each in found["drivers"]
    ]
    lines += [f"{each['runs']:,} x {each['error']} (run {each['key']})" for each in found["errors"]]
    if found["result"] is not None:
        lines.append(f"result {found['result']}")
    return lines

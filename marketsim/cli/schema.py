"""``marketsim schema``: the JSON schema of a scenario file."""

import json

import typer

from marketsim.cli.errors import explained


def schema() -> None:
    """Print the JSON schema of a scenario file, for editors and checkers."""
    with explained():
        from marketsim.agents.registry import scenario_schema

        typer.echo(json.dumps(scenario_schema(), indent=2))

"""``marketsim scenarios``: what is shipped."""

import typer

from marketsim.cli.errors import explained


def scenarios() -> None:
    """List the shipped scenarios."""
    with explained():
        from marketsim.scenario.loader import list_scenarios

        shipped = list_scenarios()
        width = max((len(name) for name, _ in shipped), default=0)
        for name, description in shipped:
            typer.echo(f"{name:{width}}  {description}")

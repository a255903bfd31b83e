"""``marketsim odd``: a scenario described by the ODD protocol."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from marketsim.cli.errors import explained
from marketsim.cli.run import Changes, parse_set


def odd(
    scenario: Annotated[
        str, typer.Argument(help="Name of a shipped scenario, or the path of a TOML file.")
    ],
    set_: Changes = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write. [default: the terminal]")
    ] = None,
) -> None:
    """Describe a scenario by the ODD protocol, ready for the appendix of a paper (Markdown)."""
    with explained():
        from marketsim.report.layout import write_text
        from marketsim.report.odd import describe_scenario
        from marketsim.scenario.loader import override_tables, parse_scenario, read_tables

        tables = override_tables(
            read_tables(scenario), [parse_set(text) for text in set_ or []], scenario
        )
        options = [f"--set {shlex.quote(text)}" for text in set_ or []]
        command = " ".join(["marketsim odd", shlex.quote(scenario), *options])
        text = describe_scenario(parse_scenario(tables, scenario), tables, command)
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_text(text, out)
            typer.echo(f"written to {out}")

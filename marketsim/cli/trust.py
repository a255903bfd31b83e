"""Asks before a file of somebody's code is run that the user has not named himself."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from marketsim.cli.errors import refuse

if TYPE_CHECKING:
    from marketsim.scenario.schema import Scenario

#: The option that answers yes.
Trust: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--trust", help="Run strategies of your own from outside the current folder, unasked."
    ),
]


def confirm_strategies(scenario: "Scenario", trust: bool) -> None:
    """Ask whether strategies may be run whose files are not in the current folder.

    Parameters
    ----------
    scenario : Scenario
        Read from a folder of results: it, and not the user, names the files.
    trust : bool
        Do not ask.

    Raises
    ------
    BadInputError
        If the answer is no, or nobody is there to give it.
    """
    from marketsim.scenario.inputs import strategy_files

    for text, file in strategy_files(scenario).items():
        where = file.resolve() if file is not None else Path(text)
        if trust or where.parent == Path.cwd():
            continue
        what = f"{text}: runs the code of {where}, which is not in the current folder"
        if not _somebody_is_there():
            refuse(f"{what}; if you trust it, add --trust")
        typer.echo(what, err=True)
        try:
            is_trusted = typer.confirm("Run it?", err=True)
        except typer.Abort:
            is_trusted = False
        if not is_trusted:
            refuse(f"{where}: not run; --trust runs it unasked")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()

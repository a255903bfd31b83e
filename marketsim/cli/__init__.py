"""The command line: one file per command, put together here.

Commands import what they run inside, so that ``marketsim --help`` answers at once.
"""

from typing import Annotated

import typer

from marketsim.cli.analyze import analyze
from marketsim.cli.bench import bench
from marketsim.cli.calibrate import calibrate
from marketsim.cli.cascade import cascade
from marketsim.cli.compare import compare
from marketsim.cli.contagion import contagion
from marketsim.cli.experiment import experiment
from marketsim.cli.explain import explain
from marketsim.cli.inspect import inspect
from marketsim.cli.live import live
from marketsim.cli.movie import movie
from marketsim.cli.odd import odd
from marketsim.cli.plot import plot
from marketsim.cli.query import query
from marketsim.cli.replay import replay
from marketsim.cli.report import report
from marketsim.cli.rerun import rerun
from marketsim.cli.run import run
from marketsim.cli.scenarios import scenarios
from marketsim.cli.schema import schema
from marketsim.cli.status import status
from marketsim.cli.stress import stress
from marketsim.cli.sweep import sweep
from marketsim.cli.talk import talk
from marketsim.cli.validate import validate

__all__ = ["app", "main"]

app = typer.Typer(
    name="marketsim",
    help="Simulate perpetual-futures markets: margin pools, funding, liquidation cascades.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # otherwise "[default: ...]" counts as a style and is not shown
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 2 bad input, 1 failure, 3 a sweep with failed runs.",
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"marketsim {version('marketsim-perps')}")
    except PackageNotFoundError:
        typer.echo("marketsim, run from its sources without being installed")
    raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Simulate perpetual-futures markets: margin pools, funding, liquidation cascades."""


app.command()(run)
app.command()(cascade)
app.command()(contagion)
app.command()(plot)
app.command()(replay)
app.command()(live)
app.command()(report)
app.command()(movie)
app.command()(talk)
app.command()(explain)
app.command()(stress)
app.command()(inspect)
app.command()(scenarios)
app.command()(schema)
app.command()(odd)
app.command()(validate)
app.command()(bench)
app.command()(sweep)
app.command()(status)
app.command()(query)
app.command()(rerun)
app.command()(analyze)
app.command()(compare)
app.command()(calibrate)
app.command()(experiment)


def main() -> None:
    """Run the command line; the entry point of the `marketsim` script."""
    app()

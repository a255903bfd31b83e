"""The command line: one file per command, put together here.

Commands import what they run inside, so that ``marketsim --help`` answers at once.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from marketsim.cli.adl import adl
from marketsim.cli.analyze import analyze
from marketsim.cli.bench import bench
from marketsim.cli.bundle import bundle
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
from marketsim.cli.reproduction import reproduction
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


class _Command(TyperCommand):
    """A command that takes no empty text: of a path, it would mean the current folder."""

    #: Parameters whose commands say themselves what nothing means.
    may_be_empty = ("keep", "key")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command's words.

        Raises
        ------
        BadParameter
            If a word is empty.
        """
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        parameter: Any
        for parameter in self.get_params(ctx):
            stated = given.get(parameter.name)
            words = stated if isinstance(stated, list | tuple) else (stated,)
            if "" in words and parameter.name not in self.may_be_empty:
                need = 'it is empty: state one; "." is the current folder'
                raise typer.BadParameter(need, ctx=ctx, param=parameter)
        return super().parse_args(ctx, args)


#: Every command, in the order of the help, and an example of it.
_COMMANDS: dict[Callable[..., None], str] = {
    run: "marketsim run contagion --seed 7",
    cascade: "marketsim cascade runs/contagion-7",
    adl: "marketsim adl runs/contagion-7",
    contagion: "marketsim contagion runs/contagion-7 --out figures",
    reproduction: "marketsim reproduction contagion --seed 7 --at-hours 11",
    plot: "marketsim plot runs/contagion-7 payers -o payers.png",
    replay: "marketsim replay runs/contagion-7 -o contagion.html",
    live: "marketsim live contagion --seed 7",
    report: "marketsim report runs/contagion-7 -o report.html",
    movie: "marketsim movie runs/contagion-7 -o contagion.gif",
    talk: "marketsim talk -o friday",
    explain: "marketsim explain runs/contagion-7 --account 122",
    stress: "marketsim stress portfolio.toml --shock BTC=-20% --shock ETH=10%",
    inspect: "marketsim inspect prices.csv",
    scenarios: "marketsim scenarios",
    schema: "marketsim schema",
    odd: "marketsim odd contagion -o odd.md",
    validate: "marketsim validate calm --days 90",
    bench: "marketsim bench market --accounts 1000",
    sweep: "marketsim sweep spill.toml --out spill",
    status: "marketsim status spill",
    query: "marketsim query spill 'SELECT variant, count(*) FROM runs GROUP BY variant'",
    rerun: "marketsim rerun spill KEY --out again",
    analyze: "marketsim analyze spill",
    compare: "marketsim compare contagion --change populations.crowd.margin_mode=isolated",
    calibrate: "marketsim calibrate premium.toml --out fit",
    experiment: "marketsim experiment funding_interval --quick",
    bundle: "marketsim bundle runs/contagion-7 -o contagion.zip",
}
for _command, _example in _COMMANDS.items():
    app.command(cls=_Command, epilog=f"Example: `{_example}`")(_command)


def main() -> None:
    """Run the command line; the entry point of the `marketsim` script."""
    app()

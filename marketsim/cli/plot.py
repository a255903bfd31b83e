"""``marketsim plot``: a figure of a run, of a run and its twin, or of many runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import explained, refuse
from marketsim.cli.trust import Trust, confirm_strategies
from marketsim.report.plots.kinds import KINDS, Kind, find_kind, kinds_table
from marketsim.report.style import SIZES

if TYPE_CHECKING:
    from marketsim.results.run import Run

#: Options that belong to some kinds only; the names are those of their ``draw``.
OWN_OPTIONS = ("market", "account", "cascade", "series", "before", "after")
NAMES = ", ".join(kind.name for kind in KINDS)


def plot(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN... KIND", help=f"Run folders, then one of: {NAMES}."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File, .png, .svg or .pdf. [default: KIND.png]"),
    ] = None,
    size: Annotated[str, typer.Option(help="slide (16:9) or column.")] = "slide",
    dark: Annotated[bool, typer.Option("--dark", help="On a dark page.")] = False,
    market: Annotated[
        str | None, typer.Option(help="Show this market. [default: all, or the most liquidated]")
    ] = None,
    account: Annotated[
        int | None, typer.Option(help="For account. [default: the most liquidated]")
    ] = None,
    cascade: Annotated[
        int | None, typer.Option(help="For cascade and network: 1 is the largest.")
    ] = None,
    series: Annotated[
        str | None, typer.Option(help="For events: a column of the table of markets.")
    ] = None,
    before: Annotated[float | None, typer.Option(help="For events: hours before.")] = None,
    after: Annotated[float | None, typer.Option(help="For events: hours after.")] = None,
    kinds: Annotated[
        bool, typer.Option("--kinds", help="List the kinds: what each shows, and its options.")
    ] = False,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Draw a figure of a run; several runs of most kinds are drawn beside each other.

    ghost takes a run and its twin, events many runs or the folder of a sweep. A run that lacks what
    a figure needs is made again, in memory.
    """
    with explained():
        if kinds:
            typer.echo(kinds_table())
            return
        kind = _kind(arguments or [])
        given: dict[str, Any] = {"market": market, "account": account, "cascade": cascade}
        given |= {"series": series, "before": before, "after": after}
        options = _options(kind, given)
        if size not in SIZES:
            refuse(f"--size {size}: must be one of {', '.join(SIZES)}")

        from marketsim.report.canvas import check_suffix, find_look, save_figure
        from marketsim.report.picture import check_runs, draw_picture
        from marketsim.tape.files import check_writable

        target = out or Path(f"{kind.name}.png")
        check_suffix(target)
        check_writable(target)
        runs = _read_runs(kind, (arguments or [])[:-1], trust, quiet)
        check_runs(kind, len(runs))
        runs = [_complete(run, kind, options, trust, quiet) for run in runs]
        figure = draw_picture(kind, runs, find_look(size, dark=dark), options)
        typer.echo(f"drawn {save_figure(figure, target)}")


def _kind(arguments: list[str]) -> Kind:
    if len(arguments) < 2:
        refuse(f"name run folders and then a KIND: {NAMES}")
    try:
        return find_kind(arguments[-1])
    except KeyError as error:
        refuse(error.args[0])


def _options(kind: Kind, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a kind that are given; refuse those that it does not have."""
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if name not in kind.options:
            known = ", ".join(f"--{each}" for each in kind.options) or "none of its own"
            refuse(f"--{name}: not an option of {kind.name}, which has {known}")
    return options


def _read_runs(kind: Kind, folders: list[str], trust: bool, quiet: bool) -> "list[Run]":
    """Open run folders, and for a kind of many runs make those of sweeps again."""
    from marketsim.report.progress_bars import progress_bar
    from marketsim.report.swept_runs import is_sweep, sweep_runs, sweep_scenarios
    from marketsim.results.run import load_run

    found: list[Run] = []
    for folder in map(Path, folders):
        if kind.num_runs == 0 and is_sweep(folder):
            for scenario in sweep_scenarios(folder):
                confirm_strategies(scenario, trust)
            with progress_bar("making runs again", quiet, "runs") as advance:
                found += sweep_runs(folder, advance)
        else:
            found.append(load_run(folder))
    return found


def _complete(run: "Run", kind: Kind, options: dict[str, Any], trust: bool, quiet: bool) -> "Run":
    """Make a run again that lacks what a figure needs."""
    from marketsim.account.rerun import read_scenario
    from marketsim.report.picture import complete, lacking
    from marketsim.report.progress_bars import progress_bar

    if not lacking(run, kind, options):
        return run
    confirm_strategies(read_scenario(run), trust)
    with progress_bar(f"making {run.scenario} again", quiet) as advance:
        return complete(run, kind, options, advance)

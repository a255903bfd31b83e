"""``marketsim experiment``: a question is put to the model and its answer written down."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import FAILURE, explained, refuse
from marketsim.cli.sweep import SOME_FAILED

if TYPE_CHECKING:
    from marketsim.report.experiment import Experiment
    from marketsim.sweep.runner import SweepReport

#: Where the runs of experiments go that are not told where.
DEFAULT_PARENT = Path("runs") / "experiments"
#: Of a sweep's folder, where results are put that do not rewrite the experiment's own.
RESULTS = "results"


def experiment(
    name: Annotated[
        str | None, typer.Argument(help="Name of the experiment. [default: list them]")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A look of a minute at most; the default.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="All runs; updates the experiment's own folder.")
    ] = False,
    redraw: Annotated[
        bool, typer.Option("--redraw", help="Only draw its figure, from the results it has.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. [default: one per core]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs. [default: runs/experiments/NAME-quick or -full]"),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds the experiments. [default: experiments, here or where "
            "marketsim is]"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as one JSON object.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar, no table.")
    ] = False,
) -> None:
    """Run an experiment, check what was predicted, draw its figure; the same command goes on.

    With --full the results, the figure and the README of the experiment are rewritten; with
    --quick, and of the experiments that are installed, results and figure are put beside the runs.
    A prediction that fails is a finding: the exit code is 0. Exit code 3: some runs failed, and the
    results are without them.
    """
    with explained():
        if quick + full + redraw > 1:
            refuse("--quick, --full and --redraw exclude each other")

        from marketsim.report.experiment import experiments_folder, is_installed

        root = root or experiments_folder()
        if name is None:
            _list(root, as_json)
            return
        _refuse_folder(name)
        if redraw:
            _redraw(root, name)
            return
        form = "full" if full else "quick"

        from marketsim.report.experiment import (
            load_experiment,
            publish,
            publish_index,
            report,
        )
        from marketsim.sweep.table import load_sweep

        loaded = load_experiment(root, name, form)
        folder = out or DEFAULT_PARENT / f"{name}-{form}"
        swept = _sweep(loaded, folder, workers, quiet)
        if not swept.result:
            typer.echo(f"runs are missing in {folder}; the same command makes them", err=True)
            raise typer.Exit(FAILURE)
        runs = load_sweep(folder)
        if not (runs["status"] == "ok").any():
            typer.echo(f"every run failed: marketsim status {folder}", err=True)
            raise typer.Exit(FAILURE)
        is_own = full and not is_installed(root)
        target = loaded.folder if is_own else folder / RESULTS
        facts = {"form": form, "model": _model(folder), "result": swept.result}
        result = report(loaded, runs, target, facts, swept.inputs)
        if is_own:
            publish(loaded.folder)
            publish_index(root)
        _show(result, target, as_json, quiet)
        if swept.failures:
            typer.echo(f"{swept.failures:,} runs failed: marketsim status {folder}", err=True)
            raise typer.Exit(SOME_FAILED)


def _refuse_folder(name: str) -> None:
    """End the command if a folder is stated where the name of an experiment belongs."""
    folder = Path(name)
    if len(folder.parts) > 1 and folder.is_dir():
        path = folder.resolve()
        again = f"marketsim experiment {path.name} --root {path.parent}"
        refuse(f"experiment {name!r}: is a folder; state its name, and where it is: {again}")


def _redraw(root: Path, name: str) -> None:
    from marketsim.report.experiment import load_experiment
    from marketsim.report.experiment import redraw as draw_again

    typer.echo(f"drawn {draw_again(load_experiment(root, name, 'full'))}")


def _sweep(loaded: "Experiment", folder: Path, workers: int | None, quiet: bool) -> "SweepReport":
    from marketsim.report.progress_bars import sweep_progress
    from marketsim.sweep.runner import run_sweep

    try:
        with sweep_progress(loaded.design.name, quiet) as advance:
            return run_sweep(
                loaded.design,
                folder,
                workers=workers,
                progress=advance,
                stated_in=loaded.stated_in,
            )
    except KeyboardInterrupt:
        typer.echo(f"interrupted; what was done is in {folder}, the same command goes on", err=True)
        raise typer.Exit(FAILURE) from None


def _model(folder: Path) -> str:
    from marketsim.sweep.manifest import read_manifest

    return read_manifest(folder).model


def _list(root: Path, as_json: bool) -> None:
    from marketsim.report.experiment import list_experiments
    from marketsim.report.experiment_page import list_lines

    found = list_experiments(root)
    if not found:
        refuse(f"{root}: holds no experiments; --root names the folder that does")
    typer.echo(json.dumps(found, allow_nan=False) if as_json else "\n".join(list_lines(found)))


def _show(result: dict[str, Any], target: Path, as_json: bool, quiet: bool) -> None:
    from marketsim.report.experiment_page import result_lines

    if as_json:
        typer.echo(json.dumps(result | {"out": str(target)}, allow_nan=False))
    else:
        typer.echo("\n".join(result_lines(result, target, quiet)))

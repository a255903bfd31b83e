"""``marketsim calibrate``: dials of a scenario fitted to target statistics."""

import contextlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import FAILURE, explained, refuse
from marketsim.cli.run import progress_bar
from marketsim.cli.sweep import SOME_FAILED, connect_workers

if TYPE_CHECKING:
    import pandas as pd

    from marketsim.study.calibrate import Calibration


def calibrate(
    targets: Annotated[
        Path, typer.Argument(metavar="TARGETS", help="Targets and dials, a TOML file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the search; an unfinished one goes on.")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Settings tried in all. [default: the file's]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. [default: one per core]")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|slurm:FILE.toml",
            help="Run on a Dask cluster: a scheduler's address, or SLURM settings.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Turn dials of a scenario until its runs have target statistics.

    The result depends on the file alone, not on the number of workers. Exit code 3: it came to its
    end, but some trials failed.
    """
    with explained():
        from marketsim.study import calibrate as search
        from marketsim.study.targets import load_targets

        if cluster is not None and workers is not None:
            refuse("--workers and --cluster exclude each other")
        wanted = load_targets(targets)
        if trials is not None:
            wanted = wanted.model_copy(update={"trials": trials})
        try:
            with contextlib.ExitStack() as stack:
                executor, num = stack.enter_context(connect_workers(cluster, workers))
                advance = stack.enter_context(progress_bar(wanted.name, quiet, "runs"))
                found = search.calibrate(
                    wanted, out, workers=num, executor=executor, progress=advance
                )
        except KeyboardInterrupt:
            typer.echo(
                f"interrupted; what was done is in {out}, the same command goes on", err=True
            )
            raise typer.Exit(FAILURE) from None
        if as_json:
            typer.echo(json.dumps(_as_dict(found), allow_nan=False))
        else:
            _print(found)
        failed = [trial for trial in found.trials if math.isnan(trial.distance)]
        if failed:
            text = f"{len(failed)} of {len(found.trials)} trials failed; trial {failed[0].number}: "
            typer.echo(text + failed[0].error, err=True)
            raise typer.Exit(SOME_FAILED)


def _as_dict(found: "Calibration") -> dict[str, Any]:
    from marketsim.report.numbers import records
    from marketsim.study.calibrate import BEST_FILE

    return {
        "name": found.search.name,
        "trials": len(found.trials),
        "best_trial": found.best.number,
        "distance": found.best.distance,
        "dials": found.best.dials,
        "targets": records(_targets(found)),
        "scenario": str(found.folder / BEST_FILE),
    }


def _targets(found: "Calibration") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "target": list(found.search.targets),
            "wanted": [target.wanted() for target in found.search.targets.values()],
            "found": list(found.best.found.values()),
            "distance": [
                target.distance(found.best.found[name])
                for name, target in found.search.targets.items()
            ],
        }
    )


def _print(found: "Calibration") -> None:
    import pandas as pd
    from rich.console import Console

    from marketsim.report.numbers import number, to_rich
    from marketsim.study.calibrate import BEST_FILE

    search, best = found.search, found.best
    ends = [dial.ends() for dial in search.dials.values()]
    dials = pd.DataFrame(
        {
            "dial": list(search.dials),
            "from": [number(each[0]) for each in ends],
            "to": [number(each[-1]) for each in ends],
            "best": [number(value) for value in best.dials.values()],
        }
    )
    console = Console()
    runs = "a run" if search.replicates == 1 else f"{search.replicates} runs"
    console.print(
        f"{search.name}: {len(found.trials)} trials of {runs} each; the best is trial "
        f"{best.number}, at a distance of {number(best.distance)}",
        highlight=False,
    )
    console.print("", to_rich(dials, "dials", names=("dial",)))
    shown = to_rich(_targets(found).map(number), "targets", names=("target",))
    console.print("", shown, "")
    typer.echo(f"the scenario is {found.folder / BEST_FILE}")

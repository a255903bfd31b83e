"""What a reviewer gets: a run, a sweep or an experiment with all that repeats its digest."""

import hashlib
import os
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from marketsim.report.canvas import find_look, save_figure
from marketsim.report.crate import REPEAT, Contents
from marketsim.report.experiment import (
    CODE_FILE,
    DESIGN_FILE,
    FIGURE_FILE,
    README_FILE,
    RESULT_FILE,
    TABLE_FILE,
    ExperimentError,
    changed_since,
    load_experiment,
    read_result,
)
from marketsim.report.findings import write_analysis
from marketsim.report.picture import draw_picture, lacking
from marketsim.report.run_report import has_something, report_kinds
from marketsim.results.folder import package_versions
from marketsim.results.record import ENDED_EARLY, RECORD_FILE, SCENARIO_FILE
from marketsim.results.run import Run, load_run
from marketsim.run.progress import Progress
from marketsim.scenario.coercion import at_home
from marketsim.scenario.inputs import STATEMENTS, Input
from marketsim.scenario.writer import toml_text
from marketsim.study.analysis import analyze_sweep
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import FILE, read_manifest
from marketsim.sweep.plan import Plan
from marketsim.sweep.table import count_runs, result_hash
from marketsim.tape.files import RunFolderError, open_verified

#: Folders in a bundle.
INPUTS, FIGURES, ANALYSIS = "inputs", "figures", "analysis"
#: The base scenario of a sweep.
BASE_FILE = "base.toml"


def gather(
    target: str | Path, root: Path, *, figures: bool = True, progress: Progress | None = None
) -> Contents:
    """Gather what repeats a run, a sweep or an experiment.

    Parameters
    ----------
    target : str or Path
        Folder of a run or of a sweep, or name of an experiment.
    root : Path
        Folder of the experiments.
    figures : bool, optional
        Draw those of a run or a sweep.
    progress : callable, optional
        Called with (figures drawn, figures in all).

    Returns
    -------
    Contents

    Raises
    ------
    FolderError
        If the run or the sweep is damaged or not complete; the file is named.
    ExperimentError
        If there is no such experiment, it was not run in full, or it has changed since.
    """
    folder = at_home(target)
    if (folder / RECORD_FILE).is_file():
        return _gather_run(folder.resolve(), figures, progress)
    if (folder / FILE).is_file():
        return _gather_sweep(folder.resolve(), figures, progress)
    if folder.is_dir() and not (folder / CODE_FILE).is_file():
        raise RunFolderError(
            f"{folder}: holds no run ({RECORD_FILE}), no sweep ({FILE}) and no experiment"
        )
    if (folder / CODE_FILE).is_file():
        root, target = folder.resolve().parent, folder.resolve().name
    return _gather_experiment(root, str(target))


def _gather_run(folder: Path, figures: bool, progress: Progress | None) -> Contents:
    run = load_run(folder)
    for name, expected in run.hashes.items():
        open_verified(run.path / name, expected, RunFolderError).close()
    if early := [note for note in run.notes if note.startswith(ENDED_EARLY)]:
        raise RunFolderError(f"{folder}: {early[0]}; a bundle is of a run that came to its end")
    kept, places = _keep_inputs(run.inputs)
    tables = tomllib.loads(run.scenario_text)
    text = toml_text(_moved(tables, places)) if places else run.scenario_text
    files = {
        SCENARIO_FILE: text.encode(),
        RECORD_FILE: (folder / RECORD_FILE).read_bytes(),
        **kept,
    }
    again = f"{REPEAT}/run"
    words = ["run", SCENARIO_FILE, "--seed", str(run.seed), "--out", again, "--json", "--quiet"]
    commands = [words]
    if figures:
        for name, picture in _draw(run, progress).items():
            files[f"{FIGURES}/{name}.png"] = picture
            commands.append(["plot", again, name, "--quiet", "-o", f"{REPEAT}/{name}.png"])
    return Contents(
        name=f"{folder.name}-bundle",
        title=f"{run.scenario}, seed {run.seed}",
        description=str(tables.get("description", "")),
        digest=run.digest,
        made=(folder / RECORD_FILE).stat().st_mtime,
        versions=run.versions,
        commands=commands,
        files=files,
    )


def _draw(run: Run, progress: Progress | None) -> dict[str, bytes]:
    """Draw the figures that a run has all tables for."""
    kinds = [kind for kind in report_kinds(run) if not lacking(run, kind)]
    found = {}
    with tempfile.TemporaryDirectory(prefix="marketsim-") as place:
        for done, kind in enumerate(kinds):
            if has_something(run, kind):
                figure = draw_picture(kind, [run], find_look())
                found[kind.name] = save_figure(figure, Path(place) / "figure.png").read_bytes()
            if progress is not None:
                progress(done + 1, len(kinds))
    return found


def _gather_sweep(folder: Path, figures: bool, progress: Progress | None) -> Contents:
    manifest = read_manifest(folder)
    missing = manifest.num_runs - count_runs(folder).total()
    if missing:
        raise SweepFolderError(
            f"{folder}: {missing:,} of {manifest.num_runs:,} runs are missing; marketsim sweep "
            "goes on with them"
        )
    kept, places = _keep_inputs(manifest.inputs)
    design = manifest.design.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    stated = _moved(design | {"base": BASE_FILE}, places)
    files = {
        DESIGN_FILE: toml_text(stated).encode(),
        BASE_FILE: toml_text(_moved(manifest.tables, places)).encode(),
        FILE: (folder / FILE).read_bytes(),
        **kept,
    }
    with tempfile.TemporaryDirectory(prefix="marketsim-") as place:
        analysis = analyze_sweep(folder)
        for file in write_analysis(analysis, Path(place), figures=figures, progress=progress):
            files[f"{ANALYSIS}/{file.name}"] = file.read_bytes()
    again = f"{REPEAT}/sweep"
    words = ["sweep", DESIGN_FILE, "--out", again, "--yes", "--json", "--quiet"]
    analyze = ["analyze", again, "--quiet", "--out", f"{REPEAT}/{ANALYSIS}"]
    return Contents(
        name=f"{folder.name}-bundle",
        title=f"{manifest.design.name}: {manifest.num_runs:,} runs",
        description=manifest.design.description,
        digest=result_hash(folder),
        made=(folder / FILE).stat().st_mtime,
        versions={"model": manifest.model, **package_versions()},
        commands=[words, [*analyze, *([] if figures else ["--no-figures"])]],
        files=files,
    )


def _gather_experiment(root: Path, name: str) -> Contents:
    loaded = load_experiment(root, name, "full")
    result = read_result(loaded.folder)
    if result is None:
        text = f"was not run in full yet: marketsim experiment {name} --full"
        raise ExperimentError([text], str(loaded.folder))
    if changed := changed_since(loaded.folder, result):
        text = f"changed since the full run: {', '.join(changed)}; run it again with --full"
        raise ExperimentError([text], str(loaded.folder))
    inputs = Plan(loaded.design).inputs
    names = {DESIGN_FILE, CODE_FILE, README_FILE, RESULT_FILE, TABLE_FILE, FIGURE_FILE}
    for each in inputs:
        if Path(each.name).is_absolute():
            inside = os.path.relpath(each.name, loaded.folder)
            if inside.startswith(".."):
                text = f"is made from a file outside its folder: {each.name}"
                raise ExperimentError([text], str(loaded.folder))
            names.add(inside)
    place = f"{REPEAT}/experiments"
    words = ["experiment", name, "--full", "--root", place, "--out", f"{REPEAT}/runs"]
    return Contents(
        name=f"{name}-bundle",
        title=loaded.question,
        description=str(result["headline"]),
        digest=str(result["result"]),
        made=(loaded.folder / RESULT_FILE).stat().st_mtime,
        versions={"model": result["model"], **package_versions()},
        prepare=[f"mkdir {place}", f"cp -R {name} {place}/{name}"],
        commands=[[*words, "--json", "--quiet"]],
        files={
            f"{name}/{file}": (loaded.folder / file).read_bytes()
            for file in names
            if (loaded.folder / file).is_file()
        },
    )


def _keep_inputs(inputs: Iterable[Input]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Take the files that something was made from; return them, and the place of each by its path.

    What they are beside each other they stay, as strategies import from beside them.

    Raises
    ------
    RunFolderError
        If one is gone, or not what it was.
    """
    files: dict[str, bytes] = {}
    places: dict[str, str] = {}
    wanted = [
        each for each in inputs if each.what not in STATEMENTS and Path(each.name).is_absolute()
    ]
    if not wanted:
        return files, places
    common = os.path.commonpath([str(Path(each.name).parent) for each in wanted])
    for each in wanted:
        try:
            data = Path(each.name).read_bytes()
        except OSError as error:
            raise RunFolderError(
                f"{each.name}: the {each.what} cannot be read any more: {error.strerror}"
            ) from error
        if hashlib.sha256(data).hexdigest() != each.sha256:
            raise RunFolderError(f"{each.name}: the {each.what} has changed since; put it back")
        place = f"{INPUTS}/{os.path.relpath(each.name, common)}"
        files[place] = data
        places[each.name] = place
    return files, places


def _moved(value: Any, places: Mapping[str, str]) -> Any:
    """Name files by their places in the bundle, wherever a table names one."""
    if isinstance(value, dict):
        return {key: _moved(each, places) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(each, places) for each in value]
    if not isinstance(value, str):
        return value
    file, colon, name = value.rpartition(":")
    if colon and file in places:  # of a strategy, with its class
        return f"{places[file]}:{name}"
    return places.get(value, value)

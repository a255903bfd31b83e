"""The report of a sweep or a comparison: what was varied, what was found, what repeats it."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marketsim.report.findings import cautions, counts, drawings, phase_text, tables, title
from marketsim.report.html_page import (
    bullets,
    command,
    facts,
    heading,
    page,
    paragraph,
    picture,
    table,
)
from marketsim.report.layout import with_intervals
from marketsim.report.numbers import grouped
from marketsim.report.recording import LIMITS
from marketsim.run.progress import Progress
from marketsim.scenario.writer import toml_text
from marketsim.study.analysis import SweepAnalysis, analyze_sweep
from marketsim.sweep.design import Design
from marketsim.sweep.manifest import FILE
from marketsim.sweep.status import sweep_status

#: Rows of a table and figures that a page shows; all of them are made by `marketsim analyze`.
MAX_ROWS, MAX_FIGURES = 60, 24


def report_sweep(folder: Path, progress: Progress | None = None) -> str:
    """Write the report of a sweep or a comparison, finished or not.

    Parameters
    ----------
    folder : Path
    progress : callable, optional
        Called with (figures drawn, figures in all).

    Returns
    -------
    str
        HTML, all in one.

    Raises
    ------
    SweepFolderError
        If there is no sweep, no run of it is done, or it is damaged.
    """
    analysis, status = analyze_sweep(folder), sweep_status(folder)
    name = analysis.design.name
    source = f"{name}: result {status['result'] or 'not complete'}, marketsim {status['model']}"
    return page(_title(analysis), source, _parts(folder, analysis, status, progress))


def _title(analysis: SweepAnalysis) -> str:
    base = Path(analysis.design.base).stem
    return f"{base} and its twin" if analysis.design.name == "compare" else analysis.design.name


def _parts(
    folder: Path, analysis: SweepAnalysis, status: dict[str, Any], progress: Progress | None
) -> Iterator[str]:
    design = analysis.design
    if design.description:
        yield paragraph(design.description)
    yield facts(
        [
            (grouped(status["runs"]), "runs planned"),
            (grouped(status["ok"]), "done"),
            (grouped(status["error"] + status["quarantined"]), "failed"),
            (grouped(design.replicates), "seeds of each"),
        ]
    )
    yield heading("What was varied")
    yield command(toml_text(design.model_dump(mode="json", exclude_defaults=True)).splitlines())
    yield from _tables(analysis)
    todo = list(drawings(analysis))
    if todo:
        yield heading("Figures")
    for done, (name, draw) in enumerate(todo[:MAX_FIGURES]):
        yield picture(draw(), name.replace("-", ", ", 1))
        if progress is not None:
            progress(done + 1, min(len(todo), MAX_FIGURES))
    if len(todo) > MAX_FIGURES:
        yield paragraph(f"{len(todo) - MAX_FIGURES} more figures: marketsim analyze {folder.name}")
    yield heading("What is not shown")
    failed = [f"{each['runs']:,} runs failed: {each['error']}" for each in status["errors"]]
    yield bullets([*cautions(analysis), *failed, *LIMITS])
    yield heading("To repeat it")
    yield paragraph(f"{counts(analysis)}. The same result: {status['result'] or 'once complete'}.")
    yield command(_commands(folder, design))


def _tables(analysis: SweepAnalysis) -> Iterator[str]:
    for name, frame in tables(analysis).items():
        yield heading(title(analysis, name))
        for metric, part in frame.groupby("metric", sort=False):
            idle = [key for key in ("metric", "cell") if key in part]
            yield paragraph(str(metric))
            yield table(with_intervals(part.head(MAX_ROWS)).drop(columns=idle))
            if len(part) > MAX_ROWS:
                yield paragraph(f"... and {len(part) - MAX_ROWS:,} more rows: marketsim analyze")
    for phase in analysis.phases:
        yield heading(f"{phase.metric}, {phase.variant}")
        yield table(phase_text(phase))


def _commands(folder: Path, design: Design) -> list[str]:
    """Return the commands that make the runs again and look into them."""
    name = shlex.quote(folder.name)
    first = f"marketsim sweep DESIGN.toml --out {name}   # the design above, or {FILE}"
    if design.name == "compare":
        first = _comparison(design, folder)
    return [first, f"marketsim analyze {name}", f"marketsim report {name}"]


def _comparison(design: Design, folder: Path) -> str:
    """Return the command that makes a comparison again."""
    words = ["marketsim", "compare", design.base]
    twin = design.variants[design.variant_names[-1]]
    for option, changes in (("--change", twin), ("--set", design.set)):
        for path, value in changes.items():
            words += [option, toml_text({"": value}).strip().replace('"" = ', f"{path}=", 1)]
    words += ["--seeds", str(design.replicates), "--seed", str(design.seed)]
    if design.days is not None:
        words += ["--days", str(design.days)]
    return shlex.join([*words, "--out", folder.name])

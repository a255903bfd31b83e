"""The analysis of a sweep: for a terminal, and as files in CSV, Markdown and PNG."""

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.report.canvas import finish, save_figure
from marketsim.report.charts import LOOK, bar_figure, difference_figure, heat_map, line_figure
from marketsim.report.layout import (
    records,
    to_markdown,
    to_rich,
    with_intervals,
    write_csv,
    write_text,
)
from marketsim.report.numbers import in_words, number, short_names
from marketsim.run.progress import Progress
from marketsim.scenario.errors import nodes_at
from marketsim.scenario.loader import json_schema
from marketsim.study.analysis import Phase, SweepAnalysis, phase_table
from marketsim.study.statistics import Interval
from marketsim.tape.moments import finite
from marketsim.tape.result import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Titles of the tables, by their files' names.
TITLES = {
    "means": "Means of the cells, with 95 % bootstrap intervals",
    "differences": "Paired differences, {twin} - {base}, with 95 % t intervals",
    "sensitivities": "Sensitivity indices, with 95 % bootstrap intervals",
}
INDEX_LABELS = {
    "mu_star": "mu*: change over a whole range",
    "first": "first-order share of the variance",
    "total": "total share of the variance",
}

#: Rows of a table shown on a terminal; all of them are in the files.
MAX_ROWS = 30

#: Quantities whose differences fit into one figure.
MAX_DIFFERENCES = 10

#: Parameters up to which figures say what each means.
MAX_MEANINGS = 2

#: A file's name without its ending, and what draws it.
Drawing = tuple[str, Callable[[], "Figure"]]
#: The same, with the title between them.
Titled = tuple[str, str, Callable[[], "Figure"]]


def write_analysis(
    analysis: SweepAnalysis,
    folder: Path,
    *,
    figures: bool = True,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the tables of an analysis and, if asked, its figures.

    Parameters
    ----------
    analysis : SweepAnalysis
    folder : Path
        Made if missing; files of the same names are replaced.
    figures : bool, optional
    progress : callable, optional
        Called with (figures drawn, figures in all).

    Returns
    -------
    list of Path
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    text = [f"# {analysis.design.name}\n", counts(analysis) + "\n"]
    for name, table in tables(analysis).items():
        written.append(folder / f"{name}.csv")
        write_csv(table, written[-1])
        text += [f"## {title(analysis, name)}\n", to_markdown(with_intervals(table))]
    if notes := cautions(analysis):
        text += ["## What the runs do not answer\n", *(f"- {line}" for line in notes), ""]
    for phase in analysis.phases:
        written.append(folder / f"phase-{phase_name(phase)}.csv")
        write_text(phase.table.to_csv(), written[-1])
        text += [f"## {phase.metric}, {phase.variant}\n", to_markdown(phase_text(phase))]
    written.append(folder / "analysis.md")
    write_text("\n".join(text), written[-1])
    todo = list(drawings(analysis)) if figures else []
    for done, (name, draw) in enumerate(todo):
        written.append(save_figure(draw(), folder / f"{name}.png"))
        if progress is not None:
            progress(done + 1, len(todo))
    return written


def analysis_record(analysis: SweepAnalysis) -> dict[str, Any]:
    """Return what an analysis has found, its tables row by row, ready for JSON.

    Parameters
    ----------
    analysis : SweepAnalysis

    Returns
    -------
    dict
    """
    return {
        "name": analysis.design.name,
        "runs": analysis.num_runs,
        "ok": analysis.num_ok,
        "failed": analysis.num_failed,
        "metrics": analysis.metrics,
        "constant": analysis.constant,
        "wide": [
            each._asdict() | {"half": finite(each.half), "aim": finite(each.aim)}
            for each in analysis.wide
        ],
        **{name: records(table) for name, table in tables(analysis).items()},
    }


def render_analysis(analysis: SweepAnalysis) -> Group:
    """Lay the tables of an analysis out for a terminal, the first rows of each.

    Parameters
    ----------
    analysis : SweepAnalysis

    Returns
    -------
    rich.console.Group
    """
    parts: list[RenderableType] = [Text(f"{analysis.design.name}: {counts(analysis)}")]
    shown = tables(analysis)
    # Means of a drawn design's many cells say little: its sensitivities do.
    if "sensitivities" in shown:
        del shown["means"]
    for name, table in shown.items():
        parts.append(Text(f"\n{title(analysis, name)}", "bold"))
        for metric, part in table.groupby("metric", sort=False):
            parts.append(_lay_out(part, str(metric), analysis))
            if len(part) > MAX_ROWS:
                parts.append(Text(f"... and {len(part) - MAX_ROWS:,} more in {name}.csv"))
    for phase in analysis.phases:
        heading = f"{phase.metric}, {phase.variant}"
        parts += [Text(), to_rich(phase_text(phase), heading, names=())]
    if notes := cautions(analysis):
        parts += [Text("\nWhat the runs do not answer", "bold"), *map(Text, notes)]
    return Group(*parts)


def _lay_out(part: "pd.DataFrame", metric: str, analysis: SweepAnalysis) -> Table:
    table = with_intervals(part.head(MAX_ROWS)).drop(columns="metric")
    # The parameters tell the cells apart, and a column that never changes tells nothing.
    parameters = analysis.design.parameter_names
    idle = ["cell"] if parameters else []
    idle += [name for name in ("cell", "variant") if name in part and len(part[name].unique()) == 1]
    table = table.drop(columns=idle, errors="ignore").rename(columns=short_names(parameters))
    return to_rich(table, metric, names=("variant", "index", "parameter"))


def counts(analysis: SweepAnalysis) -> str:
    """Say how many runs the analysis rests on."""
    text = f"{analysis.num_ok:,} of {analysis.num_runs:,} runs"
    return text + (f", {analysis.num_failed:,} failed" if analysis.num_failed else "")


def cautions(analysis: SweepAnalysis) -> list[str]:
    """Say which intervals are too wide to answer and what would do, and what never moves.

    Parameters
    ----------
    analysis : SweepAnalysis

    Returns
    -------
    list of str
    """
    lines = []
    for each in analysis.wide:
        what = f"{each.metric}, {INDEX_LABELS.get(each.of, each.of)}"
        width = (
            "there is no interval yet"
            if math.isnan(each.half)
            else f"+-{number(each.half)} is too wide, +-{number(each.aim)} would answer "
            f"({each.num_wide} of {each.num_all})"
        )
        lines.append(
            f"{what}: {width}; about {each.field} = {each.needed:,} instead of {each.now:,} would "
            f"do ({each.runs:,} runs)"
        )
    if analysis.constant:
        names = ", ".join(analysis.constant)
        lines.append(f"the same, or not there, in every run: {names}")
    return lines


def title(analysis: SweepAnalysis, name: str) -> str:
    """Return the title of a table."""
    twins = [each for each in analysis.design.variant_names if each != analysis.base]
    twin = twins[0] if len(twins) == 1 else "each variant"
    return TITLES[name].format(twin=twin, base=analysis.base)


def tables(analysis: SweepAnalysis) -> "dict[str, pd.DataFrame]":
    """Return the tables that have rows, by name."""
    found = {
        "means": analysis.means,
        "differences": analysis.differences,
        "sensitivities": analysis.sensitivities,
    }
    return {name: table for name, table in found.items() if len(table)}


def phase_text(phase: Phase) -> "pd.DataFrame":
    """Write a phase table as text, its rows' values in the first column."""
    names = short_names([phase.rows, phase.columns])
    shown = phase.table.map(number).rename(columns=number)
    corner = f"{names[phase.rows]} \\ {names[phase.columns]}"
    shown.insert(0, corner, [number(value) for value in phase.table.index])
    return shown


def phase_name(phase: Phase) -> str:
    """Name a phase table's file."""
    names = short_names([phase.rows, phase.columns])
    parts = (phase.metric, phase.variant, names[phase.rows], names[phase.columns])
    return "-".join(parts)


def drawings(analysis: SweepAnalysis) -> Iterator[Drawing]:
    """List the figures of an analysis: the name of each and what draws it."""
    for name, heading, draw in _drawings(analysis):
        yield name, partial(_finished, draw, heading, _source(analysis))


def _finished(draw: "Callable[[], Figure]", heading: str, source: str) -> "Figure":
    """Draw a figure with its title and what it was made from."""
    figure = draw()
    with mpl.rc_context(LOOK.settings):
        finish(figure, heading, source, LOOK)
    return figure


def _source(analysis: SweepAnalysis) -> str:
    """Say what the figures were made from, and what the parameters mean."""
    design = analysis.design
    last = design.seed + design.replicates - 1
    seeds = f"seed {last}" if design.replicates == 1 else f"seeds {design.seed} to {last}"
    base = Path(design.base).stem
    parts = [f"{design.name}: {counts(analysis)} of {base}, {seeds} of each cell"]
    varied = _varied(analysis)
    for name in varied if len(varied) <= MAX_MEANINGS else []:
        stated = design.parameters.get(name)
        if meaning := _meaning(stated.paths[0] if stated and stated.paths else name):
            parts.append(f"{name}: {meaning}")
    return "; ".join(parts)


def _meaning(path: str) -> str:
    """Return the first sentence that the schema has of a field, with its unit."""
    place = tuple(int(key) if key.isdigit() else key for key in path.split("."))
    nodes = nodes_at(json_schema(), place, whole=True)
    text = next((str(node["description"]) for node in nodes if node.get("description")), "")
    return re.split(r"[.;]\s", text.replace("\n", " "))[0].rstrip(".")


def _drawings(analysis: SweepAnalysis) -> Iterator[Titled]:
    """List the figures with their titles."""
    varied = _varied(analysis)
    if len(analysis.sensitivities):
        yield from _bars(analysis.sensitivities)
    elif len(varied) == 1:
        yield from _lines(analysis, varied[0])
    for phase in analysis.phases:
        yield (
            f"phase-{phase_name(phase)}",
            f"{phase.metric}, {phase.variant}",
            partial(_phase_map, phase),
        )
    if len(analysis.differences) and not len(analysis.sensitivities):
        yield from _difference_drawings(analysis, varied)


def _varied(analysis: SweepAnalysis) -> list[str]:
    """List the parameters that differ between cells."""
    names = analysis.design.parameter_names
    return [name for name in names if len(analysis.means[name].unique()) > 1]


def _bars(table: "pd.DataFrame") -> Iterator[Titled]:
    for names, part in table.groupby(["variant", "metric", "index"], sort=False):
        variant, metric, index = map(str, names)
        ends = part[["value", "low", "high"]].to_numpy(np.float64)
        effects = dict(zip(map(str, part["parameter"]), map(_interval, ends), strict=True))
        label = f"{in_words(metric)}; {INDEX_LABELS[index]}"
        name = f"{index}-{metric}-{variant}"
        yield name, f"{metric}, {variant}", partial(bar_figure, effects, label)


def _lines(analysis: SweepAnalysis, parameter: str) -> Iterator[Titled]:
    for metric in analysis.metrics:
        table = analysis.means[analysis.means["metric"] == metric]
        table = table.rename(columns={parameter: "x"})
        if len(analysis.design.variant_names) > 1:
            table = table.rename(columns={"variant": "group"})
        draw = partial(line_figure, table, _words(parameter), _words(metric))
        yield metric, f"{metric} by {parameter}", draw


def _words(name: str) -> str:
    return in_words(short_names([name])[name])


def _axes_of(along: str, up: str) -> tuple[str, str]:
    names = short_names([along, up])
    return in_words(names[along]), in_words(names[up])


def _phase_map(phase: Phase) -> "Figure":
    labels = _axes_of(phase.columns, phase.rows)
    return heat_map(phase.table, *labels, _words(phase.metric))


def _difference_drawings(analysis: SweepAnalysis, varied: list[str]) -> Iterator[Titled]:
    """Draw differences over what was varied; where nothing was, all quantities in one figure."""
    for twin, part in analysis.differences.groupby("variant", sort=False):
        label = f"{twin} - {analysis.base}"
        if not varied:
            yield from _all_differences(part, str(twin), label)
            continue
        for metric in analysis.metrics:
            rows = part[part["metric"] == metric].rename(columns={"difference": "value"})
            name, heading = f"difference-{metric}-{twin}", f"{metric}, {label}"
            if len(varied) == 1:
                rows = rows.rename(columns={varied[0]: "x"})
                text = f"difference of {_words(metric)}"
                yield name, heading, partial(line_figure, rows, _words(varied[0]), text)
            else:
                yield name, heading, partial(_difference_map, rows, metric, varied)


def _all_differences(part: "pd.DataFrame", twin: str, label: str) -> Iterator[Titled]:
    """Draw the differences of a design of one cell, so many quantities to a figure."""
    ends = part[["difference", "low", "high"]].to_numpy(np.float64)
    found = dict(zip(map(str, part["metric"]), map(_interval, ends), strict=True))
    bases = dict(zip(map(str, part["metric"]), part["base"].to_numpy(np.float64), strict=True))
    known = [name for name, each in found.items() if math.isfinite(each.value)]
    for first in range(0, len(known), MAX_DIFFERENCES):
        names = known[first : first + MAX_DIFFERENCES]
        page = first // MAX_DIFFERENCES
        yield (
            f"difference-{twin}" + (f"-{page + 1}" if page else ""),
            label,
            partial(
                difference_figure,
                {name: found[name] for name in names},
                {name: bases[name] for name in names},
                label,
            ),
        )


def _difference_map(rows: "pd.DataFrame", metric: str, varied: list[str]) -> "Figure":
    """Draw a difference over two parameters; what may be zero is told apart."""
    up, along = varied[1], varied[0]
    clear = rows.assign(value=((rows["low"] > 0.0) | (rows["high"] < 0.0)).astype(float))
    return heat_map(
        phase_table(rows, metric, up, along),
        *_axes_of(along, up),
        f"difference of {_words(metric)}",
        is_clear=phase_table(clear, metric, up, along) == 1.0,
    )


def _interval(ends: Floats) -> Interval:
    return Interval(*map(float, ends))

"""Experiments: a question, the runs that answer it, and what was predicted before them.

An experiment is a folder. `design.toml` states the runs; `experiment.py` has four functions. Three
take the table of runs (`marketsim.sweep.table.load_sweep`): ``tabulate`` returns the means of the
cells as `marketsim.study.analysis.cell_means` does, ``check`` the list of predictions, each a
`Check`, ``headline`` says in one line what was found. ``draw`` takes the means of the cells, which
are kept, and writes the figure to a path: it can be drawn again without the runs. In `README.md`
the numbers stand between two marks, and only `publish` writes there.
"""

import hashlib
import importlib.util
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import marketsim
from marketsim.report.layout import to_markdown, write_csv, write_text
from marketsim.report.numbers import interval, number
from marketsim.scenario.errors import one_of
from marketsim.scenario.inputs import CODE, Input, InputLog, read_input
from marketsim.study.statistics import LEVEL, Interval
from marketsim.sweep.design import Design, DesignError, load_design

if TYPE_CHECKING:
    import pandas as pd

#: Name of the folder of all experiments, and where it is in a checkout and in a wheel.
FOLDER = "experiments"
CHECKOUT = Path(marketsim.__file__).parents[1] / FOLDER
INSTALLED = Path(marketsim.__file__).parent / FOLDER
DESIGN_FILE = "design.toml"
CODE_FILE = "experiment.py"
README_FILE = "README.md"
#: Written by `report`.
TABLE_FILE = "results.csv"
RESULT_FILE = "results.json"
FIGURE_FILE = "figure.png"
#: Of a number in a text.
DIGITS = 3
#: What `experiment.py` has to define.
FUNCTIONS = ("tabulate", "check", "draw", "headline")

RESULTS_BEGIN = "<!-- results: written by `marketsim experiment`, not by hand -->"
INDEX_BEGIN = "<!-- experiments: written by `marketsim experiment`, not by hand -->"
END = "<!-- end -->"
VERDICTS = {True: "held", False: "failed", None: "undecided"}


class ExperimentError(DesignError):
    """A folder that is no experiment."""


@dataclass(frozen=True)
class Check:
    """A prediction made before the runs, beside what they say."""

    prediction: str
    source: str  #: the theory or the measurement it comes from
    found: str  #: in numbers, with their intervals
    holds: bool | None  #: None if the interval leaves it open

    @property
    def verdict(self) -> str:
        """Return "held", "failed" or "undecided"."""
        return VERDICTS[self.holds]


@dataclass(frozen=True)
class Experiment:
    """A folder with a question, loaded."""

    folder: Path
    question: str
    design: Design
    code: ModuleType
    stated_in: tuple[Input, ...]  #: the file of the design
    made_by: tuple[Input, ...]  #: the file of the code

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name


def above(found: Interval, bound: float) -> bool | None:
    """Tell whether an estimate lies above a bound; None if its interval holds the bound.

    Examples
    --------
    >>> above(Interval(2.0, 1.0, 3.0), 0.5), above(Interval(2.0, 1.0, 3.0), 2.5)
    (True, None)
    """
    if math.isnan(found.low) or math.isnan(found.high) or math.isnan(bound):
        return None
    if found.low > bound:
        return True
    return False if found.high <= bound else None


def below(found: Interval, bound: float) -> bool | None:
    """Tell whether an estimate lies below a bound; None if its interval holds the bound."""
    return above(Interval(-found.value, -found.high, -found.low), -bound)


def near(found: Interval, value: float, tolerance: float) -> bool | None:
    """Tell whether an estimate lies within a tolerance of a value; None if its interval is wider.

    Examples
    --------
    >>> near(Interval(1.0, 0.9, 1.1), 1.05, 0.2), near(Interval(1.0, 0.9, 1.1), 1.3, 0.1)
    (True, False)
    """
    return every([above(found, value - tolerance), below(found, value + tolerance)])


def every(answers: Sequence[bool | None]) -> bool | None:
    """Return whether all of several answers are yes; None if that is open.

    Examples
    --------
    >>> every([True, None]), every([None, False])
    (None, False)
    """
    if any(answer is False for answer in answers):
        return False
    return True if answers and all(answers) else None


def written(found: Interval, scale: float = 1.0, unit: str = "") -> str:
    """Write an estimate with its interval.

    Parameters
    ----------
    found : Interval
    scale : float, optional
        Factor to the unit that is written.
    unit : str, optional
        Put behind the numbers.

    Examples
    --------
    >>> written(Interval(0.1234, 0.1, 0.15), 100.0, " %")
    '12.3 [10, 15] %'
    """
    value, low, high = (scale * end for end in found)
    return interval(value, low, high, DIGITS) + unit


def experiments_folder() -> Path:
    """Return where the experiments are that nobody names the folder of.

    Returns
    -------
    Path
        ``experiments`` in the current folder, if it holds any; else those of the checkout this
        package is in, or of the installed package.
    """
    here = Path(FOLDER)
    return next((root for root in (here, CHECKOUT, INSTALLED) if find_experiments(root)), here)


def is_installed(root: Path) -> bool:
    """Tell whether experiments are those of the installed package, which nothing writes to."""
    return root.resolve() == INSTALLED.resolve()


def find_experiments(root: str | Path) -> list[Path]:
    """List the folders below `root` that hold a design and its code, by name."""
    return sorted(file.parent for file in Path(root).glob(f"*/{CODE_FILE}") if _has_design(file))


def list_experiments(root: str | Path) -> list[dict[str, Any]]:
    """Return every experiment below `root` with its question and what its last full run found.

    ``changed`` lists the files that have changed since that run.
    """
    found = []
    for folder in find_experiments(root):
        result = read_result(folder)
        changed = changed_since(folder, result) if result else []
        facts = {"experiment": folder.name, "question": question_of(folder)}
        found.append({**facts, "full": result, "changed": changed})
    return found


def changed_since(folder: Path, result: dict[str, Any]) -> list[str]:
    """List the files that are not those which results were made from."""
    changed = []
    for each in result.get("inputs", []):
        file = folder / each["name"]
        content = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(content).hexdigest() != each["sha256"]:
            changed.append(each["name"])
    return changed


def load_experiment(root: str | Path, name: str, form: str) -> Experiment:
    """Load an experiment by its name.

    Parameters
    ----------
    root : str or Path
        The folder of all experiments.
    name : str
    form : {"quick", "full"}

    Returns
    -------
    Experiment

    Raises
    ------
    ExperimentError
        If there is none of that name, or its code lacks a function.
    DesignError
        If its design is wrong.
    """
    folders = {folder.name: folder for folder in find_experiments(root)}
    if name not in folders:
        known = one_of(name, folders) if folders else "no experiments here"
        raise ExperimentError([f"experiment {name!r}: {known}"], str(root))
    folder = folders[name]
    with InputLog() as made_by:
        code = _load_code(folder)
    with InputLog() as stated_in:
        design = load_design(folder / DESIGN_FILE, form)
    missing = [function for function in FUNCTIONS if not hasattr(code, function)]
    if missing:
        raise ExperimentError([f"defines no {', '.join(missing)}"], str(folder / CODE_FILE))
    question = question_of(folder)
    return Experiment(folder, question, design, code, tuple(stated_in), tuple(made_by))


def _load_code(folder: Path) -> ModuleType:
    file = folder / CODE_FILE
    spec = importlib.util.spec_from_file_location(f"experiment_{folder.name}", file)
    assert spec is not None
    code = importlib.util.module_from_spec(spec)
    exec(compile(read_input(CODE, file), str(file), "exec"), vars(code))  # noqa: S102
    return code


def question_of(folder: Path) -> str:
    """Return the first heading of an experiment's README, its question."""
    try:
        text = (folder / README_FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise ExperimentError(
            [f"cannot be read: {error.strerror}"], str(folder / README_FILE)
        ) from error
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else folder.name


def read_result(folder: Path) -> dict[str, Any] | None:
    """Return what the last full run of an experiment found; None before there was one."""
    file = folder / RESULT_FILE
    if not file.is_file():
        return None
    try:
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExperimentError([f"damaged, cannot be read: {error}"], str(file)) from error
    return result


def report(
    experiment: Experiment,
    runs: "pd.DataFrame",
    target: Path,
    facts: dict[str, Any],
    inputs: Iterable[Input] = (),
) -> dict[str, Any]:
    """Check the predictions, draw the figure and write the tables of an experiment's runs.

    Parameters
    ----------
    experiment : Experiment
    runs : pandas.DataFrame
        As `load_sweep` returns them; those that failed are left out.
    target : Path
        Folder written to: `results.csv`, `results.json` and `figure.png`.
    facts : dict
        Of the sweep, kept with the results.
    inputs : iterable of Input, optional
        The files the runs were made from; those that are files here are kept with the results, as
        paths from the experiment's folder.

    Returns
    -------
    dict
        What `results.json` says.
    """
    good = runs[runs["status"] == "ok"].reset_index(drop=True)
    table = experiment.code.tabulate(good)
    checks: list[Check] = experiment.code.check(good)
    target.mkdir(parents=True, exist_ok=True)
    experiment.code.draw(table, target / FIGURE_FILE)
    write_csv(table, target / TABLE_FILE)
    result = {
        "experiment": experiment.name,
        "question": experiment.question,
        "headline": experiment.code.headline(good),
        **facts,
        "runs": len(runs),
        "failed_runs": len(runs) - len(good),
        "cells": int(runs[["cell", "variant"]].drop_duplicates().shape[0]),
        "seeds": int(runs["seed"].nunique()),
        "inputs": _relative(experiment.folder, (*inputs, *experiment.made_by)),
        "checks": [asdict(check) | {"verdict": check.verdict} for check in checks],
    }
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(text + "\n", target / RESULT_FILE)
    return result


def redraw(experiment: Experiment) -> Path:
    """Draw the figure of an experiment again from the results of its last full run.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    Path
        The figure.

    Raises
    ------
    ExperimentError
        If there are no results, or the experiment is the installed package's.
    """
    import pandas as pd

    if is_installed(experiment.folder.parent):
        text = "is part of the installed package: copy its folder and name that with --root"
        raise ExperimentError([text], str(experiment.folder.parent))
    table = experiment.folder / TABLE_FILE
    if not table.is_file():
        raise ExperimentError(["no results yet; --full makes them"], str(table))
    figure = experiment.folder / FIGURE_FILE
    experiment.code.draw(pd.read_csv(table), figure)
    return figure


def publish(folder: Path) -> None:
    """Write what `report` left in an experiment's own folder into its README.

    Raises
    ------
    ExperimentError
        If the README lacks the marks.
    """
    import pandas as pd

    result = read_result(folder)
    assert result is not None
    table = pd.read_csv(folder / TABLE_FILE)
    _replace(folder / README_FILE, RESULTS_BEGIN, _results_text(result, table))


def publish_index(root: Path) -> None:
    """Write the list of experiments and what each found into the README of their folder.

    A README without the marks is left alone, and so is one that is not there.
    """
    import pandas as pd

    rows = []
    for folder in find_experiments(root):
        result = read_result(folder)
        if result is not None:
            link = f"[{folder.name}]({folder.name}/{README_FILE})"
            rows.append({"experiment": link, "what was found": result["headline"]})
    readme = root / README_FILE
    if readme.exists() and INDEX_BEGIN in readme.read_text(encoding="utf-8"):
        _replace(readme, INDEX_BEGIN, to_markdown(pd.DataFrame(rows)))


def _relative(folder: Path, inputs: Iterable[Input]) -> list[dict[str, str]]:
    """List the inputs that are files, by their paths from a folder."""
    home = folder.absolute()
    return [
        each._replace(name=os.path.relpath(each.name, home))._asdict()
        for each in inputs
        if Path(each.name).is_absolute()
    ]


def _has_design(file: Path) -> bool:
    return (file.parent / DESIGN_FILE).is_file()


def _results_text(result: dict[str, Any], table: "pd.DataFrame") -> str:
    """Lay the results out as Markdown: checks, figure, table of the cells."""
    import pandas as pd

    verdicts = [check["verdict"] for check in result["checks"]]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {verdict}"
        for verdict in VERDICTS.values()
        if verdict in verdicts
    )
    failed = f", {result['failed_runs']} failed" if result["failed_runs"] else ""
    checks = pd.DataFrame(result["checks"])[["prediction", "source", "verdict", "found"]]
    checks = checks.rename(columns={"source": "from"})
    checks["verdict"] = [f"**{verdict}**" for verdict in verdicts]
    return "\n".join(
        [
            f"**{result['headline']}**",
            "",
            f"{result['runs']:,} runs{failed}: {result['cells']} cells, {result['seeds']} seeds "
            f"each; intervals hold {100 * LEVEL:.0f} %. marketsim {result['model']}, result hash "
            f"`{result['result']}`. Predictions: {counts}.",
            "",
            to_markdown(checks),
            f"![{result['question']}]({FIGURE_FILE})",
            "",
            to_markdown(_cells(table)),
        ]
    )


def _cells(table: "pd.DataFrame") -> "pd.DataFrame":
    """Lay the means of cells out: a row per cell and variant, a column of text per figure."""
    import pandas as pd

    measured = ["metric", "runs", "value", "low", "high"]
    places = [str(name) for name in table if name not in (*measured, "cell", "variant")]
    if len(set(table["variant"])) > 1:
        places.append("variant")
    rows = []
    for _, part in table.groupby(["cell", "variant"]):
        ends = zip(part["value"], part["low"], part["high"], strict=True)
        texts = [interval(*each, digits=DIGITS) for each in ends]
        place = {name: number(part.iloc[0][name]) for name in places}
        rows.append(place | dict(zip(part["metric"], texts, strict=True)))
    # A cell may lack figures that others have.
    return pd.DataFrame(rows).fillna("-")


def _replace(file: Path, begin: str, text: str) -> None:
    """Put a text between two marks of a file."""
    whole = file.read_text(encoding="utf-8")
    head, mark, rest = whole.partition(begin)
    _, end, tail = rest.partition(END)
    if not mark or not end:
        raise ExperimentError([f"needs the lines {begin} and {END}, in this order"], str(file))
    write_text(f"{head}{begin}\n\n{text.rstrip()}\n\n{end}{tail}", file)

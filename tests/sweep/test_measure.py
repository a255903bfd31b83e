"""Figures that a design measures itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from marketsim.sweep.design import Design, DesignError, load_design
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.runner import run_sweep
from marketsim.sweep.table import load_sweep
from tests.sweep.conftest import Inline

Make = Callable[..., Design]

MEASURE = """\
def measure(run):
    return {"own.mean": float(run.markets["mark_price"].mean()), "own.steps": run.summary["steps"]}
"""


def write(folder: Path, text: str = MEASURE) -> str:
    file = folder / "measure.py"
    file.write_text(text)
    return str(file)


def test_its_figures_stand_beside_those_of_every_run(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    stated = design(measure=write(tmp_path), metrics=("own.*", "volume_usd"))
    run_sweep(stated, tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    assert runs.attrs["metrics"] == ["volume_usd", "own.mean", "own.steps"]
    assert (runs["own.steps"] == 30).all()
    assert np.isfinite(runs["own.mean"]).all()
    assert runs["own.mean"].nunique() > 1


def test_its_path_is_relative_to_the_design(tiny: Path) -> None:
    write(tiny.parent)
    file = tiny.parent / "design.toml"
    file.write_text('base = "tiny.toml"\nmeasure = "measure.py"\n')
    assert load_design(file).measure == str(tiny.parent / "measure.py")


def test_a_sweep_does_not_go_on_with_another_text(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    stated = design(measure=write(tmp_path))
    run_sweep(stated, tmp_path / "out", executor=inline)
    write(tmp_path, MEASURE + "\n# changed\n")
    with pytest.raises(SweepFolderError, match=r"measure\.py"):
        run_sweep(stated, tmp_path / "out", executor=inline)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def measure(run:\n", r"cannot be loaded: SyntaxError.*measure\.py:1"),
        ("import no_such_module\n", "cannot be loaded: ModuleNotFoundError"),
        ("def measured(run):\n    return {}\n", r"defines no function measure\(run\)"),
        ("def measure(run):\n    return 1 / 0\n", r"ZeroDivisionError.*measure\.py:2"),
        ("def measure(run):\n    return 1\n", "must return a dict"),
        ("def measure(run):\n    return {'x': 'y'}\n", "x = 'y': must be a number"),
        (
            "def measure(run):\n    return {'volume_usd': 1}\n",
            "volume_usd is a figure of every run",
        ),
    ],
)
def test_a_function_that_cannot_measure_is_refused_before_the_runs(
    design: Make, inline: Inline, tmp_path: Path, text: str, problem: str
) -> None:
    stated = design(measure=write(tmp_path, text))
    with pytest.raises(DesignError, match=f"measure: .*{problem}"):
        run_sweep(stated, tmp_path / "out", executor=inline)
    assert not (tmp_path / "out" / "sweep.json").exists()


def test_a_file_that_is_not_there_is_refused(design: Make, inline: Inline, tmp_path: Path) -> None:
    stated = design(measure=str(tmp_path / "none.py"))
    with pytest.raises(DesignError, match=r"none\.py cannot be read"):
        run_sweep(stated, tmp_path / "out", executor=inline)


def test_a_run_it_fails_on_is_a_failed_run(design: Make, inline: Inline, tmp_path: Path) -> None:
    text = "def measure(run):\n    return {'own': 1 // (run.summary['steps'] < 30)}\n"
    report = run_sweep(design(measure=write(tmp_path, text)), tmp_path / "out", executor=inline)
    assert report.failures == 12
    assert "ZeroDivisionError" in load_sweep(tmp_path / "out")["error"].iloc[0]

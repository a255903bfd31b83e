import contextlib
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result

from marketsim.report import experiment
from marketsim.report.experiment import (
    CODE_FILE,
    FIGURE_FILE,
    README_FILE,
    RESULT_FILE,
    TABLE_FILE,
    find_experiments,
    publish,
    publish_index,
    read_result,
)
from tests.sweep.conftest import Inline

Cli = Callable[..., Result]

ROOT = Path(__file__).parents[2] / "experiments"
SHIPPED = [folder.name for folder in find_experiments(ROOT)]
#: Of a PNG file.
SIGNATURE = b"\x89PNG\r\n\x1a\n"

DESIGN = """\
base = "tiny.toml"
days = 0.02083333333333333
metrics = ["volume_usd"]

[parameters]
"populations.crowd.count" = [3, 5]

[quick]
replicates = 2

[full]
replicates = 3
"""
CODE = '''\
"""A question of two cells."""
from marketsim.report.canvas import save_figure
from marketsim.report.charts import line_figure
from marketsim.study.analysis import cell_means
from marketsim.report.experiment import Check, above, written
from marketsim.study.statistics import bootstrap_mean

COUNT = "populations.crowd.count"


def tabulate(runs):
    return cell_means(runs, [COUNT], ["volume_usd"])


def check(runs):
    found = bootstrap_mean(runs["volume_usd"])
    low, high = above(found, -1.0), above(found, 1e15)
    return [
        Check("They trade", "sense", written(found), low),
        Check("They trade | a lot", "hope", written(found), high),
    ]


def draw(table, path):
    save_figure(line_figure(table.assign(x=table[COUNT]), "traders", "volume, USD"), path)


def headline(runs):
    return f"They trade {written(bootstrap_mean(runs['volume_usd']), unit=' USD')}."
'''
README = """\
# Do they trade?

## Finding

<!-- results: written by `marketsim experiment`, not by hand -->
what was there
<!-- end -->

The end.
"""
INDEX = """\
before
<!-- experiments: written by `marketsim experiment`, not by hand -->
<!-- end -->
after
"""


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketsim.sweep.runner.WorkerPool", lambda *_: Inline())


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """An experiment `trade` in a folder `experiments`, whose README has a list of them."""
    target = tmp_path / "experiments" / "trade"
    target.mkdir(parents=True)
    (target / "design.toml").write_text(DESIGN.replace("tiny.toml", str(tiny)))
    (target / CODE_FILE).write_text(CODE)
    (target / README_FILE).write_text(README)
    (target.parent / README_FILE).write_text(INDEX)
    return target


def test_a_folder_is_all_a_new_experiment_needs(marketsim: Cli, folder: Path) -> None:
    assert "trade: Do they trade?\n    not run in full yet" in marketsim("experiment").stdout
    done = marketsim("experiment", "trade", "--full")
    assert done.exit_code == 0, done.output
    result = json.loads((folder / RESULT_FILE).read_text())
    assert (result["runs"], result["cells"], result["seeds"]) == (6, 2, 3)
    assert (folder / FIGURE_FILE).read_bytes().startswith(SIGNATURE)
    assert len(pd.read_csv(folder / TABLE_FILE)) == 2
    assert result["headline"] in marketsim("experiment").stdout


def test_a_prediction_that_fails_is_a_finding(marketsim: Cli, folder: Path) -> None:
    done = marketsim("experiment", "trade", "--full")
    assert done.exit_code == 0
    assert "failed  They trade | a lot (hope)" in done.stdout
    assert [check["verdict"] for check in read_result(folder)["checks"]] == ["held", "failed"]


def test_the_full_form_rewrites_what_is_between_the_marks(marketsim: Cli, folder: Path) -> None:
    marketsim("experiment", "trade", "--full")
    text = (folder / README_FILE).read_text()
    assert "what was there" not in text
    assert text.startswith("# Do they trade?\n\n## Finding\n")
    assert text.endswith("<!-- end -->\n\nThe end.\n")
    assert "| They trade \\| a lot | hope | **failed** |" in text
    assert "| populations.crowd.count | volume_usd |" in text
    index = (folder.parent / README_FILE).read_text()
    link = "[trade](trade/README.md)"
    assert f"| {link} | {read_result(folder)['headline']} |" in index
    publish(folder)
    publish_index(folder.parent)
    assert (folder / README_FILE).read_text() == text
    assert (folder.parent / README_FILE).read_text() == index


def test_a_quick_look_leaves_the_folder_alone(marketsim: Cli, folder: Path) -> None:
    before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    done = marketsim("experiment", "trade", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["form"] == "quick"
    assert {file: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before
    assert Path("runs/experiments/trade-quick/results", FIGURE_FILE).exists()


def test_the_same_command_makes_no_run_twice(
    marketsim: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads(marketsim("experiment", "trade", "--json").stdout)
    monkeypatch.setattr("marketsim.sweep.runner.run_task", None)
    assert json.loads(marketsim("experiment", "trade", "--json").stdout) == first


def test_half_a_sweep_is_no_result(
    marketsim: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketsim.sweep.runner.count_runs", lambda _: Counter(ok=1))
    done = marketsim("experiment", "trade", "--full")
    assert done.exit_code == 1
    assert "runs are missing" in done.stderr
    assert not (folder / RESULT_FILE).exists()


def test_bad_input_is_explained(marketsim: Cli, folder: Path) -> None:
    wrong = marketsim("experiment", "trad")
    assert wrong.exit_code == 2
    assert "did you mean 'trade'?" in wrong.stderr
    assert marketsim("experiment", "trade", "--quick", "--full").exit_code == 2
    assert "holds no experiments" in marketsim("experiment", "--root", folder).stderr
    (folder / README_FILE).write_text("# Do they trade?\n")
    unmarked = marketsim("experiment", "trade", "--full")
    assert unmarked.exit_code == 2
    assert "needs the lines" in unmarked.stderr
    (folder / CODE_FILE).write_text("def check(runs): ...\n")
    short = marketsim("experiment", "trade")
    assert short.exit_code == 2
    assert "defines no tabulate, draw, headline" in short.stderr


def test_where_none_are_at_hand_those_of_the_package_are_meant(
    marketsim: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(experiment, "CHECKOUT", folder / "nowhere")
    monkeypatch.setattr(experiment, "INSTALLED", folder.parent)
    elsewhere = folder.parents[1] / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "trade: Do they trade?" in marketsim("experiment").stdout
    done = marketsim("experiment", "trade", "--full", "--json")
    assert done.exit_code == 0, done.output
    assert (elsewhere / "runs/experiments/trade-full/results" / FIGURE_FILE).exists()
    refused = marketsim("experiment", "trade", "--redraw")
    assert (refused.exit_code, "copy its folder" in refused.stderr) == (2, True)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_in_a_checkout_they_are_found_from_any_folder(
    marketsim: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert SHIPPED[0] in marketsim("experiment").stdout


def test_a_wheel_holds_them_where_they_are_looked_for(tmp_path: Path) -> None:
    build = pytest.importorskip("hatchling.build", reason="hatchling builds the wheel")
    root = Path(__file__).parents[2]
    with contextlib.chdir(root):
        wheel = tmp_path / build.build_wheel(str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    place = experiment.INSTALLED.relative_to(experiment.CHECKOUT.parent).as_posix()
    for name in SHIPPED:
        for file in (CODE_FILE, "design.toml", README_FILE):
            assert f"{place}/{name}/{file}" in names


def test_experiments_are_shipped() -> None:
    assert len(SHIPPED) >= 7


#: What is shortened here of looks that take long: lines of the design, and others for them. The
#: code of a finding is run on all of its cells; how many seeds, or days, are behind a cell is no
#: matter here, but the event that it is about is among them. Those that are not named keep two
#: seeds.
SHORTENED = {
    "cascade_size": {"[quick]\nreplicates = 2": "[quick]\nreplicates = 1"},
    "funding_and_herding_events": {"days = 10": "days = 5"},
    "funding_harvest": {"days = 10": "days = 8"},
    "herding_and_funding": {"days = 60": "days = 12"},
    "reproduction": {
        '"record.reproduction_draws" = 40': '"record.reproduction_draws" = 8',
        "[quick]\nreplicates = 2": "[quick]\nreplicates = 1",
    },
    "watched_or_forgotten": {
        "\nstep_minutes = 5": "\nstep_minutes = 15",
        '"record.series_minutes" = 5': '"record.series_minutes" = 15',
        "[quick]\nreplicates = 2": "[quick]\nreplicates = 1\ndays = 5.5",
    },
}


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.slow
def test_a_shipped_experiment_answers_quickly(marketsim: Cli, tmp_path: Path, name: str) -> None:
    root, out = tmp_path / "experiments", tmp_path / "out"
    shutil.copytree(ROOT, root)  # whole: an experiment may begin from another's scenario
    design = root / name / "design.toml"
    for line, shorter in SHORTENED.get(name, {}).items():
        assert design.read_text().count(line) == 1
        design.write_text(design.read_text().replace(line, shorter))
    done = marketsim("experiment", name, "--quick", "--root", root, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["failed_runs"] == 0
    assert result["checks"]
    assert all(check["found"] and check["prediction"] for check in result["checks"])
    table = pd.read_csv(out / "results" / TABLE_FILE)
    assert table["value"].notna().any()
    assert (out / "results" / FIGURE_FILE).read_bytes().startswith(SIGNATURE)


#: Where a run is long, or many are compared in each, and what is found is large.
FEWER_SEEDS = {
    "practical_rules": 12,
    "scenario_promises": 10,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_readme_is_what_the_full_run_found(tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    shutil.copytree(ROOT / name, copy)
    result = read_result(copy)
    assert result is not None
    assert (result["form"], result["failed_runs"]) == ("full", 0)
    assert result["seeds"] >= FEWER_SEEDS.get(name, 30)
    publish(copy)
    assert (copy / README_FILE).read_text() == (ROOT / name / README_FILE).read_text()
    for heading in ("## Prediction", "## Design", "## Finding"):
        assert heading in (copy / README_FILE).read_text()


@pytest.mark.parametrize("name", SHIPPED[:1])
def test_a_folder_is_no_name_of_an_experiment(marketsim: Cli, name: str) -> None:
    done = marketsim("experiment", ROOT / name)
    assert done.exit_code == 2
    again = f"marketsim experiment {name} --root {ROOT}"
    assert f"is a folder; state its name, and where it is: {again}" in done.stderr

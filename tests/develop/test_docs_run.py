"""Every command and block of code on the pages of the site runs, or says why it does not."""

import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from marketsim.agents.registry import scenario_schema
from marketsim.cli import app
from marketsim.report.reference import describe_fields
from marketsim.scenario.loader import list_scenarios, parse_scenario
from marketsim.scenario.venue import TABLES, preset_names, read_preset
from marketsim.sweep.design import parse_design
from marketsim.sweep.plan import Plan
from marketsim.sweep.sampling import count_cells
from tests.develop.blocks import DOCS, MARKS, read_blocks, run_page
from tests.slow import slow
from tests.sweep.conftest import Inline

#: Pages whose blocks are run here; the others have tests of their own.
FAST = ("price-files",)
SLOW = (
    "benchmarks",
    "start",
    "talk",
    "sweep",
    "own-traders",
    "learning-agents",
    "portfolio",
    "calibration",
    "concepts",
    "limits",
    "reference/run-folder",
    "reference/scenario",
)
SHOWN = ("index", "gallery", "reference/index", "reference/commands")
SHOWN += ("guide", "understand", "reference/api", "develop/index")
#: Pages that were there before the site, and who tests them.
ELSEWHERE = {
    "clusters": "tests/sweep/test_slurm.py",
    "notebooks": "docs/notebooks.md",
    "figures": "tests/report/test_pictures_of_docs.py",
    "glossary": "tests/develop/test_docs.py",
    "live": "tests/live/test_commands.py",
    "odd": "tests/report/test_odd.py",
    "steering": "docs/steering.md",
}
#: Pages that need more than marketsim itself.
NEEDS = {"learning-agents": ("gymnasium", "pettingzoo")}
#: Examples of commands that are not run, and why.
NOT_RUN = {
    "inspect": "prices.csv stands for a file of yours",
    "live": "serves until Ctrl-C",
    "talk": "takes minutes, and no option makes it shorter",
    "rerun": "KEY stands for a key of the sweep's table",
    "experiment": "takes a minute; tests/cli/test_experiment.py runs one",
    "validate": "ninety days; the page of calibration runs two",
    "compare": "twenty pairs; the page of sweeps runs two",
    "calibrate": "the page of calibration runs it",
    "bench": "the page of benchmarks runs it",
}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def file_on(name: str, file: str) -> str:
    """Return the content that a page gives of a file."""
    (block,) = [each for each in read_blocks(page(name)) if each.marks.get("file") == file]
    return block.text


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no workers: what they are told and what becomes of them is tried in `tests/sweep`."""
    for module in ("sweep.runner", "study.calibrate", "study.seeds"):
        monkeypatch.setattr(f"marketsim.{module}.WorkerPool", lambda *_: Inline())


@pytest.fixture
def _short_movies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make movies of six pictures: each is drawn, and takes its time."""
    monkeypatch.setattr("marketsim.report.movie.PICTURES", 6)


def test_every_page_is_in_a_list() -> None:
    there = {file.relative_to(DOCS).with_suffix("").as_posix() for file in DOCS.rglob("*.md")}
    develop = {name for name in there if name.startswith("develop/")}
    assert there - develop | {"develop/index"} == {*FAST, *SLOW, *SHOWN, *ELSEWHERE}


@pytest.mark.parametrize("name", [*FAST, *SLOW, *SHOWN])
def test_marks_are_those_there_are_and_reasons_are_given(name: str) -> None:
    for block in read_blocks(page(name)):
        assert set(block.marks) <= set(MARKS), block
        assert all(block.marks[mark] for mark in set(block.marks) - {"output"}), block


@pytest.mark.parametrize("name", [*FAST, *slow(SLOW)])
@pytest.mark.usefixtures("_short_movies")
@pytest.mark.filterwarnings("default")
def test_the_blocks_of_a_page_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed (the extra rl)")
    monkeypatch.chdir(tmp_path)
    run_page(page(name))


def test_the_design_of_the_picture_is_the_one_on_the_page() -> None:
    design = file_on("sweep", "spill.toml")
    assert design == (DOCS / "gallery" / "spill.toml").read_text(encoding="utf-8")


def test_the_larger_design_makes_as_many_runs_as_its_page_says() -> None:
    design = parse_design(tomllib.loads(file_on("sweep", "leverage.toml")))
    assert count_cells(design) * len(design.variants) * design.replicates == 10_000
    assert len(Plan(design.model_copy(update={"size": 4}))) == 32


def test_the_runs_of_the_page_of_sweeps_share_a_warm_up_for_each_seed() -> None:
    plan = Plan(parse_design(tomllib.loads(file_on("sweep", "warmed.toml"))))
    names = [plan.warm_up(number) for number in range(len(plan))]
    assert (len(names), len(set(names))) == (8, 2)


def test_the_whole_scenario_of_the_reference_lasts_two_days() -> None:
    scenario = parse_scenario(tomllib.loads(file_on("reference/scenario", "small.toml")))
    assert scenario.num_steps == 2880


def test_every_command_has_an_example_and_only_of_options_it_has() -> None:
    from docs.extension.commands import describe_commands, example_of

    group = typer.main.get_command(app)
    text = describe_commands()
    for name, command in group.commands.items():
        words = shlex.split(example_of(command))
        assert words[:2] == ["marketsim", name]
        assert f"\n| [{name}](#{name}) | " in text
        assert f"```sh\n{example_of(command)}\n```" in text
        known = {option for each in command.params for option in each.opts}
        assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.slow
@pytest.mark.usefixtures("_short_movies")
@pytest.mark.filterwarnings("default")
def test_the_examples_of_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from docs.extension.commands import example_of

    monkeypatch.chdir(tmp_path)
    for name in ("portfolio", "sweep"):
        for block in read_blocks(page(name)):
            if "file" in block.marks:
                text = block.text.replace("days = 0.75", "days = 0.525")
                text = text.replace("replicates = 5", "replicates = 2")
                Path(block.marks["file"]).write_text(text.replace("-0.1, -0.2, -0.3", "-0.2"))
    commands = typer.main.get_command(app).commands
    for name, command in commands.items():
        if name not in NOT_RUN:
            words = shlex.split(example_of(command))[1:]
            done = CliRunner().invoke(app, [*words, *(["--days", "0.525"] * (name == "run"))])
            assert done.exit_code == 0, f"{example_of(command)}\n{done.output}"


def test_the_reference_has_every_field_and_the_values_of_every_preset() -> None:
    text = describe_fields()
    schema = scenario_schema()
    for table in (schema, *schema["$defs"].values()):
        for field in table.get("properties", {}):
            assert f"| `{field}` |" in text, field
    for name in schema["$defs"]:
        assert f"\n### {name}\n" in text
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    order = sorted(preset_names(), key=lambda name: (name != "default", name))
    for table in TABLES:
        for field, value in read_preset("binance")[table].items():
            rows = [cells for cells in lines if cells[0] == f"`{field}`" and len(cells) == 6]
            column = order.index("binance") + 1
            shown = str(value).lower() if isinstance(value, bool) else value
            told = f"{shown:g}" if isinstance(shown, float) else str(shown)
            assert told in {cells[column] for cells in rows}, (table, field)


def test_the_gallery_has_every_scenario_and_experiment_with_its_picture() -> None:
    from docs.extension.gallery import EXPERIMENTS, commands_of, show_experiments, show_scenarios

    shown = show_scenarios()
    for name, _ in list_scenarios():
        assert f"](gallery/{name}.png)" in shown
        assert (DOCS / "gallery" / f"{name}.png").is_file(), "sh docs/gallery/make.sh"
        run, plot = commands_of(name)
        assert run.startswith(f"marketsim run {name} --seed 1")
        assert plot.startswith(f"marketsim plot runs/{name} ")
    experiments = show_experiments()
    for folder in EXPERIMENTS.glob("*/experiment.py"):
        assert f"(../experiments/{folder.parent.name}/figure.png)" in experiments


@pytest.mark.slow
@pytest.mark.skipif(find_spec("sphinx") is None, reason="needs the extra `docs`")
def test_the_site_is_built_without_warnings_and_fetches_nothing(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for file in tmp_path.rglob("*.html"):
        html = file.read_text(encoding="utf-8")
        for start in ('<script src="http', '<link rel="stylesheet" href="http', '<img src="http'):
            assert start not in html, file
        assert "&lt;!-- written" not in html, file
        assert "<!-- written" not in html, file

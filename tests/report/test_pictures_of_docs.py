"""The pictures of the documentation: each made by a command of one file, and shown beside it."""

import re
import shlex
from pathlib import Path

import pytest
from matplotlib.image import imread

from marketsim.report.plots.kinds import KINDS, find_kind, kinds_table
from marketsim.scenario.loader import load_scenario

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
LINES = (IMAGES / "make.sh").read_text().splitlines()
RUNS = [shlex.split(line)[2:] for line in LINES if line.startswith("marketsim run ")]
PLOTS = [shlex.split(line)[2:] for line in LINES if line.startswith("marketsim plot ")]


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def names(words: list[str]) -> list[str]:
    """Runs, and the kind at their end."""
    return [word for word in words[: words.index("-o")] if word.startswith("runs/")]


def kind_of(words: list[str]) -> str:
    return words[len(names(words))]


def test_every_kind_has_a_picture_and_every_picture_a_command() -> None:
    assert {kind_of(words) for words in PLOTS} == {kind.name for kind in KINDS}
    made = {Path(option(words, "-o")).name for words in PLOTS}
    assert made == {file.name for file in IMAGES.glob("*.png")}
    for file in IMAGES.glob("*.png"):
        assert imread(file).shape[:2] == (900, 1600)


def test_the_commands_name_runs_that_are_made_and_options_there_are() -> None:
    made = {option(words, "--out") for words in RUNS}
    for words in PLOTS:
        assert set(names(words)) <= made
        given = {word[2:] for word in words if word.startswith("--")} - {"dark", "size"}
        assert given <= set(find_kind(kind_of(words)).options)
    for words in RUNS:
        sets = [words[n + 1].partition("=") for n, word in enumerate(words) if word == "--set"]
        assert load_scenario(words[0], [(path, value) for path, _, value in sets]).num_steps


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_page_shows_each_picture_beside_its_command(kind) -> None:
    page = (ROOT / "docs" / "figures.md").read_text()
    part = re.split(r"^##+ ", page, flags=re.MULTILINE)
    (own,) = [text for text in part if text.startswith(f"`{kind.name}`")]
    (command,) = re.findall(r"```sh\n(.*)\n```", own)
    assert command in LINES
    (image,) = re.findall(r"!\[.*\]\((.*)\)", own)
    assert option(shlex.split(command), "-o") == f"docs/{image}"


def test_the_table_of_kinds_is_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "figures.md").read_text()
    assert page.partition("<!-- kinds -->\n")[2].partition("\n<!-- end -->")[0] == kinds_table()


def test_the_readme_s_first_picture_is_made_by_the_commands_beside_it() -> None:
    readme = (ROOT / "README.md").read_text()
    image, _, rest = readme.partition("](docs/images/")[2].partition(")")
    commands = re.search(r"```sh\n(.*?)```", rest, re.DOTALL)
    assert commands is not None
    *runs, plot = (shlex.split(line)[2:] for line in commands[1].splitlines())
    assert readme.index("docs/images/") < 2500
    for words in runs:
        assert any(made[: len(words)] == words for made in RUNS)
    (same,) = [made for made in PLOTS if option(made, "-o") == f"docs/images/{image}"]
    assert plot[: plot.index("-o")] == same[: same.index("-o")]

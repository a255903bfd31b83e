"""The pages for those who carry on name files, functions, commands and floors that there are."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketsim.cli import app

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "marketsim"
GLOSSARY = ROOT / "docs" / "glossary.md"
STYLE = ROOT / "docs" / "develop" / "style.md"
ARCHITECTURE = ROOT / "docs" / "develop" / "architecture.md"
STEERING = ROOT / "docs" / "steering.md"
PAGES = [
    ROOT / "CONTRIBUTING.md",
    GLOSSARY,
    STEERING,
    ROOT / "docs" / "figures.md",
    *sorted((ROOT / "docs" / "develop").glob("*.md")),
]
#: Public projects whose files are named as examples.
OTHERS = {
    "Agents.jl",
    "BeforeIT.jl",
    "axelrod",
    "emcee",
    "msprime",
    "poliastro",
    "quantecon",
    "simpy",
    "xarray",
}
#: Marks a line of the tree in the style page whose files are not there yet.
TO_COME = "(to come)"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def inline(text: str) -> list[str]:
    """What stands between backticks, blocks of code left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def find(path: str) -> list[Path]:
    """Files or folders of the checkout, or of the package, that a path names.

    A part in angle brackets, and the words NAME, WHAT and KIND, stand for any name.
    """
    pattern = re.sub(r"<\w+>|NAME|WHAT|KIND", "*", path)
    return [found for place in (ROOT, PACKAGE) for found in place.glob(pattern)]


def paths(text: str) -> list[str]:
    named = [code for code in inline(text) if re.fullmatch(r"[\w.<>*/-]+", code)]
    return [
        code
        for code in named
        if ("/" in code or re.search(r"\.(py|md|toml|txt)$", code))
        and code.partition("/")[0] not in OTHERS
    ]


@every_page
def test_every_file_named_is_there(page: Path) -> None:
    found = paths(page.read_text(encoding="utf-8"))
    assert found
    assert [path for path in found if not find(path)] == []


@every_page
def test_a_name_in_brackets_is_in_the_file_before_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path, name in re.findall(r"`([\w./-]+\.py)`\s+\(`(\w+)`\)", text):
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (path, name)


def commands(text: str) -> list[list[str]]:
    """The words of every command of ours, in blocks of shell or between backticks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.M | re.S)
    lines = [*"\n".join(blocks).splitlines(), *inline(text)]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("marketsim ")]


@pytest.mark.slow
def test_every_command_named_is_there_with_its_options() -> None:
    found = [words for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]
    assert found
    for words in found:
        name = [word for word in words[1:2] if not word.startswith("-")]
        shown = CliRunner().invoke(app, [*name, "--help"])
        assert shown.exit_code == 0, words
        options = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        assert [option for option in options if option not in shown.output] == [], words


def test_the_floors_are_those_of_the_import_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    assert contract["type"] == "layers"
    layers = [re.split(r"\s*\|\s*", layer) for layer in contract["layers"]]
    text = ARCHITECTURE.read_text(encoding="utf-8")
    table = text.split("| floor |", 1)[1].split("\n\n", 1)[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [inline(cell) for cell in cells] == layers


def tree() -> dict[str, bool]:
    """The paths of the style page's tree, and whether they are to come."""
    block = STYLE.read_text(encoding="utf-8").split("```text\n", 1)[1].split("```", 1)[0]
    found: dict[str, bool] = {}
    folders: list[str] = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.match(r"(\s*\S*(\.py|/)(?=\s|$))+", line)
        assert names, line
        for name in names[0].split():
            found["".join(folders[:depth]) + name] = TO_COME in line
        folders[depth:] = [name] if name.endswith("/") else [""]
    return found


def test_the_style_page_s_tree_is_the_house() -> None:
    for path, is_to_come in tree().items():
        assert bool(find(path)) != is_to_come, path
    rooms = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
    assert {path.split("/")[1] for path in tree() if path.startswith("marketsim/")} >= rooms
    stages = {file.name for file in (PACKAGE / "engine").glob("*.py")} - {"__init__.py"}
    assert {path.rpartition("/")[2] for path in tree()} >= stages


def test_the_glossary_is_in_order_and_says_where_each_word_is_at_home() -> None:
    entries = re.split(r"^- ", GLOSSARY.read_text(encoding="utf-8"), flags=re.M)[1:]
    words = []
    for entry in entries:
        word = re.match(r"\*\*(.+?)\*\*: ", entry)
        assert word, entry
        words.append(word[1].lower())
        assert paths(entry), entry
    assert words == sorted(set(words))

"""The front page: short, its commands and links good, its output that of today."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.scenario.loader import load_scenario
from tests.develop.blocks import assert_begins, read_blocks, run_python

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def commands(readme: str) -> list[list[str]]:
    """The words of every command of ours, without what installs it."""
    lines = [
        words for each in read_blocks(readme) if each.language == "sh" for words in each.commands()
    ]
    return [words[words.index("marketsim") :] for words in lines if "marketsim" in words]


def test_it_is_short(readme: str) -> None:
    assert len(readme.splitlines()) <= 150


def test_ci_finds_exactly_one_test_command(readme: str) -> None:
    marked = re.findall(r"<!-- test command -->\n```sh\n(.*)\n```", readme)
    assert len(marked) == 1
    assert marked[0].startswith("pip install -e '.[test]' && pytest")


def test_the_name_taken_on_the_index_is_never_installed() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"pip install\s+(-\S+\s+)*marketsim(?!-perps)", text), page


def test_its_links_lead_somewhere(readme: str) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", readme)
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_its_commands_exist_and_name_shipped_scenarios(readme: str) -> None:
    found = commands(readme)
    assert found
    for _, name, *words in found:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0
        if name == "run":
            assert load_scenario(words[0]).num_steps > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_first_run_prints_what_it_shows(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "quickstart"])
    assert done.exit_code == 0, done.output
    blocks = read_blocks(readme)
    (shown,) = [block for block in blocks if "output" in block.marks]
    assert_begins(done.stdout, shown.text)
    (python,) = [block for block in blocks if block.language == "python"]
    run_python(python.text, {})

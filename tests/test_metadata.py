"""What the project says of itself in several files is the same in all of them."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import marketsim

ROOT = Path(__file__).parents[1]
DEVELOPERS = "The marketsim developers"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


@pytest.fixture(scope="module")
def codemeta() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "codemeta.json").read_text())
    return found


@pytest.fixture(scope="module")
def citation() -> dict[str, str]:
    """The fields of the citation file that are one line each."""
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    pairs = (line.partition(":") for line in lines if re.match(r"[\w-]+: \S", line))
    return {name: value.strip().strip('"') for name, _, value in pairs}


def names_of(requirements: list[str]) -> list[str]:
    return [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in requirements]


def test_the_version_is_one(project: Any, codemeta: Any, citation: Any) -> None:
    found = {project["version"], codemeta["version"], citation["version"], marketsim.__version__}
    assert found == {marketsim.__version__}


def test_the_licence_is_one(project: Any, codemeta: Any, citation: Any) -> None:
    assert codemeta["license"] == f"https://spdx.org/licenses/{project['license']}"
    assert citation["license"] == project["license"]
    assert project["license"] in (ROOT / "LICENSE").read_text()


def test_name_words_and_requirements_are_those_of_the_package(project: Any, codemeta: Any) -> None:
    assert codemeta["name"] == project["name"]
    assert codemeta["description"] == project["description"]
    assert codemeta["keywords"] == project["keywords"]
    assert codemeta["runtimePlatform"] == f"Python {project['requires-python']}"
    assert codemeta["softwareRequirements"] == names_of(project["dependencies"])


def test_the_title_is_one(citation: Any) -> None:
    title = re.search(r'^title: "(.+)"$', (ROOT / "paper.md").read_text(), re.MULTILINE)
    assert title is not None
    assert title[1] == citation["title"]


def test_nobody_is_named_and_no_identifier_is_made_up(codemeta: Any) -> None:
    assert [author["name"] for author in codemeta["author"]] == [DEVELOPERS]
    assert f'name: "{DEVELOPERS}"' in (ROOT / "CITATION.cff").read_text()
    head = (ROOT / "paper.md").read_text().split("---")[1]
    assert re.findall(r"- name: (.+)", head) == [DEVELOPERS]
    for word in ("affiliation", "orcid", "doi", "email"):
        assert word not in head.lower()
        assert word not in json.dumps(codemeta).lower()


def test_every_reference_of_the_paper_is_there_and_cited() -> None:
    text = (ROOT / "paper.md").read_text()
    known = re.findall(r"^@\w+\{(\w+),$", (ROOT / "paper.bib").read_text(), re.MULTILINE)
    assert sorted(known) == sorted(set(re.findall(r"@(\w+)", text.split("---", 2)[2])))


def test_the_paper_is_as_long_as_the_journal_wants() -> None:
    body = (ROOT / "paper.md").read_text().split("---", 2)[2]
    assert 250 <= len(body.split()) <= 1000


@pytest.mark.parametrize("file", ["paper.md", "paper.bib", "codemeta.json"])
def test_they_are_part_of_the_source_archive(file: str) -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert file in tool["hatch"]["build"]["targets"]["sdist"]["include"]

"""The gallery: every shipped scenario and every experiment with its picture."""

import re
import shlex
from importlib.resources import files
from pathlib import Path

from marketsim.scenario.loader import list_scenarios

DOCS = Path(__file__).parents[1]
EXPERIMENTS = DOCS.parent / "experiments"
#: What makes the pictures of the scenarios.
COMMANDS = DOCS / "gallery" / "make.sh"


def show_scenarios() -> str:
    """Show every shipped scenario: what it is, its picture, the commands that made it."""
    return "\n\n".join(_scenario(name, told) for name, told in list_scenarios())


def commands_of(name: str) -> list[str]:
    """Return the commands behind the picture of a scenario, as a user would give them."""
    found = [
        line
        for line in COMMANDS.read_text(encoding="utf-8").splitlines()
        if line.startswith("marketsim ") and f"runs/gallery/{name}" in shlex.split(line)
    ]
    plain = [re.sub(r" --(force|quiet)", "", line) for line in found]
    return [line.replace("gallery/", "").replace("docs/", "") for line in plain]


def _scenario(name: str, told: str) -> str:
    commands = "\n".join(commands_of(name))
    parts = [f"### {name}", told + ".", f"![{told}](gallery/{name}.png)", *_watch(name)]
    return "\n\n".join([*parts, f"```sh\n{commands}\n```"])


def _watch(name: str) -> list[str]:
    """Return what the comment at the top of a scenario's file says, its commands left out."""
    text = files("marketsim.scenario").joinpath("library", f"{name}.toml").read_text("utf-8")
    comment = re.match(r"(#.*\n)+", text)
    lines = [line[1:] for line in comment[0].splitlines()] if comment else []
    told = "\n".join("" if line.startswith("     ") else line.strip() for line in lines)
    return [" ".join(part.split()) for part in told.split("\n\n") if part.strip()][1:]


def show_experiments() -> str:
    """Show every experiment: its question, its figure, what was found."""
    pages = sorted(code.with_name("README.md") for code in EXPERIMENTS.glob("*/experiment.py"))
    return "\n\n".join(_experiment(page) for page in pages)


def _experiment(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    question = re.match(r"# (.*)", text)
    found = re.search(r"<!-- results: .*?-->\n+\*\*(.*?)\*\*\n", text, flags=re.DOTALL)
    assert question is not None, page
    assert found is not None, page
    name = page.parent.name
    command = f"```sh\nmarketsim experiment {name} --full\n```"
    picture = f"![{question[1]}](../experiments/{name}/figure.png)"
    where = f"Predictions, design and tables: `experiments/{name}/README.md`."
    return "\n\n".join([f"### {question[1]}", picture, found[1], where, command])

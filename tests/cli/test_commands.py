import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Cli = Callable[..., Result]

HEAVY = ("distributed", "duckdb", "mesa", "numba", "numpy", "pandas", "pyarrow", "scipy")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["sweep", "--help"], ["query", "--help"], ["--version"]],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from marketsim.cli import app\n"
        "try: app()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_every_option_is_in_the_help(marketsim: Cli) -> None:
    text = marketsim("run", "--help").stdout
    for option in ("--seed", "--steps", "--days", "--set", "--out", "--force", "--json", "--quiet"):
        assert option in text


def test_the_help_says_what_is_the_default(marketsim: Cli) -> None:
    text = marketsim("run", "--help").stdout.replace("│", " ")
    assert "[default: the scenario's]" in " ".join(text.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", ""],
        ["run", "quickstart", "--out", ""],
        ["run", "quickstart", "--out="],
        ["sweep", "", "--out", "runs"],
        ["sweep", "design.toml", "--out", ""],
        ["report", ""],
        ["plot", "", "prices"],
        ["experiment", ""],
        ["compare", "quickstart", "--change", ""],
    ],
)
def test_nothing_empty_is_taken_for_the_current_folder(
    arguments: list[str], marketsim: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = marketsim(*arguments)
    assert done.exit_code == 2
    told = " ".join(re.sub("[│╭╮╰╯─]", " ", done.stderr).split())
    assert re.search(r"Invalid value for .*: it is empty: state one", told)
    assert not list(tmp_path.iterdir())


def test_scenarios_lists_one_a_line(marketsim: Cli) -> None:
    done = marketsim("scenarios")
    assert done.exit_code == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"quickstart", "history"} <= set(names)


def test_schema_is_a_json_schema_of_a_scenario(marketsim: Cli) -> None:
    schema = json.loads(marketsim("schema").stdout)
    assert {"markets", "venue", "spot", "populations"} <= schema["properties"].keys()


def test_an_unknown_command_is_bad_input(marketsim: Cli) -> None:
    assert marketsim("simulate").exit_code == 2
    assert marketsim("run").exit_code == 2
    assert marketsim("bench", "nonsense").exit_code == 2

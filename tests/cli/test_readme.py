import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.scenario.loader import load_scenario, parse_scenario
from marketsim.study.calibrate import check_dials
from marketsim.study.targets import parse_targets
from marketsim.sweep.design import parse_design
from marketsim.sweep.metrics import HEADLINE, choose_metrics
from marketsim.sweep.plan import Plan
from marketsim.sweep.sampling import count_cells

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


def test_ci_finds_exactly_one_test_command(readme: str) -> None:
    marked = re.findall(r"<!-- test command -->\n```sh\n(.*)\n```", readme)
    assert len(marked) == 1
    assert marked[0].startswith("pip install -e '.[test]' && pytest")


def test_the_name_taken_on_the_index_is_never_installed(readme: str) -> None:
    assert not re.search(r"pip install\s+(-\S+\s+)*marketsim(?!-perps)", readme)


def test_the_readme_s_scenario_is_valid(readme: str) -> None:
    text = next(text for text in blocks(readme, "toml") if "[populations" in text)
    assert parse_scenario(tomllib.loads(text)).num_steps == 2880


def test_the_readme_s_design_is_valid(readme: str) -> None:
    text = next(text for text in blocks(readme, "toml") if "[parameters" in text)
    design = parse_design(tomllib.loads(text))
    assert count_cells(design) * len(design.variants) * design.replicates == 10_000
    assert len(Plan(design.model_copy(update={"size": 4}))) == 32


def test_the_readme_s_stress_commands_run_on_the_readme_s_portfolio(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = next(text for text in blocks(readme, "toml") if "[positions" in text)
    (tmp_path / "portfolio.toml").write_text(text)
    lines = [line for block in blocks(readme, "sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("marketsim stress portfolio.toml")]
    assert len(commands) == 2
    for command in commands:
        done = CliRunner().invoke(app, shlex.split(command)[1:])
        assert done.exit_code == 0, done.output
        assert "BTC" in done.stdout


def test_the_readme_s_targets_can_be_searched(readme: str) -> None:
    text = next(text for text in blocks(readme, "toml") if "[targets]" in text)
    search = parse_targets(tomllib.loads(text))
    assert check_dials(search).tables["days"] == 3
    metrics = choose_metrics(list(search.targets), (*HEADLINE, "funding_at_interest_share"))
    assert len(metrics) == len(search.targets)


def test_the_readme_s_comparison_is_of_fields_there_are(readme: str) -> None:
    (line,) = re.findall(r"^marketsim compare ([a-z]+ --change .*)$", readme, re.MULTILINE)
    name, _, change = shlex.split(line)[:3]
    path, _, value = change.partition("=")
    assert load_scenario(name, [(path, value)]) != load_scenario(name)


def test_the_readme_s_run_commands_name_shipped_scenarios_and_real_fields(readme: str) -> None:
    lines = [line for block in blocks(readme, "sh") for line in block.splitlines()]
    runs = [line.partition("marketsim run ")[2] for line in lines if "marketsim run " in line]
    for words in (shlex.split(run, comments=True) for run in runs if "SCENARIO" not in run):
        sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        overrides = [(path, value) for path, _, value in (item.partition("=") for item in sets)]
        assert load_scenario(words[0], overrides).num_steps > 0


def test_the_readme_s_commands_exist(readme: str) -> None:
    for name in re.findall(r"^marketsim (\w+) ", "\n".join(blocks(readme, "sh")), re.MULTILINE):
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0

"""``marketsim reproduction``: what it prints, and what it refuses."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

AT = ("quickstart", "--seed", 1, "--at-hours", 2, "--horizon", 0.1, "-n", 4, "--side", "falls")


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["reproduction", *map(str, arguments)])


def test_it_says_what_a_market_says() -> None:
    run = Simulation(load_scenario("quickstart"), 1)
    run.run(120)
    found = run.reproduction(n=4, horizon=0.1, side="falls").to_dict()
    outcome = invoke(*AT, "--json")
    assert outcome.exit_code == 0, outcome.output
    content = json.loads(outcome.stdout)
    assert {key: content[key] for key in found} == found
    number = run.contagion().reproduction_number("falls")
    assert content["computed"]["falls"] == pytest.approx(number)
    assert content["hours"] == 2.0


def test_it_fits_a_terminal() -> None:
    outcome = invoke(*AT, "--all-generations")
    assert outcome.exit_code == 0, outcome.output
    assert "all markets" in outcome.output
    assert "R computed: falls" in outcome.output
    assert max(map(len, outcome.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--at-hours", 1000), "--at-hours 1000: must lie within the"),
        (("--at-hours", -1), "--at-hours -1: must lie within the"),
        (("--at-hours", "nan"), "--at-hours nan: must lie within the"),
        (("--at-hours", 2, "--horizon", 1000), "--horizon 1000: must be above 0"),
        (("--at-hours", 2, "--side", "up"), "--side up: must be falls or rises"),
    ],
)
def test_bad_options_are_refused(arguments: tuple[Any, ...], text: str) -> None:
    outcome = invoke("quickstart", *arguments)
    assert outcome.exit_code == 2
    assert text in outcome.stderr

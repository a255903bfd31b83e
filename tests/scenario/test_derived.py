"""Scenarios that start from another one: what is merged, what is replaced, what is refused."""

from pathlib import Path

import pytest

from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import json_schema, load_scenario, resolved_toml


@pytest.fixture
def write(tmp_path: Path):
    def save(name: str, text: str) -> Path:
        file = tmp_path / f"{name}.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return save


def test_what_is_not_stated_is_the_base_s(write):
    base = load_scenario("calm")
    own = load_scenario(write("own", 'base = "calm"\n[populations.basis]\ncount = 3\n'))
    assert own.populations["basis"].count == 3
    assert own.populations["basis"].capital == base.populations["basis"].capital
    assert own.populations["herd"] == base.populations["herd"]
    assert (own.markets, own.venue, own.spot) == (base.markets, base.venue, base.spot)
    assert (own.name, own.description) == ("own", "")


def test_parameters_are_merged_and_habits_and_shocks_replaced(write):
    text = """
    base = "october-10"
    [[shocks]]
    kind = "jump"
    at = 1
    size = -0.1
    [populations.herd]
    margin_mode = { partial = 1.0 }
    leverage = { kind = "uniform", min = 1.0, max = 2.0 }
    parameters = { trend = 0.1 }
    [populations.herd.groups.majors]
    markets = ["BTC", "ETH"]
    """
    own = load_scenario(write("own", text))
    assert len(own.shocks) == 1
    herd = own.populations["herd"]
    base = load_scenario("october-10").populations["herd"]
    assert base.parameters["bias"] == 0.5
    assert herd.parameters == base.parameters | {"trend": 0.1}
    assert herd.margin_mode == {"partial": 1.0}
    assert herd.leverage.kind == "uniform"
    assert own.insurance_fund == load_scenario("october-10").insurance_fund


def test_a_base_may_have_a_base_and_lie_beside_the_file(write):
    write("first", 'base = "calm"\ndays = 2\n')
    write("deep/second", 'base = "../first.toml"\ninsurance_fund = 7.0\n')
    third = load_scenario(write("deep/third", 'base = "second.toml"\n'))
    assert (third.days, third.insurance_fund, third.name) == (2.0, 7.0, "third")


def test_a_resolved_scenario_has_no_base(write):
    own = load_scenario(write("own", 'base = "calm"\ndays = 2\n'))
    text = resolved_toml(own)
    assert "base =" not in text.split("[", 1)[0]
    again = load_scenario(write("again", text))
    assert again.model_dump() == own.model_dump()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('base = "clam"', "did you mean 'calm'"),
        ('base = "own.toml"', "leads back to itself"),
        ("base = 3", "must be the name or file of a scenario"),
    ],
)
def test_an_impossible_base_is_named(write, monkeypatch, text, problem):
    file = write("own", text)
    monkeypatch.chdir(file.parent)
    with pytest.raises(ScenarioError, match=problem):
        load_scenario("own.toml")


def test_the_schema_of_a_file_knows_the_base():
    assert json_schema()["properties"]["base"]["type"] == "string"


def test_the_isolated_twin_differs_from_contagion_in_the_margin_mode_alone():
    twin, other = load_scenario("contagion-isolated"), load_scenario("contagion")
    crowd = twin.populations["crowd"].model_copy(
        update={"margin_mode": other.populations["crowd"].margin_mode}
    )
    same = {"name": other.name, "description": other.description}
    populations = {**twin.populations, "crowd": crowd}
    assert twin.model_copy(update={**same, "populations": populations}) == other
    assert twin.populations["crowd"].margin_mode == "isolated"

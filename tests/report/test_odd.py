"""The ODD description says all of a scenario; `docs/odd.md` is what the command writes."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketsim.agents.registry import scenario_schema
from marketsim.cli import app
from marketsim.report.odd import describe_scenario
from marketsim.scenario.loader import (
    list_scenarios,
    override_tables,
    parse_scenario,
    read_tables,
)

ROOT = Path(__file__).parents[2]
ELEMENTS = [
    "Purpose and patterns",
    "Entities, state variables and scales",
    "Process overview and scheduling",
    "Design concepts",
    "Initialisation",
    "Input data",
    "Submodels",
]


def describe(name: str, *overrides: tuple[str, str]) -> str:
    tables = override_tables(read_tables(name), overrides, name)
    return describe_scenario(parse_scenario(tables, name), tables, f"marketsim odd {name}")


def parameters(text: str) -> dict[str, list[str]]:
    """The rows of the table of parameters, by field."""
    table = text.split("### Parameters", 1)[1].split("###", 1)[0]
    rows = [
        re.split(r" (?<!\\)\| ", line.strip("| ")) for line in table.splitlines() if "|" in line
    ]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


@pytest.mark.parametrize("name", ["quickstart", "contagion", "history"])
def test_it_has_the_seven_elements_and_every_field_of_the_schema(name: str) -> None:
    text = describe(name)
    assert re.findall(r"^## \d\. (.*)$", text, flags=re.M) == ELEMENTS
    schema = scenario_schema()
    tables = {"scenario": schema, **schema["$defs"]}
    fields = {field for table in tables.values() for field in table.get("properties", {})}
    fields -= {"base"}  # what it takes from another scenario is in the values
    told = {part for code in re.findall(r"`([\w.-]+)`", text) for part in code.split(".")}
    assert fields - told == set()


def test_every_field_of_the_schema_is_described() -> None:
    schema = scenario_schema()
    silent = [
        f"{name}.{field}"
        for name, table in {"scenario": schema, **schema["$defs"]}.items()
        for field, node in table.get("properties", {}).items()
        if not node.get("description") and "$ref" not in node
    ]
    assert silent == []


def test_values_and_their_sources_are_those_of_the_scenario() -> None:
    rows = parameters(describe("contagion", ("venue.funding.cap", "0.02")))
    assert rows["venue.funding.cap"][0] == "0.02"
    assert rows["venue.funding.cap"][-1] == "scenario"
    assert rows["venue.funding.interval_hours"][-1] == "preset hyperliquid"
    assert rows["markets.BTC.price"][::2] == ["100000", "scenario"]
    assert rows["markets.BTC.taker_fee"][-1] == "preset hyperliquid"
    assert rows["populations.crowd.parameters.bias"][::2] == ["0.8", "scenario"]
    assert rows["populations.crowd.parameters.independence"][-1] == "default"
    assert rows["populations.makers-btc.attention"][-1] == "strategy"
    assert rows["populations.crowd.leverage"][0].startswith("{kind = lognormal, median = 14, ")


def test_what_is_scheduled_is_input() -> None:
    text = describe("contagion")
    told = text.split("## 6. Input data", 1)[1].split("## 7.", 1)[0]
    assert "| 1 | hour 12 | crash | size = -0.25, fall_minutes = 120, " in told
    assert "Nothing is scheduled" in describe("quickstart")
    assert "replayed from the file" in describe("history")


def test_every_shipped_scenario_and_hostile_words_make_sound_tables() -> None:
    for name, _ in list_scenarios():
        text = describe(name, ("description", '"a | b <img src=x>"'))
        assert "<img" not in text
        widths = [
            line.count("|") - line.count("\\|") for line in text.splitlines() if line[:1] == "|"
        ]
        assert set(widths) <= {3, 5}, name


def test_the_page_of_the_docs_is_what_the_command_writes(tmp_path: Path) -> None:
    out = tmp_path / "odd.md"
    answer = CliRunner().invoke(app, ["odd", "quickstart", "-o", str(out)])
    assert answer.exit_code == 0, answer.output
    assert out.read_text() == (ROOT / "docs" / "odd.md").read_text(), (
        "write it anew: marketsim odd quickstart -o docs/odd.md"
    )


def test_bad_input_is_refused_in_words(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["odd", "quickstar"])
    assert answer.exit_code == 2
    assert "quickstart" in answer.output
    (tmp_path / "file").touch()
    answer = CliRunner().invoke(app, ["odd", "quickstart", "-o", str(tmp_path / "file" / "odd.md")])
    assert answer.exit_code in (1, 2)
    assert "Traceback" not in answer.output

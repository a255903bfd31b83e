"""What help, schema and errors show as an example works."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from marketsim import ScenarioError, load_scenario
from marketsim.account.portfolio import Portfolio
from marketsim.agents.registry import scenario_schema
from marketsim.cli import app
from marketsim.scenario.loader import parse_scenario, read_tables
from marketsim.scenario.shocks import KINDS
from marketsim.study.targets import Search
from marketsim.sweep.design import Design, parse_design
from marketsim.sweep.slurm import SlurmSettings
from tests.cli.conftest import marketsim
from tests.outside.fuzz import DESIGN, PORTFOLIO, to_toml

__all__ = ["marketsim"]

SCHEMAS = {
    "scenario": scenario_schema(),
    "design": Design.model_json_schema(),
    "targets": Search.model_json_schema(),
    "portfolio": Portfolio.model_json_schema(),
    "cluster": SlurmSettings.model_json_schema(),
}


def examples(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """List what a schema shows as a value of a field: as examples, or in quotes in its text."""
    if isinstance(node, dict):
        if path[-2:-1] == ("properties",):
            owner = path[-3] if len(path) > 2 else ""
            for value in node.get("examples", []):
                yield f"{owner}.{path[-1]}", value
            for value in re.findall(r'"([^"]+)"', node.get("description", "")):
                yield f"{owner}.{path[-1]}", value
        for key, entry in node.items():
            yield from examples(entry, (*path, key))
    elif isinstance(node, list):
        for entry in node:
            yield from examples(entry, path)


def field_of_scenario(path: str) -> Callable[[Any], Any]:
    return lambda value: load_scenario("quickstart", [(path, json.dumps(value))])


def shock(value: dict[str, Any]) -> Any:
    return parse_scenario(read_tables("quickstart") | {"shocks": [{"at": 1, **value}]})


def intervention(value: dict[str, Any]) -> Any:
    entry = {"at_step": 1, **value}
    return parse_scenario(read_tables("quickstart") | {"interventions": [entry]})


def group(value: Any) -> Any:
    tables = read_tables("quickstart")
    tables["populations"]["holders"] |= {
        "margin_mode": "partial",
        "groups": {"alts": {"markets": ["SOL"], "draw_limit": value}},
    }
    return parse_scenario(tables)


def own_strategy(value: str) -> Any:
    """Try a form such as "module:Class": it is read, and its class looked for in a run."""
    assert value.endswith(":Class")
    return load_scenario("quickstart", [("populations.holders.strategy", value)])


def history(kind: str) -> Any:
    tables = read_tables("history")
    return parse_scenario({**tables, "spot": {**tables["spot"], "kind": kind}})


#: How a value that is shown for a field is tried, by the table the field is of.
WAYS: dict[str, Callable[[Any], Any]] = {
    "Funding.interval_hours": field_of_scenario("venue.funding.interval_hours"),
    "Funding.dead_band": field_of_scenario("venue.funding.dead_band"),
    "Group.draw_limit": group,
    "PortfolioGroup.draw_limit": group,
    "History.time_format": lambda value: load_scenario(
        "history", [("spot.history.time_format", json.dumps(value))]
    ),
    "OutageShock.factor": lambda mode: shock(
        {"kind": "outage", "source": "first", "minutes": 9, "mode": mode, "factor": 1.1}
    ),
    "OutageIntervention.factor": lambda mode: intervention(
        {"kind": "outage", "source": "first", "minutes": 9, "mode": mode, "factor": 1.1}
    ),
    "RuleIntervention.field": lambda field: intervention(
        {"kind": "rule", "field": field, "value": 4}
    ),
    "Population.attention": field_of_scenario("populations.holders.attention"),
    "Population.stop_loss": field_of_scenario("populations.holders.stop_loss"),
    "Population.strategy": lambda value: (
        own_strategy(value)
        if ":" in value
        else field_of_scenario("populations.holders.strategy")(value)
    ),
    "Record.snapshot_minutes": field_of_scenario("record.snapshot_minutes"),
    "Record.contagion_minutes": field_of_scenario("record.contagion_minutes"),
    "Record.heatmap_minutes": field_of_scenario("record.heatmap_minutes"),
    "Record.depth_minutes": field_of_scenario("record.depth_minutes"),
    "Record.book_minutes": field_of_scenario("record.book_minutes"),
    "RuleShock.field": lambda field: shock({"kind": "rule", "field": field, "value": 4}),
    "Spot.history": history,
    "Turnover.stay_hours": field_of_scenario("populations.holders.turnover.stay_hours"),
    "Turnover.withdraw_above": field_of_scenario("populations.holders.turnover.withdraw_above"),
    ".base": lambda base: parse_design({**DESIGN, "base": base}),
    ".days": field_of_scenario("days"),
    ".metrics": lambda metric: parse_design({**DESIGN, "metrics": [metric]}),
    ".keep": lambda kept: parse_design({**DESIGN, "keep": [kept]}),
    ".table": lambda kind: parse_design({"base": "calm", "kind": kind, "table": [{"days": 1}]}),
}
SHOWN = sorted({(place, str(value)): (place, value) for schema in SCHEMAS.values()
                for place, value in examples(schema)}.items())  # fmt: skip


@pytest.mark.parametrize(("place", "value"), [entry for _, entry in SHOWN])
def test_what_a_schema_shows_is_accepted(place: str, value: Any) -> None:
    assert place in WAYS, f"{place} shows {value!r}: say how that is tried"
    WAYS[place](value)


def test_every_way_is_for_something_shown() -> None:
    assert {place for (place, _), _ in SHOWN} == set(WAYS)


def test_fields_that_a_text_names_are_there() -> None:
    """Names in backquotes in the text of a schema are fields of it, or of the scenario."""
    for title, schema in SCHEMAS.items():
        known = {"marketsim.agents", "dask_jobqueue.SLURMCluster", *fields(SCHEMAS["scenario"])}
        known |= {table.lower() for table in schema.get("$defs", {})} | set(fields(schema))
        known |= set(schema.get("$defs", {}))
        for text in texts(schema):
            for name in re.findall(r"`([\w.]+)`", text):
                assert name in known or set(name.split(".")) <= known, f"{title}: {text}"


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            yield node["description"]
        for entry in node.values():
            yield from texts(entry)
    elif isinstance(node, list):
        for entry in node:
            yield from texts(entry)


def fields(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for entry in node.values():
            yield from fields(entry)
    elif isinstance(node, list):
        for entry in node:
            yield from fields(entry)


# Help


def help_texts() -> dict[str, str]:
    """Return the help of every parameter of every command."""
    group: Any = get_command(app)
    return {
        f"{name}.{parameter.name}": str(getattr(parameter, "help", "") or "")
        for name, command in group.commands.items()
        for parameter in command.params
    }


#: What help shows as an example: words with = or %, in quotes, or SQL.
EXAMPLE = re.compile(r"[\w.]+=-?[\w.%]+|(?<![\w=])-?\d[\d.]*%|'[^']+'|SELECT [^|]+")


@pytest.mark.slow
def test_what_help_shows_works(
    marketsim: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(to_toml(PORTFOLIO))
    hours = [f"2025-01-01T0{n}:00Z" for n in range(4)]
    (tmp_path / "rates.csv").write_text("time,funding_rate\n" + "".join(f"{t},0\n" for t in hours))
    (tmp_path / "prices.csv").write_text("time,last\n" + "".join(f"{t},9\n" for t in hours))
    stress = ("stress", "mine.toml", "--quiet")
    tried = {
        "stress.shock": lambda shown: marketsim(*stress, "--shock", shown),
        "stress.funding": lambda shown: marketsim(*stress, "--funding", shown),
        "stress.set_": lambda shown: marketsim(*stress, "--set", shown),
        "inspect.set_": lambda shown: marketsim("inspect", "prices.csv", "--set", shown),
    }
    shown = {name: EXAMPLE.findall(text) for name, text in help_texts().items()}
    shown = {name: found for name, found in shown.items() if found}
    for name, ways in tried.items():
        assert shown[name], name
        for example in shown.pop(name):
            done = ways(example)
            assert done.exit_code == 0, f"{name}: {example}: {done.stderr}"
    assert {name for name in shown if name.endswith(".metric")} == {
        "analyze.metric",
        "compare.metric",
    }
    metrics = {example.strip("'") for name in ("analyze.metric", "compare.metric")
               for example in shown.pop(name)}  # fmt: skip
    assert metrics == {"markets.*.mark_fall"}
    assert parse_design({**DESIGN, "metrics": list(metrics)})
    (question,) = shown.pop("query.sql")
    assert re.findall(r'"([^"]+)"', question) == ["markets.BTC.volume_usd"]
    assert not shown, f"say how these examples are tried: {shown}"


# Errors


def test_what_errors_suggest_is_accepted(marketsim: Callable[..., Any]) -> None:
    for wrong, right in (
        ("venue.funding_interval", "venue.funding.interval_hours"),
        ("venue.fundin.interval_hours", "venue.funding.interval_hours"),
        ("markets.BTC.takerfee", "markets.BTC.taker_fee"),
    ):
        with pytest.raises(ScenarioError) as caught:
            shock({"kind": "rule", "field": wrong, "value": 0.05})
        assert f"did you mean '{right}'" in str(caught.value)
        value = 4 if "hours" in right else 0.05
        assert shock({"kind": "rule", "field": right, "value": value}).shocks[0].rule.field == right
    for table in ("venue.funding", "venue", "markets.BTC", "seed", "spot.median"):
        with pytest.raises(ScenarioError, match="there is no such rule"):
            shock({"kind": "rule", "field": table, "value": 4})


def test_the_times_that_errors_show_are_times() -> None:
    for field, shown in (("timezone", r"'([^']+)'"), ("start", r"example (\S+Z)")):
        tables = read_tables("history")
        for value in (1, "Nowhere"):
            spot = {**tables["spot"], "history": {**tables["spot"]["history"], field: value}}
            with pytest.raises(ScenarioError) as caught:
                parse_scenario({**tables, "spot": spot})
            for right in re.findall(shown, str(caught.value)):
                spot = {**tables["spot"], "history": {**tables["spot"]["history"], field: right}}
                assert parse_scenario({**tables, "spot": spot})


def test_every_kind_of_shock_is_in_the_schema() -> None:
    assert {kind.__name__ for kind in KINDS} <= set(SCHEMAS["scenario"]["$defs"])

"""Scenarios from the library and from files, with what the command line sets."""

import json
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from marketsim.scenario.errors import ScenarioError, ScenarioWarning
from marketsim.scenario.loader import (
    json_schema,
    list_scenarios,
    load_scenario,
    parse_scenario,
    resolved_toml,
)
from marketsim.scenario.venue import preset_names
from marketsim.scenario.wording import show

TEXT = """
days = 2

[markets.BTC]
price = 100_000.0
tick_size = 0.1
lot_size = 0.001

[populations.holders]
strategy = "holder"
count = 10
leverage = { kind = "lognormal", median = 5.0, sigma = 0.5, max = 50.0 }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(TEXT)
    return path


def problems(name: str | Path, *settings: tuple[str, str]) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(name, settings)
    return caught.value.problems


# Files and the library


def test_every_scenario_of_the_library_has_one_line() -> None:
    found = dict(list_scenarios())
    assert {"history", "quickstart"} <= set(found)
    assert all(line and "\n" not in line for line in found.values())


def test_every_scenario_of_the_library_loads(tmp_path: Path) -> None:
    for name, _ in list_scenarios():
        settings = [("spot.history.path", str(tmp_path / "p.csv"))] if name == "history" else []
        assert load_scenario(name, settings).name == name


def test_a_history_without_a_path_says_that_it_needs_one(file: Path) -> None:
    (line,) = problems(file, ("spot", '{kind = "history", history = {}}'))
    assert line.startswith("spot.history.path: missing; ")
    assert "--set spot.history.path=" in line


def test_a_file_is_read_and_named_after_itself(file: Path) -> None:
    scenario = load_scenario(file)
    assert (scenario.name, scenario.days) == ("small", 2.0)
    assert load_scenario(str(file)) == scenario


def test_a_file_name_that_is_no_name_is_made_one(tmp_path: Path) -> None:
    path = tmp_path / "my first (one).toml"
    path.write_text(TEXT)
    assert load_scenario(path).name == "my-first--one-"


def test_a_missing_file_names_the_nearest_of_the_library() -> None:
    (line,) = problems("quickstrat")
    assert "no such file" in line
    assert "did you mean 'quickstart'" in line


def test_a_folder_is_not_a_scenario(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path)[0]


@pytest.mark.parametrize("content", [b"a = = 3", b"\xff\xfe\x00", b"[markets\n"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(content)
    assert problems(path)[0].startswith("not a TOML file: ")


def test_an_error_names_its_source(file: Path) -> None:
    with pytest.raises(ScenarioError, match=r"small\.toml: days = -1: must be greater than 0"):
        load_scenario(file, [("days", "-1")])


def test_a_market_nobody_trades_is_a_warning(file: Path) -> None:
    settings = [
        ("markets.ETH", "{ price = 10.0, tick_size = 0.01, lot_size = 0.01 }"),
        ("populations.holders.markets", "['BTC']"),
    ]
    with pytest.warns(ScenarioWarning, match=r"markets\.ETH: no population trades it"):
        load_scenario(file, settings)


# Paths of histories


def test_a_path_in_a_file_is_relative_to_the_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(TEXT + '[spot]\nkind = "history"\nhistory = { path = "data/p.csv" }\n')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    history = load_scenario(file).spot.history
    assert history is not None
    assert history.path == tmp_path / "data" / "p.csv"
    history = load_scenario(file, [("spot.history.path", "q.csv")]).spot.history
    assert history is not None
    assert history.path == elsewhere / "q.csv"


# Settings


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("days", "3", 3.0),
        ("name", "other", "other"),
        ("name", '"quoted"', "quoted"),
        ("markets.BTC.tick_size", "0.5", 0.5),
        ("populations.holders.count", "7", 7),
        ("populations.holders.leverage.median", "3.5", 3.5),
        ("populations.holders.leverage", "2", 2.0),
        ("populations.holders.margin_mode", "isolated", "isolated"),
        ("populations.holders.parameters.holding_hours", "36", 36),
        ("venue.preset", "dydx", "dydx"),
        ("venue.mark.rule", "last", "last"),
        ("record.fills", "true", True),
    ],
)
def test_a_setting_reaches_its_field(file: Path, path: str, text: str, value: object) -> None:
    node = load_scenario(file, [(path, text)]).model_dump()
    for key in path.split("."):
        node = node[key]
    assert node == value


def test_a_setting_reaches_an_entry_of_a_list(file: Path) -> None:
    settings = [("shocks", "[{ kind = 'jump', at = 1, size = -0.1 }]"), ("shocks.0.size", "-0.2")]
    (shock,) = load_scenario(file, settings).shocks
    assert shock.model_dump()["size"] == -0.2
    assert "there is no entry 1" in problems(file, settings[0], ("shocks.1.size", "1"))[0]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("days.hours", "days is a value, it has no field hours"),
        ("shocks.0.size", "there is no list shocks"),
        ("markets..price", "write the path as path.to.field"),
    ],
)
def test_a_setting_that_leads_nowhere_is_refused(file: Path, path: str, reason: str) -> None:
    assert problems(file, (path, "1")) == [f"--set {path}: {reason}"]


def test_all_settings_that_lead_nowhere_are_named(file: Path) -> None:
    assert len(problems(file, ("days.hours", "1"), ("shocks.0.size", "1"))) == 2


def test_a_misspelt_population_names_the_nearest(file: Path) -> None:
    (line,) = problems(file, ("populations.holder.count", "3"))
    assert line.startswith("populations.holder.strategy: missing; ")
    assert "did you mean 'holders'" in line


# Errors


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("dyas", "days"),
        ("markets.BTC.tik_size", "tick_size"),
        ("venue.preste", "preset"),
        ("venue.funding.interval", "interval_hours"),
        ("spot.factor.volatilty", "volatility"),
        ("populations.holders.levrage", "leverage"),
        ("populations.holders.leverage.medain", "median"),
        ("record.fill", "fills"),
    ],
)
def test_an_unknown_field_names_the_nearest(file: Path, path: str, meant: str) -> None:
    (line,) = problems(file, (path, "1"))
    assert line.startswith(f"{path} = 1: unknown field (did you mean '{meant}'?); known here: ")


def test_every_wrong_field_is_named_in_one_pass(file: Path) -> None:
    wrong = {
        "days": "nan",
        "step_minutes": "7",
        "markets.BTC.tick_size": "-0.1",
        "markets.BTC.tik": "1",
        "venue.preset": "dydz",
        "venue.mark.rule": "medium",
        "spot.reflexivity": "2",
        "shocks": "[{ kind = 'jmp', at = 1 }]",
        "populations.holders.count": "0",
        "populations.holders.stop_loss": "3",
        "populations.holders.leverage.max": "500",
        "populations.holders.markets": "['BTX']",
        "record.series_minutes": "3",
    }
    lines = problems(file, *wrong.items())
    for path in set(wrong) - {"step_minutes"}:
        assert any(line.startswith(path) for line in lines), path
    assert len(lines) == len(set(lines))


def test_an_error_shows_the_allowed_values_and_the_unit(file: Path) -> None:
    (line,) = problems(file, ("markets.BTC.price", "-5"))
    assert line.startswith(
        "markets.BTC.price = -5: must be greater than or equal to 1e-15 (USD: price at the start"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        (True, "true"),
        (0.1, "0.1"),
        ({"a": [1, 2]}, "{a = [1, 2]}"),
        ("x" * 99, '"' + "x" * 56 + "..."),
    ],
)
def test_values_are_shown_as_toml_and_shortened(value: object, text: str) -> None:
    assert show(value) == text


# Writing


@pytest.mark.parametrize("preset", preset_names())
def test_a_resolved_scenario_loads_back_equal(preset: str, tmp_path: Path) -> None:
    settings = [
        ("venue.preset", preset),
        ("populations.holders.strategy", "own:Own"),
        ("populations.holders.parameters", "{ a = 1.5, b = { c = 'é\"', d = [] }, e = {} }"),
        ("populations.holders.groups.majors", "{ markets = ['BTC', 'ETH'], draw_limit = 0.5 }"),
        ("populations.holders.margin_mode", "{ cross = 1, partial = 2 }"),
        ("populations.noise.leverage", "{ kind = 'mixture', parts = [1, 2], weights = [1, 3] }"),
        (
            "shocks",
            "[{ kind = 'jump', at = 1, size = -0.1 }, { kind = 'depeg', at = 2, size = 0.1 }]",
        ),
    ]
    scenario = load_scenario("quickstart", settings)
    text = resolved_toml(scenario)
    assert parse_scenario(tomllib.loads(text)) == scenario
    path = tmp_path / "again.toml"
    path.write_text(text)
    assert resolved_toml(load_scenario(path)) == text


def test_a_resolved_history_keeps_its_times(tmp_path: Path) -> None:
    scenario = load_scenario("history", [("spot.history.path", str(tmp_path / "p.parquet"))])
    assert parse_scenario(tomllib.loads(resolved_toml(scenario))) == scenario


def test_the_json_schema_is_json() -> None:
    assert json.loads(json.dumps(json_schema()))["title"] == "marketsim scenario"


def test_the_package_itself_does_not_load_pydantic() -> None:
    code = (
        "import sys, marketsim.scenario, marketsim.engine.venues; print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_refusal_goes_through_a_process_pool_as_it_is():
    with pytest.raises(ScenarioError) as caught:
        load_scenario("quickstart", [("dayz", "3"), ("days", "-1")])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.problems) == (str(caught.value), caught.value.problems)

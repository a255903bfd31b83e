"""What a file holds is shown in messages with control characters made visible, and shortened."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from marketsim import ScenarioError, load_scenario
from marketsim.account.portfolio import parse_portfolio
from marketsim.scenario.bars import HistoryError
from marketsim.scenario.history import load_history
from marketsim.scenario.loader import parse_scenario, read_tables
from marketsim.scenario.shocks import KINDS
from marketsim.scenario.spot_model import History
from marketsim.scenario.wording import visible
from marketsim.sweep.design import parse_design
from tests.cli.conftest import marketsim
from tests.outside.fuzz import DESIGN, PORTFOLIO, to_toml

__all__ = ["marketsim"]

OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Sets a title, clears the screen, rings, ends a text, overwrites a line, turns the writing round.
NASTY = ["\x1b]0;owned\x07", "\x1b[2J", "\x9b2J", "\x07", "a\x00b", "a\rb", "a\u202eb", "a\u2028b"]


@pytest.mark.parametrize("nasty", NASTY)
def test_nothing_in_an_error_is_obeyed_by_a_terminal(nasty: str) -> None:
    base = read_tables("quickstart")
    market = base["markets"]["BTC"]
    broken = [
        {**base, "venue": {"preset": nasty}},
        {**base, "name": nasty},
        {**base, "description": nasty},
        {**base, nasty: 1},
        {**base, "markets": {nasty: market}},
        {**base, "markets": {"BTC": {**market, "price": nasty}}},
        {**base, "markets": {"BTC": {**market, nasty: {nasty: [nasty]}}}},
        {**base, "shocks": [{"kind": nasty, "at": 1}]},
        {**base, "shocks": [{"kind": "rule", "at": 1, "field": nasty, "value": nasty}]},
        {**base, "populations": {"x": {"strategy": "maker", "count": 1, "parameters": {nasty: 1}}}},
    ]
    for tables in broken:
        with pytest.raises(ScenarioError) as caught:
            parse_scenario(tables, nasty)
        assert not OBEYED.search(str(caught.value).replace("\n", ""))
    for parse, tables in ((parse_design, DESIGN), (parse_portfolio, PORTFOLIO)):
        with pytest.raises(ScenarioError) as caught:
            parse({**tables, "name": nasty, nasty: 2}, nasty)
        assert not OBEYED.search(str(caught.value).replace("\n", ""))


def test_what_is_invisible_is_written_as_toml_would() -> None:
    assert visible("a\x1b[2J\x07\x00\n\té") == "a\\u001b[2J\\u0007\\u0000\\n\\té"
    with pytest.raises(ScenarioError, match=r'preset = "\\u001b\[2J": must be one of'):
        load_scenario("quickstart", [("venue.preset", '"\\u001b[2J"')])


@pytest.mark.parametrize("nasty", NASTY)
def test_nothing_in_a_price_file_is_obeyed(nasty: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    for text in (
        f"time,asset,close\n2025-01-01,{nasty!s},1\n2025-01-02,BTC,2\n",
        f'time,asset,close\n2025-01-01,BTC,"{nasty}"\n2025-01-02,BTC,2\n',
        f'time,asset,close\n"{nasty}",BTC,3\n2025-01-02,BTC,2\n',
        f"time,asset,{nasty}\n2025-01-01,BTC,3\n2025-01-02,BTC,2\n",
    ):
        file.write_bytes(text.encode())
        with pytest.raises(HistoryError) as caught:
            load_history(History(path=file), ["BTC"], 60.0)
        assert not OBEYED.search(str(caught.value))


@pytest.mark.parametrize("command", ["run", "validate", "stress", "sweep", "compare", "calibrate"])
def test_no_command_sends_it_on(
    command: str, marketsim: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bad.toml"
    file.write_text(to_toml({"base": "quickstart", "\x1b[2J": "\x1b]0;owned\x07", "days": "\x9b"}))
    more = {"sweep": ("--out", "s"), "calibrate": ("--out", "c"), "compare": ("--change", "days=1")}
    done = marketsim(command, file, *more.get(command, ()))
    assert done.exit_code == 2
    assert "\\u001b[2J" in done.stderr
    assert not OBEYED.search(done.stderr + done.stdout)


def test_a_warning_and_a_failure_are_shown_so_too(
    marketsim: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        import warnings

        warnings.warn("\x1b[2J warned", UserWarning, stacklevel=1)
        raise RuntimeError("\x1b[2J failed")

    monkeypatch.setattr("marketsim.scenario.loader.load_scenario", fail)
    done = marketsim("run", "quickstart")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[:2] == [
        "warning: \\u001b[2J warned",
        "failed: RuntimeError: \\u001b[2J failed",
    ]


def test_long_names_and_values_are_cut() -> None:
    base = read_tables("quickstart")
    for tables in (
        {**base, "k" * 100_000: 1},
        {**base, "venue": {"k" * 100_000: 1}},
        {**base, "venue": {"preset": "k" * 100_000}},
        {**base, "markets": {"k" * 100_000: {}}},
        {**base, "days": ["k" * 100_000]},
        {**base, "shocks": [{"kind": "k" * 100_000}]},
        {**base, "seed": 10**100_000},
    ):
        with pytest.raises(ScenarioError) as caught:
            parse_scenario(tables, "s" * 100_000)
        assert len(str(caught.value)) < 2_000
        assert re.search("must|missing|unknown", str(caught.value))


def test_of_many_problems_the_first_are_shown() -> None:
    tables = read_tables("quickstart")
    wrong = {f"extra{number}": 1 for number in range(500)}
    with pytest.raises(ScenarioError) as caught:
        parse_scenario({**tables, **wrong})
    assert len(caught.value.problems) == 500
    said = str(caught.value).splitlines()
    assert (said[0], len(said), said[-1]) == ("scenario: 500 problems", 22, "  ... and 480 more")


# Fields of another kind


def own_fields() -> dict[str, set[str]]:
    return {
        get_args(kind.model_fields["kind"].annotation)[0]: {*kind.model_fields} for kind in KINDS
    }


@pytest.mark.parametrize("kind", own_fields())
def test_a_field_that_other_kinds_of_shock_have_is_not_offered(kind: str) -> None:
    own = own_fields()
    for field in sorted(set().union(*own.values()) - own[kind]):
        shock = {"kind": kind, "at": 1, field: 1}
        with pytest.raises(ScenarioError) as caught:
            parse_scenario(read_tables("quickstart") | {"shocks": [shock]})
        (line,) = [
            line for line in caught.value.problems if line.startswith(f"shocks.0.{field} = 1")
        ]
        head, _, listed = line.partition(f': belongs to other kinds; known of kind "{kind}": ')
        assert head == f"shocks.0.{field} = 1"
        assert set(listed.split(", ")) == own[kind]


def test_a_field_that_no_kind_has_is_corrected_by_those_of_its_kind() -> None:
    shock = {"kind": "crash", "at": 1, "size": -0.1, "fall_minuts": 3}
    with pytest.raises(ScenarioError, match=r"unknown field \(did you mean 'fall_minutes'\?\)"):
        parse_scenario(read_tables("quickstart") | {"shocks": [shock]})


@pytest.mark.parametrize(
    ("leverage", "known"),
    [
        ({"kind": "pareto", "min": 1, "alpha": 2, "sigma": 1}, "kind, min, alpha, max"),
        ({"kind": "uniform", "min": 1, "max": 2, "median": 1}, "kind, min, max"),
        ({"kind": "choice", "values": [1], "parts": [1]}, "kind, values, weights"),
    ],
)
def test_a_field_of_another_distribution_is_not_offered(leverage: Any, known: str) -> None:
    tables = read_tables("quickstart")
    tables["populations"]["holders"]["leverage"] = leverage
    with pytest.raises(ScenarioError, match=f"belongs to other kinds; known of kind .*: {known}$"):
        parse_scenario(tables)

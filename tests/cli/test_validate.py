import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from click.testing import Result

from marketsim.engine.records import records
from marketsim.results.folder import write_run
from marketsim.scenario.loader import load_scenario
from marketsim.study import validation
from marketsim.tape.result import RunResult
from marketsim.tape.series import Settlement

Cli = Callable[..., Result]


def lively(result: RunResult) -> RunResult:
    """A market that moves, pays and liquidates in a stub's empty tape."""
    rng = np.random.default_rng(1)
    num_steps = result.num_steps
    series = result.series
    ticks = 200_000 * np.exp((1e-3 * rng.standard_t(3, num_steps)).cumsum())
    series["mark_ticks"][:, 0] = ticks
    series["index_price"][:, 0] = 0.5 * ticks
    series["best_bid"][:, 0] = ticks + rng.integers(-200, 200, num_steps) - 1
    series["best_ask"] = series["best_bid"] + 2
    series["open_interest"] = 1000
    series["liquidated_atoms"][:, 0] = 10**9 * (rng.random(num_steps) < 0.01)
    result.steps["step"] = np.arange(num_steps)
    funding = records(Settlement, num_steps // 480)
    funding["step"] = np.arange(479, num_steps, 480)
    funding["interest_rate"] = 1e-4
    funding["rate"] = 1e-4
    cap = np.full(len(funding), 0.01)
    return RunResult(**{**vars(result), "funding": funding, "funding_cap": cap})


@pytest.fixture
def market(stub: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the stub a life; `tiny` is the scenario file to validate."""

    class Lively(stub):
        def result(self) -> RunResult:
            return lively(super().result())

    monkeypatch.setattr(sys.modules["marketsim.run.simulation"], "Simulation", Lively)
    return Lively


def figures(done: Result) -> dict[str, Any]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_a_scenario_is_simulated_for_ninety_days(marketsim: Cli, market: Any) -> None:
    done = marketsim("validate", "tiny.toml", "--json")
    record = json.loads(done.stdout)
    assert (record["scenario"], record["seed"], record["days"]) == ("tiny", 0, 90.0)
    assert figures(done)["funding_at_interest"]["value"] == 1.0
    assert done.stdout.count("\n") == 1


def test_exit_code_tells_whether_all_bands_hold(
    marketsim: Cli, market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = marketsim("validate", "tiny.toml", "--days", 3, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["passed"] is False
    wide = [
        validation.Figure(f.name, f.title, f.key, digits=f.digits)
        for f in validation.MARKET_FIGURES
    ]
    monkeypatch.setattr(validation, "MARKET_FIGURES", tuple(wide))
    done = marketsim("validate", "tiny.toml", "--days", 3, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["passed"] is True


def test_seed_and_days_are_those_asked_for(marketsim: Cli, market: Any) -> None:
    record = json.loads(
        marketsim("validate", "tiny.toml", "--days", 2, "--seed", 7, "--json").stdout
    )
    assert (record["seed"], record["days"]) == (7, 2.0)


def test_a_run_folder_is_read_and_gives_the_same(
    marketsim: Cli, market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = marketsim("validate", "tiny.toml", "--days", 3, "--json")
    assert marketsim("run", "tiny.toml", "--days", 3, "--out", "here", "-q").exit_code == 0

    def never(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("it ran")

    monkeypatch.setattr(market, "run", never)
    again = marketsim("validate", "here", "--json")
    assert figures(again) == figures(fresh)


def test_the_table_has_a_verdict_a_line_and_fits(marketsim: Cli, market: Any) -> None:
    done = marketsim("validate", "tiny.toml", "--days", 3)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    verdicts = [line for line in lines if " ok" in line or " FAIL" in line]
    assert len(verdicts) == 8
    assert any("0.25-0.65 FAIL" in line for line in verdicts)
    assert f"of {len(verdicts)} bands hold" in lines[-1]
    assert marketsim("validate", "tiny.toml", "--days", 3, "--quiet").stdout == ""


def test_targets_stand_beside_the_figures(marketsim: Cli, market: Any, tmp_path: Path) -> None:
    file = tmp_path / "real.json"
    band = {"n": 9, "p10": 0.3, "median": 0.44, "p90": 0.62}
    file.write_text(json.dumps({"bands": {"funding.share_at_1bp": band}}))
    done = marketsim("validate", "tiny.toml", "--days", 3, "--targets", file)
    (line,) = [text for text in done.stdout.splitlines() if "exactly at interest" in text]
    assert "0.30 / 0.44 / 0.62" in line
    done = marketsim("validate", "tiny.toml", "--days", 3, "--targets", file, "--json")
    assert figures(done)["funding_at_interest"]["real"] == [0.3, 0.44, 0.62]
    assert figures(done)["hill"]["real"] is None


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"bands": {"a": 3}}', '{"bands": {"a": {"p10": 1, "median": "x"}}}']
)
def test_targets_that_hold_no_bands_are_bad_input(
    marketsim: Cli, market: Any, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "real.json"
    file.write_text(text)
    done = marketsim("validate", "tiny.toml", "--targets", file)
    assert done.exit_code == 2
    assert "--targets" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-thing"], "no-such-thing"),
        (["tiny.toml", "--days", "0"], "--days"),
        (["tiny.toml", "--days", "0.25"], "full hours"),
        (["tiny.toml", "--targets", "missing.json"], "missing.json"),
        (["empty"], "not a run folder"),
        (["finished", "--days", "3"], "a run folder has its own"),
        (["finished", "--seed", "3"], "a run folder has its own"),
    ],
)
def test_bad_input_is_named_with_exit_code_2(
    marketsim: Cli, market: Any, arguments: list[str], says: str
) -> None:
    Path("empty").mkdir()
    Path("finished").mkdir()
    Path("finished/run.json").write_text("{}")
    done = marketsim("validate", *arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.output


def test_books_that_do_not_balance_are_a_failure(
    marketsim: Cli, market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(self: Any, inner: Any = market.result) -> RunResult:
        return RunResult(**{**vars(inner(self)), "conservation_error": 3})

    monkeypatch.setattr(market, "result", off)
    done = marketsim("validate", "tiny.toml", "--days", 3)
    assert done.exit_code == 1
    assert "off by 3 atoms" in done.stderr


def test_many_markets_show_their_extremes(marketsim: Cli, market: Any, tmp_path: Path) -> None:
    simulation = market(load_scenario("tiny.toml", [("days", "3")]), 0)
    simulation.run(3 * 1440)
    narrow = simulation.result()
    names = tuple(f"M{m}" for m in range(6))
    wide = {
        "market_names": names,
        "series": np.repeat(narrow.series, 6, axis=1),
        "deviation": np.repeat(narrow.deviation, 6, axis=1),
        "exposure": np.repeat(narrow.exposure, 6, axis=2),
        "pool": np.repeat(narrow.pool, 6, axis=1),
        "depth_share": np.repeat(narrow.depth_share, 6, axis=1),
        **{name: np.repeat(getattr(narrow, name), 6) for name in ("tick_size", "lot_size")},
        "tick_atoms": np.repeat(narrow.tick_atoms, 6),
    }
    size = np.repeat(narrow.start.size, 6, axis=1)
    snapshot = narrow.start._replace(size=size, spot=size)
    many = RunResult(**{**vars(narrow), **wide, "start": snapshot, "end": snapshot})
    write_run(many, tmp_path / "many")
    text = marketsim("validate", tmp_path / "many").stdout
    assert "lowest highest" in text
    assert "M3" not in text

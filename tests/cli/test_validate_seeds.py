"""``marketsim validate --seeds``: many runs beside windows of real markets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from marketsim.cli.validate import parse_seeds
from marketsim.study import validate as validating
from marketsim.study.bands import shipped_bands

Cli = Callable[..., Result]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put quantiles of real windows in the place of markets; return what was asked for."""
    asked: list[dict[str, Any]] = []

    def measure(scenario: Any, chosen: list[int], **how: Any) -> list[dict[str, list[float]]]:
        asked.append({"days": scenario.days, "seeds": list(chosen), **how})
        of = shipped_bands().of.values()
        kept = [band for band in of if not how["spot_only"] or band.role == "input"]
        quantiles = {band.name: [band.p10, band.median, band.p90] for band in kept}
        return [quantiles for _ in chosen]

    monkeypatch.setattr(validating, "measure_seeds", measure)
    return asked


def test_ninety_days_of_the_seeds_asked_for(marketsim: Cli, tiny: Path, measured: Any) -> None:
    done = marketsim("validate", "tiny.toml", "--seeds", "1001-1003", "--json")
    record = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (record["days"], record["seeds"]) == (90.0, [1001, 1002, 1003])
    assert set(record["roles"]) == {"input", "emergent"}
    assert len(record["statistics"]) == 90
    assert record["roles"]["input"]["inside"]["value"] == 1.0
    assert record["roles"]["input"]["inside"]["real"] == pytest.approx(0.75, abs=0.01)
    (asked,) = measured
    assert (asked["days"], asked["spot_only"]) == (90.0, False)


def test_a_number_of_seeds_goes_on_from_the_first(
    marketsim: Cli, tiny: Path, measured: Any
) -> None:
    marketsim("validate", "tiny.toml", "--seeds", 3, "--seed", 7, "--days", 30, "-q")
    assert measured[0]["seeds"] == [7, 8, 9]
    assert measured[0]["days"] == 30.0


def test_the_page_has_a_line_a_statistic_and_a_verdict_a_role(
    marketsim: Cli, tiny: Path, measured: Any
) -> None:
    done = marketsim("validate", "tiny.toml", "--seeds", 3)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith(tuple(shipped_bands().of)) for line in lines) == 90
    text = " ".join(done.stdout.split())
    assert text.count("reaches its goals") == 2
    assert "real 0.75" in text
    spot = marketsim("validate", "tiny.toml", "--seeds", 3, "--spot-only").stdout
    assert "emergent" not in spot
    assert spot.count("reaches its goals") == 1


def test_a_goal_that_is_missed_ends_with_an_exit_code(
    marketsim: Cli, tiny: Path, measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(shipped_bands().of)
    monkeypatch.setattr(
        validating, "measure_seeds", lambda *_, **__: [{name: [np.nan] for name in names}] * 3
    )
    done = marketsim("validate", "tiny.toml", "--seeds", 3)
    assert done.exit_code == 1
    assert done.stdout.count("misses a goal") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "2"], "an interval needs 3"),
        (["--seeds", "5-1"], "an interval needs 3"),
        (["--seeds", "1-5,3-9"], "overlap"),
        (["--seeds", "ten"], "not a number of seeds"),
        (["--seeds", "1-999999999999"], "at most"),
        (["--seeds", "3", "--targets", "missing.json"], "missing.json"),
        (["--seeds", "3", "--days", "1"], "no window"),
        (["--spot-only"], "--seeds"),
        (["--workers", "2"], "--seeds"),
    ],
)
def test_bad_input_is_told_in_words(
    marketsim: Cli, tiny: Path, arguments: list[str], says: str
) -> None:
    done = marketsim("validate", "tiny.toml", *arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_seeds_are_read_as_a_number_or_as_ranges() -> None:
    assert parse_seeds("4") == 4
    assert parse_seeds("1-3, 9") == [1, 2, 3, 9]

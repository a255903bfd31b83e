"""Seeded runs, number by number as they were: a change of a simulated number shows here.

After a change that is meant, rewrite the text files beside this one and look at the difference::

    MARKETSIM_UPDATE_GOLDEN=1 pytest tests/golden
"""

import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from marketsim.results.summary import summarise
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario

FOLDER = Path(__file__).parent
PRICES = FOLDER.parents[2] / "shared" / "data" / "binance_15m.parquet"
UPDATE = bool(os.environ.get("MARKETSIM_UPDATE_GOLDEN"))

CRASH = [
    {"kind": "crash", "at": 12, "size": -0.25, "fall_minutes": 15, "recovery_minutes": 240},
    {"kind": "depth", "at": 11.9, "factor": 0.1, "minutes": 60},
    {"kind": "rule", "at": 18, "field": "venue.funding.interval_hours", "value": 1.0},
]

#: Name of the text file: scenario of the library, seed, what differs from it.
RUNS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "quickstart": ("quickstart", 1, {"days": 2}),
    "hyperliquid": ("quickstart", 2, {"days": 2, "venue": {"preset": "hyperliquid"}}),
    "crash": ("quickstart", 3, {"days": 1, "insurance_fund": 1000.0, "shocks": CRASH}),
    "history": ("history", 4, {"days": 5}),
    "contagion": ("contagion", 5, {"days": 0.6}),
}

#: How liquidations spread and how close they came to running away.
SPREAD = (
    "forced_usd",
    "spilled_usd",
    "cascades",
    "cascaded_usd",
    "largest_cascade_usd",
    "largest_cascade_accounts",
    "largest_cascade_depth",
    "reproduction_number_before_shock",
    "reproduction_number_max",
    "reproduction_number_mean",
)

HEADLINE = (
    "index_start",
    "index_end",
    "open_interest_usd",
    "volume_usd",
    "liquidations",
    "liquidated_usd",
    "premium_mean_bp",
    "premium_std_bp",
    "funding_mean_bp_8h",
    "funding_at_interest_share",
    "two_sided_share",
)


def simulate(library: str, seed: int, tables: dict[str, Any]) -> dict[str, Any]:
    """Run a scenario of the library with some of its tables replaced; return the summary."""
    place = files("marketsim.scenario").joinpath("library").joinpath(f"{library}.toml")
    data = tomllib.loads(place.read_text(encoding="utf-8")) | tables
    if library == "history":
        data["spot"]["history"]["path"] = str(PRICES)
    simulation = Simulation(parse_scenario(data), seed)
    simulation.run(simulation.num_steps)
    return summarise(simulation.result())


def in_short(value: float | None) -> str:
    return "none" if value is None else format(value, ".8g")


def render(summary: dict[str, Any]) -> str:
    """The digest and the headline numbers, one a line."""
    lines = [f"{key} {summary[key]}" for key in ("scenario", "seed", "steps", "digest")]
    for key in ("conservation_error_atoms", "insurance_fund_usd", "adl_usd", "fees_usd"):
        lines.append(f"{key} {summary[key]:.8g}")
    lines += [f"{key} {in_short(summary[key])}" for key in SPREAD]
    for name, market in summary["markets"].items():
        lines += ["", f"market {name}"]
        lines += [f"{key} {market[key]:.8g}" for key in HEADLINE]
    for name, population in summary["populations"].items():
        lines += ["", f"population {name}"]
        lines += [f"{key} {in_short(value)}" for key, value in population.items()]
    lines += ["", "intents"]
    lines += [f"{key} {count}" for key, count in summary["intents"].items() if count]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", RUNS)
def test_a_seeded_run_is_what_it_was(name):
    library, seed, tables = RUNS[name]
    if library == "history" and not PRICES.exists():
        pytest.skip(f"no shared price data at {PRICES}")
    found = render(simulate(library, seed, tables))
    file = FOLDER / f"{name}.txt"
    if UPDATE:
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


def test_every_text_file_belongs_to_a_run():
    assert {file.stem for file in FOLDER.glob("*.txt")} == {*RUNS, "digests"}

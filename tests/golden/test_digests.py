"""Digests of every shipped scenario, shortened: no simulated number changes unnoticed.

A line of the text file beside this one: name, digest. After a change that is meant, rewrite
them::

    MARKETSIM_UPDATE_GOLDEN=1 pytest tests/golden/test_digests.py
"""

import os
from pathlib import Path

import pytest

from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import list_scenarios, load_scenario
from marketsim.tape.digest import digest_result

FOLDER = Path(__file__).parent
FILE = FOLDER / "digests.txt"
PRICES = FOLDER.parents[2] / "shared" / "data" / "binance_15m.parquet"
UPDATE = bool(os.environ.get("MARKETSIM_UPDATE_GOLDEN"))

SEED = 7
#: Steps after the last scheduled shock, and of a scenario without one.
STEPS = 1440


def known_digests() -> dict[str, str]:
    found = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        name, digest = line.split()
        found[name] = digest
    return found


@pytest.mark.parametrize("name", [name for name, _ in list_scenarios()])
def test_a_shipped_scenario_has_the_digests_it_had(name: str) -> None:
    overrides = [("spot.history.path", str(PRICES))] if name == "history" else []
    if name == "history" and not PRICES.exists():
        pytest.skip(f"no shared price data at {PRICES}")
    scenario = load_scenario(name, overrides)
    hours = max((shock.at for shock in scenario.shocks), default=0.0)
    simulation = Simulation(scenario, SEED)
    simulation.run(min(simulation.num_steps, round(hours * 60 / scenario.step_minutes) + STEPS))
    digest = digest_result(simulation.result())
    known = known_digests()
    if UPDATE:
        known[name] = digest
        FILE.write_text("".join(f"{key} {known[key]}\n" for key in sorted(known)))
    assert digest == known[name]


def test_the_file_lists_the_shipped_scenarios() -> None:
    assert sorted(known_digests()) == sorted(name for name, _ in list_scenarios())

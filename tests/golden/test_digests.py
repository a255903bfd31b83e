"""Digests of every shipped scenario, shortened: no simulated number changes unnoticed.

A line of the text file beside this one: name, digest as it was defined before it covered every
table, digest as `marketsim.tape.digest` defines it. After a change that is meant, rewrite the
last::

    MARKETSIM_UPDATE_GOLDEN=1 pytest tests/golden/test_digests.py
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import list_scenarios, load_scenario
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult

FOLDER = Path(__file__).parent
FILE = FOLDER / "digests.txt"
PRICES = FOLDER.parents[2] / "shared" / "data" / "binance_15m.parquet"
UPDATE = bool(os.environ.get("MARKETSIM_UPDATE_GOLDEN"))

SEED = 7
#: Steps after the last scheduled shock, and of a scenario without one.
STEPS = 1440

#: Fields that the former digest covered.
FORMER = (
    "series",
    "deviation",
    "steps",
    "funding",
    "liquidation",
    "deleverage",
    "fill",
    "wealth",
    "exposure",
    "population",
    "deposit",
    "outcome",
)


def former_digest(result: RunResult) -> str:
    """The digest before it covered every table: neither causes nor contagion nor heat maps."""
    digest = hashlib.blake2b(digest_size=16)
    arrays = {name: getattr(result, name) for name in FORMER}
    for step, snapshot in ((0, result.start), *result.snapshots, (-1, result.end)):
        arrays |= {f"{step}.{name}": array for name, array in snapshot._asdict().items()}
    for name, array in arrays.items():
        for column in array.dtype.names or (None,):
            values = np.ascontiguousarray(array[column] if column else array)
            digest.update(f"{name}.{column}:{values.dtype.str}{values.shape}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


def known_digests() -> dict[str, list[str]]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return {name: digests for name, *digests in map(str.split, lines)}


@pytest.mark.parametrize("name", [name for name, _ in list_scenarios()])
def test_a_shipped_scenario_has_the_digests_it_had(name: str) -> None:
    overrides = [("spot.history.path", str(PRICES))] if name == "history" else []
    if name == "history" and not PRICES.exists():
        pytest.skip(f"no shared price data at {PRICES}")
    scenario = load_scenario(name, overrides)
    hours = max((shock.at for shock in scenario.shocks), default=0.0)
    simulation = Simulation(scenario, SEED)
    simulation.run(min(simulation.num_steps, round(hours * 60 / scenario.step_minutes) + STEPS))
    result = simulation.result()
    known = known_digests()
    if UPDATE:
        known[name] = [known[name][0], digest_result(result)]
        FILE.write_text("".join(f"{key} {' '.join(known[key])}\n" for key in sorted(known)))
    assert [former_digest(result), digest_result(result)] == known[name]


def test_the_file_lists_the_shipped_scenarios() -> None:
    assert sorted(known_digests()) == sorted(name for name, _ in list_scenarios())

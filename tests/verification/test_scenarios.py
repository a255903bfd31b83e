"""Every shipped scenario lives for three weeks: it trades, it pays, and nothing runs away."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from marketsim.engine.margin import assess_pools
from marketsim.engine.state import MAX_ROWS_PER_STEP, Outcome
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import list_scenarios, load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import RunResult

PRICES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "binance_15m.parquet"

pytestmark = pytest.mark.slow

DAYS = 21
SEED = 1
#: A day is given to a market to find itself again after a shock.
AFTERMATH = 1440


def scenario(name: str) -> Scenario:
    overrides = [("days", str(DAYS))]
    if name == "history":
        if not PRICES.exists():
            pytest.skip(f"no shared price data at {PRICES}")
        overrides += [("spot.history.path", str(PRICES))]
        overrides += [("spot.history.start", "2025-09-20T00:00:00Z")]
    return load_scenario(name, overrides)


def calm_steps(given: Scenario, num_steps: int) -> np.ndarray:
    """The steps that no scheduled shock and no aftermath of one covers."""
    calm = np.ones(num_steps, bool)
    for shock in given.shocks:
        spans = ("minutes", "fade_minutes", "fall_minutes", "hold_minutes", "recovery_minutes")
        length = sum(getattr(shock, span, 0.0) for span in spans)
        start = 60.0 * shock.at
        first, last = (given.steps_of(max(t, 1.0)) for t in (start, start + length + AFTERMATH))
        calm[first - 1 : last] = False
    return calm


def two_sided_share(result: RunResult, steps: np.ndarray) -> np.ndarray:
    quoted = (result.series["best_bid"] > 0) & (result.series["best_ask"] > 0)
    return quoted[steps].mean(axis=0)


@pytest.mark.parametrize("name", [name for name, _ in list_scenarios()])
def test_three_weeks_without_freeze_runaway_or_lost_atom(name):
    given = scenario(name)
    simulation = Simulation(given, SEED)
    simulation.run(simulation.num_steps - 4)
    # What the waterfall began it finishes: nobody stays below maintenance. (Funding is paid,
    # and what the fund could not bear is shared, after a step's margin pass.)
    short = []
    for _ in range(4):
        short.append(assess_pools(simulation.state))
        simulation.run(1)
    assert 0 in short
    result = simulation.result()
    calm = calm_steps(given, result.num_steps)
    assert two_sided_share(result, calm).min() >= 0.95
    mark = result.series["mark_ticks"] * result.tick_size
    off = np.abs(mark / result.series["index_price"] - 1.0)
    assert off[calm].max() < 0.25
    assert np.isfinite(off).all()
    assert result.conservation_error == 0
    paid = np.zeros(len(result.end.equity), np.int64)  # by newcomers, less what leavers took
    np.add.at(paid, result.flows.account, result.flows.atoms)
    change = result.end.equity - result.start.equity
    assert (result.profit.sum(axis=1) == change - paid).all()
    assert np.bincount(result.liquidation["step"]).max(initial=0) < MAX_ROWS_PER_STEP
    assert result.outcome[Outcome.ACCEPTED] > 0
    daily = result.series["volume"].reshape(DAYS, 1440, -1).sum(axis=1)
    assert (daily > 0).all()
    if name == "quickstart":  # nothing ever happens to it
        assert off.max() < 0.2
        assert np.abs(result.series["premium"]).max() < 0.2
        assert (daily > 0.2 * np.median(daily, axis=0)).all()


@pytest.mark.parametrize("name", [name for name, _ in list_scenarios()])
def test_the_library_says_what_to_watch(name):
    text = files("marketsim.scenario").joinpath("library", f"{name}.toml").read_text()
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert any(f"marketsim run {name}" in line for line in comment)
    assert "Watch" in " ".join(comment)
    assert 20 < len(dict(list_scenarios())[name]) <= 100

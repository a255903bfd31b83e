"""R measured once in a run, at an hour that its scenario states."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketsim import Simulation, load_simulation
from marketsim.contagion.measured import FIGURES
from marketsim.results.summary import summarise
from marketsim.run.probe import measure_nudge
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import load_scenario
from marketsim.tape.digest import digest_result

HOURS = 13.0  # when some are near the edge, and the book takes what they sell


def changes(**record: Any) -> list[tuple[str, str]]:
    stated = {"reproduction_draws": 3, "reproduction_horizon": 0.1, **record}
    return [("days", "0.6"), *((f"record.{name}", str(value)) for name, value in stated.items())]


@pytest.mark.slow
def test_a_run_is_measured_as_a_market_is_and_nothing_else_changes() -> None:
    bare = Simulation(load_scenario("contagion", changes()), 1)
    bare.run(780)
    found = bare.reproduction(n=3, horizon=0.1, side="falls")
    nudged = measure_nudge(bare, 0.01, 0.1)
    bare.run(bare.num_steps - 780)
    run = Simulation(load_scenario("contagion", changes(reproduction_hours=HOURS)), 1)
    assert set(summarise(run.result())["reproduction_measured"]) == set(FIGURES)
    run.run(run.num_steps)
    unmeasured = replace(run.result(), reproduction_measured=np.zeros(0))
    assert digest_result(unmeasured) == digest_result(bare.result())
    figures = summarise(run.result())["reproduction_measured"]
    assert (figures["mean"], figures["n"]) == (found.mean, found.n)
    assert (figures["nudged_further_fall"], figures["nudged_liquidated_share"]) == nudged
    assert "reproduction_measured" not in summarise(bare.result())


def test_a_saved_run_is_measured_when_its_hour_comes(tmp_path: Any) -> None:
    run = Simulation(load_scenario("contagion", changes(reproduction_hours=HOURS)), 1)
    run.run(720)
    run.save(tmp_path / "half.market")
    opened = load_simulation(tmp_path / "half.market")
    for each in (run, opened):
        each.run(each.num_steps - 720)
    found = run.result().reproduction_measured
    np.testing.assert_array_equal(found, opened.result().reproduction_measured)
    assert np.isfinite(found).all()


def test_a_nudge_of_a_market_without_anybody_moves_marks_as_far_as_itself() -> None:
    run = Simulation(load_scenario("quickstart", [("days", "0.1")]), 1)
    further, share = measure_nudge(run, 0.01, 0.02)
    assert further == pytest.approx(0.0, abs=0.2)
    assert share != share  # of no open interest


def test_an_hour_too_late_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"record\.reproduction_hours.*beyond the end, 14\.4 h"):
        load_scenario("contagion", changes(reproduction_hours=14.35))

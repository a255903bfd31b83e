"""Runs that differ in a rule differ in what the rule does, and in nobody's luck."""

import tomllib
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from marketsim.tape.digest import digest_result

pytestmark = pytest.mark.slow


def ordinary() -> dict[str, Any]:
    """The scenario `ordinary` with a few traders of every kind."""
    library = files("marketsim.scenario").joinpath("library")
    data = tomllib.loads(library.joinpath("ordinary.toml").read_text(encoding="utf-8"))
    for population in data["populations"].values():
        population["count"] = min(population["count"], 20)
    return data


def lived(**tables: Any) -> Simulation:
    """A day of it; tables replace its own."""
    simulation = Simulation(parse_scenario({**ordinary(), "days": 1, **tables}), 7)
    simulation.run(simulation.num_steps)
    return simulation


@pytest.mark.parametrize(
    "rule", [{"liquidation": {"max_rounds": 17}}, {"funding": {"premium_cap": 0.9}}]
)
def test_a_rule_that_never_binds_changes_no_byte(rule):
    first, second = lived().result(), lived(venue={"preset": "default", **rule}).result()
    assert first.scenario_text != second.scenario_text
    assert digest_result(first) == digest_result(second)
    assert len(first.funding) > 0


def test_venue_rules_leave_the_spot_path_as_it_is():
    first = lived().result()
    second = lived(venue={"preset": "default", "funding": {"interval_hours": 1}}).result()
    assert len(second.funding) > len(first.funding)
    assert digest_result(first) != digest_result(second)
    assert np.array_equal(first.series["index_price"], second.series["index_price"])


def test_newcomers_change_nobody_elses_habits_nor_the_news():
    populations = ordinary()["populations"]
    first = lived()
    more = {"newcomers": {"strategy": "noise", "count": 30}, **populations}
    second = lived(populations=more)
    assert np.array_equal(
        first.result().series["index_price"], second.result().series["index_price"]
    )
    fields = ("key", "last_wake", "leverage", "stop_loss", "slippage", "attention")
    for name in populations:
        rows = [run.roster.rows_of(name) for run in (first, second)]
        assert rows[0] != rows[1]
        for field in fields:
            here, there = (
                run.traders.trader[field][span]
                for run, span in zip((first, second), rows, strict=True)
            )
            assert np.array_equal(here, there)
        assert np.array_equal(first.traders.next_wake[rows[0]], second.traders.next_wake[rows[1]])

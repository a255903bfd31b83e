"""Whoever comes and goes, under whatever rules: money is conserved, and nothing is no number."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketsim.engine import ledger
from marketsim.results.outcomes import trader_outcomes
from marketsim.results.risk import population_risk
from marketsim.run.simulation import Simulation
from marketsim.scenario.schema import Scenario
from marketsim.tape.arrivals import Turn
from tests.agents.small import POPULATIONS, scenario
from tests.properties.profile import tried

STEPS = 90
TRADERS = ("noise", "holder", "herd", "carry", "pair")


@st.composite
def turnovers(draw: Any) -> dict[str, Any]:
    """Draw how the traders of a population come and go, most of them soon."""
    return {
        "wait_hours": draw(st.sampled_from([0.01, 0.2, 5.0])),
        "stay_hours": draw(st.sampled_from([0.05, 0.5, 2.0, "never"])),
        "withdraw_above": draw(st.sampled_from([1.0, 1.01, 2.0, "never"])),
        "ruin_below": draw(st.sampled_from([0.0, 0.5, 0.95])),
    }


@st.composite
def markets(draw: Any) -> Scenario:
    """Draw an hour and a half of a market under stress."""
    populations = {"maker": {**POPULATIONS["maker"], "turnover": draw(turnovers())}}
    for name in draw(st.lists(st.sampled_from(TRADERS), min_size=1, max_size=3, unique=True)):
        populations[name] = {
            **POPULATIONS[name],
            "leverage": 10.0,
            "count": draw(st.integers(1, 8)),
            "stable_share": draw(st.sampled_from([0.0, 0.3, 1.0])),
            "attention": draw(st.sampled_from([1.0, 10.0, "never"])),
            "margin_mode": {"cross": 1, "isolated": 1, "partial": 1},
            "groups": {"one": {"markets": ["ONE"], "draw_limit": 0.5}},
            "turnover": draw(turnovers()),
        }
    fall = draw(st.sampled_from([-0.3, -0.1, 0.2]))
    return scenario(
        days=STEPS / 1440,
        populations=populations,
        insurance_fund=draw(st.sampled_from([0.0, 1000.0])),
        spot={"kind": "factor"},
        shocks=[
            {"kind": "jump", "at": 0.5, "size": fall},
            {"kind": "depeg", "at": 0.7, "size": -0.4, "fall_minutes": 5, "hold_minutes": 20},
        ],
        venue={
            "funding": {"interval_hours": 1},
            "margin": {"stable_haircut": draw(st.sampled_from([0.0, 0.1]))},
        },
        record={"warm_up": draw(st.sampled_from([0.0, 0.0, 0.4]))},
    )


@tried(30)
@given(markets(), st.integers(0, 2**40))
def test_money_is_conserved_whoever_comes_and_goes(given_market: Scenario, seed: int) -> None:
    simulation = Simulation(given_market, seed)
    simulation.run(STEPS)
    result = simulation.result()
    assert result.conservation_error == 0
    assert ledger.conservation_error(simulation.state) == 0
    change = np.zeros(len(result.deposit), np.int64)
    np.add.at(change, result.arrival["account"], result.arrival["atoms"])
    assert (result.start.equity + change + result.profit.sum(axis=1) == result.end.equity).all()
    rows = result.arrival
    assert (rows["atoms"][rows["kind"] == Turn.ARRIVAL] > 0).all()
    assert (rows["atoms"][rows["kind"] != Turn.ARRIVAL] <= 0).all()
    gone = np.flatnonzero(simulation.traders.stay["is_vacant"])
    assert (result.end.equity[gone] == 0).all()
    assert (result.end.size[gone] == 0).all()


@tried(12)
@given(markets(), st.integers(0, 2**40))
def test_nothing_is_no_number(given_market: Scenario, seed: int) -> None:
    simulation = Simulation(given_market, seed)
    simulation.run(STEPS)
    result = simulation.result()
    for name in ("index_price", "premium", "funding_rate", "predicted_rate", "spot_spread"):
        assert np.isfinite(result.series[name]).all(), name
    assert np.isfinite(simulation.traders.memory).all()
    for habit in ("leverage", "slippage", "tranches", "buffer"):
        assert np.isfinite(simulation.traders.trader[habit]).all(), habit
    found = trader_outcomes(result)
    assert (found.paid_in >= 0).all()
    for figures in population_risk(result):
        known = [value for value in figures.values() if value is not None]
        assert np.isfinite(known).all()

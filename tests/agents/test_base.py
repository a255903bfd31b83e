"""What strategies read of an account."""

import pytest

from marketsim.agents.base import account_equity_usd, wealth_usd
from marketsim.engine.state import ONE
from marketsim.run.simulation import Simulation
from tests.agents.small import HABITS, MARKETS, give, scenario


def test_equity_counts_every_pool_once_however_groups_lie():
    markets = {**MARKETS, "THREE": {**MARKETS["ONE"], "price": 20.0}}
    groups = {
        "outer": {"markets": ["ONE", "THREE"]},
        "inner": {"markets": ["TWO"]},
    }
    traders = {
        **HABITS,
        "strategy": "holder",
        "count": 2,
        "capital": 1e4,
        "margin_mode": "partial",
        "groups": groups,
    }
    simulation = Simulation(scenario(markets=markets, populations={"few": traders}), 1)
    state = simulation.state
    for m, pool in enumerate(state.position["pool"][0]):
        assert pool != 0
        state.pool[pool].cash += (1 + m) * 1_000_000
        state.pool[0].cash -= (1 + m) * 1_000_000
    assert len(set(state.position["pool"][0].tolist())) == 2
    assert account_equity_usd(state, 0) == pytest.approx(1e4)


def test_wealth_counts_coins_that_are_no_collateral():
    traders = {**HABITS, "strategy": "holder", "count": 2, "capital": 1e4}
    simulation = Simulation(scenario(populations={"few": traders}), 1)
    state = simulation.state
    assert state.venue[0].spot_haircut == ONE
    give(simulation, 0, 10.0)
    state.spot[0, 1] = 300  # three coins of 50 USD
    assert account_equity_usd(state, 0) == pytest.approx(1e4)
    assert wealth_usd(state, 0) == pytest.approx(1e4 + 150.0)

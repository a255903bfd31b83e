"""The herd: opinions that follow the others, the trend and funding, and trades that follow them."""

import math

import networkx as nx
import numpy as np
import pytest

from marketsim.agents.base import STOPPED
from marketsim.agents.herd import OPINION, critical_field, measure_field, switch_probability
from tests.agents.small import MARKETS, ask, coins, give, only, set_price

#: Nobody changes its mind within a test.
STUBBORN = {"memory_hours": 1e9, "rebalance": 0.0}


def herd(count=20, markets=None, parameters=STUBBORN, **habits):
    """Traders with 1e4 USD at leverage 4."""
    return only("herd", count=count, markets=markets, parameters=parameters, **habits)


@pytest.mark.parametrize("opinion", [1.0, -1.0])
def test_it_trades_toward_opinion_times_leverage_times_equity(opinion):
    simulation = herd()
    simulation.traders.memory[0, 0, OPINION] = opinion
    (order,) = ask(simulation, 0)
    # 400 coins, less the margin of the slippage bound and of fees.
    assert 0.94 * 400.0 < opinion * coins(simulation, order) < 400.0
    give(simulation, 0, float(coins(simulation, order)))
    assert len(ask(simulation, 0)) == 0
    # A changed mind turns all of it round.
    simulation.traders.memory[0, 0, OPINION] = -opinion
    (turn,) = ask(simulation, 0)
    assert coins(simulation, turn) == pytest.approx(-2.0 * coins(simulation, order), rel=1e-3)


def test_gains_are_invested_and_losses_cut():
    simulation = herd()
    simulation.traders.memory[0, 0, OPINION] = 1.0
    give(simulation, 0, 380.0)
    set_price(simulation, 110.0)
    (order,) = ask(simulation, 0)
    assert coins(simulation, order) > 0
    set_price(simulation, 90.0)
    (order,) = ask(simulation, 0)
    assert coins(simulation, order) < 0


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_aligned_have_one_opinion_for_all_markets(share):
    count = 1000
    simulation = herd(count, MARKETS, {**STUBBORN, "alignment": share})
    opinion = simulation.traders.memory[:count, :, OPINION]
    alike = (opinion[:, 0] == opinion[:, 1]).mean()
    # Half of the others agree by chance.
    expected = share + 0.5 * (1.0 - share)
    assert abs(alike - expected) <= 4.0 * math.sqrt(expected * (1.0 - expected) / count)
    assert simulation.traders.crowd[0].tolist() == (opinion > 0).sum(axis=0).tolist()


def test_the_aligned_change_their_minds_together():
    quick = {"memory_hours": 5.0, "independence": 10.0, "alignment": 1.0}
    simulation = herd(200, MARKETS, quick)
    before = np.array(simulation.traders.memory[:200, :, OPINION])
    ask(simulation, t=30)
    after = simulation.traders.memory[:200, :, OPINION]
    assert (after[:, 0] == after[:, 1]).all()
    assert 0 < (before != after)[:, 0].sum() < 200
    assert simulation.traders.crowd[0].tolist() == (after > 0).sum(axis=0).tolist()


def field(simulation, i=0):
    u = np.zeros(len(simulation.state.market))
    traders = simulation.traders
    measure_field(simulation.state, traders, traders.parameters[0]["herd"], i, u)
    return u[0]


def test_the_trend_pulls_along_up_to_its_largest_pull():
    simulation = herd(parameters={**STUBBORN, "trend": 0.5})
    for momentum in (-30.0, -1.0, 0.0, 1.0, 30.0):
        simulation.traders.public[0].momentum = momentum
        assert field(simulation) == pytest.approx(0.5 * math.tanh(momentum))


@pytest.mark.parametrize("sensitivity", [0.0, 1.0, 3.0, -1.0])
def test_funding_pushes_to_the_side_that_is_paid_as_the_trader_is_sensitive(sensitivity):
    parameters = {**STUBBORN, "funding_scale": 0.002}
    simulation = herd(parameters=parameters, funding_sensitivity=sensitivity)
    for rate in (1e-3, -5e-4):
        simulation.state.market[0].funding_rate = rate
        assert field(simulation) == pytest.approx(-sensitivity * rate / 0.002)


def test_the_dial_is_in_units_of_the_critical_field():
    own = {**STUBBORN, "independence": 0.5, "anti_herding": 3.0, "crowd_rate": 0.001}
    simulation = herd(100, parameters=own, funding_sensitivity=1.0)
    simulation.state.market[0].funding_rate = 0.001
    assert critical_field(100, 0.5) == 0.01
    assert field(simulation) == pytest.approx(-0.03)


def test_rates_are_those_of_the_formula():
    own = {"memory_hours": 10.0, "independence": 2.0, "bias": 0.2}
    p = herd(parameters=own).traders.parameters[0]["herd"]
    # a = 1 / 20 an hour, h = a / 2.
    up, down, h, hours = 0.06, 0.04, 0.025, 0.1
    turn = switch_probability(p, -1.0, 7.0, 12.0, 0.3, hours)
    assert turn == pytest.approx((up + h * 7.0) * math.exp(0.3) * hours)
    turn = switch_probability(p, 1.0, 7.0, 12.0, 0.3, hours)
    assert turn == pytest.approx((down + h * 12.0) * math.exp(-0.3) * hours)
    assert switch_probability(p, 1.0, 7.0, 12.0, 0.0, 1e9) == 1.0


def test_who_was_stopped_out_stays_out_until_it_changes_its_mind():
    simulation = herd()
    memory = simulation.traders.memory[0, 0]
    memory[OPINION] = memory[STOPPED] = 1.0
    assert len(ask(simulation, 0)) == 0
    memory[OPINION] = -1.0
    (order,) = ask(simulation, 0)
    assert order["size"] < 0


def test_a_complete_graph_is_the_same_as_no_network(tmp_path):
    path = tmp_path / "all.graphml"
    nx.write_graphml(nx.complete_graph(20), path)
    quick = {"memory_hours": 1.0, "independence": 2.0, "rebalance": 0.0}
    opinions = []
    for network in ({}, {"network": "file", "network_file": str(path)}):
        simulation = herd(parameters={**quick, **network})
        for t in range(1, 40):
            ask(simulation, t=t)
        opinions.append(np.array(simulation.traders.memory[:20]))
        assert simulation.traders.crowd[0, 0] == (opinions[-1][:, 0, OPINION] > 0).sum()
    assert (opinions[0] == opinions[1]).all()

"""Which accounts are drawn, and the levels in which they are told."""

import numpy as np
import pytest

from marketsim.engine.ledger import account_equity
from marketsim.engine.state import ATOMS
from marketsim.report import drawn
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario


@pytest.fixture(scope="module")
def market():
    simulation = Simulation(load_scenario("contagion", [("days", "1")]), 1)
    simulation.run(760)
    return simulation


def test_all_are_drawn_where_they_are_few(market):
    assert drawn.choose_drawn(market.roster, most=866).tolist() == list(range(866))


def test_the_liquidated_are_drawn_and_every_population(market):
    fallen = [507, 3, 120, 400]
    chosen = drawn.choose_drawn(market.roster, fallen, most=60)
    assert len(chosen) == len(set(chosen.tolist())) == 60
    assert set(fallen) <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()
    assert set(market.roster.population[chosen]) == set(market.roster.population)


def test_half_are_at_risk(market):
    many = list(range(500))
    chosen = drawn.choose_drawn(market.roster, many, most=100)
    assert len(chosen) == 100
    assert np.isin(np.arange(50), chosen).all()


def test_health_is_equity_over_maintenance(market):
    everybody = np.arange(market.roster.num_traders)
    level = drawn.health(market.state, everybody).astype(int)
    pool = market.state.position["pool"][:-1]
    equity, maintenance = market.state.pool["equity"], market.state.pool["maintenance"]
    assert ((level[:, 1:] == drawn.NO_POOL) == (pool == everybody[:, None])).all()
    assert (level[:, 0] != drawn.NO_POOL).all()
    main = (maintenance[everybody] > 0) & (equity[everybody] > maintenance[everybody])
    main &= level[:, 0] < drawn.HEALTHIEST
    assert main.sum() > 50
    ratio = equity[everybody][main] / maintenance[everybody][main]
    told = drawn.HEALTH_BASE ** (level[main, 0] - 1)
    assert (ratio >= told * (1 - 1e-6)).all()
    assert (ratio < told * drawn.HEALTH_BASE * (1 + 1e-6)).all()


def test_a_pool_at_its_line_is_told_as_short(market):
    state = market.state._replace(pool=market.state.pool.copy())
    account = int(np.flatnonzero(state.pool["maintenance"][:508] > 0)[0])
    for equity, told in ((state.pool["maintenance"][account], drawn.SHORT), (-5, drawn.SHORT)):
        state.pool["equity"][account] = equity
        assert drawn.health(state, np.array([account]))[0, 0] == told


def test_lean_and_worth_can_be_read_back(market):
    everybody = np.arange(market.roster.num_traders)
    equity = np.asarray(account_equity(market.state))[:-1]
    lean = drawn.lean(market.state, everybody, equity).astype(int) - drawn.FLAT
    size = market.state.position["size"][:-1]
    assert (np.sign(lean) == np.sign(size)).all()
    unit = market.state.market["mark_ticks"] * market.state.market["tick_atoms"]
    gross = np.abs(size) * unit / np.maximum(equity, 1)[:, None]
    inside = (np.abs(lean) > 3) & (np.abs(lean) < 127)
    told = drawn.LEAN_BASE ** np.abs(lean) - 1
    np.testing.assert_allclose(told[inside], gross[inside], rtol=0.2)
    worth = drawn.worth(equity).astype(int)
    rich = worth > 0
    assert (equity[~rich] < ATOMS).all()
    np.testing.assert_allclose(
        drawn.WORTH_BASE ** (worth[rich] - 1.0), equity[rich] / ATOMS, rtol=0.003
    )

"""The arbitrageur: buys the perp when it is cheap against the index, sells it when it is dear."""

import numpy as np
import pytest

from marketsim.engine.state import ONE, UNLIMITED
from marketsim.run.simulation import Simulation
from tests.agents.small import HABITS, POPULATIONS, ask, coins, give, only, prices, scenario
from tests.engine.small import send

BAND = 0.002


def arbitrageur(**parameters):
    """Arbitrageurs with 5e5 USD at leverage 4 in one market, without fees."""
    return only("basis", parameters={"band": BAND, "risk": 0.0, **parameters})


def test_quotes_stand_one_cost_band_around_the_index_and_each_has_its_own():
    simulation = arbitrageur()
    half = []
    for i in range(4):
        intents = ask(simulation, i)
        bid, offer = (
            prices(simulation, intents[intents["size"] * side > 0])[0] for side in (1, -1)
        )
        assert 0.5 * (bid + offer) == pytest.approx(100.0, abs=0.011)
        half.append(0.5 * (offer - bid) / 100.0)
    assert len(set(half)) == 4
    assert min(half) >= 0.5 * BAND
    assert max(half) <= 1.5 * BAND + 1e-4


def test_band_counts_the_taker_fee():
    free, costly = arbitrageur(), arbitrageur()
    costly.state.market[0].taker_fee = ONE // 1000
    for side in (1, -1):
        quotes = [ask(simulation, 0) for simulation in (free, costly)]
        price = [prices(free, intents[intents["size"] * side > 0])[0] for intents in quotes]
        assert price[1] - price[0] == pytest.approx(-side * 0.1, abs=0.011)


def test_a_quote_shows_a_portion_of_the_capacity_left():
    simulation = arbitrageur(portion=0.25)
    # 5e5 USD x leverage 4 at 100 USD: 20,000 coins.
    assert coins(simulation, ask(simulation, 0)).tolist() == [5_000.0, -5_000.0]
    give(simulation, 0, 18_000.0)
    assert coins(simulation, ask(simulation, 0)).tolist() == [2_000.0, -5_000.0]
    give(simulation, 0, 5_000.0)
    assert coins(simulation, ask(simulation, 0)).tolist() == [-5_000.0]


def test_inventory_moves_both_quotes():
    simulation = arbitrageur(lean=0.01)
    before = prices(simulation, ask(simulation, 0))
    give(simulation, 0, 10_000.0)  # half of capacity
    assert prices(simulation, ask(simulation, 0)) - before == pytest.approx(-0.5, abs=0.021)


@pytest.mark.parametrize("side", [1, -1])
def test_it_takes_what_is_beyond_its_band_and_leaves_what_is_not(side):
    # A stranger bids above fair value (or offers below it), inside or outside the band.
    for premium, expected in ((0.5 * BAND - 2e-4, 0.0), (1.5 * BAND + 2e-4, 40.0)):
        stranger = {**HABITS, "strategy": "holder", "count": 1, "capital": 1e5}
        populations = {"basis": {**POPULATIONS["basis"], "parameters": {"band": BAND, "risk": 0.0}}}
        run = scenario(populations={**populations, "stranger": stranger})
        simulation = Simulation(run, 1)
        simulation.traders.next_wake[5] = UNLIMITED
        send(simulation.state, 5, side * 4_000, round(10_000 * (1.0 + side * premium)))
        simulation.run(2)
        size = simulation.state.position["size"][:, 0] * 0.01
        assert size[5] == side * expected
        assert size[:5].sum() == -side * expected


def test_its_capital_sets_how_far_a_crowd_moves_the_price():
    """The same buying against more capital leaves a smaller premium."""
    premium = []
    for capital in (5e4, 5e5):
        populations = {
            "basis": {**POPULATIONS["basis"], "capital": capital},
            "buyer": {**HABITS, "strategy": "holder", "count": 1, "capital": 1e6},
        }
        simulation = Simulation(scenario(populations=populations), 1)
        simulation.traders.next_wake[5] = UNLIMITED
        for _ in range(10):
            send(simulation.state, 5, 30_000, 10_100)
            simulation.run(1)
        series = simulation.result().series[:, 0]
        mid = 0.5 * (series["best_bid"] + series["best_ask"]) / 1e4 - 1.0
        premium.append(mid[-1])
    assert premium[0] > 2.0 * premium[1] > 0.0


def test_what_is_not_taken_is_gone_after_a_step():
    simulation = arbitrageur()
    simulation.traders.next_wake[:] = 0
    simulation.run(1)
    assert simulation.state.totals[0].num_orders == 10
    simulation.traders.next_wake[:] = UNLIMITED
    simulation.run(1)
    assert simulation.state.totals[0].num_orders == 0


def test_without_capital_it_does_nothing():
    simulation = arbitrageur()
    simulation.state.pool["cash"] = 0
    assert len(ask(simulation)) == 0
    assert np.array_equal(simulation.state.position["size"], np.zeros((6, 1)))


def test_the_band_is_wider_for_the_risk_of_a_step():
    simulation = arbitrageur(risk=3.0)
    plain = arbitrageur()
    for one in (simulation, plain):
        one.traders.public["variance"] = 1e-6
    width = []
    for one in (simulation, plain):
        intents = ask(one, 0)
        bid, offer = (prices(one, intents[intents["size"] * side > 0])[0] for side in (1, -1))
        width.append(0.5 * (offer - bid) / 100.0)
    assert width[0] - width[1] == pytest.approx(3.0 * 1e-3, abs=1.1e-4)

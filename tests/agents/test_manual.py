"""The manual trader: does what it is told, once, and nothing else."""

import pytest

from marketsim.agents.manual import ASK, BID, ORDER
from marketsim.engine.state import Flag, IntentKind
from marketsim.scenario.loader import parse_scenario
from tests.agents.small import ask, coins, give, only, prices, set_price


def test_told_nothing_it_does_nothing():
    simulation = only("manual")
    assert len(ask(simulation)) == 0


def test_an_order_goes_to_the_market_once_and_within_its_slippage():
    simulation = only("manual", slippage=0.02)
    simulation.traders.memory[1, 0, ORDER] = -3.0
    intents = ask(simulation)
    assert intents["account"].tolist() == [1]
    assert coins(simulation, intents) == pytest.approx([-3.0])
    assert prices(simulation, intents) == pytest.approx([98.0])
    assert intents["flags"].tolist() == [Flag.IMMEDIATE]
    assert len(ask(simulation, t=1)) == 0


def test_quotes_stand_around_fair_value_until_it_is_told_otherwise():
    simulation = only("manual", leverage=4.0, parameters={"portion": 0.5})
    set_price(simulation, 100.0)
    simulation.traders.memory[0, 0, BID] = 0.01
    simulation.traders.memory[0, 0, ASK] = 0.02
    for t in range(2):
        intents = ask(simulation, 0, t=t)
        assert prices(simulation, intents) == pytest.approx([99.0, 102.0])
        # half of what 20,000 USD bear at a leverage of 4
        assert coins(simulation, intents) == pytest.approx([400.0, -400.0])
        assert set(intents["flags"].tolist()) == {Flag.POST_ONLY}


def test_a_full_inventory_is_not_added_to():
    simulation = only("manual", leverage=4.0)
    give(simulation, 0, 800.0)
    simulation.traders.memory[0, 0, [BID, ASK]] = 0.01
    intents = ask(simulation, 0)
    assert (coins(simulation, intents) < 0.0).all()


def test_what_it_quoted_is_withdrawn_when_it_looks_again():
    simulation = only("manual")
    simulation.traders.memory[0, 0, BID] = 0.01
    simulation.traders.next_wake[0] = 0
    simulation.run(1)
    assert simulation.state.position["first_order"][0, 0] >= 0
    simulation.traders.memory[0, 0, BID] = 0.0
    intents = ask(simulation, 0, t=1)
    assert intents["kind"].tolist() == [IntentKind.CANCEL]


def test_by_itself_it_looks_once_and_keeps_no_buffer():
    population = parse_scenario(
        {
            "markets": {"ONE": {"price": 100.0, "tick_size": 0.01, "lot_size": 0.01}},
            "populations": {"me": {"strategy": "manual", "count": 1}},
        }
    ).populations["me"]
    habits = [population.attention, population.stop_loss, population.buffer]
    assert [next(habit.numbers())[1] for habit in habits] == [float("inf"), float("inf"), 0.0]

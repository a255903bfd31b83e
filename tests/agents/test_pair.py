"""The pair trader: bets that two prices come together again, dollar for dollar."""

import math

import pytest

from marketsim.agents.pair import MEAN, SIDE, VARIANCE, WATCHED, choose_pair, next_side
from marketsim.engine.state import Flag
from marketsim.scenario.errors import ScenarioError
from tests.agents.small import MARKETS, ask, coins, give, only, prices, set_price

RULES = {"window_hours": 1e6, "entry": 2.0, "leave": 0.5, "give_up": 4.0, "rebalance": 0.25}
#: Of the log ratio.
DEVIATION = 0.01


def pair(side=0.0):
    """A trader with 2e4 USD at leverage 4 who knows its pair; return it, first and second."""
    simulation = only("pair", count=2, markets=MARKETS, parameters=RULES)
    one, other = choose_pair(simulation.traders, 0, 0, 1)
    memory = simulation.traders.memory[0]
    view = simulation.traders.public
    memory[one, MEAN] = math.log(view[one].mid / view[other].mid)
    memory[one, VARIANCE] = DEVIATION**2
    memory[one, WATCHED] = 1e9
    memory[other, SIDE] = side
    return simulation, one, other


def shift(simulation, market, score):
    """Move a market's price so that the ratio is so many deviations off."""
    price = simulation.traders.public[market].mid
    set_price(simulation, price * math.exp(score * DEVIATION), market)


@pytest.mark.parametrize("sign", [1, -1])
def test_it_sells_the_dear_leg_and_buys_the_other_dollar_for_dollar(sign):
    simulation, one, other = pair()
    shift(simulation, one, 1.9 * sign)
    assert len(ask(simulation, 0)) == 0
    shift(simulation, one, 0.2 * sign)
    intents = ask(simulation, 0)
    assert intents["market"].tolist() == [one, other]
    mid = simulation.traders.public["mid"][intents["market"]]
    dollars = coins(simulation, intents) * mid
    assert math.copysign(1, dollars[0]) == -sign
    assert dollars.sum() == pytest.approx(0.0, abs=2.0)
    # Half of 2e4 USD at leverage 4 on either leg, less the margin of the slippage bound.
    assert 0.9 * 4e4 < abs(dollars[0]) < 4e4
    bound = 1.0 + 0.01 * (dollars > 0) - 0.01 * (dollars < 0)
    assert prices(simulation, intents) == pytest.approx(mid * bound, abs=0.011)


@pytest.mark.parametrize(("score", "closes"), [(-1.0, False), (-0.4, True), (-4.1, True)])
def test_it_leaves_when_the_ratio_is_back_or_gone_too_far(score, closes):
    simulation, one, other = pair(1.0)
    coins_held = 0.97 * 4e4
    for m, side in ((one, 1.0), (other, -1.0)):
        give(simulation, 0, side * coins_held / simulation.traders.public[m].mid, m)
    shift(simulation, one, score)
    intents = ask(simulation, 0)
    assert len(intents) == 2 * closes
    if closes:
        assert (intents["flags"] == Flag.REDUCE_ONLY | Flag.IMMEDIATE).all()
    # Who took a loss waits until the ratio is back before it enters anew.
    if score < -4.0:
        assert simulation.traders.memory[0, other, SIDE] == 2.0


def test_after_a_loss_it_waits_for_the_ratio_to_return():
    assert next_side(2.0, -3.0, 2.0, 0.5, 4.0) == 2.0
    assert next_side(2.0, -0.3, 2.0, 0.5, 4.0) == 0.0
    assert next_side(0.0, -3.0, 2.0, 0.5, 4.0) == 1.0
    assert next_side(0.0, 3.0, 2.0, 0.5, 4.0) == -1.0


def test_it_watches_for_a_window_before_it_trusts_its_average():
    simulation = only("pair", count=2, markets=MARKETS, parameters={**RULES, "window_hours": 1.0})
    one, _ = choose_pair(simulation.traders, 0, 0, 1)
    for t in range(0, 60, 10):
        shift(simulation, one, 50.0)
        assert len(ask(simulation, 0, t=t)) == 0


def test_a_pair_of_one_market_is_refused():
    with pytest.raises(ScenarioError, match=r"populations.pair.markets: .* needs 2 markets"):
        only("pair", markets={"ONE": MARKETS["ONE"]})

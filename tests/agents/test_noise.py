"""The noise trader: small random trades, the heartbeat of the market."""

import numpy as np
import pytest

from marketsim.agents.noise import Noise
from marketsim.engine.state import Flag, IntentKind
from marketsim.run.simulation import Simulation
from tests.agents.small import MARKETS, POPULATIONS, ask, coins, give, only, prices, scenario

#: Coins one trader's equity buys with its leverage: 2e4 USD x 4 at 100 USD.
CAPACITY = 800.0
MANY = 2000


def noise(count=MANY, **parameters):
    """Noise traders with 2e4 USD at leverage 4 in one market."""
    return only("noise", count=count, parameters=parameters)


def orders(intents):
    return intents[intents["kind"] == IntentKind.ORDER]


def test_sizes_are_spread_evenly_below_their_bound():
    simulation = noise(size=0.1)
    size = np.abs(coins(simulation, orders(ask(simulation))))
    assert len(size) > 0.99 * MANY
    assert size.max() <= 0.1 * CAPACITY
    assert size.max() > 0.99 * 0.1 * CAPACITY
    # Uniform: mean half the bound, four standard errors.
    error = 0.1 * CAPACITY / np.sqrt(12.0 * MANY)
    assert abs(size.mean() - 0.05 * CAPACITY) < 4.0 * error


def test_half_buy_and_half_sell():
    buys = (orders(ask(noise()))["size"] > 0).sum()
    assert abs(buys - MANY / 2) < 4.0 * np.sqrt(MANY) / 2


def test_some_wait_near_mid_and_the_others_take_within_their_slippage():
    simulation = noise(passive_share=0.3, passive_reach=0.002, patience_minutes=90.0)
    found = orders(ask(simulation))
    waiting = found["flags"] & Flag.IMMEDIATE == 0
    assert abs(waiting.mean() - 0.3) < 4.0 * np.sqrt(0.21 / MANY)
    side = np.sign(found["size"])
    price = prices(simulation, found)
    gap = side * (price - 100.0)
    assert gap[waiting].max() <= 0.0
    assert gap[waiting].min() >= -0.2 - 0.01
    assert gap[~waiting] == pytest.approx(1.0, abs=1e-9)  # slippage .01 of mid
    assert (found["expiry"][waiting] == 90).all()
    assert (found["expiry"][~waiting] == 0).all()


def test_an_open_position_is_closed_at_the_stated_rate():
    simulation = noise(count=501, close_share=0.4)
    for i in range(500):
        give(simulation, i, 10.0 if i % 2 else -10.0)
    found = orders(ask(simulation, *range(500)))
    closing = found[found["flags"] & Flag.REDUCE_ONLY != 0]
    assert abs(len(closing) / 500 - 0.4) < 4.0 * np.sqrt(0.24 / 500)
    odd = closing["account"] % 2 == 1
    assert (closing["size"] == np.where(odd, -1000, 1000)).all()


def test_no_trade_takes_a_position_beyond_its_leverage():
    simulation = noise(count=501, close_share=0.0, size=1.0)
    for i in range(500):
        give(simulation, i, 600.0)
    found = orders(ask(simulation, *range(500)))
    assert (600.0 + coins(simulation, found) <= CAPACITY + 1e-9).all()
    # Most buys would go beyond; they are left out, not cut.
    assert (found["size"] > 0).sum() < 0.35 * (found["size"] < 0).sum()


def test_an_old_order_is_withdrawn_before_a_new_one():
    simulation = noise(count=2, passive_share=1.0)
    simulation.state.position["first_order"][0, 0] = 0
    found = ask(simulation, 0)
    assert found["kind"].tolist() == [IntentKind.CANCEL, IntentKind.ORDER]


def test_markets_are_chosen_by_their_weights():
    simulation = only("noise", markets=MARKETS, count=MANY)
    simulation.traders.weight[0] = (0.8, 0.2)
    share = (orders(ask(simulation))["market"] == 0).mean()
    assert abs(share - 0.8) < 4.0 * np.sqrt(0.16 / MANY)


def test_in_a_market_noise_trades_all_day_and_takes_no_side():
    run = scenario(days=1, spot={"kind": "factor"}, populations=without_holders())
    simulation = Simulation(run, 2)
    simulation.run(simulation.num_steps)
    result = simulation.result()
    hourly = result.series["volume"].reshape(24, 60, 2).sum(axis=1)
    assert (hourly > 0).all()
    limit = Noise().size * POPULATIONS["noise"]["count"] * 2e4 * 4.0
    exposure = result.end.position_value[simulation.roster.rows_of("noise")].sum() * 1e-6
    assert abs(exposure) < limit


def without_holders():
    return {name: value for name, value in POPULATIONS.items() if name != "holder"}

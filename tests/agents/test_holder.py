"""The holder: enters with leverage, minds its position as far as its habits say."""

import math

import numpy as np
import pytest

from marketsim.agents.holder import ENTERED, TARGET, UNTIL, Holder
from marketsim.engine.state import ATOMS, Flag, IntentKind
from marketsim.run.simulation import Simulation
from tests.agents.small import (
    MARKETS,
    POPULATIONS,
    ask,
    coins,
    equity,
    give,
    only,
    prices,
    scenario,
    set_price,
)

#: Coins that 1e4 USD at leverage 4 buy at 100 USD; an entry leaves a little for fees.
MOST = 4.0 * 1e4 / 100.0


def holder(count=2, **habits):
    """Holders with 1e4 USD at leverage 4; the last only takes the other side of `give`."""
    return only("holder", count=count, **habits)


def holding(coins_held=100.0, **habits):
    """A holder who stands by a position it entered at 100 USD and never leaves by itself."""
    calm = {"holding_hours": 1e9}
    simulation = holder(parameters=calm, **habits)
    give(simulation, 0, coins_held)
    simulation.traders.memory[0, 0, TARGET] = coins_held
    simulation.traders.memory[0, 0, ENTERED] = simulation.traders.trader[0].tranches
    return simulation


def test_it_enters_at_the_market_with_its_leverage():
    simulation = holder(parameters={"long_share": 1.0})
    (order,) = ask(simulation, 0)
    assert order["kind"] == IntentKind.ORDER
    assert order["flags"] == Flag.IMMEDIATE
    assert 0.9 * MOST < coins(simulation, order) < MOST
    assert prices(simulation, order) == pytest.approx(101.0)  # slippage .01
    target = simulation.traders.memory[0, 0, TARGET]
    assert target == pytest.approx(coins(simulation, order), abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_the_share_of_longs_is_as_stated(share):
    intents = ask(holder(count=1000, parameters={"long_share": share}))
    assert len(intents) == 1000
    error = 4.0 * math.sqrt(share * (1.0 - share) / 1000)
    assert abs((intents["size"] > 0).mean() - share) <= error


def test_tranches_spread_an_entry_over_looks():
    simulation = holder(tranches=4, parameters={"long_share": 1.0, "holding_hours": 1e9})
    bought = []
    for t in range(6):
        intents = ask(simulation, 0, t=t)
        bought += coins(simulation, intents).tolist()
        if len(intents):
            give(simulation, 0, float(coins(simulation, intents)[0]))
    assert 0.9 * MOST < sum(bought) < MOST
    assert bought == pytest.approx([sum(bought) / 4] * 4, abs=0.01)


@pytest.mark.parametrize("side", [1, -1])
def test_it_stops_out_at_its_stop_loss_and_not_before(side):
    simulation = holding(100.0 * side, stop_loss=0.05)
    set_price(simulation, 100.0 - side * 4.99)
    assert len(ask(simulation, 0)) == 0
    set_price(simulation, 100.0 - side * 5.01)
    (order,) = ask(simulation, 0)
    assert order["flags"] == Flag.REDUCE_ONLY | Flag.IMMEDIATE
    assert coins(simulation, order) == -100.0 * side
    never = holding(100.0 * side)
    set_price(never, 100.0 - side * 20.0)
    assert len(ask(never, 0)) == 0


def test_a_thin_cross_position_is_cut_to_what_its_equity_supports():
    simulation = holding(300.0, buffer=4.0)
    # 300 coins at 97: equity 9,100, maintenance 1 % of 29,100: (1 + 4) x 291 is far below.
    set_price(simulation, 97.0)
    assert len(ask(simulation, 0)) == 0
    # At 70 equity is 1,000, maintenance 210, wanted 1,050: a share of 1 - 1000 / 1050 goes.
    set_price(simulation, 70.0)
    (order,) = ask(simulation, 0)
    assert order["flags"] == Flag.REDUCE_ONLY | Flag.IMMEDIATE
    assert coins(simulation, order) == pytest.approx(-300.0 * (1.0 - 1000.0 / 1050.0), abs=0.01)
    # Without a buffer it watches.
    bare = holding(300.0)
    set_price(bare, 70.0)
    assert len(ask(bare, 0)) == 0


def test_a_thin_isolated_position_is_topped_up_from_the_main_pool():
    simulation = holding(100.0, buffer=4.0, margin_mode="isolated")
    state = simulation.state
    p = int(state.position[0, 0].pool)
    assert p != 0
    state.pool[0].cash -= 500 * ATOMS
    state.pool[p].cash += 500 * ATOMS
    # 100 coins at 99: pool equity 400, maintenance 99, wanted 495.
    set_price(simulation, 99.0)
    (order,) = ask(simulation, 0)
    assert order["kind"] == IntentKind.TRANSFER
    assert order["size"] == 95 * ATOMS
    # Nothing free in the main pool: the position is cut instead.
    state.pool[0].cash = 0
    (order,) = ask(simulation, 0)
    assert order["flags"] == Flag.REDUCE_ONLY | Flag.IMMEDIATE
    assert coins(simulation, order) == pytest.approx(-100.0 * (1.0 - 400.0 / 495.0), abs=0.01)


def test_once_cut_it_adds_no_more_tranches():
    simulation = holding(300.0, buffer=4.0, tranches=3)
    simulation.traders.memory[0, 0, ENTERED] = 1.0
    set_price(simulation, 70.0)
    assert len(ask(simulation, 0)) == 1
    set_price(simulation, 100.0)
    assert len(ask(simulation, 0)) == 0


def test_it_leaves_after_the_holding_time_and_rests():
    parameters = {"holding_hours": 10.0, "rest_hours": 5.0, "long_share": 1.0}
    count = 400
    simulation = holder(count=count + 1, attention=60.0, parameters=parameters)
    for i in range(count):
        give(simulation, i, 1.0)
        simulation.traders.memory[i, 0, TARGET] = 1.0
        simulation.traders.memory[i, 0, ENTERED] = 1.0
    # Looking every hour on average, a tenth of them leaves at each look.
    leaving = ask(simulation, *range(count), t=7)
    assert abs(len(leaving) / count - 0.1) < 4.0 * math.sqrt(0.09 / count)
    assert (leaving["size"] == -100).all()
    # Once flat, they forget the position and wait for five hours on average.
    simulation.state.position["size"] = 0
    assert len(ask(simulation, *range(count), t=8)) == 0
    memory = simulation.traders.memory[:count, 0]
    assert (memory[:, TARGET] == 0.0).all()
    rest = memory[:, UNTIL] - 8
    assert rest.min() > 0.0
    assert abs(rest.mean() - 300.0) < 4.0 * 300.0 / math.sqrt(count)
    # Nobody enters before that, everybody after it.
    assert len(ask(simulation, *range(count), t=int(rest.max()) + 9)) == count


def test_who_is_liquidated_rests_too():
    simulation = holding(100.0)
    simulation.state.position["size"] = 0
    assert len(ask(simulation, 0, t=5)) == 0
    assert simulation.traders.memory[0, 0, TARGET] == 0.0
    assert simulation.traders.memory[0, 0, UNTIL] > 5.0


def test_set_and_forget_never_acts_again():
    """Nobody but liquidation touches the positions of those who look once."""
    forgetful = {**POPULATIONS["holder"], "attention": "never", "stop_loss": 0.01, "buffer": 5.0}
    populations = {**POPULATIONS, "holder": forgetful}
    run = scenario(days=2, populations=populations, spot={"kind": "factor"})
    simulation = Simulation(run, 1)
    rows = simulation.roster.rows_of("holder")
    acted = np.zeros(rows.stop - rows.start, np.int64)
    for _ in range(simulation.num_steps):
        simulation.run(1)
        state = simulation.state
        account = state.intent["account"][: int(state.totals[0].num_intents)]
        who = account[(account >= rows.start) & (account < rows.stop)] - rows.start
        np.add.at(acted, who, 1)
    # First looks come within a day or so, and are the last.
    assert acted.max() == 1
    assert acted.mean() > 0.7
    size = np.abs(simulation.state.position["size"][rows]).sum(axis=1)
    assert (size[acted == 0] == 0).all()
    assert (size[acted == 1] > 0).mean() > 0.9


def test_monitored_holders_of_the_same_luck_act_again():
    run = scenario(days=1, spot={"kind": "factor"})
    simulation = Simulation(run, 1)
    rows = simulation.roster.rows_of("holder")
    looks = 0
    for _ in range(200):
        before = np.array(simulation.traders.next_wake[rows])
        simulation.run(1)
        looks += (simulation.traders.next_wake[rows] != before).sum()
    # Every half hour on average, after a first look within the first.
    assert looks > 3 * (rows.stop - rows.start)


def test_it_holds_one_market_at_a_time():
    simulation = only("holder", markets=MARKETS, count=200)
    first = ask(simulation)
    assert len(first) == 200
    assert 60 < (first["market"] == 0).sum() < 140
    assert ((simulation.traders.memory[:, :, TARGET] != 0.0).sum(axis=1) == 1).all()


@pytest.mark.parametrize("leverage", [2.0, 20.0, 45.0])
@pytest.mark.parametrize("slippage", [0.001, 0.02])
def test_an_entry_is_accepted_whatever_leverage_and_slippage(leverage, slippage):
    bold = {**POPULATIONS["holder"], "leverage": leverage, "slippage": slippage, "capital": 100.0}
    markets = {name: {**market, "taker_fee": 0.0005} for name, market in MARKETS.items()}
    run = scenario(populations={**POPULATIONS, "holder": bold}, markets=markets)
    simulation = Simulation(run, 1)
    simulation.run(simulation.num_steps)
    size = simulation.state.position["size"][simulation.roster.rows_of("holder")]
    assert (size.any(axis=1)).mean() > 0.8


def test_an_entry_leaves_no_more_than_the_stated_leverage():
    run = scenario(days=0.5, spot={"kind": "constant"})
    simulation = Simulation(run, 1)
    simulation.run(simulation.num_steps)
    state = simulation.state
    rows = simulation.roster.rows_of("holder")
    notional = np.abs(state.position["size"] * state.market["mark_ticks"])[rows].sum(axis=1) * 1e-4
    leverage = [n / equity(simulation, rows.start + k) for k, n in enumerate(notional)]
    assert max(leverage) < 4.0
    assert np.median(leverage) > 0.9 * 4.0


def test_defaults_are_within_their_bounds():
    assert Holder() == Holder.model_validate({})
    assert 0.0 < Holder().long_share < 1.0

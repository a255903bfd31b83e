"""Habits all strategies share: attention, and the choice of a market."""

import math

import numpy as np
import pytest

from marketsim.agents import habits
from marketsim.agents.base import STOPPED, Public
from marketsim.engine.records import records
from marketsim.engine.state import ATOMS, UNLIMITED, Flag, IntentKind
from marketsim.run.simulation import Simulation
from marketsim.streams import asset_key
from tests.agents.small import POPULATIONS, ask, coins, give, only, prices, scenario, set_price

everyone = pytest.mark.parametrize("strategy", list(POPULATIONS))

STEPS = 1500
COUNT = 200


def who_wakes(simulation, t):
    """Let the traders of the first population who wake in step `t` look; list them."""
    traders = simulation.traders
    found: list[int] = []
    i = 0
    while i < COUNT:
        count, i = habits.wake(simulation.state, traders, 0, i, t, 1)
        assert count <= habits.AT_ONCE
        found += traders.awake[:count].tolist()
    return found


@pytest.mark.parametrize("attention", [3.0, 10.0, 60.0])
def test_attention_is_the_mean_waiting_time(attention):
    simulation = only("noise", count=COUNT, attention=attention)
    traders = simulation.traders
    traders.next_wake[:] = 0
    looks = 0
    for t in range(STEPS):
        count = len(who_wakes(simulation, t))
        assert (traders.next_wake > t).all()
        looks += count
    # Whole steps: an exponential wait rounded up is half a step longer.
    expected = 1.0 / -math.expm1(-1.0 / attention)
    assert abs(expected - attention) < 0.53
    # Everybody looks at the start, then again and again.
    assert looks == pytest.approx(COUNT * (1.0 + (STEPS - 1) / expected), rel=0.03)


def test_waiting_times_are_irregular_and_each_traders_own():
    simulation = only("noise", count=COUNT, attention=20.0)
    traders = simulation.traders
    traders.next_wake[:] = 0
    assert who_wakes(simulation, 0) == list(range(COUNT))
    wait = np.array(traders.next_wake)
    assert len(np.unique(wait)) > 30
    # Exponential: the standard deviation is the mean.
    assert wait.std() == pytest.approx(wait.mean(), rel=0.25)


def test_who_looks_once_never_wakes_again():
    simulation = only("holder", count=COUNT, attention="never")
    traders = simulation.traders
    traders.next_wake[:] = 0
    assert who_wakes(simulation, 0) == list(range(COUNT))
    assert (traders.next_wake == UNLIMITED).all()
    assert who_wakes(simulation, 10**6) == []


def test_first_looks_are_spread_over_one_attention_span():
    patient = {**POPULATIONS["holder"], "count": COUNT, "attention": 480.0}
    once = {**patient, "attention": "never"}
    simulation = Simulation(scenario(populations={"patient": patient, "once": once}), 1)
    first = np.array(simulation.traders.next_wake, float)
    for rows, mean in (("patient", 480.0), ("once", 1440.0)):
        wait = first[simulation.roster.rows_of(rows)]
        assert abs(wait.mean() - mean) < 4.0 * mean / math.sqrt(COUNT)


def test_market_choice_follows_the_weights_and_skips_weight_zero():
    weight = np.array([0.2, 0.0, 0.5, 0.3])
    traders = with_markets(weight)
    chosen = [habits.pick_market(traders, 0, 0, t, 1) for t in range(4000)]
    share = np.bincount(chosen, minlength=4) / len(chosen)
    assert np.abs(share - weight).max() < 4.0 * math.sqrt(0.25 / len(chosen))
    assert share[1] == 0.0


def test_a_market_more_changes_a_choice_only_to_that_market():
    few, more = with_markets([0.2, 0.5]), with_markets([0.2, 0.5, 0.3])
    chosen = [[habits.pick_market(each, 0, 0, t, 1) for t in range(200)] for each in (few, more)]
    assert all(there in (here, 2) for here, there in zip(*chosen, strict=True))
    assert 0 < chosen[1].count(2) < 200


def test_the_place_of_a_market_in_the_list_changes_no_choice():
    here = with_markets([0.2, 0.5, 0.3])
    there = with_markets([0.3, 0.2, 0.5], keys=[2, 0, 1])
    for t in range(200):
        place = habits.pick_market(there, 0, 0, t, 1)
        assert [2, 0, 1][place] == habits.pick_market(here, 0, 0, t, 1)


def with_markets(weight, keys=None):
    """Traders of one population who trade markets with these weights, known by these keys."""
    public = records(Public, len(weight))
    public["key"] = [asset_key(f"M{k}") for k in keys or range(len(weight))]
    return only("noise").traders._replace(weight=np.array([weight]), public=public)


def minded(strategy, coins_held=100.0, **habits):
    """A trader of a strategy who stands by coins it bought at 100 USD."""
    simulation = only(strategy, count=2, **{"buffer": 0.0, "spot_hedge": 0.0, **habits})
    simulation.state.pool["cash"][:2] = 10_000 * ATOMS
    give(simulation, 0, coins_held)
    return simulation


@everyone
@pytest.mark.parametrize("side", [1, -1])
def test_every_strategy_stops_out_and_does_nothing_else_then(strategy, side):
    simulation = minded(strategy, 100.0 * side, stop_loss=0.05)
    set_price(simulation, 100.0 - 5.01 * side)
    (order,) = ask(simulation, 0)
    assert order["flags"] == Flag.REDUCE_ONLY | Flag.IMMEDIATE
    assert coins(simulation, order) == -100.0 * side
    assert simulation.traders.memory[0, 0, STOPPED] == side


@everyone
def test_every_strategy_cuts_a_thin_cross_position(strategy):
    simulation = minded(strategy, 300.0, buffer=4.0)
    # Equity 1,000, maintenance 210, wanted 1,050.
    set_price(simulation, 70.0)
    (order,) = ask(simulation, 0)
    assert order["flags"] == Flag.REDUCE_ONLY | Flag.IMMEDIATE
    assert coins(simulation, order) == pytest.approx(-300.0 * (1.0 - 1000.0 / 1050.0), abs=0.01)


@everyone
def test_every_strategy_tops_an_isolated_pool_up(strategy):
    simulation = minded(strategy, buffer=4.0, margin_mode="isolated")
    state = simulation.state
    state.pool[0].cash -= 500 * ATOMS
    state.pool[int(state.position[0, 0].pool)].cash += 500 * ATOMS
    # 100 coins at 99: pool equity 400, maintenance 99, wanted 495.
    set_price(simulation, 99.0)
    (order,) = ask(simulation, 0)
    assert order["kind"] == IntentKind.TRANSFER
    assert order["size"] == 95 * ATOMS


@pytest.mark.parametrize(
    ("position", "held", "wanted"),
    [
        (-100.0, 0.0, 100.0),
        (100.0, 0.0, 0.0),
        (-100.0, 98.5, 0.0),
        (-100.0, 97.0, 3.0),
        (0.0, 40.0, -40.0),
        (-10.0, 40.0, -30.0),
    ],
)
def test_a_spot_hedge_covers_shorts_within_a_band(position, held, wanted):
    simulation = only("holder", count=2, spot_hedge=1.0)
    simulation.state.spot[0, 0] = round(held / 0.01)
    simulation.state.totals[0].num_intents = 0
    habits.hedge_with_spot(simulation.state, simulation.traders, 0, 0, position)
    intents = simulation.state.intent[: simulation.state.totals[0].num_intents]
    assert (intents["kind"] == IntentKind.SPOT).all()
    assert coins(simulation, intents).sum() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("held", "target", "change", "reduces"),
    [
        (0.0, 80.0, 20.0, False),
        (70.0, 80.0, 10.0, False),
        (-30.0, 80.0, 50.0, False),
        (80.0, 20.0, -60.0, True),
        (-80.0, 0.0, 80.0, True),
    ],
)
def test_a_position_grows_in_tranches_and_shrinks_at_once(held, target, change, reduces):
    simulation = only("holder", count=2, tranches=4, slippage=0.02)
    if held:
        give(simulation, 0, held)
    simulation.state.totals[0].num_intents = 0
    habits.move_position(simulation.state, simulation.traders, 0, 0, target)
    (order,) = simulation.state.intent[: simulation.state.totals[0].num_intents]
    assert coins(simulation, order) == pytest.approx(change)
    assert bool(order["flags"] & Flag.REDUCE_ONLY) == reduces
    assert prices(simulation, order) == pytest.approx(102.0 if change > 0 else 98.0)


def test_a_depeg_liquidates_who_holds_stablecoins_and_not_who_holds_cash():
    trader = {**POPULATIONS["holder"], "count": 10, "leverage": 10.0, "slippage": 0.001}
    trader["parameters"] = {"long_share": 1.0, "holding_hours": 1e9}
    populations = {
        **{name: POPULATIONS[name] for name in ("maker", "basis")},
        "cash": trader,
        "stable": {**trader, "stable_share": 0.8},
    }
    # A fall by 7 % leaves three tenths of the equity, of which the depeg takes most or nothing.
    shocks = [
        {"kind": "jump", "at": 4, "size": -0.07},
        {"kind": "depeg", "at": 4.5, "size": -0.3},
    ]
    run = scenario(populations=populations, shocks=shocks)
    simulation = Simulation(run, 1)
    simulation.run(265)
    assert len(simulation.result().liquidation) == 0
    simulation.run(30)
    closed = set(simulation.result().liquidation["account"].tolist())
    rows = {name: simulation.roster.rows_of(name) for name in ("cash", "stable")}
    assert (simulation.state.position["size"][rows["cash"]] > 0).any(axis=1).all()
    assert closed == set(range(rows["stable"].start, rows["stable"].stop))

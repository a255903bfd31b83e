from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import TypeAdapter

from marketsim.engine.allocation import allocate
from marketsim.engine.index import update_index
from marketsim.engine.spot import move_spot
from marketsim.engine.state import NONE
from marketsim.scenario.build_world import build_world
from marketsim.scenario.shocks import AnyShock
from marketsim.scenario.spot_model import Source, Spot
from marketsim.streams import draw_news


def set_up(spot, *tables):
    shocks = [TypeAdapter(AnyShock).validate_python(table) for table in tables]
    markets = {"A": SimpleNamespace(price=100.0), "B": SimpleNamespace(price=50.0)}
    world = build_world(spot, shocks, markets, step_minutes=1.0)
    state = allocate(1, 2, 2)
    state.market["tick_size"] = 0.01
    assert update_index(world, state, NONE) == NONE
    return world, state


def constant(median=False, **weights):
    sources = {name: Source(weight=weight) for name, weight in weights.items()}
    return Spot(kind="constant", median=median, sources=sources)


def outage(factor, **changes):
    wrong = {"mode": "wrong", "factor": factor}
    return (
        {"kind": "outage", "at": 0, "source": "x", "minutes": 2, "markets": ["A"]} | wrong | changes
    )


def step(world, state, t=0):
    draw_news(1, t, world)
    assert move_spot(world, state, t) == NONE
    assert update_index(world, state, t) == NONE
    return state.market["index_price"].tolist()


def test_sources_that_agree_give_the_spot_price_to_the_last_bit():
    world, state = set_up(constant(x=0.1, y=0.2, z=0.7))
    assert state.market["index_price"].tolist() == [100.0, 50.0]
    assert state.market["index_ticks"].tolist() == [10_000, 5_000]
    assert world.asset["spread"].tolist() == [0.0, 0.0]


def test_mean_weighs_sources_by_volume_by_hand():
    world, state = set_up(constant(x=1, y=3), outage(0.8))
    assert step(world, state) == pytest.approx([95.0, 50.0], rel=1e-15)
    assert world.asset["spread"][0] == pytest.approx(20 / 95)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"x": 1}, 80.0),
        ({"x": 1, "y": 1}, 90.0),
        ({"x": 8, "y": 1, "z": 1}, 100.0),
        ({"w": 1, "x": 1, "y": 1, "z": 1}, 100.0),
    ],
)
def test_median_takes_the_middle_whatever_the_weights(weights, expected):
    world, state = set_up(constant(median=True, **weights), outage(0.8))
    assert step(world, state) == [expected, 50.0]


def test_median_orders_many_different_sources():
    sources = {f"s{k}": Source(deviation=0.01) for k in range(8)}
    world, state = set_up(Spot(sources=sources, median=True))
    for t in range(50):
        index = step(world, state, t)
        prices = world.source["price"].reshape(2, 8)
        assert index == np.median(prices, axis=1).tolist()
        assert len(set(prices[0].tolist())) == 8


def test_a_wrong_source_recovers_after_its_outage():
    world, state = set_up(constant(x=1, y=1), outage(2.0))
    assert [step(world, state, t)[0] for t in range(4)] == [150.0, 150.0, 100.0, 100.0]


def test_a_stale_source_keeps_its_last_price_while_others_move():
    world, state = set_up(
        constant(x=1, y=1),
        outage(1.0, mode="stale", at=1 / 60),
        {"kind": "jump", "at": 1 / 60, "size": -0.5},
    )
    assert [step(world, state, t)[0] for t in range(4)] == [100.0, 75.0, 75.0, 50.0]
    assert state.market["index_price"][1] == 25.0


def test_deviations_revert_and_have_their_stated_size():
    spot = Spot(sources={"x": Source(deviation=0.002, half_life_minutes=5.0)})
    world, state = set_up(spot)
    seen = []
    for t in range(20_000):
        draw_news(3, t, world)
        update_index(world, state, t)
        seen.append(world.source["deviation"].copy())
    series = np.array(seen)
    assert series.std(axis=0) == pytest.approx(0.002, rel=0.1)
    memory = [np.corrcoef(one[5:], one[:-5])[0, 1] for one in series.T]
    assert memory == pytest.approx([0.5, 0.5], abs=0.06)
    assert abs(np.corrcoef(series.T)[0, 1]) < 0.1


def test_the_opening_index_draws_no_deviation():
    world, state = set_up(Spot(sources={"x": Source(deviation=0.01)}))
    assert state.market["index_price"].tolist() == [100.0, 50.0]
    assert (world.source["deviation"] == 0.0).all()


@pytest.mark.parametrize(("price", "ticks"), [(99.994, 9999), (99.996, 10_000), (0.014, 1)])
def test_index_ticks_are_the_nearest(price, ticks):
    world, state = set_up(constant(x=1))
    world.asset["base"][0] = price
    step(world, state)
    assert state.market["index_ticks"][0] == ticks


def test_an_index_below_one_tick_is_reported():
    world, state = set_up(constant(x=1), outage(1e-5))
    move_spot(world, state, 0)
    assert update_index(world, state, 0) == 0

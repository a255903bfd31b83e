"""The market maker: Avellaneda-Stoikov quotes as a ladder."""

import math

import numpy as np
import pytest

from marketsim.agents.maker import Maker, optimal_spread, reservation_price
from marketsim.engine.state import ATOMS, NONE, Flag, IntentKind
from marketsim.run.simulation import Simulation
from tests.agents.small import POPULATIONS, ask, coins, give, only, prices, scenario

LEVELS = int(Maker().levels)
REACH = Maker().reach


def maker(**parameters):
    """One maker with 1e6 USD at leverage 4, and one more that only takes the other side."""
    return only("maker", count=2, parameters=parameters)


def ladder(simulation, side):
    """Sizes and prices of the orders account 0 would rest on a side, best first."""
    simulation.traders.memory[:] = 0.0  # it would keep quotes that still fit
    intents = ask(simulation, 0)
    orders = intents[(intents["kind"] == IntentKind.ORDER) & (intents["flags"] == Flag.POST_ONLY)]
    mine = orders[orders["size"] * side > 0]
    mine = mine[np.argsort(-side * mine["price"])]
    return np.abs(coins(simulation, mine)), prices(simulation, mine)


def test_reservation_price_and_spread_are_the_published_formulas():
    # gamma .1, sigma 2, k 1.5: 1.6908 at the start (T = 1), 1.2908 at the end, 1.49 on average.
    assert reservation_price(100.0, 3.0, 0.1, 4.0) == pytest.approx(98.8, rel=1e-12)
    assert reservation_price(100.0, -3.0, 0.1, 4.0) == pytest.approx(101.2, rel=1e-12)
    left = np.linspace(1.0, 0.0, 201)
    spread = [optimal_spread(0.1, 4.0 * tau, 1.5) for tau in left]
    assert spread[0] == pytest.approx(0.4 + 20.0 * math.log(1.0 + 0.1 / 1.5), rel=1e-12)
    assert spread[-1] == pytest.approx(1.2908, abs=5e-5)
    assert np.mean(spread) == pytest.approx(1.49, abs=0.005)


def test_quotes_earn_what_avellaneda_and_stoikov_published():
    """Card B2: T 1, sigma 2, dt .005, k 1.5, A 140, gamma .1, from 1000 paths."""
    rng = np.random.default_rng(8)
    gamma, sigma, dt, decay, rate = 0.1, 2.0, 0.005, 1.5, 140.0
    num_paths = 1000
    mid = np.full(num_paths, 100.0)
    cash = np.zeros(num_paths)
    held = np.zeros(num_paths)
    for step in range(200):
        variance = sigma**2 * (1.0 - step * dt)
        half = 0.5 * optimal_spread(gamma, variance, decay)
        center = [reservation_price(*pair, gamma, variance) for pair in zip(mid, held, strict=True)]
        for side in (1.0, -1.0):
            quote = np.array(center) - side * half
            filled = rng.random(num_paths) < rate * dt * np.exp(-decay * side * (mid - quote))
            held += side * filled
            cash -= side * filled * quote
        mid += sigma * math.sqrt(dt) * rng.choice((-1.0, 1.0), num_paths)
    profit = cash + held * mid
    # Both numbers come from 1000 paths: four standard errors of their difference.
    assert profit.mean() == pytest.approx(64.96, abs=4.0 * 6.51 * math.sqrt(2.0 / 1000))
    assert profit.std() == pytest.approx(6.51, abs=4.0 * 6.51 / math.sqrt(1000))
    assert held.std() == pytest.approx(2.94, abs=4.0 * 2.94 / math.sqrt(1000))


def test_ladder_is_symmetric_without_inventory_and_uses_its_capacity():
    simulation = maker()
    bid_size, bid = ladder(simulation, 1)
    ask_size, offer = ladder(simulation, -1)
    assert len(bid) == len(offer) == LEVELS
    assert np.array_equal(bid_size, ask_size)
    assert 100.0 - bid == pytest.approx(offer - 100.0, abs=0.011)
    # 1e6 USD x leverage 4 at 100 USD, rounded down to lots level by level.
    assert 40_000.0 - 0.01 * LEVELS < bid_size.sum() <= 40_000.0


def test_depth_grows_with_distance_out_to_the_reach():
    size, price = ladder(maker(), 1)
    assert (np.diff(size) > 0).all()
    assert size == pytest.approx(size[0] * np.arange(1, LEVELS + 1), abs=0.1)
    distance = 100.0 - price
    assert distance[-1] == pytest.approx(100.0 * REACH, abs=0.02)
    # Geometric steps; nearer to mid, whole ticks are too coarse to see them.
    ratio = distance[4:] / distance[3:-1]
    assert ratio == pytest.approx(ratio[-1], rel=0.05)
    assert ratio[-1] > 2.0


def test_best_quotes_stand_half_the_optimal_spread_from_the_reservation_price():
    simulation = maker(arrival_decay=100.0, risk_aversion=2.0)
    variance = float(simulation.traders.public[0].variance) * Maker().horizon_minutes
    half = 0.5 * optimal_spread(2.0, variance, 100.0)
    assert half > 0.005
    assert ladder(simulation, 1)[1][0] == pytest.approx(100.0 * (1.0 - half), abs=0.011)
    assert ladder(simulation, -1)[1][0] == pytest.approx(100.0 * (1.0 + half), abs=0.011)


@pytest.mark.parametrize("side", [1, -1])
def test_inventory_moves_both_quotes_and_shrinks_the_side_that_adds_to_it(side):
    strong = {"risk_aversion": 500.0, "arrival_decay": 100.0}
    flat, skewed = maker(**strong), maker(**strong)
    give(skewed, 0, 10_000.0 * side)  # a quarter of capacity: five clips of twenty
    variance = float(flat.traders.public[0].variance) * Maker().horizon_minutes
    shift = -5.0 * side * 500.0 * variance * 100.0
    assert abs(shift) > 0.5
    for quotes in (1, -1):
        moved = ladder(skewed, quotes)[1][0] - ladder(flat, quotes)[1][0]
        assert moved == pytest.approx(shift, abs=0.021)
    assert ladder(flat, side)[0].sum() == pytest.approx(40_000.0, abs=0.1)
    assert ladder(skewed, side)[0].sum() == pytest.approx(30_000.0, abs=0.1)
    assert ladder(skewed, -side)[0].sum() == pytest.approx(50_000.0, abs=0.1)


def test_quotes_stand_around_the_average_basis_not_the_last_price():
    simulation = maker()
    simulation.traders.public[0].basis = 0.01
    bid = ladder(simulation, 1)[1][0]
    offer = ladder(simulation, -1)[1][0]
    assert 0.5 * (bid + offer) == pytest.approx(101.0, abs=0.011)


def test_full_inventory_leaves_nothing_on_its_side_and_sells_the_excess():
    simulation = maker()
    give(simulation, 0, 40_000.0)
    intents = ask(simulation, 0)
    orders = intents[intents["kind"] == IntentKind.ORDER]
    assert (orders["size"] < 0).all()
    cut = orders[orders["flags"] == Flag.REDUCE_ONLY | Flag.IMMEDIATE]
    # Beyond 80 % of the limit: a fifth of 40,000 coins.
    assert coins(simulation, cut).tolist() == [-8_000.0]


def test_depth_shock_withdraws_orders():
    whole = ladder(maker(), 1)[0]
    shocked = maker()
    shocked.state.market[0].depth_factor = 0.1
    assert ladder(shocked, 1)[0] == pytest.approx(0.1 * whole, abs=0.011)
    none = maker()
    none.state.market[0].depth_factor = 0.0
    intents = ask(none, 0)
    assert intents["kind"].tolist() == [IntentKind.CANCEL]


def test_a_scheduled_depth_shock_empties_the_book_and_gives_it_back():
    shock = {"kind": "depth", "at": 1.0, "factor": 0.05, "minutes": 60}
    run = scenario(shocks=[shock], populations={"maker": POPULATIONS["maker"]})
    simulation = Simulation(run, 1)
    volume = []
    for _ in range(3):
        simulation.run(50)
        volume.append(resting_lots(simulation.state))
    assert volume[1] == pytest.approx(0.05 * volume[0], rel=0.01)
    assert volume[2] == volume[0]


def resting_lots(state):
    """Lots in all books, order by order."""
    lots = 0
    for first in state.position["first_order"].ravel():
        k = first
        while k != NONE:
            lots += int(state.order[k].size)
            k = state.order[k].own_next
    return lots


def test_volatility_above_the_calm_level_thins_the_ladder():
    whole = ladder(maker(), 1)[0].sum()
    wild = maker()
    wild.traders.public[0].variance *= 4.0
    assert ladder(wild, 1)[0].sum() == pytest.approx(0.5 * whole, rel=1e-3)
    quiet = maker()
    quiet.traders.public[0].variance *= 0.25
    assert ladder(quiet, 1)[0].sum() == pytest.approx(whole, rel=1e-3)


def test_losses_thin_the_ladder_and_ruin_ends_it():
    simulation = maker()
    simulation.state.pool[0].cash = 250_000 * ATOMS
    assert ladder(simulation, 1)[0].sum() == pytest.approx(10_000.0, abs=0.1)
    ruined = maker()
    ruined.state.pool[0].cash = -1
    assert ask(ruined, 0)["kind"].tolist() == [IntentKind.CANCEL]


def test_quotes_stay_until_something_moves():
    simulation = maker()
    assert len(ask(simulation, 0)) == 1 + 2 * LEVELS
    assert len(ask(simulation, 0)) == 0
    give(simulation, 0, 1.0)
    assert len(ask(simulation, 0)) == 1 + 2 * LEVELS
    simulation.state.market[0].depth_factor = 0.9
    assert len(ask(simulation, 0)) == 1 + 2 * LEVELS
    simulation.state.market[0].index_price = 100.001
    assert len(ask(simulation, 0)) == 0
    simulation.state.market[0].index_price = 100.1
    assert len(ask(simulation, 0)) == 1 + 2 * LEVELS

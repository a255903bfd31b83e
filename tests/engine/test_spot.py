import math
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from marketsim.engine.allocation import allocate
from marketsim.engine.index import update_index
from marketsim.engine.spot import move_spot, shock_share
from marketsim.engine.state import MAX_PRICE_TICKS, NONE, ONE
from marketsim.scenario.build_world import build_world, rule_changes
from marketsim.scenario.history import HistoryPath
from marketsim.scenario.shocks import AnyShock, unknown_names
from marketsim.scenario.spot_model import Factor, Jumps, MarketSpot, Own, Scale, Spot
from marketsim.streams import draw_news
from tests.uncompiled import print_both_ways

PRICES = {"BTC": 100_000.0, "XRP": 2.5, "DOGE": 0.25}
TICKS = {"BTC": 0.1, "XRP": 1e-4, "DOGE": 1e-5}
QUIET = Factor(volatility=0.0, stress_per_day=0.0, clustering=0.0, jumps=Jumps())
STILL = Own(volatility=0.0, jumps=Jumps())


#: So many assets that have nothing in common are so many histories at once.
MANY = 1000


def many_worlds(own, step_minutes):
    markets = {f"M{m}": SimpleNamespace(price=1.0) for m in range(MANY)}
    world = build_world(Spot(factor=QUIET, own=own), [], markets, step_minutes=step_minutes)
    state = allocate(1, MANY, 2)
    state.market["tick_size"] = 1e-6
    return world, state


def shocks_of(*tables):
    adapter = TypeAdapter(AnyShock)
    return [adapter.validate_python(table) for table in tables]


def set_up(spot, shocks=(), names=("BTC", "XRP", "DOGE"), step_minutes=1.0, history=None):
    markets = {name: SimpleNamespace(price=PRICES[name]) for name in names}
    world = build_world(spot, shocks, markets, step_minutes=step_minutes, history=history)
    state = allocate(1, len(names), 2)
    state.market["tick_size"] = [TICKS[name] for name in names]
    assert update_index(world, state, NONE) == NONE
    return world, state


def run(world, state, num_steps, seed=1):
    """Return prices (T + 1, M) of a run that never leaves the range of prices."""
    price = [world.asset["price"].copy()]
    for t in range(num_steps):
        draw_news(seed, t, world)
        assert move_spot(world, state, t) == NONE
        assert update_index(world, state, t) == NONE
        price.append(world.asset["price"].copy())
    return np.array(price)


def test_constant_prices_stay_to_the_last_bit():
    world, state = set_up(Spot(kind="constant"))
    assert (run(world, state, 50) == list(PRICES.values())).all()


def test_adding_a_market_changes_nobody_elses_news():
    alone = run(*set_up(Spot(), names=("XRP",)), 500)
    among = run(*set_up(Spot(), names=("BTC", "XRP", "DOGE")), 500)
    assert (alone[:, 0] == among[:, 1]).all()


def test_another_seed_brings_other_news():
    assert (run(*set_up(Spot()), 5)[1:] != run(*set_up(Spot()), 5, seed=2)[1:]).all()


def test_factor_and_own_volatility_and_betas_are_those_stated():
    calm = {"clustering": 0.0}
    spot = Spot(
        factor=Factor(volatility=0.6, stress_per_day=0.0, jumps=Jumps(), **calm),
        own=Own(volatility=0.3, jumps=Jumps(), **calm),
        markets={"DOGE": MarketSpot(beta=2.0, volatility=0.0)},
    )
    returns = np.diff(np.log(run(*set_up(spot), 20_000)), axis=0)
    year = math.sqrt(365 * 24 * 60)
    sd = returns.std(axis=0) * year
    expected = np.array([math.hypot(0.6, 0.3), math.hypot(0.6, 0.3), 1.2])
    assert np.abs(sd / expected - 1).max() < 4 / math.sqrt(2 * 20_000)
    correlation = np.corrcoef(returns.T)
    assert correlation[0, 1] == pytest.approx(0.8, abs=4 * 0.36 / math.sqrt(20_000))
    assert correlation[0, 2] == pytest.approx(0.6 / math.hypot(0.6, 0.3), abs=0.01)


def test_expected_price_grows_by_the_drift():
    own = Own(volatility=0.8, drift=1.0, clustering=0.0, jumps=Jumps())
    world, state = many_worlds(own, 1440.0)
    growth = run(world, state, 365)[-1].mean() / math.e
    assert growth == pytest.approx(1.0, abs=4 * math.sqrt(math.expm1(0.64) / MANY))


def test_volatility_moves_on_each_of_its_scales_by_hand():
    scales = (Scale(half_life=2.0, share=3.0), Scale(half_life=0.5, share=1.0))
    factor = QUIET.model_copy(update={"clustering": 0.5, "scales": (Scale(half_life=1.0),)})
    own = Own(volatility=0.5, clustering=0.6, common_share=0.3, scales=scales, jumps=Jumps())
    world, state = set_up(Spot(factor=factor, own=own), names=("BTC",), step_minutes=15.0)
    world.scale["value"][:, :2] = [[0.4, 0.0], [1.2, -0.7]]
    world.scale["gauss"][:, :2] = [[0.9, 0.0], [-0.5, 2.0]]
    world.own_draw[0].gauss = 1.5
    move_spot(world, state, 0)

    def middle(before, gauss, half_life):
        memory = 0.5 ** (0.25 / half_life)
        return (before + memory * before + math.sqrt(1.0 - memory**2) * gauss) / 2.0

    def variance(half_life):
        return (1.0 + 0.5 ** (0.25 / half_life)) / 2.0

    common = middle(0.4, 0.9, 1.0)
    alone = math.sqrt(0.75) * middle(1.2, -0.5, 2.0) + math.sqrt(0.25) * middle(-0.7, 2.0, 0.5)
    total = -math.log(1.0 - 0.6) / 4.0
    log_volatility = math.sqrt(0.3 * total) * common + math.sqrt(0.7 * total) * alone
    mean = total * (0.3 * variance(1.0) + 0.7 * (0.75 * variance(2.0) + 0.25 * variance(0.5)))
    sd = 0.5 * math.sqrt(0.25 / 8760.0) * math.exp(log_volatility - mean)
    expected = 1e5 * math.exp(1.5 * sd - sd**2 / 2.0)
    assert world.asset[0].price == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("step_minutes", [20.0, 120.0])
def test_log_volatility_has_its_law_from_the_first_step_whatever_the_step(step_minutes):
    scales = tuple(Scale(half_life=h) for h in (0.5, 6.0, 72.0, 480.0))
    world, state = many_worlds(Own(scales=scales, common_share=0.0, jumps=Jumps()), step_minutes)
    seen = []
    for t in range(round(6 * 60 / step_minutes)):
        draw_news(4, t, world)
        if t == 0:
            seen.append(world.scale["value"][1:].copy())
        move_spot(world, state, t)
    seen.append(world.scale["value"][1:].copy())
    first, last = seen
    for value in seen:
        assert np.abs(value.mean(axis=0)).max() < 4.0 / math.sqrt(MANY)
        assert np.abs((value**2).mean(axis=0) - 1.0).max() < 4.0 * math.sqrt(2.0 / MANY)
    memory = np.array([2.0 ** (-6.0 / scale.half_life) for scale in scales])
    error = np.sqrt((1.0 + memory**2) / MANY)  # of a mean of products of two such normals
    assert (np.abs((first * last).mean(axis=0) - memory) < 4.0 * error).all()
    together = np.corrcoef(first, rowvar=False)[np.triu_indices(len(scales), 1)]
    assert np.abs(together).max() < 4.0 / math.sqrt(MANY)


@pytest.mark.parametrize(("half_life", "step_minutes"), [(1e6, 1.0), (6.0, 1440.0)])
def test_clustering_sets_the_kurtosis_and_leaves_the_mean_square(half_life, step_minutes):
    scales = (Scale(half_life=half_life),)
    own = Own(volatility=0.5, clustering=0.25, common_share=0.0, scales=scales, jumps=Jumps())
    world, state = many_worlds(own, step_minutes)
    returns = []
    for seed in range(30):  # a first step each: all independent
        world.asset["base"] = 1.0
        draw_news(seed, 0, world)
        assert move_spot(world, state, 0) == NONE
        returns.append(np.log(world.asset["price"]))
    x = np.concatenate(returns) / (0.5 * math.sqrt(step_minutes / (8760.0 * 60.0)))
    # over a step of many half-lives volatility averages out
    variance = -math.log(0.75) / 4.0 * (1.0 + 2.0 ** (-step_minutes / 60.0 / half_life)) / 2.0
    kurtosis = 3.0 * math.exp(4.0 * variance)
    assert half_life < 1e6 or kurtosis == pytest.approx(3.0 / 0.75, rel=1e-6)
    assert abs((x**2).mean() - 1.0) < 4.0 * math.sqrt((kurtosis - 1.0) / len(x))
    eighth = 105.0 * math.exp(24.0 * variance)
    assert abs((x**4).mean() - kurtosis) < 4.0 * math.sqrt((eighth - kurtosis**2) / len(x))


def test_common_share_lets_own_volatility_follow_the_factors():
    def returns(common_share, factor_value):
        own = Own(clustering=0.8, common_share=common_share, jumps=Jumps())
        world, state = set_up(Spot(factor=QUIET, own=own))
        draw_news(2, 0, world)
        world.own_draw["gauss"] = 1.0
        world.scale["value"][0] = factor_value
        before = world.asset["price"].copy()
        move_spot(world, state, 0)
        return np.log(world.asset["price"] / before)

    for value in (-1.0, 1.0):
        assert returns(1.0, value) == pytest.approx(np.repeat(returns(1.0, value)[0], 3))
    assert (returns(1.0, 1.0) > 2.0 * returns(1.0, -1.0)).all()
    assert (returns(0.5, 1.0) > 1.5 * returns(0.5, -1.0)).all()
    assert (returns(0.0, 1.0) == returns(0.0, -1.0)).all()
    assert len(set(returns(0.0, 1.0))) == 3


def test_without_clustering_volatility_is_constant():
    own = Own(volatility=0.5, clustering=0.0, jumps=Jumps())
    world, state = set_up(Spot(own=own, factor=Factor(volatility=0.0, jumps=Jumps())))
    for t in range(20):
        world.asset["base"] = 100.0
        draw_news(3, t, world)
        world.own_draw["gauss"] = 1.0
        move_spot(world, state, t)
        sd = 0.5 / math.sqrt(8760.0 * 60.0)
        assert world.asset["price"] == pytest.approx(100.0 * math.exp(sd - sd**2 / 2.0), rel=1e-14)


def test_a_market_put_first_changes_nobodys_news():
    one = run(*set_up(Spot(), names=("XRP", "DOGE")), 300)
    other = run(*set_up(Spot(), names=("BTC", "DOGE", "XRP")), 300)
    assert (one == other[:, [2, 1]]).all()


def test_stress_multiplies_the_factor_alone_and_raises_correlation():
    def correlation(stress_per_day):
        factor = Factor(
            volatility=0.3,
            clustering=0.0,
            stress_per_day=stress_per_day,
            stress_hours=1e6,
            stress_multiplier=4.0,
            jumps=Jumps(),
        )
        own = Own(volatility=0.6, clustering=0.0, jumps=Jumps())
        world, state = set_up(Spot(factor=factor, own=own))
        price = run(world, state, 5000)
        assert world.factor[0].stress == (stress_per_day > 0)
        return np.corrcoef(np.diff(np.log(price), axis=0).T)[0, 1]

    assert correlation(0.0) == pytest.approx(0.2, abs=0.06)
    assert correlation(1e6) == pytest.approx(0.8, abs=0.03)


def test_share_of_time_in_stress_follows_its_two_rates():
    factor = Factor(volatility=0.1, stress_per_day=12.0, stress_hours=2.0)
    world, state = set_up(Spot(factor=factor), names=("BTC",))
    stress = []
    for t in range(30_000):
        draw_news(5, t, world)
        move_spot(world, state, t)
        stress.append(world.factor[0].stress)
    assert np.mean(stress) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 * 120 / 30_000))


def test_jumps_arrive_at_their_rate_with_their_law():
    jumps = Jumps(
        per_day=144.0, law="double_exponential", up_share=0.25, up_mean=0.01, down_mean=0.03
    )
    world, state = set_up(Spot(factor=QUIET, own=Own(volatility=0.0, jumps=jumps)), names=("XRP",))
    world.asset["base"] = world.asset["price"] = 2.5
    sizes = []
    for t in range(20_000):
        world.asset["base"] = 2.5
        draw_news(9, t, world)
        assert move_spot(world, state, t) == NONE
        sizes.append(math.log(world.asset[0].price / 2.5))
    jump = np.array([size for size in sizes if size != 0.0])
    probability = -math.expm1(-0.1)
    assert len(jump) / 20_000 == pytest.approx(probability, abs=4 * math.sqrt(0.09 / 20_000))
    assert np.mean(jump > 0) == pytest.approx(0.25, abs=4 * math.sqrt(0.19 / len(jump)))
    assert jump[jump > 0].mean() == pytest.approx(0.01, rel=4 / math.sqrt((jump > 0).sum()))
    assert jump[jump < 0].mean() == pytest.approx(-0.03, rel=4 / math.sqrt((jump < 0).sum()))


def test_a_common_jump_moves_every_market_by_its_beta():
    factor = QUIET.model_copy(update={"jumps": Jumps(per_day=100.0, mean=-0.05, sd=0.0)})
    spot = Spot(factor=factor, own=STILL, markets={"DOGE": MarketSpot(beta=2.0)})
    returns = np.diff(np.log(run(*set_up(spot), 100)), axis=0)
    struck = np.abs(returns[:, 0]) > 1e-12
    assert 0 < struck.sum() < 30
    assert returns[struck] == pytest.approx(np.tile([-0.05, -0.05, -0.1], (struck.sum(), 1)))


def test_jumps_too_frequent_for_the_step_are_refused():
    spot = Spot(own=Own(jumps=Jumps(per_day=24.0)))
    with pytest.raises(ValueError, match=r"spot.own.jumps.per_day = 24: .* at most 4.8"):
        set_up(spot, names=("BTC",), step_minutes=60.0)


def test_a_history_is_replayed_to_the_last_bit():
    price = np.array([[1.0, 2.0], [1.1, 1.9], [0.3, 2.2], [0.7, 2.0]])
    path = HistoryPath(price, None, [])
    spot = Spot.model_validate({"kind": "history", "history": {"path": "x.csv"}})
    world, state = set_up(spot, names=("XRP", "DOGE"), history=path)
    assert (run(world, state, 3) == price).all()


def test_a_burst_stretches_the_returns_of_a_history():
    price = np.array([[1.0], [1.1], [1.21], [1.331]])
    spot = Spot.model_validate({"kind": "history", "history": {"path": "x.csv"}})
    burst = shocks_of({"kind": "volatility", "at": 1 / 60, "factor": 3.0, "minutes": 1})
    world, state = set_up(spot, burst, names=("XRP",), history=HistoryPath(price, None, []))
    moved = run(world, state, 3)[:, 0]
    assert moved == pytest.approx([1.0, 1.1, 1.1**4, 1.1**5])


def test_a_burst_multiplies_volatility_while_it_lasts():
    spot = Spot(factor=QUIET, own=Own(volatility=0.5, clustering=0.0, jumps=Jumps()))
    burst = shocks_of(
        {"kind": "volatility", "at": 0, "factor": 3.0, "minutes": 5, "fade_minutes": 0}
    )
    plain = np.diff(np.log(run(*set_up(spot), 10)), axis=0)
    wild = np.diff(np.log(run(*set_up(spot, burst), 10)), axis=0)
    assert wild[:5] == pytest.approx(3 * plain[:5], abs=1e-5)
    assert wild[5:] == pytest.approx(plain[5:], rel=1e-9)


def test_a_jump_strikes_its_markets_at_its_step_and_stays():
    jump = shocks_of({"kind": "jump", "at": 2 / 60, "size": -0.12, "markets": ["XRP"]})
    world, state = set_up(Spot(kind="constant"), jump)
    price = run(world, state, 5)
    assert price[:, 1] == pytest.approx([2.5, 2.5, 2.5, 2.2, 2.2, 2.2])
    assert (price[:, [0, 2]] == [PRICES["BTC"], PRICES["DOGE"]]).all()


def test_a_crash_falls_and_recovers_straight_in_log_price():
    crash = shocks_of(
        {
            "kind": "crash",
            "at": 0,
            "size": -0.19,
            "fall_minutes": 2,
            "hold_minutes": 1,
            "recovery_minutes": 2,
            "recovered": 0.5,
        }
    )
    price = run(*set_up(Spot(kind="constant"), crash), 7)[:, 0] / PRICES["BTC"]
    bottom = math.log(0.81)
    expected = np.exp(np.array([0, 0.5, 1, 1, 0.75, 0.5, 0.5, 0.5]) * bottom)
    assert price == pytest.approx(expected)


def test_two_shocks_at_once_multiply():
    both = shocks_of(
        {"kind": "jump", "at": 0, "size": -0.5}, {"kind": "jump", "at": 1 / 60, "size": 1.0}
    )
    price = run(*set_up(Spot(kind="constant"), both, names=("XRP",)), 2)[:, 0]
    assert price == pytest.approx([2.5, 1.25, 2.5])


def test_depth_withdrawal_sets_the_factor_and_gives_it_back():
    depth = shocks_of(
        {
            "kind": "depth",
            "at": 0,
            "factor": 0.2,
            "minutes": 2,
            "fade_minutes": 2,
            "markets": ["XRP"],
        }
    )
    world, state = set_up(Spot(kind="constant"), depth)
    seen = []
    for t in range(5):
        move_spot(world, state, t)
        seen.append(state.market["depth_factor"].tolist())
    assert [row[1] for row in seen] == pytest.approx([0.2, 0.2, 0.6, 1.0, 1.0])
    assert all(row[0] == row[2] == 1.0 for row in seen)


def test_without_scheduled_shocks_depth_and_stablecoin_are_left_alone():
    world, state = set_up(Spot())
    state.market["depth_factor"] = 0.5
    state.totals[0].stable_price = 7
    run(world, state, 2)
    assert (state.market["depth_factor"] == 0.5).all()
    assert state.totals[0].stable_price == 7


def test_a_depeg_moves_the_stablecoin_in_whole_billionths_and_back():
    depeg = shocks_of(
        {"kind": "depeg", "at": 0, "size": -0.1, "fall_minutes": 0, "recovery_minutes": 4}
    )
    world, state = set_up(Spot(kind="constant"), depeg)
    seen = []
    for t in range(6):
        move_spot(world, state, t)
        seen.append(int(state.totals[0].stable_price))
    assert seen == [900_000_000, 925_000_000, 950_000_000, 975_000_000, ONE, ONE]


def test_a_shock_never_acts_before_its_start():
    world, _ = set_up(Spot(kind="constant"), shocks_of({"kind": "jump", "at": 1.0, "size": 0.1}))
    assert shock_share(world.shock[0], 59) == 0.0
    assert shock_share(world.shock[0], 60) == 1.0
    assert shock_share(world.shock[0], 10**9) == 1.0


def test_spot_follows_the_perps_impact_by_the_reflexive_share():
    world, state = set_up(Spot(kind="constant", reflexivity=0.5), names=("XRP",))
    market = state.market[0]
    market.best_bid, market.best_ask = 24_990, 25_010  # the index itself: no impact
    move_spot(world, state, 0)
    assert world.asset[0].price == pytest.approx(2.5, rel=1e-14)
    market.best_bid, market.best_ask = 20_200, 20_300
    move_spot(world, state, 1)
    assert world.asset[0].price == pytest.approx(math.sqrt(2.5 * 2.025), rel=1e-14)
    move_spot(world, state, 2)  # the mid stays where it is: no echo
    assert world.asset[0].price == pytest.approx(math.sqrt(2.5 * 2.025), rel=1e-14)
    assert world.asset[0].fundamental == 2.5


def test_a_one_sided_book_leaves_the_reflexive_part_where_it_is():
    world, state = set_up(Spot(kind="constant", reflexivity=1.0), names=("XRP",))
    state.market[0].best_bid, state.market[0].best_ask = 22_500, 22_500
    move_spot(world, state, 0)
    state.market[0].best_bid = 0
    move_spot(world, state, 1)
    assert world.asset[0].price == pytest.approx(2.25, rel=1e-14)


@pytest.mark.parametrize(("tick", "side"), [(3.0, "below"), (2.5 / (MAX_PRICE_TICKS + 1), "above")])
def test_a_price_outside_the_ticks_is_reported_and_not_clamped(tick, side):
    world, state = set_up(Spot(kind="constant"))
    state.market["tick_size"][1] = tick
    assert move_spot(world, state, 0) == 1, side
    assert update_index(world, state, 0) == 1
    assert world.asset[1].price == 2.5


def test_a_price_that_is_not_a_number_is_reported():
    world, state = set_up(Spot(kind="constant"))
    world.asset[2].base = math.nan
    assert move_spot(world, state, 0) == 2


def test_rule_changes_are_listed_in_order_with_their_steps():
    shocks = shocks_of(
        {"kind": "rule", "at": 2, "field": "venue.mark", "value": "last"},
        {"kind": "jump", "at": 0, "size": 0.1},
        {"kind": "rule", "at": 1, "field": "venue.funding_cap", "value": 0.01},
    )
    changes = rule_changes(shocks, 5.0)
    assert changes == [(12, "venue.funding_cap", 0.01), (24, "venue.mark", "last")]


def test_unknown_markets_and_sources_are_named_with_the_nearest():
    spot = Spot(markets={"BTX": MarketSpot()})
    shocks = shocks_of(
        {"kind": "jump", "at": 0, "size": 0.1, "markets": ["BTC", "DOGGE"]},
        {"kind": "outage", "at": 0, "minutes": 1, "source": "frist"},
    )
    messages = unknown_names(spot, shocks, ["BTC", "XRP", "DOGE"])
    assert [message.split(";")[0] for message in messages] == [
        "spot.markets.BTX: there is no 'BTX' (did you mean 'BTC'?)",
        "shocks.0.markets: there is no 'DOGGE' (did you mean 'DOGE'?)",
        "shocks.1.source: there is no 'frist' (did you mean 'first'?)",
    ]
    with pytest.raises(ValueError, match="did you mean 'BTC'"):
        set_up(spot)


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "history"},
        {"reflexivity": 1.5},
        {"factor": {"clustering": 1.0}},
        {"own": {"volatility": float("nan")}},
        {"sources": {}},
        {"reflexivty": 0.1},
        {"history": {"path": "x.csv", "timezone": "Mars/Base"}},
        {"history": {"path": "x.csv", "high": "high"}},
        {"history": {"path": "x.csv", "format": "wide"}},
    ],
)
def test_spot_tables_that_make_no_sense_are_refused(table):
    with pytest.raises(ValidationError):
        Spot.model_validate(table)


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "jump", "at": 0, "size": -1.0},
        {"kind": "jump", "at": -1, "size": 0.1},
        {"kind": "outage", "at": 0, "minutes": 1, "source": "first", "mode": "wrong"},
        {"kind": "flood", "at": 0},
    ],
)
def test_shocks_that_make_no_sense_are_refused(table):
    with pytest.raises(ValidationError):
        shocks_of(table)


def test_a_burst_in_a_constant_market_is_refused():
    burst = shocks_of({"kind": "volatility", "at": 0, "factor": 3.0, "minutes": 5})
    with pytest.raises(ValueError, match="volatility shock does nothing"):
        set_up(Spot(kind="constant"), burst)


def test_spot_and_index_are_equal_with_and_without_the_compiler():
    code = """
from types import SimpleNamespace
from marketsim.engine.index import update_index
from marketsim.engine.spot import move_spot
from marketsim.engine.allocation import allocate
from marketsim.scenario.shocks import CrashShock
from marketsim.scenario.spot_model import Factor, Jumps, Own, Spot
from marketsim.scenario.build_world import build_world
from marketsim.streams import draw_news

jumps = Jumps(per_day=100, law="double_exponential")
factor = Factor(stress_per_day=50, stress_hours=1, jumps=Jumps(per_day=100))
spot = Spot(factor=factor, own=Own(jumps=jumps), reflexivity=0.3, median=True)
shocks = [CrashShock(kind="crash", at=0.5, size=-0.2)]
markets = {name: SimpleNamespace(price=2.5) for name in ("A", "B")}
world = build_world(spot, shocks, markets, step_minutes=1.0)
state = allocate(1, 2, 2)
state.market["tick_size"] = 1e-4
state.market["best_bid"], state.market["best_ask"] = 24_000, 24_100
for t in range(120):
    draw_news(7, t, world)
    move_spot(world, state, t)
    update_index(world, state, t)
    if t % 10 == 0:
        print([float(price).hex() for price in state.market["index_price"]], world.factor[0].stress)
print(world.scale["value"].tolist(), world.asset["spread"].tolist(), state.market["index_ticks"])
"""
    runs = print_both_ways(code)
    assert runs[0] == runs[1]
    assert len(runs[0].splitlines()) == 13

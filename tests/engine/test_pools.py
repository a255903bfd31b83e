"""Requirements and collateral, by hand; a lot is worth 100 USD."""

import pytest

from marketsim.engine import pools
from marketsim.engine.state import ATOMS, ONE
from tests.engine.small import PRICE, give_holdings, hold, open_venue, set_price, usd

#: Each amount keeps the requirement continuous: 1,000 x (.10 - .05), then + 5,000 x (.25 - .10).
TIERS = ((0, 0.1, 0.05, 0), (1000, 0.2, 0.1, 50), (5000, 0.5, 0.25, 800))


def maintenance(size, *, tiers=TIERS, price=PRICE):
    state = open_venue(tiers=tiers)
    set_price(state, price)
    return pools.maintenance_requirement(state, 0, size) / ATOMS


@pytest.mark.parametrize(
    ("lots", "expected"),
    [(0, 0), (1, 5), (9, 45), (10, 50), (11, 60), (49, 440), (50, 450), (51, 475), (100, 1700)],
)
def test_maintenance_follows_the_tiers(lots, expected):
    assert maintenance(lots) == maintenance(-lots) == expected


@pytest.mark.parametrize(("lots", "tier"), [(10, 1), (50, 2)])
def test_maintenance_is_continuous_where_a_tier_begins(lots, tier):
    assert maintenance(lots) == maintenance(lots, tiers=TIERS[:tier])
    assert maintenance(lots + 1) > maintenance(lots + 1, tiers=TIERS[:tier])


def test_a_rising_price_lifts_a_position_into_a_higher_tier():
    assert maintenance(9, price=11_111) == pytest.approx(9 * 111.11 * 0.05)
    assert maintenance(9, price=11_112) == pytest.approx(9 * 111.12 * 0.1 - 50)


def test_maintenance_is_rounded_up_to_the_atom():
    state = open_venue(tiers=((0, 0.1, 0.05, 0),), market={"tick_atoms": 1})
    set_price(state, 3)
    assert pools.maintenance_requirement(state, 0, 7) == 2  # 1.05


@pytest.mark.parametrize(
    ("lots", "own_fraction", "expected"),
    [(9, 0, 90), (10, 0, 200), (-10, 0, 200), (50, 0, 2500), (9, 0.25, 225), (9, 0.09, 90)],
)
def test_initial_margin_takes_the_tier_or_the_accounts_own_leverage(lots, own_fraction, expected):
    state = open_venue(tiers=TIERS)
    state.own_fraction[0, 0] = round(own_fraction * ONE)
    assert pools.initial_requirement(state, 0, 0, lots) == usd(expected)


@pytest.mark.parametrize(
    ("open_interest", "fraction"), [(0, 0.1), (10, 0.1), (20, 0.55), (30, 1.0), (99, 1.0)]
)
def test_initial_margin_rises_with_open_interest(open_interest, fraction):
    state = open_venue(market={"oi_lower_atoms": usd(1000), "oi_upper_atoms": usd(3000)})
    state.market[0].open_interest = open_interest
    pools.update_open_interest_ratios(state)
    assert pools.initial_requirement(state, 0, 0, 4) == usd(400 * fraction)
    assert pools.maintenance_requirement(state, 0, 4) == usd(20)


def test_open_interest_counts_at_the_mark_and_no_upper_cap_switches_the_scaling_off():
    state = open_venue(num_markets=2, market={"oi_lower_atoms": usd(1000), "open_interest": 20})
    state.market[0].oi_upper_atoms = usd(5000)
    set_price(state, PRICE, mark=15_000)
    pools.update_open_interest_ratios(state)
    assert [row.oi_ratio for row in state.market] == [ONE // 2, 0]


@pytest.mark.parametrize(
    ("spot_haircut", "stable_haircut", "stable_price", "expected"),
    [
        (1.0, 0.0, 1.0, 100),
        (0.2, 0.0, 1.0, 100 + 240),
        (0.2, 0.05, 1.0, 95 + 240),
        (0.2, 0.05, 0.5, 47.5 + 240),
        (0.0, 1.0, 1.0, 300),
    ],
)
def test_holdings_are_collateral_less_their_haircut(
    spot_haircut, stable_haircut, stable_price, expected
):
    state = open_venue(
        spot_haircut=round(spot_haircut * ONE), stable_haircut=round(stable_haircut * ONE)
    )
    give_holdings(state, 0, stable=100, coins=3)
    state.totals[0].stable_price = round(stable_price * ONE)
    assert pools.haircut_holdings(state, 0) == usd(expected)
    assert pools.haircut_holdings(state, 1) == 0


def test_haircut_is_rounded_against_the_account():
    state = open_venue(stable_haircut=1)
    state.stable[0] = 5
    assert pools.haircut_holdings(state, 0) == 4


def test_pool_counts_its_own_positions_and_only_the_main_pool_the_holdings():
    state = open_venue(num_markets=3, side_pools=[(0, 0, [1])], spot_haircut=0)
    for m, size in enumerate((2, -3, 4)):
        hold(state, 0, size, m=m)
    give_holdings(state, 0, coins=1)
    for m, price in enumerate((11_000, 12_000, 9_000)):
        set_price(state, price, m)
    for p in (0, 5):
        pools.assess_pool(state, p)
    # two longs gain 20 and lose 40, a coin gains 10; requirements do not net
    assert (state.pool[0].equity, state.pool[0].maintenance) == (usd(990), usd(0.05 * 580))
    assert (state.pool[5].equity, state.pool[5].maintenance) == (-usd(60), usd(0.05 * 360))
    assert pools.initial_margin(state, 0) == usd(58)
    assert pools.initial_margin(state, 5) == usd(36)


def test_free_margin_is_never_negative():
    state = open_venue((100,))
    assert pools.free_margin(state, 0) == usd(100)
    hold(state, 0, 4)
    assert pools.free_margin(state, 0) == usd(60)
    set_price(state, 8_000)
    assert pools.free_margin(state, 0) == 0

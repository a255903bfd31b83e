"""One linear position (card L6): liquidation and bankruptcy price in closed form, exactly."""

import math

import pytest

from marketsim.engine.allocation import allocate
from marketsim.engine.formulas.closing import liquidation_price
from marketsim.engine.formulas.requirements import is_liquidatable
from marketsim.engine.pools import assess_pool, bankruptcy_price
from marketsim.engine.state import ONE, State

#: Maintenance fraction .10, entry price 1: size, collateral, side, bankruptcy price.
WORKED = [
    (1.0, 2 / 3, 1, 1 / 3),
    (4.0, 8 / 3, -1, 5 / 3),
    (1.0, 2 / 19, 1, 17 / 19),
    (1.0, 10 / 99, -1, 109 / 99),
]
PUBLISHED = {1: [0.3704, 0.9942], -1: [1.5152, 1.0009]}
SHARE = 0.10

#: Ticks in the price 1, and atoms in one tick of one lot.
UNIT = 10**8
DEEP = 10**4


def closed_form(size: float, collateral: float, side: int) -> float:
    return liquidation_price(collateral - side * size, side * size, SHARE, 0.0)


def position_at(size: float, collateral: float, side: int, ticks: int) -> State:
    """The margin engine's view of the position when the mark is at `ticks`."""
    state = allocate(1, 1, 2)
    state.market[0].tick_atoms = DEEP
    state.market[0].mark_ticks = ticks
    state.tier[0, 0].maintenance_fraction = round(SHARE * ONE)
    state.position[0, 0].size = side * int(size)
    state.pool[0].cash = round((collateral - side * size) * UNIT * DEEP)
    assess_pool(state, 0)
    return state


@pytest.mark.parametrize(("size", "collateral", "side", "bankrupt"), WORKED)
def test_prices_of_a_lone_position_are_the_closed_form(
    size: float, collateral: float, side: int, bankrupt: float
):
    price = closed_form(size, collateral, side)
    assert price == pytest.approx(bankrupt / (1 - side * SHARE), rel=1e-9)


def test_prices_of_a_lone_position_are_the_published_ones():
    for side, published in PUBLISHED.items():
        prices = [closed_form(*case[:3]) for case in WORKED if case[2] == side]
        assert [round(price, 4) for price in prices] == published


@pytest.mark.parametrize(("size", "collateral", "side", "bankrupt"), WORKED)
def test_margin_engine_liquidates_one_tick_beyond_the_liquidation_price(
    size: float, collateral: float, side: int, bankrupt: float
):
    exact = closed_form(size, collateral, side) * UNIT
    safe, beyond = math.floor(exact), math.floor(exact) + 1
    if side > 0:
        safe, beyond = beyond, safe
    for ticks, expected in ((safe, False), (beyond, True)):
        pool = position_at(size, collateral, side, ticks).pool[0]
        assert bool(is_liquidatable(pool.equity, pool.maintenance)) == expected


@pytest.mark.parametrize(("size", "collateral", "side", "bankrupt"), WORKED)
def test_margin_engine_has_no_equity_left_at_the_bankruptcy_price(
    size: float, collateral: float, side: int, bankrupt: float
):
    stated = bankruptcy_price(position_at(size, collateral, side, UNIT), 0, 0)
    assert stated / UNIT == pytest.approx(bankrupt, rel=1e-9)
    assert bankrupt == pytest.approx(1 - side * collateral / size, rel=1e-9)
    ticks = round(bankrupt * UNIT)
    pool = position_at(size, collateral, side, ticks).pool[0]
    assert abs(pool.equity) <= size * DEEP

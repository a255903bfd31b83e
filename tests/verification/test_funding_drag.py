"""Card L8: funding costs a levered position its leverage times the rate, every interval."""

import pytest

from marketsim.engine import funding, ledger
from marketsim.engine.state import ATOMS, State
from tests.engine.small import hold, open_venue, set_price, settle_interval

#: Ticks of one USD: a lot is worth one, so that any leverage is met to a ten-millionth.
UNIT = 100
DEPOSIT = 10_000_000


def levered(leverage: float, **venue: float) -> State:
    """Account 0 long, account 1 short, at a price and a premium that never move."""
    state = open_venue((DEPOSIT, 10.0 * DEPOSIT), **venue)
    set_price(state, UNIT)
    size = round(leverage * DEPOSIT)
    hold(state, 0, size, UNIT)
    hold(state, 1, -size, UNIT)
    return state


def equity(state: State, i: int) -> float:
    return ledger.account_equity(state)[i] / ATOMS


def settle(state: State) -> None:
    funding.sample_premium(state)
    settle_interval(state)
    assert ledger.conservation_error(state) == 0


def relever(state: State, leverage: float) -> None:
    """Trade the long back to `leverage` times its equity, at the price."""
    change = round(leverage * equity(state, 0)) - int(state.position[0, 0].size)
    hold(state, 0, change, UNIT)
    hold(state, 1, -change, UNIT)


def lost_share(state: State) -> float:
    return 1.0 - equity(state, 0) / DEPOSIT


def test_one_basis_point_at_ten_times_costs_nine_per_cent_in_thirty_days():
    state = levered(10.0, interest_rate=1e-4, dead_band=5e-4)
    for _ in range(90):
        settle(state)
    assert lost_share(state) == pytest.approx(0.09, abs=1e-9)


def test_kept_at_ten_times_equity_it_costs_what_compounding_says():
    state = levered(10.0, interest_rate=1e-4, dead_band=5e-4)
    for _ in range(90):
        settle(state)
        relever(state, 10.0)
    assert lost_share(state) == pytest.approx(0.0861, abs=5e-5)
    assert lost_share(state) == pytest.approx(1.0 - (1.0 - 1e-3) ** 90, abs=1e-6)


@pytest.mark.parametrize("rate", [1e-4, 7.5e-4, -3e-4])
@pytest.mark.parametrize("leverage", [1.0, 3.0, 25.0])
def test_an_interval_costs_leverage_times_rate(leverage, rate):
    state = levered(leverage, interest_rate=rate)
    settle(state)
    assert lost_share(state) == pytest.approx(leverage * rate, abs=1e-12)
    # What the long pays the short receives.
    gained = equity(state, 1) - 10.0 * DEPOSIT
    assert gained == pytest.approx(leverage * rate * DEPOSIT, abs=1e-6)


def test_paying_hourly_costs_the_same_in_eight_small_parts():
    state = levered(10.0, interest_rate=1e-4, funding_share=0.125)
    for _ in range(720):
        settle(state)
    assert lost_share(state) == pytest.approx(0.09, abs=1e-9)

"""Nobody's leverage exceeds what the margin bracket of its position allows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketsim import PerpMarket, Trader
from marketsim.agents.habits import usable_leverage
from marketsim.engine.state import ATOMS
from marketsim.run.simulation import Simulation
from tests.agents.small import MARKET, POPULATIONS, only, scenario

#: 10x, from 1,000 USD on 5x, from 10,000 USD on 2x.
FRACTIONS = ((0.0, 0.1), (1_000.0, 0.2), (10_000.0, 0.5))
BRACKETS = [
    {
        "notional_floor": floor,
        "initial_margin_fraction": fraction,
        "maintenance_margin_fraction": fraction / 2,
    }
    for floor, fraction in FRACTIONS
]
MARKETS = {
    "ONE": {**MARKET, "price": 100.0, "tiers": BRACKETS},
    "TWO": {**MARKET, "price": 50.0, "tiers": BRACKETS},
}


def usable(equity: float, leverage: float) -> float:
    simulation = only("holder", markets={"ONE": MARKETS["ONE"]}, leverage=leverage)
    return float(usable_leverage(simulation.state, simulation.traders, 0, 0, equity))


@pytest.mark.parametrize(
    ("equity", "leverage", "expected"),
    [
        (50.0, 10.0, 10.0),  # 500 USD: the first bracket
        (150.0, 10.0, 1_000.0 / 150.0),  # 5x would be 750 USD, below the floor of that bracket
        (500.0, 10.0, 5.0),  # 2,500 USD
        (500.0, 4.0, 4.0),
        (3_000.0, 10.0, 10_000.0 / 3_000.0),  # 2x would be 6,000 USD
        (3_000.0, 3.0, 3.0),
        (20_000.0, 10.0, 2.0),
        (20_000.0, 0.2, 0.2),
        (0.0, 10.0, 10.0),
        (-5.0, 10.0, 10.0),
    ],
)
def test_usable_leverage_is_that_of_the_bracket(
    equity: float, leverage: float, expected: float
) -> None:
    assert usable(equity, leverage) == pytest.approx(expected)


@pytest.fixture(scope="module")
def one() -> Simulation:
    return only("holder", markets={"ONE": MARKETS["ONE"]}, leverage=10.0)


@given(equity=st.floats(1.0, 1e6), leverage=st.floats(0.1, 10.0))
def test_usable_leverage_is_the_largest_whose_margin_is_met(
    one: Simulation, equity: float, leverage: float
) -> None:
    one.traders.trader[0].leverage = leverage
    found = float(usable_leverage(one.state, one.traders, 0, 0, equity))

    def is_met(notional: float) -> bool:
        reached = [share for floor, share in FRACTIONS if notional >= floor]
        return notional * reached[-1] <= equity * (1.0 + 1e-5)

    assert found <= leverage
    assert is_met(found * equity * (1.0 - 1e-9))
    assert found == leverage or not is_met(found * equity * 1.001)


class Greedy(Trader):
    """Buys all that its bracket allows, and then asks for more at every step."""

    def step(self) -> None:
        size = self.equity / self.model.mid_price("ONE")
        for times in (50.0, 10.0, 5.0, 2.0, 1.0):
            self.buy("ONE", size * times)


def exceeding(simulation: Simulation, before: Any) -> list[tuple[int, int]]:
    """List the positions that grew although the pool is below its initial margin by bracket."""
    state, names = simulation.state, simulation.market_names
    brackets = [simulation.scenario.markets[name] for name in names]
    unit = state.market["mark_ticks"] * state.market["tick_atoms"] / ATOMS
    size = state.position["size"]
    found = []
    for i in range(simulation.roster.num_traders):
        for m in range(len(names)):
            if abs(int(size[i, m])) <= abs(int(before[i, m])):
                continue
            inside = state.position["pool"][i] == state.position["pool"][i, m]
            value = size[i] * unit * inside
            asked = sum(
                abs(usd) * market.bracket(abs(usd)).initial_margin_fraction
                for usd, market in zip(value, brackets, strict=True)
            )
            p = int(state.position["pool"][i, m])
            equity = int(state.pool[p].cash) / ATOMS + value.sum()
            if asked > equity + 1e-3:
                found.append((i, m))
    return found


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_no_trader_of_a_run_exceeds_the_leverage_of_its_bracket(mode: str) -> None:
    populations = {
        name: {**population, "leverage": 10.0, "margin_mode": mode}
        for name, population in POPULATIONS.items()
        if name != "carry"  # its coins back no position
    }
    greedy = {"strategy": "tests.agents.test_leverage:Greedy", "count": 3, "capital": 5e3}
    venue = {"mark": {"rule": "index"}, "funding": {"interval_hours": 8}}
    tables = {"markets": MARKETS, "venue": venue, "days": 0.5}
    market = PerpMarket(scenario(**tables, populations={**populations, "greedy": greedy}), rng=2)
    simulation = market.simulation
    for _ in range(200):
        before = simulation.state.position["size"].copy()
        market.step()
        assert not exceeding(simulation, before)
    # At 10x they would ask for 100,000 USD and more, which is refused: they take what is allowed.
    size = np.abs(simulation.state.position["size"]).sum(axis=1)
    for name in ("noise", "holder", "herd", "greedy"):
        assert (size[simulation.roster.rows_of(name)] > 0).mean() > 0.5, name

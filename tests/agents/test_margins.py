"""What the accounts of users' own traders are worth as they decide."""

from typing import Any

import numpy as np
import pytest

import marketsim
from marketsim import PerpMarket
from marketsim.agents.margins import assess_account
from marketsim.engine.pools import assess_pool, free_margin
from marketsim.engine.state import ATOMS
from tests.agents.small import HABITS, POPULATIONS, scenario

MINE = {
    **HABITS,
    "strategy": "mine",
    "count": 12,
    "capital": 1e4,
    "margin_mode": {"cross": 1, "isolated": 1, "partial": 1},
    "groups": {"one": {"markets": ["ONE"], "draw_limit": 0.5}},
}
POPULATION = {"maker": POPULATIONS["maker"], "noise": POPULATIONS["noise"], "mine": MINE}


def pools_of(state: Any, i: int) -> tuple[int, int]:
    """Equity and maintenance margin over all pools an account owns, atoms."""
    pools = np.flatnonzero(state.pool["owner"] == i)
    for p in pools.tolist():
        assess_pool(state, p)
    return int(state.pool["equity"][pools].sum()), int(state.pool["maintenance"][pools].sum())


class Vectorised(marketsim.Strategy):
    """Notes what it is shown, and trades."""

    def decide(self, market: Any, traders: Any) -> None:
        margins = zip(
            traders.equity.tolist(),
            traders.maintenance_margin.tolist(),
            traders.free_margin.tolist(),
            strict=True,
        )
        SEEN[market.step] = dict(zip(traders.account.tolist(), margins, strict=True))
        traders.move_to(np.where(traders.uniform(0) < 0.5, 30.0, -30.0)[:, None])


class Plain(marketsim.Trader):
    """Notes what it is shown of itself and of another, and trades."""

    def step(self) -> None:
        SEEN.setdefault(self.model.step_count, {})[self.account] = (
            self.equity,
            self.maintenance_margin,
            self.free_margin,
        )
        for name in self.model.markets:
            self.order(name, (30.0 if self.uniform(0) < 0.5 else -30.0) - self.size(name))


SEEN: dict[int, dict[int, Any]] = {}


@pytest.mark.parametrize("own", [Vectorised, Plain])
def test_traders_are_shown_all_their_pools_as_they_stand(own: type) -> None:
    SEEN.clear()
    given = scenario(populations=POPULATION, venue={"funding": {"interval_hours": 1}})
    market = PerpMarket(given, rng=3, strategies={"mine": own})
    market.run(10)
    market.set("populations.mine.margin_mode", "isolated")
    market.run(10)
    state, simulation = market.simulation.state, market.simulation
    rows = simulation.roster.rows_of("mine")
    for i in range(rows.start, rows.stop):
        equity, maintenance, free = assess_account(state, i)
        assert (equity, maintenance) == pools_of(state, i)
        assert free == free_margin(state, i)
    assert len(np.unique(state.position["pool"][rows])) > MINE["count"]
    assert sum(map(len, SEEN.values())) > 10 * MINE["count"]
    step, seen = max(SEEN.items())
    assert step == 19
    assert all(equity > maintenance > 0 for equity, maintenance, _ in seen.values())


def test_both_ways_are_shown_the_same() -> None:
    seen = []
    for own in (Vectorised, Plain):
        SEEN.clear()
        PerpMarket(scenario(populations=POPULATION), rng=3, strategies={"mine": own}).run(20)
        seen.append(dict(SEEN))
    assert seen[0] == seen[1]


def test_another_s_account_can_be_read_while_traders_decide() -> None:
    class Curious(marketsim.Trader):
        def step(self) -> None:
            other = next(each for each in self.model.agents if each.population == "maker")
            state = self.model.simulation.state
            assert other.equity == pools_of(state, other.account)[0] / ATOMS
            READ.append(other.equity)

    READ: list[float] = []
    given = scenario(populations={**POPULATION, "mine": {**MINE, "count": 1}})
    PerpMarket(given, rng=3, strategies={"mine": Curious}).run(5)
    assert len(READ) > 2

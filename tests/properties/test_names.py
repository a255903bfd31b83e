"""Places in a list do not matter: whole runs whose markets and populations stand in another order.

Luck is keyed by names, so a market put first, an idle one beside it, or populations in another
order leave every trader's choices and every price as they were, to the last bit.
"""

from functools import cache
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from tests.agents.small import MARKET, POPULATIONS
from tests.properties.profile import tried

MARKETS = {
    "ONE": {**MARKET, "price": 100.0},
    "TWO": {**MARKET, "price": 50.0},
    "THREE": {**MARKET, "price": 20.0},
}
IDLE = {"IDLE": {**MARKET, "price": 7.0}}
CROWD = {name: {**table, "markets": sorted(MARKETS)} for name, table in POPULATIONS.items()}
#: Nobody of them finds anybody to trade with.
LONELY = {"lonely": {**POPULATIONS["noise"], "markets": ["IDLE"]}}
STEPS = 180
COLUMNS = ("index_price", "mark_ticks", "last_ticks", "best_bid", "best_ask", "premium")
COUNTS = ("open_interest", "volume", "num_fills", "liquidated_atoms", "num_orders", "herd_index")

shown = dict[Any, list[Any]]


def lived(markets: list[str], populations: list[str], seed: int) -> shown:
    """Run a market of everybody; return what happened by name of market and population."""
    known, crowd = MARKETS | IDLE, CROWD | LONELY
    data = {
        "name": "names",
        "days": 1,
        "insurance_fund": 100_000.0,
        "markets": {name: known[name] for name in markets},
        "venue": {"funding": {"interval_hours": 1}},
        "spot": {"kind": "factor", "factor": {"volatility": 2.0}},
        "populations": {name: crowd[name] for name in populations},
    }
    simulation = Simulation(parse_scenario(data), seed)
    simulation.run(STEPS)
    series, state = simulation.result().series, simulation.state
    found: shown = {}
    for name in MARKETS:
        m = markets.index(name)
        for column in (*COLUMNS, *COUNTS):
            found[name, column] = series[column][:, m].tolist()
        for population in CROWD:
            rows = simulation.roster.rows_of(population)
            found[name, population] = state.position["size"][rows, m].tolist()
    for population in CROWD:
        rows = simulation.roster.rows_of(population)
        found[population] = state.pool["cash"][rows].tolist()
    return found


@cache
def as_usual(seed: int) -> shown:
    return lived(sorted(MARKETS), sorted(CROWD), seed)


def assert_same(one: shown, other: shown) -> None:
    assert one.keys() == other.keys()
    for what, values in one.items():
        np.testing.assert_array_equal(other[what], values, str(what))


@tried(10)
@given(
    st.permutations(sorted(MARKETS | IDLE)),
    st.permutations(sorted(CROWD | LONELY)),
    st.integers(0, 1),
)
def test_the_order_of_markets_and_populations_and_idle_ones_change_nothing(
    markets, populations, seed
):
    usual = as_usual(seed)
    assert_same(usual, lived(markets, populations, seed))
    assert np.sum(usual["ONE", "volume"]) > 0

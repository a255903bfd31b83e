"""A chain worked by hand: A's liquidation moves X, that takes B, who sells Y, and that takes C.

The mark is the last price. All start at 100 USD with the index there; maintenance is 5 %. Account 0
(A) is long 100 lots of X on 1,000 USD, account 1 (B) 50 lots of X and 50 of Y on 830, account 2 (C)
100 lots of Y on 685. Other flow takes X to 94.70: A has lost 530 and is below maintenance (473.50).
Its sale goes to 93: B has then lost 265 by other flow and 85 by A, and has 480 of the 482.50 it
needs. Its Y goes down to 98, where C has lost 200 and 485 are left of 490.
"""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.graph import build_graph
from marketsim.engine import causes, step
from marketsim.engine.state import ATOMS, LimitRule, MarkRule
from marketsim.results.cascades import dollar_matrix, find_cascades, tie_table
from tests.engine.small import hold, open_venue, send

X, Y = 0, 1
A, B, C, BIDDER, SELLER = range(5)


def play_chain(**market):
    state = open_venue(
        (1000.0, 830.0, 685.0, 1e6, 1e6),
        num_markets=2,
        fund=1e6,
        causes=True,
        mark_rule=MarkRule.LAST,
        limit_rule=LimitRule.MARKET,
        market=market,
    )
    for i, x, y in ((A, 100, 0), (B, 50, 50), (C, 0, 100), (BIDDER, -150, -150)):
        for m, size in ((X, x), (Y, y)):
            if size:
                hold(state, i, size, m=m)
    books = {X: ((9_400, 60), (9_300, 100)), Y: ((9_900, 10), (9_800, 40), (9_700, 200))}
    for m, bids in books.items():
        for price, size in bids:
            send(state, BIDDER, size, price, m)
    send(state, SELLER, -10, 9_480, X)
    send(state, SELLER, -10, 10_050, Y)
    causes.begin(state)
    state.market[X].last_ticks = 9_470
    step.clear_step(state, np.zeros(0, np.int64))
    totals = state.totals[0]
    return SimpleNamespace(
        market_names=("X", "Y"),
        has_causes=True,
        liquidation=state.liquidation[: totals.num_liquidations],
        impact=state.impact[: totals.num_liquidations],
        seizure=state.seizure[: totals.num_seizures],
        loss=state.loss[: totals.num_losses],
    )


def tables_of(result):
    row = result.liquidation
    names = np.array(result.market_names)
    liquidations = pd.DataFrame(
        {
            "step": row["step"],
            "round": row["round"],
            "pool": row["pool"],
            "account": row["account"],
            "population": "crowd",
            "side": "long",
            "market": names[row["market"]],
            "notional_usd": (row["size_before"] - row["size_after"]) * row["mark_ticks"] / 100,
        }
    )
    return liquidations, pd.DataFrame(tabulate_causes(result)), result.market_names


@pytest.fixture(scope="module")
def chain():
    return play_chain()


def test_the_chain_is_liquidated_in_its_order(chain):
    row = chain.liquidation
    assert row["account"].tolist() == [A, B, C]
    assert row["market"].tolist() == [X, Y, Y]
    assert chain.impact["last"].tolist()[:2] == [-170.0, -200.0]


def test_the_graph_has_exactly_the_edges_of_the_chain(chain):
    liquidations, causes, _ = tables_of(chain)
    graph = build_graph(liquidations, tie_table(causes))
    assert {(a, b): w for a, b, w in graph.edges(data="weight")} == {
        (0, 1): pytest.approx(85 / 350, abs=1e-15),
        (1, 2): 1.0,
    }


def test_losses_are_what_was_worked_out(chain):
    table = pd.DataFrame(tabulate_causes(chain))
    found = {
        (row.liquidation, row.market, row.kind, row.parent): row.loss_usd
        for row in table.itertuples()
    }
    assert found == {
        (0, "X", "other", -1): 530.0,
        (1, "X", "other", -1): 265.0,
        (1, "X", "forced", 0): 85.0,
        (2, "Y", "forced", 1): 200.0,
    }
    assert chain.seizure["loss"].tolist() == [530 * ATOMS, 350 * ATOMS, 200 * ATOMS]


def test_the_cascade_is_the_chain(chain):
    (cascade,) = find_cascades(*tables_of(chain))
    assert cascade.generation.tolist() == [0, 1, 2]
    assert (cascade.depth, cascade.num_accounts, cascade.duration_steps) == (3, 3, 1)
    assert cascade.root == "order flow in X"
    # A sold 100 lots of X at a mark of 94.70, B 50 of Y at 100, C what it had to of Y at 98
    sold = chain.liquidation["size_before"] - chain.liquidation["size_after"]
    assert sold.tolist() == [100, 50, 100]
    expected = np.array([[9_470.0, 0.0], [5_000.0, 9_800.0]])
    assert cascade.matrix == pytest.approx(expected)
    assert dollar_matrix(*tables_of(chain)).to_numpy() == pytest.approx(expected)
    assert cascade.size_usd == pytest.approx(expected.sum())


def test_ties_below_the_least_weight_do_not_make_a_cascade(chain):
    sizes = [len(each.liquidations) for each in find_cascades(*tables_of(chain), min_weight=0.3)]
    assert sizes == [2, 1]


def test_a_market_without_liquidations_breaks_no_chain_and_moves_no_price():
    state = play_chain(liquidates=0)
    assert len(state.liquidation) == len(state.seizure) == len(state.loss) == 0

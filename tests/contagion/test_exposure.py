"""Overlap, alignment and concentration of hand-made positions."""

from dataclasses import replace

import networkx
import numpy as np
import pandas as pd
import pytest

from marketsim.contagion.exposure import Exposure

#: Account 0 holds both long in one pool, 1 both apart, 2 a pair in one pool, 3 only B.
HELD = Exposure(
    markets=("A", "B"),
    population=("crowd", "crowd", "pairs", "crowd"),
    notional=np.array([[100.0, 50.0], [200.0, 70.0], [-300.0, 30.0], [0.0, -150.0]]),
    pool=np.array([[0, 0], [1, 4], [2, 2], [3, 3]]),
    equity=np.array([10.0, 20.0, 30.0, 40.0]),
    step=7,
)


def test_overlap_counts_what_shares_a_pool():
    pooled, held = HELD.overlap(), HELD.overlap(pooled=False)
    assert pooled.loc["A", "B"] == pytest.approx(400 / 600)
    assert pooled.loc["B", "A"] == pytest.approx(80 / 300)
    assert held.loc["A", "B"] == 1.0
    assert held.loc["B", "A"] == pytest.approx(150 / 300)
    assert pooled.loc["A", "A"] == 1.0


def test_alignment_weighs_pools_that_hold_both():
    assert HELD.alignment().loc["A", "B"] == pytest.approx((5000 - 9000) / (5000 + 9000))


def test_concentration_by_side():
    table = HELD.concentration().set_index(["market", "side"])
    long = table.loc[("A", "long")]
    assert (long["accounts"], long["notional_usd"]) == (2, 300.0)
    assert long["herfindahl"] == pytest.approx(1 / 9 + 4 / 9)
    assert long["top_10_share"] == 1.0


def test_the_graph_is_bipartite():
    graph = HELD.graph()
    assert networkx.is_bipartite(graph)
    accounts = {node for node, side in graph.nodes("bipartite") if side == 0}
    assert accounts == {0, 1, 2, 3}
    assert graph.edges[2, "A"] == {"weight": 300.0, "side": "short", "pool": 2}
    assert graph.nodes["B"]["open_interest_usd"] == 150.0
    assert graph.degree(3) == 1


def test_the_matrix_is_account_by_market(tmp_path):
    matrix = HELD.matrix()
    assert matrix.to_numpy().tolist() == HELD.notional.tolist()
    assert (matrix.index.name, [*matrix]) == ("account", ["A", "B"])
    HELD.write_csv(tmp_path / "held.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "held.csv", index_col=0), matrix)


def test_gexf_holds_the_graph_and_no_date(tmp_path):
    HELD.write_gexf(tmp_path / "held.gexf")
    read, graph = networkx.read_gexf(tmp_path / "held.gexf"), HELD.graph()
    assert read.nodes["account 2"]["population"] == "pairs"
    assert read.nodes["market B"]["open_interest_usd"] == 150.0
    assert read.number_of_edges() == graph.number_of_edges()
    for i, market in [(number, name) for number in range(4) for name in graph[number]]:
        edge = read.edges[f"account {i}", f"market {market}"]
        assert edge.items() >= graph.edges[i, market].items()
    assert "lastmodifieddate" not in (tmp_path / "held.gexf").read_text()


def test_gexf_tells_an_account_from_a_market_of_its_number(tmp_path):
    odd = replace(HELD, markets=("1", "B"))
    odd.write_gexf(tmp_path / "odd.gexf")
    assert {"account 1", "market 1"} < {*networkx.read_gexf(tmp_path / "odd.gexf")}

"""Who imitates whom: networks of the stated kind and degree, and files that are checked."""

import gzip

import networkx as nx
import numpy as np
import pytest

from marketsim.agents.herd import Herd
from marketsim.scenario.errors import ScenarioError
from tests.agents.small import only

COUNT = 400


@pytest.mark.parametrize("network", ["small_world", "scale_free", "random"])
def test_a_network_has_the_stated_degree_and_hangs_on_its_seed_alone(network):
    herd = Herd(network=network, degree=6.0)
    graph = herd.graph(COUNT, 1)
    assert sorted(graph) == list(range(COUNT))
    assert 2.0 * graph.number_of_edges() / COUNT == pytest.approx(6.0, rel=0.1)
    assert nx.utils.graphs_equal(graph, herd.graph(COUNT, 1))
    assert not nx.utils.graphs_equal(graph, herd.graph(COUNT, 2))


def test_a_small_world_without_rewiring_is_a_ring():
    graph = Herd(network="small_world", degree=4.0, rewiring=0.0).graph(20, 1)
    assert sorted(graph[0]) == [1, 2, 18, 19]


def imitating(path, count=4):
    return only("herd", count=count, parameters={"network": "file", "network_file": str(path)})


def test_neighbours_are_those_of_the_file(tmp_path):
    path = tmp_path / "ring.edges"
    path.write_text("0 1\n1 2\n2 2\n")
    traders = imitating(path).traders
    found = [traders.link[slice(*traders.link_span[i])].tolist() for i in range(4)]
    assert found == [[1], [0, 2], [1], []]


def test_a_packed_file_is_unpacked(tmp_path):
    path = tmp_path / "ring.edges.gz"
    path.write_bytes(gzip.compress(b"0 1\n1 2\n"))
    assert np.asarray(imitating(path).traders.link_span)[1].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("missing.graphml", None, "cannot be read"),
        ("far.edges", "0 1\n2 4\n", "node 4 is no trader: they are 0 to 3"),
        ("names.edges", "alice bob\n", "is not a graph of numbered nodes"),
        ("broken.graphml", "no graph", "is not a graph of numbered nodes"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScenarioError) as error:
        imitating(path)
    assert "populations.herd.parameters.network_file" in str(error.value)
    assert name in str(error.value)
    assert message in str(error.value)


def test_a_herd_without_network_has_no_neighbours():
    traders = only("herd").traders
    assert (np.asarray(traders.link_span) == -1).all()

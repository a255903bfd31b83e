"""Card H5: on a random graph, herding in clusters has the clusters of percolation."""

import math
from typing import Any

import networkx as nx
import numpy as np
import pytest

from marketsim.agents.herd import OPINION, Herd, reconsider
from marketsim.engine._jit import kernel
from tests.agents.small import only

pytestmark = pytest.mark.slow

NUM_TRADERS = 100_000


def cluster_sizes(degree: float, seed: int, num_traders: int = NUM_TRADERS) -> Any:
    """Sizes of the clusters of a herd's random network."""
    graph = Herd(network="random", degree=degree).graph(num_traders, seed)
    assert sorted(graph) == list(range(num_traders))
    return np.array([len(cluster) for cluster in nx.connected_components(graph)])


def borel(degree: float, largest: int) -> Any:
    """Chance that the cluster of a trader has 1, 2, ... members, in the limit of many traders."""
    n = np.arange(1, largest + 1)
    log = (n - 1) * np.log(degree * n) - degree * n - np.array([math.lgamma(k + 1) for k in n])
    return np.exp(log)


@pytest.mark.parametrize("degree", [0.5, 4.0])
def test_a_trader_has_as_many_neighbours_as_stated(degree):
    graph = Herd(network="random", degree=degree).graph(NUM_TRADERS, 3)
    links = graph.number_of_edges()
    assert abs(2.0 * links / NUM_TRADERS - degree) < 4.0 * 2.0 * math.sqrt(links) / NUM_TRADERS


def test_critical_clusters_fall_off_with_a_slope_of_three_halves():
    sizes = np.concatenate([cluster_sizes(1.0, seed) for seed in range(3)])
    # Small enough that the finite crowd does not show, large enough for the power law.
    at = np.unique(np.round(np.geomspace(5, 400, 12)).astype(int))
    above = np.array([(sizes >= n).sum() for n in at])
    slope = np.polyfit(np.log(at), np.log(above), 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.1)
    # Number of clusters of n members, of so many traders.
    n = np.arange(1, 1_000_000)
    count = 3 * NUM_TRADERS * borel(1.0, n[-1]) / n
    expected = np.array([count[k - 1 :].sum() for k in at])
    few = at <= 100
    assert (np.abs(above - expected)[few] < 4.0 * np.sqrt(expected[few])).all()


@pytest.mark.parametrize(("degree", "mean", "published"), [(0.5, 2.0, 2.0), (0.9, 10.0, 9.6)])
def test_a_trader_sees_a_cluster_of_one_over_one_less_degree(degree, mean, published):
    assert mean == pytest.approx(1.0 / (1.0 - degree))
    runs = [cluster_sizes(degree, seed) for seed in range(7)]
    seen = np.array([(sizes**2).sum() / NUM_TRADERS for sizes in runs])
    error = seen.std(ddof=1) / math.sqrt(len(seen))
    assert error < 0.05 * mean
    assert abs(seen.mean() - mean) < 4.0 * error
    assert seen.mean() == pytest.approx(published, rel=0.2)


@kernel
def imitate(traders: Any, hours: float, first: int, last: int, seed: int) -> None:
    """Let everybody look in each of these steps, one after the other."""
    field = np.zeros(1)
    p = traders.parameters[0]["herd"]
    for t in range(first, last):
        for i in range(traders.population[0].start, traders.population[0].stop):
            reconsider(traders, p, 0, i, field, hours, t, seed)


def test_imitation_alone_makes_every_cluster_one_mind_and_no_more():
    num_traders, num_runs = 300, 60
    parameters = {
        "network": "random",
        "degree": 0.9,
        # Alone hardly ever; with half of its neighbours against it, h = 1 / N an hour a head.
        "memory_hours": 1e9,
        "independence": 0.5e-9 * num_traders,
        "alignment": 0.0,
    }
    square, expected = [], []
    for seed in range(num_runs):
        simulation = only("herd", count=num_traders, seed=seed, parameters=parameters)
        traders = simulation.traders
        graph = nx.Graph()
        graph.add_nodes_from(range(num_traders))
        for i in range(num_traders):
            first, last = traders.link_span[i]
            graph.add_edges_from((i, int(j)) for j in traders.link[first:last])
        clusters = [sorted(cluster) for cluster in nx.connected_components(graph)]
        before = np.array(traders.memory[:num_traders, 0, OPINION])
        assert any(len(set(before[cluster])) == 2 for cluster in clusters)
        for first in range(0, 100_000, 500):
            imitate(traders, 0.9, first, first + 500, seed)
            after = np.array(traders.memory[:num_traders, 0, OPINION])
            if all(len(set(after[cluster])) == 1 for cluster in clusters):
                break
        assert all(len(set(after[cluster])) == 1 for cluster in clusters)
        assert set(after) == {1.0, -1.0}
        # Clusters know nothing of each other: the balance has the variance of independent ones.
        square.append(after.sum() ** 2)
        expected.append(sum(len(cluster) ** 2 for cluster in clusters))
    excess = np.array(square) - np.array(expected)
    assert abs(excess.mean()) < 4.0 * excess.std(ddof=1) / math.sqrt(num_runs)
    assert 0.5 < np.mean(square) / np.mean(expected) < 2.0

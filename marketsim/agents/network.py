"""Who imitates whom: networkx graphs as lists of neighbours."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.agents.herd import Herd
from marketsim.scenario.errors import ScenarioError
from marketsim.streams import Stream, asset_key, bits

if TYPE_CHECKING:
    import networkx as nx

#: Readers of graph files by suffix; anything else is a list of edges.
READERS = {
    ".graphml": "read_graphml",
    ".gexf": "read_gexf",
    ".gml": "read_gml",
    ".adjlist": "read_adjlist",
}


def build_graph(herd: Herd, num_traders: int, seed: int) -> "nx.Graph":
    """Make the network of a herd.

    Parameters
    ----------
    herd : Herd
        Its `network` must not be "complete": that one is not drawn, everybody meets everybody.
    num_traders : int
    seed : int
        Of the graph's random links.

    Returns
    -------
    networkx.Graph
        Nodes 0 to ``num_traders - 1``.

    Raises
    ------
    ValueError
        If the graph file cannot be read, or its nodes are not these.
    """
    import networkx as nx

    degree = herd.degree
    if herd.network == "small_world":
        near = min(max(2 * round(degree / 2), 2), num_traders - 1)
        return nx.watts_strogatz_graph(num_traders, near, herd.rewiring, seed=seed)
    if herd.network == "scale_free":
        links = min(max(round(degree / 2), 1), num_traders - 1)
        return nx.barabasi_albert_graph(num_traders, links, seed=seed)
    if herd.network == "random":
        share = min(degree / max(num_traders - 1, 1), 1.0)
        return nx.fast_gnp_random_graph(num_traders, share, seed=seed)
    return read_graph(Path(str(herd.network_file)), num_traders)


def read_graph(path: Path, num_traders: int) -> "nx.Graph":
    """Read a graph whose nodes are the numbers 0 to ``num_traders - 1``; some may have no links.

    Raises
    ------
    ValueError
        Saying what is wrong with the file.
    """
    import networkx as nx

    reader = getattr(nx, READERS.get(path.suffix.lower(), "read_edgelist"))
    try:
        found = reader(path)
        graph = nx.Graph()
        graph.add_nodes_from(range(num_traders))
        graph.add_edges_from((int(a), int(b)) for a, b in found.edges() if a != b)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None
    except Exception as error:  # every reader of networkx has errors of its own
        raise ValueError(f"is not a graph of numbered nodes: {error}") from None
    strangers = [node for node in graph if not 0 <= node < num_traders]
    if strangers:
        raise ValueError(f"node {strangers[0]} is no trader: they are 0 to {num_traders - 1}")
    return graph


def link_traders(
    populations: list[tuple[str, slice, Any]], num_traders: int, seed: int
) -> tuple[Any, Any]:
    """List every trader's neighbours.

    Parameters
    ----------
    populations : list of (name, rows, Parameters)
    num_traders : int
        Of all populations.
    seed : int

    Returns
    -------
    span : array of int64, shape (N, 2)
        Where a trader's neighbours stand in `link`; -1 for who has no network.
    link : array of int64
        Accounts.

    Raises
    ------
    ScenarioError
        If a graph file does not fit its population.
    """
    span = np.full((num_traders, 2), -1, np.int64)
    links: list[int] = []
    for name, rows, herd in populations:
        if not isinstance(herd, Herd) or herd.network == "complete":
            continue
        own = int(bits(seed, int(Stream.NETWORK), asset_key(name), 0, 0)) % 2**32
        try:
            graph = build_graph(herd, rows.stop - rows.start, own)
        except ValueError as error:
            where = f'populations.{name}.parameters.network_file = "{herd.network_file}"'
            raise ScenarioError([f"{where}: {error}"]) from None
        for node in range(rows.stop - rows.start):
            span[rows.start + node, 0] = len(links)
            links += [rows.start + other for other in sorted(graph[node])]
            span[rows.start + node, 1] = len(links)
    return span, np.array(links or [0], np.int64)

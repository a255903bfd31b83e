"""Who imitates whom: networkx graphs, drawn or read."""

import bz2
import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING

from marketsim.scenario.inputs import NETWORK, read_input

if TYPE_CHECKING:
    import networkx as nx

#: Readers of graph files by suffix; anything else is a list of edges.
READERS = {
    ".graphml": "read_graphml",
    ".gexf": "read_gexf",
    ".gml": "read_gml",
    ".adjlist": "read_adjlist",
}
#: What unpacks a graph file by its suffix.
UNPACKERS = {".gz": gzip.decompress, ".bz2": bz2.decompress}


def build_graph(
    kind: str, num_traders: int, degree: float, rewiring: float, seed: int
) -> "nx.Graph":
    """Draw the network of a herd.

    Parameters
    ----------
    kind : str
        "small_world", "scale_free" or "random".
    num_traders : int
    degree : float
        Mean number of neighbours.
    rewiring : float
        Of a small world: share of links that lead anywhere.
    seed : int
        Of the graph's random links.

    Returns
    -------
    networkx.Graph
        Nodes 0 to ``num_traders - 1``.
    """
    import networkx as nx

    if kind == "small_world":
        near = min(max(2 * round(degree / 2), 2), num_traders - 1)
        return nx.watts_strogatz_graph(num_traders, near, rewiring, seed=seed)
    if kind == "scale_free":
        links = min(max(round(degree / 2), 1), num_traders - 1)
        return nx.barabasi_albert_graph(num_traders, links, seed=seed)
    share = min(degree / max(num_traders - 1, 1), 1.0)
    return nx.fast_gnp_random_graph(num_traders, share, seed=seed)


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
        content = read_input(NETWORK, path)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None
    try:
        found = reader(io.BytesIO(UNPACKERS.get(path.suffix, bytes)(content)))
        graph = nx.Graph()
        graph.add_nodes_from(range(num_traders))
        graph.add_edges_from((int(a), int(b)) for a, b in found.edges() if a != b)
    except Exception as error:  # every reader of networkx has errors of its own
        raise ValueError(f"is not a graph of numbered nodes: {error}") from None
    strangers = [node for node in graph if not 0 <= node < num_traders]
    if strangers:
        raise ValueError(f"node {strangers[0]} is no trader: they are 0 to {num_traders - 1}")
    return graph

"""The cascade graph: liquidations as nodes, weighted causes as edges."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketsim.contagion.cascades import edges

if TYPE_CHECKING:
    import networkx

    from marketsim.record.run import Run

#: Columns of the table of liquidations that nodes carry.
NODE_COLUMNS = ("step", "round", "account", "population", "market", "side", "notional_usd")


def build_graph(run: "Run", min_weight: float = 0.0) -> "networkx.DiGraph":
    """Return the liquidations of a run and who caused whom.

    Parameters
    ----------
    run : Run
    min_weight : float
        Edges of a smaller weight are left out.

    Returns
    -------
    networkx.DiGraph
        Nodes are rows of the table of liquidations; an edge leads from cause to effect, its
        ``weight`` is the share of the effect's causes.

    Raises
    ------
    RunFolderError
        If the run did not record causes.
    """
    import networkx

    graph = networkx.DiGraph(scenario=run.scenario, seed=run.seed)
    rows = run.liquidations[list(NODE_COLUMNS)].astype({"population": str, "market": str})
    for number, record in enumerate(rows.to_dict("records")):
        graph.add_node(number, **{str(name): _plain(value) for name, value in record.items()})
    pairs = edges(run, min_weight)
    graph.add_weighted_edges_from(
        zip(
            pairs["parent"].tolist(),
            pairs["liquidation"].tolist(),
            pairs["weight"].tolist(),
            strict=True,
        )
    )
    return graph


def write_graphml(graph: "networkx.DiGraph", path: str | Path) -> None:
    """Write a graph as GraphML, for Gephi, yEd and others.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import networkx

    networkx.write_graphml(graph, Path(path))


def write_json(graph: "networkx.DiGraph", path: str | Path) -> None:
    """Write a graph as node-link JSON, as `networkx.node_link_graph` reads it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import networkx

    data = networkx.node_link_data(graph, edges="edges")
    Path(path).write_text(json.dumps(data) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value

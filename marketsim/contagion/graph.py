"""The cascade graph: liquidations as nodes, weighted causes as edges."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx
    import pandas as pd

#: Columns of the table of liquidations that nodes carry.
NODE_COLUMNS = ("step", "round", "account", "population", "market", "side", "notional_usd")


def build_graph(
    liquidations: "pd.DataFrame", ties: "pd.DataFrame", **facts: str | int
) -> "networkx.DiGraph":
    """Return the liquidations of a run and who caused whom.

    Parameters
    ----------
    liquidations : DataFrame
        Table of the run.
    ties : DataFrame
        Columns ``parent``, ``liquidation``, ``weight``.
    **facts
        Attributes of the graph: the run's scenario and seed.

    Returns
    -------
    networkx.DiGraph
        Nodes are rows of the table of liquidations; an edge leads from cause to effect, its
        ``weight`` is the share of the effect's causes.
    """
    import networkx

    graph = networkx.DiGraph(**facts)
    rows = liquidations[list(NODE_COLUMNS)].astype({"population": str, "market": str})
    for number, record in enumerate(rows.to_dict("records")):
        graph.add_node(number, **{str(name): _plain(value) for name, value in record.items()})
    graph.add_weighted_edges_from(
        zip(
            ties["parent"].tolist(),
            ties["liquidation"].tolist(),
            ties["weight"].tolist(),
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

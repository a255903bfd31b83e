"""Who holds what: accounts and markets as a bipartite graph, their overlap and concentration."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.engine.ledger import account_equity
from marketsim.engine.state import ATOMS, State
from marketsim.tape.result import Floats, Integers

if TYPE_CHECKING:
    import networkx
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Exposure:
    """The positions of all accounts at one moment; the insurance fund is left out.

    Attributes
    ----------
    markets : tuple of str
    population : tuple of str
        Of each account.
    notional : ndarray, (N, M)
        USD at the mark, long > 0.
    pool : ndarray, (N, M)
        Number of the pool that holds each position.
    equity : ndarray, (N,)
        USD.
    step : int
        Steps done.
    """

    markets: tuple[str, ...]
    population: tuple[str, ...]
    notional: Floats
    pool: Integers
    equity: Floats
    step: int

    def matrix(self) -> "pd.DataFrame":
        """Return the positions as a matrix, account x market: USD at the mark, long > 0."""
        import pandas as pd

        accounts = pd.RangeIndex(len(self.notional), name="account")
        return pd.DataFrame(self.notional, accounts, self.markets)

    def write_csv(self, path: str | Path) -> None:
        """Write the matrix as CSV: a row per account, a column per market.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        self.matrix().to_csv(Path(path))

    def write_gexf(self, path: str | Path) -> None:
        """Write the graph as GEXF, for Gephi; the same positions give the same file.

        Nodes are named "account 17" and "market BTC".

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        import networkx

        graph = self.graph()
        kinds = {node: "market" if node in self.markets else "account" for node in graph}
        named = networkx.relabel_nodes(graph, lambda node: f"{kinds[node]} {node}")
        text = "\n".join(networkx.generate_gexf(named))
        undated = re.sub(r' lastmodifieddate="[^"]*"', "", text, count=1)
        Path(path).write_text(undated + "\n", encoding="utf-8")

    def graph(self) -> "networkx.Graph":
        """Return accounts and markets as a bipartite graph.

        Returns
        -------
        networkx.Graph
            Nodes are account numbers (``bipartite`` 0, with population and equity) and names of
            markets (``bipartite`` 1, with open interest); an edge is a position: ``weight`` is its
            absolute notional in USD, ``side`` long or short, ``pool`` its pool.
        """
        import networkx

        graph = networkx.Graph(step=self.step)
        for m, name in enumerate(self.markets):
            held = float(np.maximum(self.notional[:, m], 0.0).sum())
            graph.add_node(name, bipartite=1, open_interest_usd=held)
        for i in np.flatnonzero(self.notional.any(axis=1)).tolist():
            facts = {"population": self.population[i], "equity_usd": float(self.equity[i])}
            graph.add_node(i, bipartite=0, **facts)
            for m in np.flatnonzero(self.notional[i]).tolist():
                size = float(self.notional[i, m])
                graph.add_edge(
                    i,
                    self.markets[m],
                    weight=abs(size),
                    side="long" if size > 0 else "short",
                    pool=int(self.pool[i, m]),
                )
        return graph

    def overlap(self, *, pooled: bool = True) -> "pd.DataFrame":
        """Return the share of each market's positions whose holders are in another market too.

        Row j, column k: of the gross notional in j, the share held by accounts that hold k;
        with `pooled` only where the two positions share a pool, so that a loss in k can close j.
        """
        import pandas as pd

        gross = np.abs(self.notional)
        count = len(self.markets)
        shares = np.full((count, count), np.nan)
        for j in range(count):
            total = gross[:, j].sum()
            for k in range(count):
                both = self.notional[:, k] != 0.0
                if pooled:
                    both = both & (self.pool[:, j] == self.pool[:, k])
                if total > 0.0:
                    shares[j, k] = gross[both, j].sum() / total
        return pd.DataFrame(shares, index=self.markets, columns=self.markets)

    def alignment(self) -> "pd.DataFrame":
        """Return whether pools hold two markets on the same side: 1 all do, -1 all opposite.

        The cosine of the signed notionals of the pools that hold both; NaN where none does.
        """
        import pandas as pd

        count = len(self.markets)
        cosine = np.full((count, count), np.nan)
        for j in range(count):
            for k in range(count):
                both = (self.pool[:, j] == self.pool[:, k]) & self.notional[:, [j, k]].all(axis=1)
                product = self.notional[both, j] * self.notional[both, k]
                if both.any():
                    cosine[j, k] = product.sum() / np.abs(product).sum()
        return pd.DataFrame(cosine, index=self.markets, columns=self.markets)

    def concentration(self) -> "pd.DataFrame":
        """Return how few hold each side of each market.

        Returns
        -------
        pandas.DataFrame
            A row per market and side: `accounts`, `notional_usd`, `herfindahl` (sum of squared
            shares: 1 is one holder), `top_10_share`.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for m, name in enumerate(self.markets):
            for side, sign in (("long", 1.0), ("short", -1.0)):
                held = np.sort(np.maximum(sign * self.notional[:, m], 0.0))[::-1]
                total = held.sum()
                share = held / total if total > 0.0 else np.full(len(held), np.nan)
                rows.append(
                    {
                        "market": name,
                        "side": side,
                        "accounts": int((held > 0.0).sum()),
                        "notional_usd": float(total),
                        "herfindahl": float((share**2).sum()),
                        "top_10_share": float(share[:10].sum()),
                    }
                )
        return pd.DataFrame(rows)


def measure_exposure(
    state: State, markets: tuple[str, ...], population: tuple[str, ...], step: int
) -> Exposure:
    """Take the positions of a venue's accounts as they are now.

    Parameters
    ----------
    state : State
    markets : tuple of str
        Names.
    population : tuple of str
        Of each account.
    step : int
        Steps done.
    """
    unit = np.asarray(state.market["mark_ticks"] * state.market["tick_atoms"])
    return Exposure(
        markets=markets,
        population=population,
        notional=np.asarray(state.position["size"][:-1]) * unit / ATOMS,
        pool=np.array(state.position["pool"][:-1], np.int64),
        equity=account_equity(state)[:-1] / ATOMS,
        step=step,
    )

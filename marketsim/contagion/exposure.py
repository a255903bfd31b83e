"""Who holds what: accounts and markets as a bipartite graph, their overlap and concentration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.engine.state import ATOMS
from marketsim.record.result import Floats, Integers
from marketsim.record.run import RunFolderError

if TYPE_CHECKING:
    import networkx
    import pandas as pd

    from marketsim.record.run import Run
    from marketsim.simulation import Simulation


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


def measure(simulation: "Simulation") -> Exposure:
    """Take the positions of a simulation as it stands."""
    state, roster = simulation.state, simulation.roster
    unit = np.asarray(state.market["mark_ticks"] * state.market["tick_atoms"])
    return Exposure(
        markets=simulation.market_names,
        population=tuple(roster.names[group] for group in roster.population),
        notional=np.asarray(state.position["size"][:-1]) * unit / ATOMS,
        pool=np.array(state.position["pool"][:-1], np.int64),
        equity=simulation.equity()[:-1] / ATOMS,
        step=simulation.step_count,
    )


def read_exposure(run: "Run", step: int | None = None) -> Exposure:
    """Read the positions of a run at its end, or at the last snapshot up to a step.

    Raises
    ------
    RunFolderError
        If no snapshot was taken by that step, or a table is damaged.
    """
    accounts = run.accounts.iloc[:-1]
    markets = tuple(run.summary["markets"])
    end = int(run.summary["steps"])
    if step is None or step >= end:
        rows, moment, sizes = accounts, end, "size_end_"
        equity = accounts["equity_end_usd"]
    else:
        if "snapshots" not in run.tables:
            raise RunFolderError(
                f'{run.path}: no snapshots, its record.snapshot_minutes is "never": the positions '
                "are known at the end only"
            )
        known = run.snapshots["step"]
        moment = int(known[known <= step].max())
        rows, sizes = run.snapshots[known == moment].iloc[:-1], "size_"
        equity = rows["equity_usd"]
    series = run.markets
    before = series[series["step"] < max(moment, 1)]
    last = before.groupby("market", sort=False, observed=True)["mark_price"].last()
    size = rows[[f"{sizes}{name}" for name in markets]].to_numpy(np.float64)
    return Exposure(
        markets=markets,
        population=tuple(accounts["population"].astype(str)),
        notional=size * last[list(markets)].to_numpy(np.float64),
        pool=accounts[[f"pool_{name}" for name in markets]].to_numpy(np.int64),
        equity=equity.to_numpy(np.float64),
        step=moment,
    )

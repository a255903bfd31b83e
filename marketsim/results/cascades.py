"""The cascades of a run folder: how large, how deep, what they began with, what they moved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from marketsim.contagion.strikes import Strike
from marketsim.contagion.ties import MIN_TIE, link_liquidations, tie_liquidations
from marketsim.tape.files import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

#: Columns the table of causes must have.
CAUSE_COLUMNS = ("liquidation", "market", "kind", "parent", "loss_usd", "weight")


@dataclass(frozen=True, eq=False)
class Cascade:
    """Liquidations tied together by cause; M markets.

    Attributes
    ----------
    number : int
        From 1, those of several accounts first, of these the largest first.
    liquidations : ndarray
        Rows of the table of liquidations, in order.
    generation, parent : ndarray
        Of each; the parent is the row it owes most to, -1 for none.
    size_usd : float
        Notional liquidated, at mark.
    depth : int
        Generations, at least 1.
    root : str
        What it began with: a scheduled shock, or the drift, flow or funding of a market.
    markets : tuple of str
        Those liquidated in.
    matrix : ndarray, (M, M)
        USD: liquidated in market j because of losses in market k, in the run's order of markets;
        losses that belong to no market are left out.
    """

    number: int
    liquidations: NDArray[np.int64] = field(repr=False)
    generation: NDArray[np.int64] = field(repr=False)
    parent: NDArray[np.int64] = field(repr=False)
    size_usd: float
    num_accounts: int
    depth: int
    start_step: int
    duration_steps: int
    root: str
    markets: tuple[str, ...]
    matrix: NDArray[np.float64] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures and rows, ready for JSON."""
        return {
            "number": self.number,
            "size_usd": self.size_usd,
            "num_accounts": self.num_accounts,
            "num_liquidations": len(self.liquidations),
            "depth": self.depth,
            "start_step": self.start_step,
            "duration_steps": self.duration_steps,
            "root": self.root,
            "markets": list(self.markets),
            "matrix_usd": self.matrix.tolist(),
            "liquidations": self.liquidations.tolist(),
            "generation": self.generation.tolist(),
            "parent": self.parent.tolist(),
        }


def check_causes(causes: "pd.DataFrame", liquidations: "pd.DataFrame", path: Path) -> None:
    """Make sure that a table of causes explains the liquidations of the run at `path`.

    Raises
    ------
    RunFolderError
        If the run was made with ``record.causes = false``, or the table lacks a column.
    """
    missing = [name for name in CAUSE_COLUMNS if name not in causes]
    if missing:
        msg = f"{path / 'causes.parquet'}: damaged, without {', '.join(missing)}"
        raise RunFolderError(msg)
    if len(liquidations) and not len(causes):
        msg = f"{path}: causes were not recorded; run it again with record.causes = true"
        raise RunFolderError(msg)


def tie_table(causes: "pd.DataFrame", min_weight: float = 0.0) -> "pd.DataFrame":
    """Return who caused whose liquidation: columns ``parent``, ``liquidation``, ``weight``."""
    import pandas as pd

    ties = tie_liquidations(_columns(causes), min_weight)
    return pd.DataFrame({"parent": ties.cause, "liquidation": ties.effect, "weight": ties.weight})


def _columns(causes: "pd.DataFrame") -> dict[str, Any]:
    columns = {name: causes[name].to_numpy() for name in ("liquidation", "parent", "weight")}
    return columns | {name: causes[name].astype(str).to_numpy() for name in ("kind", "market")}


def find_cascades(
    liquidations: "pd.DataFrame",
    causes: "pd.DataFrame",
    markets: Sequence[str],
    strikes: Sequence[Strike] = (),
    min_weight: float = MIN_TIE,
) -> list[Cascade]:
    """Group a run's liquidations into cascades.

    Those of several accounts come first, then those of a single one; both from the largest on.

    Parameters
    ----------
    liquidations, causes : DataFrame
        Tables of the run.
    markets : sequence of str
        Names, in the run's order.
    strikes : sequence of Strike
        Its scheduled shocks.
    min_weight : float
        Liquidations tied by a smaller weight than this count as independent.
    """
    rows = liquidations
    legs = rows.groupby(["step", "round", "pool"], sort=False).ngroup().to_numpy()
    links = link_liquidations(_columns(causes), rows["step"].to_numpy(), legs, strikes, min_weight)
    matrices = _Matrices(liquidations, causes, markets)
    roots = _Roots(liquidations, causes, strikes, links.strike)
    found = []
    order = np.argsort(links.cascade, kind="stable")
    ends = np.flatnonzero(np.diff(links.cascade[order])) + 1
    for members in np.split(order, ends) if len(rows) else []:
        mine = rows.iloc[members]
        step = mine["step"].to_numpy()
        market = mine["market"].astype(str)
        found.append(
            Cascade(
                number=0,
                liquidations=members,
                generation=links.generation[members],
                parent=links.parent[members],
                size_usd=float(mine["notional_usd"].sum()),
                num_accounts=int(mine["account"].nunique()),
                depth=int(links.generation[members].max()) + 1,
                start_step=int(step.min()),
                duration_steps=int(step.max() - step.min()) + 1,
                root=roots.name(members, links.generation[members] == 0),
                markets=tuple(name for name in markets if (market == name).any()),
                matrix=matrices.of(members),
            )
        )
    found.sort(key=lambda each: (each.num_accounts == 1, -each.size_usd, each.liquidations[0]))
    return [replace(each, number=number) for number, each in enumerate(found, 1)]


def of_several(cascades: Sequence[Cascade]) -> list[Cascade]:
    """Keep the cascades of several accounts, which are those that summaries count."""
    return [each for each in cascades if each.num_accounts > 1]


def summarise_cascades(cascades: Sequence[Cascade]) -> dict[str, Any]:
    """Count a run's cascades and sum them up, ready for JSON.

    Parameters
    ----------
    cascades : sequence of Cascade
        All of them; one of a single account counts as alone.
    """
    spread = of_several(cascades)
    return {
        "num_liquidations": sum(len(each.liquidations) for each in cascades),
        "liquidated_usd": math.fsum(each.size_usd for each in cascades),
        "num_cascades": len(spread),
        "num_alone": len(cascades) - len(spread),
        "cascaded_usd": math.fsum(each.size_usd for each in spread),
        "largest_usd": max((each.size_usd for each in spread), default=0.0),
        "deepest": max((each.depth for each in cascades), default=0),
    }


class _Matrices:
    """Dollar matrices of parts of a run."""

    def __init__(
        self, liquidations: "pd.DataFrame", causes: "pd.DataFrame", markets: Sequence[str]
    ) -> None:
        number = {name: m for m, name in enumerate(markets)}
        sold = liquidations["market"].astype(str).map(number).to_numpy()
        lost = causes["market"].astype(str).map(number).fillna(-1).to_numpy(np.int64)
        usd = liquidations["notional_usd"].to_numpy()
        self._dollars = np.zeros((len(sold), len(markets)))
        row = causes["liquidation"].to_numpy()
        is_here = lost >= 0
        amount = causes["weight"].to_numpy() * usd[row]
        np.add.at(self._dollars, (row[is_here], lost[is_here]), amount[is_here])
        self._sold = sold

    def of(self, members: Any) -> Any:
        matrix = np.zeros((self._dollars.shape[1],) * 2)
        np.add.at(matrix, self._sold[members], self._dollars[members])
        return matrix


def dollar_matrix(
    liquidations: "pd.DataFrame", causes: "pd.DataFrame", markets: Sequence[str]
) -> "pd.DataFrame":
    """Return what was liquidated in each market (rows) because of losses in each (columns), USD."""
    import pandas as pd

    matrix = _Matrices(liquidations, causes, markets).of(np.arange(len(liquidations)))
    return pd.DataFrame(matrix, index=list(markets), columns=list(markets))


class _Roots:
    """What cascades begin with."""

    def __init__(
        self,
        liquidations: "pd.DataFrame",
        causes: "pd.DataFrame",
        strikes: Sequence[Strike],
        strike: Any,
    ) -> None:
        self._causes = causes[causes["kind"] != "forced"]
        self._usd = liquidations["notional_usd"].to_numpy()
        self._strikes, self._strike = strikes, strike

    def name(self, members: Any, is_first: Any) -> str:
        """Name the shock behind most of a cascade; without one, what its first generation lost by.

        `is_first` tells which members are of the first generation.
        """
        strike = self._strike[members]
        if (strike >= 0).any():
            due = members[strike >= 0]
            dollars = np.bincount(strike[strike >= 0], self._usd[due] + 1e-9)
            return self._strikes[int(dollars.argmax())].name
        mine = self._causes[self._causes["liquidation"].isin(members[is_first])]
        if mine.empty:
            return "earlier liquidations"
        dollars = mine["weight"] * (self._usd[mine["liquidation"].to_numpy()] + 1e-9)
        keys = [mine["kind"].astype(str), mine["market"].astype(str)]
        kind, market = dollars.groupby(keys).sum().idxmax()
        words = {"index": "drift of", "other": "order flow in", "funding": "funding of"}
        return f"{words[kind]} {market}" if kind in words else f"{kind} {market}".strip()

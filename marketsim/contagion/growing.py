"""Cascades of a run that is still going: what is new since the last look, tied to what was before.

The same rules as `marketsim.contagion.ties`, applied to the liquidations of the last steps alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.strikes import Strike
from marketsim.contagion.ties import MIN_TIE, strikes_behind, tie_liquidations
from marketsim.tape.result import RunResult


class NewTies(NamedTuple):
    """How the latest liquidations of a run hang together with those before; L of them, E ties."""

    generation: Any  #: (L,)
    cascade: Any  #: (L,) first liquidation of each one's cascade, as far as is known now
    child: Any  #: (E,) liquidation
    parent: Any  #: (E,) the liquidation to blame, -1: none
    market: Any  #: (E,) number of the market in which the loss arose, -1: none
    weight: Any  #: (E,) share of the child's causes


class GrowingCascades:
    """Who caused whose liquidation, kept up as a run goes on.

    Parameters
    ----------
    market_names : tuple of str
    """

    def __init__(self, market_names: tuple[str, ...]) -> None:
        self._numbers = {name: m for m, name in enumerate((*market_names, ""))}
        self._numbers[""] = -1
        self._generation: list[int] = []
        self._label: list[int] = []  # a liquidation of the same cascade, earlier or the same
        # by shock, the first liquidation that goes back to it
        self._struck: dict[tuple[str, float], int] = {}

    def __len__(self) -> int:
        """Liquidations known."""
        return len(self._label)

    @property
    def cascade(self) -> Any:
        """(L,) the first liquidation of each one's cascade, by what is known now."""
        return np.array([self._first(row) for row in range(len(self))], np.int64)

    def grow(self, result: RunResult, strikes: Sequence[Strike]) -> NewTies:
        """Take in the liquidations that are new.

        Parameters
        ----------
        result : RunResult
            With all liquidations so far, and their causes.
        strikes : sequence of Strike
            The shocks so far.
        """
        first, stop = len(self), len(result.liquidation)
        causes = _causes_since(result, first)
        seizure = result.impact["seizure"][first:].tolist()
        self._label += range(first, stop)
        self._generation += [0] * (stop - first)
        ties = tie_liquidations(causes, MIN_TIE)
        order = np.lexsort((-ties.cause, ties.weight))
        parent = dict(zip(ties.effect[order].tolist(), ties.cause[order].tolist(), strict=True))
        for row in sorted(parent):  # parents come before their children
            self._generation[row] = self._generation[parent[row]] + 1
        for cause, effect in zip(ties.cause.tolist(), ties.effect.tolist(), strict=True):
            self._unite(cause, effect)
        leader: dict[int, int] = {}
        for row, legs in enumerate(seizure, first):
            self._unite(leader.setdefault(legs, row), row)
        shifted = causes | {"liquidation": causes["liquidation"] - first}
        behind = strikes_behind(shifted, result.liquidation["step"][first:], strikes, MIN_TIE)
        for row, strike in enumerate(behind.tolist(), first):
            if strike >= 0:
                key = strikes[strike].name, strikes[strike].start
                self._unite(self._struck.setdefault(key, row), row)
        child, blamed, market, weight = self._merge(causes)
        return NewTies(
            generation=np.array(self._generation[first:], np.int64),
            cascade=np.array([self._first(row) for row in range(first, stop)], np.int64),
            child=child,
            parent=blamed,
            market=market,
            weight=weight,
        )

    def _merge(self, causes: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
        """Add up the causes of each liquidation by who is to blame and where, the weak left out."""
        market = np.array([self._numbers[str(name)] for name in causes["market"]], np.int64)
        key = np.stack([causes["liquidation"], causes["parent"], market])
        pairs, place = np.unique(key, axis=1, return_inverse=True)
        weight = np.bincount(place.reshape(-1), causes["weight"], pairs.shape[1])
        child, parent, where = pairs[:, weight >= MIN_TIE]
        return child, parent, where, weight[weight >= MIN_TIE]

    def _first(self, row: int) -> int:
        while self._label[row] != row:
            self._label[row] = self._label[self._label[row]]
            row = self._label[row]
        return row

    def _unite(self, one: int, other: int) -> None:
        one, other = self._first(one), self._first(other)
        self._label[max(one, other)] = min(one, other)


def _causes_since(result: RunResult, first: int) -> dict[str, Any]:
    """Tabulate the causes of the liquidations from a row on; what was seized before is left out."""
    new = result.impact["seizure"][first:]
    seizure = int(new[0]) if len(new) else len(result.seizure)
    later = result.loss[np.searchsorted(result.loss["seizure"], seizure) :].copy()
    later["seizure"] -= seizure
    impact = result.impact.copy()
    impact["seizure"] -= seizure
    known = replace(result, seizure=result.seizure[seizure:], loss=later, impact=impact)
    return tabulate_causes(known, first)

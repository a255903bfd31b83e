"""Cascades of a run: liquidations tied together by cause.

A liquidation is tied to the earlier ones that its causes name, to the other legs closed when the
same pool was seized, and to all that go back to the same scheduled shock. Its *generation* is one
more than that of the liquidation it owes most to, 0 if its causes name none.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.strikes import Strike, read_strikes
from marketsim.engine.state import ATOMS
from marketsim.tape.result import RunResult

#: Liquidations tied by a smaller weight than this count as independent.
MIN_TIE = 0.05

#: What `cascade_figures` tells.
FIGURES = (
    "forced_usd",
    "spilled_usd",
    "cascades",
    "cascaded_usd",
    "largest_cascade_usd",
    "largest_cascade_accounts",
    "largest_cascade_depth",
)


class Ties(NamedTuple):
    """Who caused whose liquidation, by cause and effect; causes come before effects."""

    cause: Any  #: (edges,)
    effect: Any  #: (edges,)
    weight: Any  #: (edges,) share of the effect's causes


class Links(NamedTuple):
    """How L liquidations hang together."""

    parent: Any  #: (L,) the one each owes most to, the earliest of equals; -1 for none
    generation: Any  #: (L,)
    strike: Any  #: (L,) the shock each goes back to itself, by its number; -1 for none
    cascade: Any  #: (L,) the first liquidation of its cascade


def tie_liquidations(causes: Mapping[str, Any], least_tie: float = 0.0) -> Ties:
    """List who caused whose liquidation.

    Parameters
    ----------
    causes : mapping
        Columns of the table of causes, as arrays.
    least_tie : float
        Weaker ties are left out.
    """
    is_named = causes["parent"] >= 0
    cause, effect = causes["parent"][is_named], causes["liquidation"][is_named]
    # A parent may be named for losses in several markets.
    count = int(effect.max(initial=0)) + 1
    pairs, place = np.unique(cause * count + effect, return_inverse=True)
    weight = np.bincount(place, causes["weight"][is_named], len(pairs))
    pairs, weight = pairs[weight >= least_tie], weight[weight >= least_tie]
    return Ties(pairs // count, pairs % count, weight)


def link_liquidations(
    causes: Mapping[str, Any],
    step: Any,
    seizure: Any,
    strikes: Sequence[Strike] = (),
    least_tie: float = MIN_TIE,
) -> Links:
    """Group liquidations into cascades and count their generations.

    Parameters
    ----------
    causes : mapping
        Columns of the table of causes, as arrays.
    step, seizure : ndarray, (L,)
        When each happened; those with the same `seizure` are legs of one pool closed together.
    strikes : sequence of Strike
    least_tie : float
        Weaker ties do not count.

    Examples
    --------
    Liquidation 0 caused most of 1 and part of 2; 2 and 3 are legs of one pool:

    >>> causes = {
    ...     "liquidation": np.array([1, 2, 2]),
    ...     "parent": np.array([0, 0, 1]),
    ...     "weight": np.array([0.9, 0.2, 0.3]),
    ... }
    >>> links = link_liquidations(causes, np.zeros(5), np.array([0, 1, 2, 2, 3]))
    >>> links.generation.tolist(), links.cascade.tolist()
    ([0, 1, 2, 0, 0], [0, 0, 0, 0, 4])
    """
    ties = tie_liquidations(causes, least_tie)
    parent = np.full(len(step), -1)
    order = np.lexsort((-ties.cause, ties.weight))
    parent[ties.effect[order]] = ties.cause[order]
    generation = np.zeros(len(step), np.int64)
    for n in np.flatnonzero(parent >= 0):
        generation[n] = generation[parent[n]] + 1
    strike = strikes_behind(causes, step, strikes, least_tie)
    # Legs of one pool, and what goes back to one shock, hang together through the first of them.
    groups = [seizure, np.where(strike >= 0, strike, len(strikes) + np.arange(len(step)))]
    bonds = [(ties.cause, ties.effect), *((_firsts(each), None) for each in groups)]
    return Links(parent, generation, strike, _components(len(step), bonds))


def strikes_behind(causes: Mapping[str, Any], step: Any, strikes: Any, least_tie: float) -> Any:
    """Return the shock that weighs most among the causes of each liquidation."""
    found = np.full(len(step), -1)
    heaviest = np.full(len(step), max(least_tie, 1e-12))
    for number, strike in enumerate(strikes):
        row = causes["liquidation"]
        is_due = strike.explains(causes["kind"], causes["market"], step[row])
        weight = np.bincount(row[is_due], causes["weight"][is_due], len(step))
        found[weight >= heaviest] = number
        heaviest = np.maximum(heaviest, weight)
    return found


def _firsts(group: Any) -> Any:
    """Return the first member of everyone's group."""
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return first[place]


def _components(count: int, bonds: Any) -> Any:
    """Label the connected components with their least member."""
    label = np.arange(count)
    one = np.concatenate([ends[0] for ends in bonds])
    other = np.concatenate([label if ends[1] is None else ends[1] for ends in bonds])
    while True:
        before = label.copy()
        least = np.minimum(label[one], label[other])
        np.minimum.at(label, one, least)
        np.minimum.at(label, other, least)
        label = label[label]
        if (label == before).all():
            return label


def cascade_figures(result: RunResult) -> dict[str, float | int | None]:
    """Sum up how liquidations spread in a run; money is notional at mark.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict
        `forced_usd`, liquidated because earlier liquidations moved a price; `spilled_usd`, because
        of losses in another market than the one sold in; `cascades`, how many took down two
        accounts or more; `cascaded_usd`, liquidated in them; and of the one with most notional
        `largest_cascade_usd`, `largest_cascade_accounts` and `largest_cascade_depth` (generations).
        All None if causes were not recorded.
    """
    if not result.has_causes:
        return dict.fromkeys(FIGURES)
    row = result.liquidation
    causes = tabulate_causes(result)
    strikes = read_strikes(result.scenario_text) if len(row) else []
    links = link_liquidations(causes, row["step"], result.impact["seizure"], strikes)
    closed = np.abs(row["size_before"] - row["size_after"])
    usd = closed * row["mark_ticks"] * result.tick_atoms[row["market"]] / ATOMS
    share = causes["weight"] * usd[causes["liquidation"]]
    sold = np.array(result.market_names)[row["market"]][causes["liquidation"]]
    is_elsewhere = (causes["market"] != sold) & (causes["market"] != "")
    members = np.unique(np.stack([links.cascade, row["account"]]), axis=1)
    accounts = np.bincount(members[0], minlength=len(row))
    size = np.bincount(links.cascade, usd, len(row)) * (accounts > 1)
    largest = int(np.argmax(size)) if size.any() else None
    depth = links.generation[links.cascade == largest].max(initial=-1) + 1
    figures = (
        float(share[causes["kind"] == "forced"].sum()),
        float(share[is_elsewhere].sum()),
        int(np.count_nonzero(size)),
        float(size.sum()),
        float(size[largest]) if largest is not None else 0.0,
        int(accounts[largest]) if largest is not None else 0,
        int(depth),
    )
    return dict(zip(FIGURES, figures, strict=True))

"""The table of causes: what each liquidated pool lost since it was last safe, where and by what.

Rows of the engine's tapes (`marketsim.engine.causes`) become one row per liquidation, market of the
loss, kind and, where an earlier liquidation is to blame, that liquidation.

The *weight* of a cause is its share of all that was lost; gains are listed with their negative loss
and weigh nothing. The weights of a liquidation add up to one, its losses to what its pool lost.
Who is to blame for what earlier liquidations took is the business of `marketsim.contagion.blame`.
"""

from enum import IntEnum
from typing import Any

import numpy as np

from marketsim.contagion.blame import blame_impacts
from marketsim.engine.cause_records import Blame
from marketsim.engine.records import F8, I8, Record, Rows, records
from marketsim.engine.state import ATOMS, NONE
from marketsim.tape.result import RunResult


class LossKind(IntEnum):
    """What a pool lost money by."""

    INDEX = 0  #: index moves
    FORCED = 1  #: impacts of earlier liquidations on the price
    OTHER = 2  #: other flow
    FUNDING = 3
    FEES = 4  #: fees, and what trades (deleveraging included) cost against the mark
    COLLATERAL = 5  #: coins, stablecoins, transfers between pools, shares of socialised losses
    REQUIREMENT = 6  #: nothing was lost: what the venue requires rose


#: Fields of `Loss` by kind.
_FIELDS = {
    LossKind.INDEX: "index",
    LossKind.FORCED: "forced",
    LossKind.OTHER: "other",
    LossKind.FUNDING: "funding",
    LossKind.FEES: "fees",
}


class SeizureCause(Record):
    """A part of what a seized pool lost."""

    seizure: I8  #: row of `RunResult.seizure`
    market: I8  #: where the loss arose, NONE for what belongs to no market
    kind: I8  #: LossKind
    parent: I8  #: the liquidation to blame, or NONE
    loss: I8  #: atoms; negative: a gain
    weight: F8  #: share of all that was lost


def tabulate_causes(result: RunResult, first_row: int = 0) -> dict[str, Any]:
    """Tabulate why each liquidation came, from a row of the table of liquidations on.

    Several liquidations of one pool at one time have the same causes. `liquidation` and `parent`
    (-1: none) are rows of the table of liquidations; `market` is where the loss arose, empty for
    what belongs to no market. The table is empty if causes were not recorded.
    """
    cause = seizure_causes(result) if result.has_causes else records(SeizureCause, 0)
    # One block of rows per seizure, repeated for each of its liquidations.
    first = np.searchsorted(cause["seizure"], np.arange(len(result.seizure) + 1))
    seizure = result.impact["seizure"][first_row:]
    count = np.diff(first)[seizure]
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    row = np.arange(total) - np.repeat(ends - count - first[seizure], count)
    chosen = cause[row]
    kinds = np.array([kind.name.lower() for kind in LossKind])
    return {
        "liquidation": first_row + np.repeat(np.arange(len(seizure)), count),
        "market": np.array([*result.market_names, ""])[chosen["market"]],
        "kind": kinds[chosen["kind"]],
        "parent": chosen["parent"],
        "loss_usd": chosen["loss"] / ATOMS,
        "weight": chosen["weight"],
    }


def seizure_causes(result: RunResult) -> Rows[SeizureCause]:
    """List the causes of every seizure of a pool, in order.

    Returns
    -------
    ndarray, (rows,) SeizureCause
    """
    parts = [
        *(_market_losses(result, kind) for kind in _FIELDS if kind != LossKind.FORCED),
        _forced_losses(result),
        _collateral_losses(result),
    ]
    cause = np.concatenate(parts)
    cause = cause[cause["loss"] != 0]
    num_seizures = len(result.seizure)
    lost = np.zeros(num_seizures)
    np.add.at(lost, cause["seizure"], np.maximum(cause["loss"], 0))
    idle = np.flatnonzero(lost == 0)
    cause = np.concatenate([cause, _causes(idle, NONE, LossKind.REQUIREMENT, 0)])
    order = np.lexsort((-cause["loss"], cause["seizure"]))
    cause = cause[order]
    cause["weight"] = np.maximum(cause["loss"], 0) / np.maximum(lost, 1)[cause["seizure"]]
    cause["weight"][cause["kind"] == LossKind.REQUIREMENT] = 1.0
    return cause


def _causes(seizure: Any, market: Any, kind: LossKind, loss: Any, parent: Any = NONE) -> Any:
    cause = records(SeizureCause, len(seizure))
    cause["seizure"] = seizure
    cause["market"] = market
    cause["kind"] = kind
    cause["parent"] = parent
    cause["loss"] = loss
    return cause


def _market_losses(result: RunResult, kind: LossKind) -> Any:
    loss = result.loss
    return _causes(loss["seizure"], loss["market"], kind, loss[_FIELDS[kind]])


def _collateral_losses(result: RunResult) -> Any:
    """Return what the markets do not explain of each pool's loss."""
    rest = np.array(result.seizure["loss"])
    for name in _FIELDS.values():
        np.subtract.at(rest, result.loss["seizure"], result.loss[name])
    return _causes(np.arange(len(rest)), NONE, LossKind.COLLATERAL, rest)


def _forced_losses(result: RunResult) -> Any:
    """Share each forced loss among the liquidations of its market since the pool was safe."""
    market, loss = result.liquidation["market"], result.loss
    row = np.argsort(market, kind="stable")
    # Number of a liquidation in the order of markets, then of time.
    num_rows = max(len(row), 1)
    place = market[row].astype(np.int64) * num_rows + row
    base = loss["market"].astype(np.int64) * num_rows
    start = np.searchsorted(place, base + loss["first_row"])
    stop = np.searchsorted(place, base + result.seizure["first_row"][loss["seizure"]])
    entries = records(Blame, len(loss))
    while (count := blame_impacts(loss, row, result.impact, start, stop, entries)) > len(entries):
        entries = records(Blame, count)
    blame = entries[:count]
    mine = loss[blame["row"]]
    return _causes(mine["seizure"], mine["market"], LossKind.FORCED, blame["loss"], blame["parent"])

"""What happened to single accounts in some steps of a run, as columns of a recording.

Steps are "steps done": what the first step brings has 1.
"""

from typing import Any

import numpy as np

from marketsim.contagion.growing import NewTies
from marketsim.engine.records import Rows
from marketsim.engine.state import ATOMS, Deleverage, Liquidation, State
from marketsim.tape.series import Settlement

#: Of a column of numbers from 0 on: none.
NOWHERE = 255
LONG, SHORT = 0, 1

Columns = dict[str, Any]


def liquidation_columns(
    state: State, row: Rows[Liquidation], first: int, ties: NewTies | None
) -> Columns:
    """Tabulate liquidations: who, where, how much, who took it, of which cascade.

    Parameters
    ----------
    state : State
    row : recarray, (L,)
    first : int
        Number of the first of them in the run.
    ties : NewTies or None
        None: causes are not recorded.
    """
    m = np.asarray(row["market"])
    unit = np.asarray(state.market["tick_atoms"])[m]
    usd_per_lot = row["mark_ticks"] * unit / ATOMS
    sold = np.abs(row["book_size"])
    price = np.abs(row["book_cash"]) / np.maximum(sold * unit, 1)
    count = len(row)
    return {
        "liq_step": _i4(row["step"] + 1),
        "liq_id": _i4(first + np.arange(count)),
        "liq_account": _i4(row["account"]),
        "liq_market": _u1(m),
        "liq_side": _u1(np.where(row["size_before"] > 0, LONG, SHORT)),
        "liq_usd": _f4(np.abs(row["size_before"] - row["size_after"]) * usd_per_lot),
        "liq_book": _f4(sold * usd_per_lot),
        "liq_fund": _f4(np.abs(row["takeover_size"]) * usd_per_lot),
        "liq_adl": _f4(np.abs(row["adl_size"]) * usd_per_lot),
        "liq_price": _i4(np.rint(np.where(sold > 0, price, 0.0))),
        "liq_mark": _i4(row["mark_ticks"]),
        "liq_cascade": _i4(ties.cascade if ties else np.full(count, -1)),
        "liq_generation": _i4(ties.generation if ties else np.zeros(count)),
        "liq_round": _u1(np.minimum(row["round"], NOWHERE)),
    }


def tie_columns(ties: NewTies | None) -> Columns:
    """Tabulate who is to blame for liquidations, and through which market."""
    none = np.zeros(0)
    market = np.asarray(ties.market) if ties else none
    return {
        "tie_child": _i4(ties.child if ties else none),
        "tie_parent": _i4(ties.parent if ties else none),
        "tie_weight": _f4(ties.weight if ties else none),
        "tie_via": _u1(np.where(market < 0, NOWHERE, market)),
    }


def settlement_columns(row: Rows[Settlement]) -> Columns:
    """Tabulate settlements of funding; USD paid by the longs, negative: by the shorts."""
    return {
        "set_step": _i4(row["step"] + 1),
        "set_market": _u1(row["market"]),
        "set_rate": _f4(row["rate"]),
        "set_usd": _f4(np.sign(row["rate"]) * row["paid_atoms"] / ATOMS),
    }


def deleverage_columns(row: Rows[Deleverage]) -> Columns:
    """Tabulate the accounts made to close against liquidations."""
    return {
        "adl_step": _i4(row["step"] + 1),
        "adl_account": _i4(row["account"]),
        "adl_market": _u1(row["market"]),
        "adl_usd": _f4(np.abs(row["cash"]) / ATOMS),
    }


def _i4(values: Any) -> Any:
    return np.asarray(values).astype(np.int32)


def _u1(values: Any) -> Any:
    return np.asarray(values).astype(np.uint8)


def _f4(values: Any) -> Any:
    return np.asarray(values).astype(np.float32)

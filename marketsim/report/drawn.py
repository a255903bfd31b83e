"""The accounts that are drawn one by one: a sample, and what a picture needs to know of each.

Sums over a market are exact whatever is drawn; the header of a recording says that single accounts
are a sample.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.engine.ledger import account_equity
from marketsim.engine.state import ATOMS, State
from marketsim.scenario.roster import Roster

#: At most so many accounts are drawn.
MOST_DRAWN = 300
#: Share of them kept for those that are liquidated, or most likely to be.
SHARE_AT_RISK = 0.5

#: Health h of a pool, 1 to 250: equity / maintenance = HEALTH_BASE ** (h - 1).
HEALTH_BASE = 2.0 ** (1 / 50)
SHORT, HEALTHIEST, NO_POOL = 0, 250, 255
#: Lean n of an account in a market, -127 to 127, sent as 128 + n: notional / equity of the account
#: = LEAN_BASE ** |n| - 1.
LEAN_BASE = 101.0 ** (1 / 127)
FLAT = 128
#: Worth w of an account: USD of equity = WORTH_BASE ** (w - 1); 0: nothing.
WORTH_BASE = 1.005


def choose_drawn(
    roster: Roster, liquidated: Iterable[int] = (), most: int = MOST_DRAWN
) -> NDArray[np.int64]:
    """Choose the accounts to draw.

    All where they are few enough. Else half are those that are known to be liquidated, in the
    order given, then those with the most leverage; the other half is drawn from every population
    in proportion to its size, at least one of each, evenly spaced in the order of their leverage.

    Parameters
    ----------
    roster : Roster
    liquidated : iterable of int
        Accounts that are known to be liquidated.
    most : int

    Returns
    -------
    ndarray
        Numbers of accounts, rising.
    """
    if roster.num_traders <= most:
        return np.arange(roster.num_traders)
    bold = np.argsort(-roster.leverage, kind="stable").tolist()
    traders = (i for i in liquidated if i < roster.num_traders)  # not the insurance fund
    chosen = list(dict.fromkeys([*traders, *bold]))[: round(SHARE_AT_RISK * most)]
    share = np.maximum(
        np.bincount(roster.population) * (most - len(chosen)) / roster.num_traders, 1.0
    )
    is_free = np.ones(roster.num_traders, bool)
    is_free[chosen] = False
    for rows, count in zip(roster.rows, np.floor(share).astype(int), strict=True):
        free = np.arange(rows.start, rows.stop)[is_free[rows]]
        free = free[np.argsort(roster.leverage[free], kind="stable")]
        places = np.linspace(0, len(free) - 1, min(int(count), len(free))).astype(int)
        chosen += free[places].tolist()
        is_free[free[places]] = False
    chosen += [account for account in bold if is_free[account]][: max(most - len(chosen), 0)]
    return np.sort(np.array(chosen[:most], np.int64))


def health(state: State, drawn: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return how far the pools of some accounts are from liquidation, (A, 1 + M).

    The main pool, then the side pool of each market, by the assessment of the step's last margin
    pass.
    """
    pool = np.asarray(state.position["pool"])[drawn]
    place = np.concatenate([drawn[:, None], pool], axis=1)
    equity = np.asarray(state.pool["equity"])[place]
    maintenance = np.asarray(state.pool["maintenance"])[place]
    ratio = np.maximum(equity, 1) / np.maximum(maintenance, 1)
    level = 1 + np.floor(np.log(ratio) / math.log(HEALTH_BASE) + 1e-9)
    level = np.clip(level, SHORT, HEALTHIEST)
    level[maintenance == 0] = HEALTHIEST
    level[(maintenance > 0) & (equity <= maintenance)] = SHORT
    level[:, 1:][pool == drawn[:, None]] = NO_POOL
    told: NDArray[np.uint8] = level.astype(np.uint8)
    return told


def lean(state: State, drawn: NDArray[np.int64], equity: NDArray[Any]) -> NDArray[np.uint8]:
    """Return on which side, and how far, some accounts lean in each market, (A, M).

    `equity` is theirs, atoms.
    """
    unit = np.asarray(state.market["mark_ticks"] * state.market["tick_atoms"])
    notional = np.asarray(state.position["size"])[drawn] * unit.astype(np.float64)
    gross = np.abs(notional) / np.maximum(equity, 1)[:, None]
    level = np.clip(np.rint(np.log1p(gross) / math.log(LEAN_BASE)), 0, 127)
    level[(level == 0) & (notional != 0)] = 1
    told: NDArray[np.uint8] = (FLAT + np.sign(notional) * level).astype(np.uint8)
    return told


def worth(equity: NDArray[Any]) -> NDArray[np.uint16]:
    """Return what accounts are worth as levels; `equity` is atoms."""
    usd = np.maximum(equity / ATOMS, 1.0)
    level = 1 + np.rint(np.log(usd) / math.log(WORTH_BASE))
    return np.where(equity >= ATOMS, np.minimum(level, 65_535), 0).astype(np.uint16)


def account_frame(state: State, drawn: NDArray[np.int64]) -> dict[str, Any]:
    """Return health, lean and worth of the accounts drawn, as things stand."""
    equity = np.asarray(account_equity(state))[drawn]
    return {
        "health": health(state, drawn),
        "lean": lean(state, drawn, equity),
        "worth": worth(equity),
    }

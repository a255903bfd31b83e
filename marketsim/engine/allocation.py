"""Room for the arrays of a venue: allocation before a run, growth between two steps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.engine.cause_records import Impact, Loss, Recovery, Safe, Seizure, Split, Tally
from marketsim.engine.records import R, Rows, records, zeroed
from marketsim.engine.state import (
    MAX_ROWS_PER_STEP,
    NONE,
    ONE,
    UNLIMITED,
    WHEEL_SLOTS,
    Account,
    Cause,
    Deleverage,
    Draw,
    Fill,
    Intent,
    Level,
    Liquidation,
    Market,
    Node,
    Order,
    Pool,
    Position,
    Shortfall,
    State,
    Tier,
    Totals,
    Venue,
)


def allocate(
    num_accounts: int,
    num_markets: int,
    num_pools: int,
    *,
    num_tiers: int = 1,
    num_orders: int = 1024,
    num_nodes: int = 1024,
    num_intents: int = 1024,
    num_fills: int = 1,
    num_rows: int = MAX_ROWS_PER_STEP,
    causes: bool = False,
) -> State:
    """Allocate an empty venue: every position in its account's main pool, no limits, no orders.

    Parameters
    ----------
    num_accounts : int
        Traders; the insurance fund is added as account `num_accounts`.
    num_markets, num_pools : int
        Pools include the ``num_accounts + 1`` main ones.
    num_tiers, num_orders, num_nodes, num_intents, num_fills : int
        Capacities; `grow` raises the last four between steps.
    num_rows : int
        Liquidations, and deleveragings, there is room for; fewer than a step may write only where
        a step cannot write more.
    causes : bool
        Make room to record why pools are liquidated; `marketsim.engine.causes.begin` starts it.

    Returns
    -------
    State
    """
    state = State(
        venue=records(Venue, 1),
        totals=records(Totals, 1),
        market=records(Market, num_markets),
        tier=records(Tier, num_markets, num_tiers),
        account=records(Account, num_accounts + 1),
        position=records(Position, num_accounts + 1, num_markets),
        spot=np.zeros((num_accounts + 1, num_markets), np.int64),
        stable=np.zeros(num_accounts + 1, np.int64),
        own_fraction=np.zeros((num_accounts + 1, num_markets), np.int64),
        chunk_step=np.full((num_accounts + 1, num_markets), -UNLIMITED),
        pool=records(Pool, num_pools),
        draw=records(Draw, num_pools),
        touched=np.zeros(num_pools, np.int8),
        short=np.zeros(num_pools, np.int64),
        flow=np.zeros((num_accounts + 1, len(Cause)), np.int64),
        order=records(Order, 0),
        level=records(Level, 0),
        node=records(Node, 0),
        wheel=np.full(WHEEL_SLOTS, NONE, np.int32),
        intent=records(Intent, num_intents),
        fill=records(Fill, num_fills),
        liquidation=records(Liquidation, num_rows),
        deleverage=records(Deleverage, num_rows),
        shortfall=records(Shortfall, num_rows),
        recovery=records(Recovery, num_markets),
        movement=np.zeros((num_markets, num_markets)),
        split=records(Split, num_markets),
        tally=records(Tally, *((num_accounts + 1, num_markets) if causes else (1, 1))),
        safe=records(Safe, num_pools if causes else 1),
        impact=records(Impact, MAX_ROWS_PER_STEP if causes else 1),
        seizure=records(Seizure, MAX_ROWS_PER_STEP + 1 if causes else 1),
        loss=records(Loss, MAX_ROWS_PER_STEP if causes else 1),
    )
    state.position["pool"] = np.arange(num_accounts + 1)[:, None]
    state.position["first_order"] = NONE
    state.account["liquidated_step"] = NONE
    state.pool["owner"][: num_accounts + 1] = np.arange(num_accounts + 1)
    totals = state.totals[0]
    totals.stable_price = ONE
    totals.free_level = totals.free_node = NONE
    state.market["num_tiers"] = 1
    state.market["liquidates"] = 1
    state.market["depth_factor"] = 1.0
    state.market["max_position_lots"] = UNLIMITED
    return grow(state, num_orders=num_orders, num_nodes=max(num_nodes, num_markets + 1))


def grow(
    state: State,
    *,
    num_orders: int = 0,
    num_nodes: int = 0,
    num_intents: int = 0,
    num_fills: int = 0,
    num_liquidations: int = 0,
    num_deleverages: int = 0,
    num_losses: int = 0,
) -> State:
    """Return the state with arrays at least this long; the contents are kept.

    Orders and levels grow together (a level holds at least one order). New levels and nodes are
    chained in front of the free lists lowest number first. Where an order, a level or a node lies
    decides nothing, so results do not depend on when arrays grow.
    """
    totals = state.totals[0]
    first_time = len(state.node) == 0
    order = _longer(state.order, num_orders)
    level = _longer(state.level, num_orders)
    node = _longer(state.node, num_nodes)
    if len(level) > len(state.level):
        totals.free_level = _chain(level["head"], len(state.level), totals.free_level)
    if len(node) > len(state.node):
        start = len(state.market) if first_time else len(state.node)
        totals.free_node = _chain(node["child"][:, 0], start, totals.free_node)
        totals.num_nodes = max(totals.num_nodes, len(state.market))
    return state._replace(
        order=order,
        level=level,
        node=node,
        intent=_longer(state.intent, num_intents),
        fill=_longer(state.fill, num_fills),
        liquidation=_longer(state.liquidation, num_liquidations),
        deleverage=_longer(state.deleverage, num_deleverages),
        impact=_longer(state.impact, num_liquidations if totals.record_causes else 0),
        seizure=_longer(state.seizure, num_liquidations + 1 if totals.record_causes else 0),
        loss=_longer(state.loss, num_losses),
    )


def add_pools(state: State, owner: NDArray[np.int64]) -> State:
    """Return the state with one more side pool, empty, for each of these accounts."""
    total = len(state.pool) + len(owner)
    longer = state._replace(
        pool=_longer(state.pool, total),
        draw=_longer(state.draw, total),
        touched=np.append(state.touched, np.zeros(len(owner), np.int8)),
        short=np.zeros(total, np.int64),
        safe=_longer(state.safe, total if state.totals[0].record_causes else 0),
    )
    longer.pool["owner"][len(state.pool) :] = owner
    return longer


def _longer(array: Rows[R], length: int) -> Rows[R]:
    if length <= len(array):
        return array
    longer: Any = zeroed(array.dtype, length)
    there: Any = array
    # byte by byte: NumPy copies records field by field
    longer.view(np.uint8)[: there.nbytes] = there.view(np.uint8)
    found: Rows[R] = longer
    return found


def _chain(link: Any, start: int, free: int) -> int:
    """Chain slots ``start ..`` of a link column in front of a free list; return its new head."""
    link[start:-1] = np.arange(start + 1, len(link))
    link[-1] = free
    return start

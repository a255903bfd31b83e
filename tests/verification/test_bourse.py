"""Our book against `bourse`, a Rust limit order book: same messages, same trades, same book.

Every order comes from an account of its own, so parties are orders and nobody meets himself.
Documented differences:

* `bourse` lets an account trade with itself; here the resting order is cancelled instead. Not
  compared: there are no self-trades in the messages.
* `bourse` has no immediate-or-cancel limit order: a limit order whose rest is cancelled at once.
* Its market orders have no bound: here the bound is the end of the price range.
* It has no post-only orders: they are kept from its book when they would cross it.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from marketsim.engine import book, clearing, ledger
from marketsim.engine._jit import kernel
from marketsim.engine.allocation import allocate
from marketsim.engine.state import (
    ATOMS,
    MAX_PRICE_TICKS,
    NONE,
    ONE,
    TREE_LEVELS,
    Flag,
    Outcome,
    State,
)

bourse = pytest.importorskip("bourse")

NUM_MESSAGES = 3_000 if numba.config.DISABLE_JIT else 100_000
ACTIVE = 1  # of an order in bourse


class Kind(IntEnum):
    LIMIT = 0
    IMMEDIATE = 1
    MARKET = 2
    POST_ONLY = 3
    CANCEL = 4


FLAGS = np.array([0, Flag.IMMEDIATE, Flag.IMMEDIATE, Flag.POST_ONLY, 0])


class Messages(NamedTuple):
    """Shape (n,) each; message n is the order of account n."""

    kind: Any
    size: Any  # lots, signed
    price: Any  # ticks
    target: Any  # message whose order a CANCEL withdraws


def draw_messages(seed, num_messages):
    """Draw orders around a price that wanders, few of them far away, and many cancels."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(len(Kind), num_messages, p=[0.48, 0.08, 0.04, 0.05, 0.35])
    side = rng.choice((-1, 1), num_messages)
    # 2**19 .. is where the price tree forks at its root
    middle = 2**19 + np.cumsum(rng.normal(0.0, 3.0, num_messages))
    away = rng.geometric(0.05, num_messages) - 12
    far = rng.random(num_messages) < 0.02
    away = np.where(far, rng.integers(0, 2**19, num_messages), away)
    price = np.clip(np.rint(middle) - side * away, 1, MAX_PRICE_TICKS).astype(np.int64)
    price[kind == Kind.MARKET] = np.where(side > 0, MAX_PRICE_TICKS, 1)[kind == Kind.MARKET]
    # most cancels strike a recent order, some one that is long gone
    age = rng.geometric(np.where(rng.random(num_messages) < 0.5, 0.02, 0.0005))
    target = np.maximum(np.arange(num_messages) - age, 0)
    return Messages(kind, side * rng.integers(1, 30, num_messages), price, target)


@kernel
def replay(state: State, kind: Any, size: Any, price: Any, target: Any, flags: Any) -> None:
    """Send all messages to our book, through margin checks and bookings."""
    m = np.int64(0)
    zero = np.int64(0)
    for n in range(len(kind)):
        if kind[n] == Kind.CANCEL:
            book.withdraw_orders(state, target[n], m, zero)
        else:
            outcome = clearing.place_order(state, n, m, size[n], price[n], flags[kind[n]], zero)
            state.totals[0].outcome[outcome] += 1


def play_ours(messages):
    """Return the venue after all messages."""
    num_messages = len(messages.kind)
    state = allocate(
        num_messages,
        1,
        num_messages + 1,
        num_orders=num_messages + 1,
        num_nodes=TREE_LEVELS * num_messages,
        num_fills=2 * num_messages,
    )
    market = state.market[0]
    market.tick_atoms = 1
    market.mark_ticks = 2**19
    market.taker_fee = ONE // 2000
    state.tier[0, 0].initial_fraction = ONE // 10
    state.tier[0, 0].maintenance_fraction = ONE // 20
    state.pool["cash"][:num_messages] = 1_000_000 * ATOMS
    state.totals[0].deposits = num_messages * 1_000_000 * ATOMS
    state.totals[0].record_fills = 1
    replay(state, *messages, FLAGS)
    return state


def play_theirs(messages):
    """Return the book, and the message behind each of its orders."""
    theirs = bourse.core.OrderBook(0, True)
    message_of = []
    order_of = {}
    rows = zip(*(column.tolist() for column in messages), strict=True)
    for n, (kind, size, price, target) in enumerate(rows):
        theirs.set_time(n)  # arrival times are its queue priority
        if kind == Kind.CANCEL:
            if target in order_of:
                theirs.cancel_order(order_of[target])
            continue
        if kind == Kind.POST_ONLY:
            bid, ask = theirs.bid_ask()
            if price >= ask if size > 0 else price <= bid:
                continue
        limit = None if kind == Kind.MARKET else price
        order_of[n] = theirs.place_order(size > 0, abs(size), n, price=limit)
        message_of.append(n)
        if kind == Kind.IMMEDIATE:
            theirs.cancel_order(order_of[n])
    return theirs, message_of


def our_depth(state):
    """(message, is bid, price, lots left) of every resting order, best price first, oldest first.

    Read through the price tree and the queues, as matching reads them.
    """
    market = state.market[0]
    found = []
    for side, best in ((1, int(market.best_bid)), (-1, int(market.best_ask))):
        price = best
        while price != 0:
            k = int(state.level[book.find_level(state, 0, price)].head)
            while k != NONE:
                order = state.order[k]
                found.append((int(order.account), side > 0, int(order.price), int(order.size)))
                k = int(order.next)
            price = book.next_price(state, 0, price, -side)
    return found


def their_depth(theirs):
    """Give the same of `bourse`: (.., side, status, arrival, end, left, size, price, who, id)."""
    resting = [
        (who, is_bid, price, left, arrival)
        for is_bid, status, arrival, _, left, _, price, who, _ in theirs.get_orders()
        if status == ACTIVE
    ]
    resting.sort(key=lambda row: (not row[1], -row[2] if row[1] else row[2], row[4]))
    return [row[:4] for row in resting]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_trades_and_depth_are_those_of_bourse(seed):
    messages = draw_messages(seed, NUM_MESSAGES)
    state = play_ours(messages)
    theirs, message_of = play_theirs(messages)

    outcomes = state.totals[0].outcome
    refused = int(outcomes[Outcome.POST_ONLY_CROSSES])
    assert refused > 0
    assert outcomes[Outcome.ACCEPTED] == len(message_of)
    assert outcomes.sum() == len(message_of) + refused

    fills = state.fill[: int(state.totals[0].num_fills)]
    ours = np.stack([fills["price"], np.abs(fills["size"]), fills["taker"], fills["maker"]], axis=1)
    # (time, side, price, lots, active order, passive order)
    trades = np.array(theirs.get_trades(), np.int64)
    owner = np.array(message_of)
    expected = np.stack([trades[:, 2], trades[:, 3], owner[trades[:, 4]], owner[trades[:, 5]]], 1)
    assert len(expected) > NUM_MESSAGES // 10
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(fills["size"] > 0, messages.size[fills["taker"]] > 0)

    assert state.market[0].volume == expected[:, 1].sum()
    depth = our_depth(state)
    assert len(depth) > NUM_MESSAGES // 1000
    assert depth == their_depth(theirs)
    assert ledger.conservation_error(state) == 0

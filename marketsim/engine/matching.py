"""Stage 5: orders meet the book, best price first, oldest order first at each price."""

from marketsim.engine import causes
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.book import find_level, reduce_order, remove_order
from marketsim.engine.formulas.integers import take_fraction
from marketsim.engine.ledger import book_fill, charge_fee, return_free_cash
from marketsim.engine.state import NONE, Flag, State, widen


@inlined
def next_maker(state: State, i: int, m: int, side: int, limit: int) -> int:
    """Return the resting order an incoming one of account `i` meets next, or NONE.

    Orders of the same account are withdrawn on the way (self-trade prevention cancels the resting
    order), and so are reduce-only orders that have nothing left to reduce.
    """
    market = state.market[m]
    while True:
        price = market.best_ask if side > 0 else market.best_bid
        if price == 0 or (price - limit) * side > 0:
            return NONE
        k = widen(state.level[find_level(state, m, price)].head)
        if state.order[k].account != i and maker_size(state, k) > 0:
            return k
        remove_order(state, k)


@inlined
def maker_size(state: State, k: int) -> int:
    """Lots a resting order may still fill: all of it, or what a reduce-only order may close."""
    order = state.order[k]
    if order.flags & Flag.REDUCE_ONLY == 0:
        return order.size
    return min(order.size, max(-order.side * state.position[order.account, order.market].size, 0))


@kernel
def fill(state: State, k: int, i: int, size: int, mid2: int, taker_fee: int) -> None:
    """Trade `size` lots of resting order `k` with account `i`: positions, cash and fees.

    Parameters
    ----------
    mid2 : int
        Half ticks: mid when the taker decided; the maker's is stored with the order.
    taker_fee : int
        1e-9 of notional; a liquidated account pays none.
    """
    order = state.order[k]
    m = widen(order.market)
    maker = widen(order.account)
    side = widen(order.side)
    price = order.price
    market = state.market[m]
    notional = size * price * market.tick_atoms
    maker_pool = widen(state.position[maker, m].pool)
    book_fill(state, maker, m, side * size, price, order.mid2)
    book_fill(state, i, m, -side * size, price, mid2)
    fee = take_fraction(notional, market.maker_fee)
    charge_fee(state, maker_pool, fee)
    causes.note_fee(state, maker, m, fee)
    fee = take_fraction(notional, taker_fee)
    charge_fee(state, widen(state.position[i, m].pool), fee)
    causes.note_fee(state, i, m, fee)
    reduce_order(state, k, size)
    return_free_cash(state, maker_pool)
    market.last_ticks = price
    market.volume += size
    market.num_fills += 1
    totals = state.totals[0]
    if totals.record_fills != 0:
        record = state.fill[totals.num_fills]
        record.step = totals.step
        record.market = m
        record.taker = i
        record.maker = maker
        record.size = -side * size
        record.price = price
        totals.num_fills += 1

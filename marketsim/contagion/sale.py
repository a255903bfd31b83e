"""What one liquidation does to a market: the orders it takes, and how far the mark goes with it."""

from typing import Any, NamedTuple

from marketsim.engine import causes, mark
from marketsim.engine._jit import kernel
from marketsim.engine.book import find_level, next_price
from marketsim.engine.pools import with_basis
from marketsim.engine.state import MarkRule, State, widen


class Taken(NamedTuple):
    """What an order took from a book as it stands."""

    lots: int
    worst: int  #: ticks: price of the last order met, 0 if none
    moved: float  #: ticks: how far the mid goes the order's way


@kernel
def walk_book(
    state: State, m: int, side: int, lots: int, limit: float, bankruptcy: float, fund: float
) -> Taken:
    """Take what a liquidation order would take from a book, without changing it.

    It ends at its limit, and before a price at which the insurance fund cannot pay for all that is
    sold beyond the bankruptcy price; the venue's own goes on to the order that it cannot pay for.

    Parameters
    ----------
    state : State
    m : int
    side : int
        Of the position: 1 sells to the bids, -1 buys from the asks.
    lots : int
        More than none.
    limit, bankruptcy : float
        Ticks.
    fund : float
        Atoms that the insurance fund has for it.
    """
    market = state.market[m]
    price = widen(market.best_bid if side > 0 else market.best_ask)
    left, worst = lots, widen(0)
    while left > 0 and price != 0 and (price - limit) * side >= 0.0:
        held = widen(state.level[find_level(state, m, price)].volume)
        taken = min(held, left)
        fund -= max((bankruptcy - price) * side, 0.0) * taken * market.tick_atoms
        if fund < 0.0:
            break
        left -= taken
        worst = price
        if held > taken:
            break
        price = widen(next_price(state, m, price, -side))
    if worst == 0:
        return Taken(0, 0, 0.0)
    # an empty side is where the last fill was
    new = price if price != 0 else worst
    other = widen(market.best_ask if side > 0 else market.best_bid)
    after = 0.5 * (new + (other if other != 0 else worst))
    return Taken(lots - left, worst, max((causes.middle(state, m) - after) * side, 0.0))


@kernel
def mark_path(
    state: State, m: int, side: int, taken: Taken, recovered: float, reflexivity: float, path: Any
) -> None:
    r"""Find how far a mark goes with a sale, at once and after each of the coming steps.

    Of an impact on the mid, :math:`s_u = (1 - \rho)^u` is left after u steps, and of the last price
    beyond the mid as much. At once the mark sees the last price, if its rule does. The index leans
    on the mid of the step before; the average of mid - index is moved once a step, after the orders
    have met:

    .. math:: b_u = b_{u-1} + w (s_u - f s_{u-1} - b_{u-1}), \qquad b_0 = 0

    with f the reflexivity and w the weight of the newest. `MEDIAN` takes the middle of three at
    their present prices, each moved: two by what the index went, one of them by that average too,
    and the last price.

    Parameters
    ----------
    state : State
    m : int
    side : int
        1 after a sale, -1 after a purchase.
    taken : Taken
        From the book.
    recovered : float
        :math:`\rho`, share of an impact that the book takes back in a step.
    reflexivity : float
        f, share of a perp's displacement that spot follows.
    path : ndarray, (steps + 1,)
        Overwritten: down after a sale, up after a purchase, fraction of the mark.
    """
    venue, market = state.venue[0], state.market[m]
    rule = venue.mark_rule
    last = float(market.last_ticks if market.last_ticks != 0 else market.index_ticks)
    middle = causes.middle(state, m)
    first, based = float(mark.carried_index(state, m)), float(with_basis(state, m))
    left, basis = 1.0, 0.0
    for u in range(len(path)):
        index = 0.0
        if u > 0:
            index = reflexivity * left * taken.moved
            left *= 1.0 - recovered
            basis += venue.basis_weight * (taken.moved * left - index - basis)
        seen = last if u == 0 else middle
        beyond = (seen - taken.worst) * side * left
        if rule == MarkRule.INDEX:
            moved = index
        elif rule == MarkRule.LAST:
            moved = beyond
        elif rule == MarkRule.INDEX_PLUS_BASIS:
            moved = index + basis
        else:
            before = mark.middle_of(first, based, seen)
            carried, average = first - side * index, based - side * (index + basis)
            after = mark.middle_of(carried, average, seen - side * beyond)
            moved = (before - after) * side
        path[u] = moved / market.mark_ticks

"""Everything that moves money: the only module that writes cash, positions, entry cost and funds.

Cash-balance accounting: buying debits ``size * price`` from the pool's cash, so that ``equity =
cash + sum(size * mark)`` and every trade adds up to zero. Each entry has a `Cause`, and an
account's change of equity is the sum of its `State.flow` row plus its positions at mark and its
holdings at market.
"""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine import causes
from marketsim.engine._jit import inlined, kernel
from marketsim.engine.formulas.integers import mul_div
from marketsim.engine.state import ONE, Cause, State, widen


@inlined
def post(state: State, p: int, cause: int, amount: int) -> None:
    """Credit `amount` atoms to pool `p`; the other side of the entry is the caller's."""
    state.pool[p].cash += amount
    state.touched[p] = 1
    state.flow[state.pool[p].owner, cause] += amount


@kernel
def pay(state: State, p_from: int, p_to: int, cause: int, amount: int) -> None:
    """Move `amount` atoms between the pools of two accounts."""
    post(state, p_from, cause, -amount)
    post(state, p_to, cause, amount)


@kernel
def move_cash(state: State, p_from: int, p_to: int, amount: int) -> None:
    """Move cash between two pools of one account: nobody's profit or loss."""
    state.pool[p_from].cash -= amount
    state.pool[p_to].cash += amount
    state.touched[p_from] = 1
    state.touched[p_to] = 1


@kernel
def pay_in(state: State, i: int, amount: int) -> None:
    """Bring money from outside into an account's main pool (negative: take it out): no profit."""
    state.pool[i].cash += amount
    state.touched[i] = 1
    state.totals[0].deposits += amount
    state.account[i].deposit += max(amount, 0)


@kernel
def lend_outside(state: State, p: int, amount: int) -> None:
    """Take money out of a pool into the outside world for a while (negative: bring it back)."""
    state.pool[p].cash -= amount
    state.touched[p] = 1
    state.totals[0].deposits -= amount


@inlined
def charge_fee(state: State, p: int, amount: int) -> None:
    """Charge a trading fee to pool `p` (negative: pay a rebate)."""
    post(state, p, Cause.FEE, -amount)
    state.totals[0].fees += amount


@kernel
def charge_venue(state: State, p: int, amount: int) -> None:
    """Let the venue pay what pool `p` owes, out of the fees it collected."""
    post(state, p, Cause.SOCIALISED, amount)
    state.totals[0].fees -= amount
    state.totals[0].venue_loss_atoms += amount


@inlined
def change_position(state: State, i: int, m: int, change: int, cost: int) -> None:
    """Add `change` lots that cost `cost` atoms to a position and to open interest.

    Entry cost grows with the position, shrinks in proportion when it is reduced and starts anew
    with the rest when it changes sign.
    """
    position = state.position[i, m]
    size = position.size
    after = size + change
    if size == 0 or (size > 0) == (change > 0):
        position.entry_cost += cost
    elif abs(change) <= abs(size):
        position.entry_cost -= mul_div(position.entry_cost, abs(change), abs(size))
    else:
        position.entry_cost = mul_div(cost, abs(after), abs(change))
    position.size = after
    state.market[m].open_interest += max(after, 0) - max(size, 0)


@kernel
def book_fill(state: State, i: int, m: int, change: int, price: int, mid2: int) -> None:
    """Book one side of a fill: `change` lots at `price` ticks, decided at mid `mid2` / 2."""
    unit = state.market[m].tick_atoms
    cost = change * price * unit
    slippage = change * (2 * price - mid2) * unit
    slippage = (slippage - (slippage >> 63)) >> 1  # half of it, rounded toward zero
    p = widen(state.position[i, m].pool)
    causes.note_trade(state, i, m, cost - change * state.market[m].mark_ticks * unit)
    post(state, p, Cause.SLIPPAGE, -slippage)
    post(state, p, Cause.PRICE, slippage - cost)
    change_position(state, i, m, change, cost)


@kernel
def book_transfer(state: State, i: int, m: int, change: int, cash: int, cause: int) -> None:
    """Book one side of a transfer of `change` lots for `cash` atoms received, off the book.

    What differs from the mark is booked under `cause` (TAKEOVER or ADL), the rest is PRICE.
    """
    marked = change * state.market[m].mark_ticks * state.market[m].tick_atoms
    p = widen(state.position[i, m].pool)
    causes.note_trade(state, i, m, -(cash + marked))
    post(state, p, Cause.PRICE, -marked)
    post(state, p, cause, cash + marked)
    change_position(state, i, m, change, -cash)


@kernel
def trade_spot(state: State, i: int, m: int, lots: int, price: int) -> None:
    """Buy (sell) coins from the outside spot market with cash of the main pool."""
    cost = lots * price * state.market[m].tick_atoms
    post(state, i, Cause.SPOT, -cost)
    state.totals[0].outside_cash += cost
    state.spot[i, m] += lots


@kernel
def trade_stable(state: State, i: int, atoms: int, price: int) -> None:
    """Buy (sell) stablecoins from the outside spot market at `price` (1e-9 USD)."""
    cost = mul_div(atoms, price, ONE)
    post(state, i, Cause.SPOT, -cost)
    state.totals[0].outside_cash += cost
    state.stable[i] += atoms


@kernel
def is_flat(state: State, p: int) -> bool:
    """Tell whether pool `p` holds no position."""
    i = state.pool[p].owner
    for m in range(len(state.market)):
        if state.position[i, m].pool == p and state.position[i, m].size != 0:
            return False
    return True


@kernel
def return_free_cash(state: State, p: int) -> None:
    """Return the cash of a flat side pool to its account's main pool."""
    pool = state.pool[p]
    if p != pool.owner and pool.cash >= 0 and is_flat(state, p):
        move_cash(state, p, pool.owner, pool.cash)
        state.draw[p].drawn = 0


@kernel
def holdings_value(state: State, i: int) -> int:
    """Value an account's spot coins at the index and its stablecoins at their price, atoms."""
    value = mul_div(state.stable[i], state.totals[0].stable_price, ONE)
    for m in range(len(state.market)):
        market = state.market[m]
        value += state.spot[i, m] * market.index_ticks * market.tick_atoms
    return value


@kernel
def account_equity(state: State) -> NDArray[np.int64]:
    """Equity of every account, atoms: cash of all its pools, positions at mark, holdings."""
    equity = np.zeros(len(state.account), np.int64)
    for p in range(len(state.pool)):
        equity[state.pool[p].owner] += state.pool[p].cash
    for i in range(len(state.account)):
        equity[i] += holdings_value(state, i)
        for m in range(len(state.market)):
            market = state.market[m]
            equity[i] += state.position[i, m].size * market.mark_ticks * market.tick_atoms
    return equity


@kernel
def conservation_error(state: State) -> int:
    """Atoms missing from (or added to) the books; zero, always.

    Sum of all cash (the insurance fund's included) + fees + outside spot market = deposits, and
    the positions of every market add up to zero.
    """
    totals = state.totals[0]
    error = totals.fees + totals.outside_cash - totals.deposits
    for p in range(len(state.pool)):
        error += state.pool[p].cash
    error = abs(error)
    net = np.zeros(len(state.market), np.int64)
    for i in range(len(state.account)):  # one pass over the positions: there may be many
        for m in range(len(state.market)):
            net[m] += state.position[i, m].size
    for m in range(len(state.market)):
        error += abs(net[m]) * state.market[m].tick_atoms
    return error

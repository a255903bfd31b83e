"""Traders leave their accounts, and newcomers find them: the kernels.

Who is ruined, idle, retired or at the end of its time withdraws its orders, closes its positions
over as many steps as the book needs, sells its coins, takes all of its money out and is gone. After
a random wait the account is a newcomer's, with capital and habits of its own. Who stays takes out
profit beyond a multiple of its deposit. All draws are keyed by the account's first trader and the
number of those who had it before.
"""

import math

from marketsim.agents.base import Traders, wealth_atoms
from marketsim.engine import ledger
from marketsim.engine._jit import kernel
from marketsim.engine.pools import withdrawable
from marketsim.engine.records import Indices, Rows
from marketsim.engine.state import MAX_ATOMS, NONE, ONE, UNLIMITED, State, widen
from marketsim.streams import Stream, exponential, uniform
from marketsim.tape.arrivals import Arrival, Turn, note_turn

#: Who takes profit takes at least this share of the deposit.
LEAST_WITHDRAWAL = 0.05
#: Numbers of the draws of the stream TURNOVER by a trader's own key.
_STAY_DRAW, _LOOK_DRAW, _WAIT_DRAW = 0, 1, 2


@kernel
def begin_stay(traders: Traders, g: int, accounts: Indices, t: int, seed: int) -> None:
    """Let traders of population `g` have their accounts from step `t` on.

    Draws how long each stays and when it first looks whether to leave; overwrites `stay`, but for
    the generation and what was paid before, and `next_turn`.
    """
    population = traders.population[g]
    stream = Stream.TURNOVER.value
    for i in accounts:
        key = traders.trader[i].key
        stay = traders.stay[i]
        stay.is_vacant = 0
        stay.reason = Turn.RETIRED.value  # unless it leaves by itself
        stay.until = later(t, population.stay * exponential(seed, stream, key, 0, _STAY_DRAW))
        first = int(uniform(seed, stream, key, 0, _LOOK_DRAW) * population.look)
        traders.next_turn[i] = min(t + 1 + first, stay.until)


@kernel
def later(t: int, wait: float) -> int:
    """Return the step after so many others, one at least."""
    return UNLIMITED if wait >= 1e15 else t + max(int(math.ceil(wait)), 1)


@kernel
def turn_over(
    state: State, traders: Traders, rows: Rows[Arrival], count: int, t: int, seed: int
) -> tuple[int, int]:
    """Let those who look in step `t` stay, take profit, begin to leave or be gone.

    Overwrites ``rows[count:]``, a row at most for each trader. Returns how many rows there are, and
    the first step at which a newcomer takes over one of the accounts left now.
    """
    first = UNLIMITED
    for g in range(len(traders.population)):
        population = traders.population[g]
        if population.turns_over == 0:
            continue
        for i in range(population.start, population.stop):
            if traders.next_turn[i] > t:
                continue
            amount, kind = look(state, traders, g, i, t, seed)
            if kind != NONE:
                generation = traders.stay[i].generation
                count = note_turn(rows, count, t, i, generation, kind, -amount)
            if traders.stay[i].is_vacant != 0:
                first = min(first, traders.next_turn[i])
    return count, first


@kernel
def look(state: State, traders: Traders, g: int, i: int, t: int, seed: int) -> tuple[int, int]:
    """Let one trader look; return the atoms it takes out and what that is, NONE if nothing."""
    population = traders.population[g]
    stay = traders.stay[i]
    trader = traders.trader[i]
    if trader.is_retired == 0:
        deposit = float(state.account[i].deposit - stay.before)
        wealth = float(wealth_atoms(state, i))
        reason = reason_to_leave(state, traders, g, i, wealth, deposit, t)
        if reason == NONE:
            traders.next_turn[i] = min(t + population.look, max(stay.until, t + 1))
            amount = profit_to_take(state, i, wealth, deposit, population.withdraw_above)
            if amount == 0:
                return 0, NONE
            ledger.pay_in(state, i, -amount)
            return amount, Turn.WITHDRAWAL.value
        stay.reason = reason
        trader.is_retired = 1
        traders.next_wake[i] = t
    if not has_left(state, i):
        traders.next_turn[i] = t + 1
        return 0, NONE
    wait = population.wait * exponential(seed, Stream.TURNOVER.value, trader.key, 0, _WAIT_DRAW)
    traders.next_turn[i] = later(t, wait)
    traders.next_wake[i] = UNLIMITED
    stay.is_vacant = 1
    return empty_account(state, i), widen(stay.reason)


@kernel
def reason_to_leave(
    state: State, traders: Traders, g: int, i: int, wealth: float, deposit: float, t: int
) -> int:
    """Return why a trader leaves now who owns `wealth`, NONE if it stays; money is atoms."""
    if wealth < traders.population[g].ruin_below * deposit:
        return Turn.RUINED.value
    if t >= traders.stay[i].until:
        return Turn.FINISHED.value
    if traders.next_wake[i] == UNLIMITED and has_left(state, i):
        return Turn.IDLE.value
    return NONE


@kernel
def profit_to_take(
    state: State, i: int, wealth: float, deposit: float, withdraw_above: float
) -> int:
    """Return the atoms a trader takes out: what it owns beyond a multiple of its deposit, atoms.

    As far as its margin allows, and nothing where that is little; what is not realised stays.
    """
    excess = wealth - withdraw_above * deposit
    least = LEAST_WITHDRAWAL * deposit
    if excess < least:
        return 0
    amount = min(int(excess), withdrawable(state, i))
    return amount if amount >= least else 0


@kernel
def has_left(state: State, i: int) -> bool:
    """Tell whether an account has neither orders, positions and coins nor debts."""
    if state.pool[i].cash < 0:
        return False
    for m in range(len(state.market)):
        position = state.position[i, m]
        if position.size != 0 or position.first_order != NONE or state.spot[i, m] != 0:
            return False
        if state.pool[position.pool].cash < 0:
            return False
    return True


@kernel
def empty_account(state: State, i: int) -> int:
    """Take all out of an account that holds no position; return the atoms.

    Its stablecoins are sold at their price.
    """
    for m in range(len(state.market)):
        ledger.return_free_cash(state, widen(state.position[i, m].pool))
    if state.stable[i] != 0:
        ledger.trade_stable(state, i, -state.stable[i], state.totals[0].stable_price)
    amount = widen(state.pool[i].cash)
    ledger.pay_in(state, i, -amount)
    return amount


@kernel
def fill_account(state: State, traders: Traders, i: int, deposit: int, stable_share: float) -> None:
    """Let a newcomer pay in, part of it in stablecoins, which it buys at their price."""
    for m in range(len(state.market)):
        state.chunk_step[i, m] = -UNLIMITED
    traders.stay[i].before = state.account[i].deposit
    ledger.pay_in(state, i, deposit)
    price = state.totals[0].stable_price
    if price > 0 and stable_share > 0.0:
        coins = min(deposit * stable_share * (ONE / price), float(MAX_ATOMS))
        ledger.trade_stable(state, i, int(coins), price)

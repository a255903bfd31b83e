"""Who leaves, who takes profit and who is gone, in plain Python: what stage 3 does before deciding.

Read off the arrays of a run as they stand when the step's prices have moved; nothing is written.
"""

import math
from dataclasses import dataclass
from typing import Any

from marketsim.streams import exponential

ONE = 10**9
NEVER = 2**62
STREAM = 19


@dataclass
class Left:
    """What an account is after the stage."""

    is_retired: bool
    is_vacant: bool
    next_turn: int
    cash: int  #: of all its pools
    stable: int


@dataclass
class Row:
    """What is written down."""

    account: int
    generation: int
    kind: str
    atoms: int


def turn_over(simulation: Any, t: int) -> tuple[dict[int, Left], list[Row]]:
    """Return what becomes of every account that looks in step `t`, and the rows of the table."""
    accounts, rows = {}, []
    for name, population in simulation.scenario.populations.items():
        if population.turnover is None:
            continue
        span = simulation.roster.rows_of(name)
        for i in range(span.start, span.stop):
            if simulation.traders.next_turn[i] <= t:
                accounts[i], row = look(simulation, population.turnover, i, t)
                rows += [row] if row else []
    return accounts, rows


def look(simulation: Any, turnover: Any, i: int, t: int) -> tuple[Left, Row | None]:
    """Let one trader look."""
    state, traders = simulation.state, simulation.traders
    stay = traders.stay[i]
    minutes = simulation.scenario.step_minutes
    pools = {i, *map(int, state.position["pool"][i])}
    cash = sum(int(state.pool["cash"][p]) for p in pools)
    stable = int(state.stable[i])
    coins_value = round(stable * int(state.totals[0].stable_price) / ONE)
    wealth = cash + coins_value + worth(state, i)
    deposit = int(state.account[i].deposit) - int(stay.before)
    is_empty = not (
        state.position["size"][i].any()
        or (state.position["first_order"][i] != -1).any()
        or state.spot[i].any()
        or any(int(state.pool["cash"][p]) < 0 for p in pools)
    )
    reason = None
    if traders.trader[i].is_retired:
        reason = ("ruined", "finished", "idle", "retired")[int(stay.reason) - 2]
    elif wealth < turnover.ruin_below * deposit:
        reason = "ruined"
    elif t >= stay.until:
        reason = "finished"
    elif traders.next_wake[i] == NEVER and is_empty:
        reason = "idle"
    generation = int(stay.generation)
    if reason is None:
        then = min(t + max(round(60 / minutes), 1), max(int(stay.until), t + 1))
        above = turnover.withdraw_above
        excess = -1 if above == "never" else int(wealth - above * deposit)
        amount = min(excess, free_cash(state, i))
        if min(excess, amount) < 0.05 * deposit:
            return Left(False, False, then, cash, stable), None
        row = Row(i, generation, "withdrawal", -amount)
        return Left(False, False, then, cash - amount, stable), row
    if not is_empty:
        return Left(True, False, t + 1, cash, stable), None
    draw = exponential(simulation.seed, STREAM, int(traders.trader[i].key), 0, 2)
    wait = 60.0 * turnover.wait_hours / minutes * draw
    row = Row(i, generation, reason, -(cash + coins_value))
    return Left(True, True, t + max(math.ceil(wait), 1), 0, 0), row


def worth(state: Any, i: int) -> int:
    """Positions at their marks and coins at their indices, atoms."""
    value = 0
    for m in range(len(state.market)):
        market = state.market[m]
        value += int(state.position["size"][i, m]) * int(market.mark_ticks * market.tick_atoms)
        value += int(state.spot[i, m]) * int(market.index_ticks * market.tick_atoms)
    return value


def free_cash(state: Any, i: int) -> int:
    """What the main pool can do without, of brackets that ask for the same of any size, atoms."""
    venue, pool = state.venue[0], state.pool[i]
    wallet = equity = int(pool.cash)
    initial = 0
    stable = round(int(state.stable[i]) * int(state.totals[0].stable_price) / ONE)
    equity += stable - math.ceil(stable * int(venue.stable_haircut) / ONE)
    for m in range(len(state.market)):
        market, position = state.market[m], state.position[i, m]
        coins = int(state.spot[i, m]) * int(market.index_ticks * market.tick_atoms)
        equity += coins - math.ceil(coins * int(venue.spot_haircut) / ONE)
        if position.pool != i:
            continue
        value = int(position.size) * int(market.mark_ticks * market.tick_atoms)
        wallet += int(position.entry_cost)
        equity += value
        fraction = max(int(state.tier[m, 0].initial_fraction), int(state.own_fraction[i, m]))
        initial += -(-abs(value) * fraction // ONE)
    return min(wallet, equity - initial)

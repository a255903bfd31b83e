"""Newcomers take over the accounts that others left, at the start of a step before all else.

Who they are is drawn from the scenario as it stands by then, keyed by the account's first trader
and the number of those who had it since.
"""

from typing import Any

import numpy as np

from marketsim.agents.base import BuiltIn, Habits
from marketsim.agents.registry import wake_first
from marketsim.agents.turnover import begin_stay, empty_account, fill_account
from marketsim.engine.state import ATOMS, UNLIMITED
from marketsim.run.attributes import RunAttributes
from marketsim.run.room import duplicate
from marketsim.run.settings import enter_modes
from marketsim.scenario.build import write_own_fractions
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.roster import MODE_DRAW, draw_habit, draw_uniform, pick_modes
from marketsim.scenario.schema import MAX_DEPOSIT_ATOMS
from marketsim.streams import Stream, newcomer_key
from marketsim.tape.arrivals import Turn, note_turn
from marketsim.tape.result import Integers


def admit(run: RunAttributes) -> None:
    """Let newcomers take over the accounts that are due at the coming step.

    Raises
    ------
    ScenarioError
        If all deposits together would become too large to add up.
    OwnTraderError
        If a user's own class fails to make one.
    """
    clock = run.tape.clock[0]
    if clock.num_turning == 0 or clock.is_open:
        return
    t = int(clock.step)
    vacant = np.asarray(run.traders.stay["is_vacant"]) == 1
    due = np.flatnonzero(vacant & (run.traders.next_turn <= t))
    _make_room(run, 2 * len(due) + int(clock.num_turning))
    for g in np.unique(run.roster.population[due]).tolist():
        _admit(run, g, due[run.roster.population[due] == g], t)
    vacant[due] = False
    clock.next_arrival = run.traders.next_turn[vacant].min(initial=UNLIMITED)


def generations(run: RunAttributes) -> Integers:
    """Return how many had each account before its last trader; nothing if nobody comes or goes."""
    turns = run.tape.clock[0].num_turning > 0
    return np.append(run.traders.stay["generation"], 0) if turns else np.zeros(0, np.int64)


def _make_room(run: RunAttributes, num_rows: int) -> None:
    """Lengthen the tape of arrivals if it cannot take so many more rows."""
    rows, used = run.tape.arrival, int(run.tape.clock[0].num_arrivals)
    needed = used + num_rows
    if needed > len(rows):
        longer = duplicate(rows, used, needed + needed // 2)
        run.tape = run.tape._replace(arrival=longer.view(type(rows)))


def _admit(run: RunAttributes, g: int, accounts: Integers, t: int) -> None:
    """Let newcomers of population `g` take over accounts in step `t`."""
    traders, rules, name = run.traders, run._rules, run.roster.names[g]
    for i in accounts.tolist():
        left = int(empty_account(run.state, i))  # what interventions brought since it was left
        if left != 0:
            _note(run, t, i, Turn.RETIRED, -left)
    traders.stay["generation"][accounts] += 1
    first = zip(run.roster.keys[accounts], traders.stay["generation"][accounts], strict=True)
    keys = np.array([newcomer_key(int(key), int(number)) for key, number in first], np.int64)
    traders.trader["key"][accounts] = keys
    modes = pick_modes(
        rules.populations[name], draw_uniform(run.seed, Stream.SETUP, keys, MODE_DRAW)
    )
    enter_modes(run, rules, name, accounts, modes)
    drawn = {
        habit: draw_habit(rules, name, habit, run.seed, keys)
        for habit in ("capital", "attention", *Habits.names)
    }
    for habit in Habits.names:
        traders.trader[habit][accounts] = drawn[habit]
    write_own_fractions(run.state, accounts, drawn["leverage"])
    traders.trader["attention"][accounts] = drawn["attention"] / rules.step_minutes
    traders.trader["last_wake"][accounts] = t
    traders.trader["is_retired"][accounts] = 0
    values = run.callers.parameters_of(g)
    if isinstance(values, BuiltIn):
        values.welcome(traders, g, accounts, run.seed)
    else:
        traders.memory[accounts] = 0.0
    wake_first(traders, accounts, values, t, run.seed, rules.step_minutes)
    begin_stay(traders, g, accounts, t, run.seed)
    _pay_in(run, name, accounts, drawn, t)
    for i in accounts.tolist():
        run.welcome(i)


def _pay_in(run: RunAttributes, name: str, accounts: Integers, drawn: Any, t: int) -> None:
    """Let newcomers pay in."""
    deposit = np.maximum(np.rint(drawn["capital"] * ATOMS), 1.0).astype(np.int64)
    total = float(run.state.account["deposit"].sum()) + float(deposit.sum())
    if total >= MAX_DEPOSIT_ATOMS:
        raise ScenarioError(
            [
                f"populations.{name}.capital: with the newcomers of step {t} all deposits of the "
                f"run come to {total / ATOMS:.4g} USD; they must stay below "
                f"{MAX_DEPOSIT_ATOMS / ATOMS:.4g} USD: state a max, or fewer days"
            ],
            run.scenario.name,
        )
    for n, i in enumerate(accounts.tolist()):
        share = float(drawn["stable_share"][n])
        fill_account(run.state, run.traders, i, int(deposit[n]), share)
        _note(run, t, i, Turn.ARRIVAL, int(deposit[n]))


def _note(run: RunAttributes, t: int, i: int, kind: Turn, atoms: int) -> None:
    clock, generation = run.tape.clock[0], int(run.traders.stay[i].generation)
    count = int(clock.num_arrivals)
    clock.num_arrivals = note_turn(run.tape.arrival, count, t, i, generation, int(kind), atoms)

"""A field of the scenario changes while it runs: what that changes in the arrays of the run."""

import math
from typing import Any

import numpy as np

from marketsim.agents.base import BuiltIn, Habits
from marketsim.agents.registry import write_parameters
from marketsim.agents.strategies import STRATEGIES
from marketsim.engine.allocation import add_pools
from marketsim.engine.regrouping import may_regroup, regroup
from marketsim.engine.state import UNLIMITED, State
from marketsim.run.attributes import RunAttributes
from marketsim.run.room import longer_tape
from marketsim.scenario.build import write_draw_limits, write_own_fractions, write_rules
from marketsim.scenario.build_world import write_process
from marketsim.scenario.changes import changed, chosen_count
from marketsim.scenario.interventions import Change
from marketsim.scenario.population import MODES
from marketsim.scenario.roster import draw_habit, draw_limit, draw_uniform, pick_modes
from marketsim.scenario.schema import Scenario
from marketsim.streams import Stream
from marketsim.tape.result import Integers

#: Numbers of the draws of the stream INTERVENTION, and of one more of WAKE.
CHOICE_DRAW, MODE_DRAW = 0, 1
WAKE_DRAW = 2


def make_change(run: RunAttributes, number: int, change: Change) -> str | None:
    """Change a field from the coming step on.

    Parameters
    ----------
    run : RunAttributes
    number : int
        Of the intervention: whom a share of a population means is drawn with it.
    change : Change

    Returns
    -------
    str or None
        For whom it was not changed, and why.

    Raises
    ------
    InterventionError
        If there is no such field, it does not act on a running market, or may not be so.
    """
    before = run._rules
    then = changed(before, change)
    if change.share == 1.0:
        run._rules = then
    keys = change.path.split(".")
    if keys[0] in ("venue", "markets"):
        follow(run, then)
    elif keys[0] == "spot":
        names = run.market_names
        write_process(run.world, then.spot, names, then.step_minutes)
    elif keys[0] == "populations" and keys[2] == "parameters":
        _write_parameters(run, then, keys[1])
    elif keys[0] == "populations" and keys[2] in ("margin_mode", "groups"):
        return _change_modes(run, then, keys[1], number, change)
    elif keys[0] == "populations":
        accounts = _chosen(run, keys[1], number, change.share)
        _write_habit(run, then, keys[1], keys[2], accounts)
    return None


def follow(run: RunAttributes, rules: Scenario) -> None:
    """Let other rules of the venue and its markets hold from the coming step on."""
    run._rules = rules
    write_rules(run.state, rules, run._prices)
    keep_caps(run)
    run.tape = longer_tape(run, run.num_steps)


def keep_caps(run: RunAttributes) -> None:
    """Note the funding caps that hold from the coming step on."""
    caps = np.array(run.state.market["funding_cap"], np.float64)
    run._caps.append((run.step_count, caps))


def _chosen(run: RunAttributes, name: str, number: int, share: float) -> Integers:
    """Return the accounts of a population, or so large a share of them, drawn by their keys."""
    rows = run.roster.rows_of(name)
    accounts = np.arange(rows.start, rows.stop)
    if share == 1.0:
        return accounts
    draws = _draw(run, accounts, number, CHOICE_DRAW)
    first = np.argsort(draws, kind="stable")[: chosen_count(share, len(accounts))]
    return accounts[np.sort(first)]


def _draw(run: RunAttributes, accounts: Integers, number: int, k: int) -> Any:
    keys = run.roster.keys[accounts]
    return draw_uniform(run.seed, Stream.INTERVENTION, keys, k, number)


def _write_parameters(run: RunAttributes, then: Scenario, name: str) -> None:
    population = then.populations[name]
    values = STRATEGIES[population.strategy].model_validate(population.parameters)
    g = run.roster.names.index(name)
    assert isinstance(values, BuiltIn)
    write_parameters(run.traders, g, population.strategy, values)


def _write_habit(
    run: RunAttributes, then: Scenario, name: str, habit: str, accounts: Integers
) -> None:
    """Give traders the habit that a scenario with it would have drawn for them."""
    trader = run.traders.trader
    value = draw_habit(then, name, habit, run.seed, trader["key"][accounts])
    if habit == "attention":
        trader["attention"][accounts] = value / then.step_minutes
        _wait_anew(run, accounts)
        return
    assert habit in Habits.names
    trader[habit][accounts] = value
    if habit == "leverage":
        write_own_fractions(run.state, accounts, value)


def _wait_anew(run: RunAttributes, accounts: Integers) -> None:
    """Draw when traders look next, from the last step on; a wait has no memory.

    Who looks in the coming step does so, and who left the market stays away.
    """
    t = run.step_count + run.warm_up
    trader, next_wake = run.traders.trader, run.traders.next_wake
    waits = (next_wake[accounts] > t) & (trader["is_retired"][accounts] == 0)
    accounts = accounts[waits]
    draws = draw_uniform(run.seed, Stream.WAKE, trader["key"][accounts], WAKE_DRAW, t)
    for i, draw in zip(accounts.tolist(), draws.tolist(), strict=True):
        wait = float(trader["attention"][i]) * -math.log(draw)
        next_wake[i] = UNLIMITED if wait >= 1e15 else t - 1 + max(math.ceil(wait), 1)


def _change_modes(
    run: RunAttributes, then: Scenario, name: str, number: int, change: Change
) -> str | None:
    """Move the positions of a population to the pools of their margin modes, new or the same."""
    accounts = _chosen(run, name, number, change.share)
    modes = run.interventions.margin_mode[accounts]
    if change.path.endswith(".margin_mode"):
        uniform = _draw(run, accounts, number, MODE_DRAW)
        modes = pick_modes(then.populations[name], uniform)
    kept = enter_modes(run, then, name, accounts, modes)
    if kept == 0:
        return None
    return (
        f"{change.path}: {kept} of {len(accounts)} traders keep the pools they have, the initial "
        "margin of their positions is more than their equity"
    )


def enter_modes(
    run: RunAttributes, then: Scenario, name: str, accounts: Integers, modes: Any
) -> int:
    """Put accounts of a population into margin modes, one each; return how many could not."""
    return sum(
        _enter_mode(run, then, name, accounts[modes == mode], mode) for mode in range(len(MODES))
    )


def _enter_mode(
    run: RunAttributes, then: Scenario, name: str, accounts: Integers, mode: int
) -> int:
    """Put accounts into a margin mode; return how many could not."""
    group = _side_groups(then, name, mode)
    needed = int(group.max(initial=-1)) + 1
    may = may_regroup(run.state, accounts)
    has = np.bincount(run.state.pool["owner"])[accounts] - 1  # the main pool is none of them
    lacking = np.where(may, np.maximum(needed - has, 0), 0)
    if lacking.any():
        run.state = add_pools(run.state, np.repeat(accounts, lacking))
    state = run.state
    num_asked = len(accounts)
    accounts, may = accounts[has + lacking >= needed], may[has + lacking >= needed]
    side = _side_pools(state, accounts, needed)
    pool = np.repeat(accounts[:, None], len(group), axis=1)
    pool[:, group >= 0] = side[:, group[group >= 0]]
    stays = (np.asarray(state.position["pool"][accounts]) == pool).all(axis=1)
    regroup(state, accounts[may & ~stays], pool[may & ~stays])
    done = may | stays
    run.interventions.margin_mode[accounts[done]] = mode
    _write_limits(run, then, name, accounts[done], side[done], mode)
    return num_asked - int(done.sum())


def _side_pools(state: State, accounts: Integers, count: int) -> Integers:
    """Return the first side pools of accounts, as many of each."""
    owner = np.asarray(state.pool["owner"])
    pool = np.argsort(owner, kind="stable")  # those of each account, its main pool first
    first = np.searchsorted(owner[pool], accounts) + 1
    found: Integers = pool[first[:, None] + np.arange(count)]
    return found


def _side_groups(then: Scenario, name: str, mode: int) -> Integers:
    """Return the number of the side pool a mode has for each market; -1: the main pool."""
    population, markets = then.populations[name], list(then.markets)
    group = np.full(len(markets), -1)
    if MODES[mode] == "isolated":
        traded = np.flatnonzero(population.market_weights(tuple(markets)))
        group[traded] = np.arange(len(traded))
    elif MODES[mode] == "partial":
        limited = [each for each in population.groups.values() if each.draw_limit != "unlimited"]
        for number, each in enumerate(limited):
            group[[markets.index(market) for market in each.markets]] = number
    return group


def _write_limits(
    run: RunAttributes, then: Scenario, name: str, accounts: Integers, side: Any, mode: int
) -> None:
    """Write what the side pools of accounts may draw."""
    state = run.state
    owner = np.asarray(state.pool["owner"])
    others = np.isin(owner, accounts) & (np.arange(len(owner)) >= len(state.account))
    state.draw["limit"][others] = 0
    if MODES[mode] != "partial":
        return
    numbered = enumerate(then.populations[name].groups.values())
    limited = [(draw, group) for draw, group in numbered if group.draw_limit != "unlimited"]
    keys = run.traders.trader["key"][accounts]
    capital = draw_habit(then, name, "capital", run.seed, keys)
    for place, (draw, group) in enumerate(limited):
        usd = draw_limit(group, draw, run.seed, keys, capital)
        write_draw_limits(state, side[:, place], usd)

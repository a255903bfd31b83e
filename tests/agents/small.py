"""Small markets for tests of traders and whole runs, and a way to ask one trader what it wants.

Two markets of round numbers (100 and 50 USD, ticks of a cent, lots of 0.01 coins), no fees, a
constant spot unless stated. Every trader of a population is alike.
"""

from typing import Any

import numpy as np

from marketsim.agents.base import Traders
from marketsim.engine.state import ATOMS, UNLIMITED, State
from marketsim.run.loop import decide
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.schema import Scenario

MARKET = {"tick_size": 0.01, "lot_size": 0.01, "maker_fee": 0.0, "taker_fee": 0.0}
MARKETS = {"ONE": {**MARKET, "price": 100.0}, "TWO": {**MARKET, "price": 50.0}}

#: One population of each strategy, with nothing left to chance but what the strategy draws.
HABITS = {"attention": 1.0, "leverage": 4.0, "buffer": 0.0, "stop_loss": "never", "slippage": 0.01}
POPULATIONS: dict[str, dict[str, Any]] = {
    "maker": {
        **HABITS,
        "strategy": "maker",
        "count": 4,
        "capital": 1e6,
        "attention": 0.2,
        "parameters": {"risk_aversion": 1.2},
    },
    "basis": {
        **HABITS,
        "strategy": "basis",
        "count": 5,
        "capital": 5e5,
        "parameters": {"lean": 0.003, "portion": 0.25, "band": 0.0005, "risk": 0.0},
    },
    "noise": {**HABITS, "strategy": "noise", "count": 20, "capital": 2e4, "attention": 10.0},
    "holder": {**HABITS, "strategy": "holder", "count": 20, "capital": 1e4, "attention": 30.0},
    "herd": {
        **HABITS,
        "strategy": "herd",
        "count": 20,
        "capital": 1e4,
        "attention": 30.0,
        "parameters": {"memory_hours": 2.0, "rebalance": 0.0},
    },
    "carry": {
        **HABITS,
        "strategy": "carry",
        "count": 5,
        "capital": 1e5,
        "spot_hedge": 1.0,
        "parameters": {"cost": 0.0, "full_rate": 1e-6, "rebalance": 0.0},
    },
    "pair": {
        **HABITS,
        "strategy": "pair",
        "count": 5,
        "capital": 2e4,
        "attention": 5.0,
        "parameters": {"window_hours": 1.0, "entry": 0.1, "leave": 0.0, "rebalance": 0.0},
    },
    "manual": {**HABITS, "strategy": "manual", "count": 5, "capital": 2e4},
}


def scenario(**tables: Any) -> Scenario:
    """A scenario of everybody in both markets for six hours; tables replace those here."""
    data = {
        "name": "small",
        "days": 0.25,
        "insurance_fund": 10_000.0,
        "markets": MARKETS,
        "venue": {"funding": {"interval_hours": 1}},
        "spot": {"kind": "constant"},
        "populations": POPULATIONS,
    }
    return parse_scenario({**data, **tables})


def only(strategy: str, *, markets: Any = None, seed: int = 1, **population: Any) -> Simulation:
    """A run of one population before its first step, in market ONE (a pair's: both) unless stated.

    Nobody looks at the market until `ask` or the test wakes them.
    """
    traders = {**POPULATIONS[strategy], **population}
    fewest = MARKETS if strategy == "pair" else {"ONE": MARKETS["ONE"]}
    tables = {"markets": markets or fewest, "populations": {strategy: traders}}
    simulation = Simulation(scenario(**tables), seed)
    simulation.traders.next_wake[:] = UNLIMITED
    return simulation


def ask(simulation: Simulation, *accounts: int, t: int = 0) -> Any:
    """Wake accounts (all of them by default) in step `t` and return copies of their intents."""
    traders: Traders = simulation.traders
    state: State = simulation.state
    who = list(accounts) or slice(None)
    traders.next_wake[who] = t
    state.totals[0].num_intents = 0
    state.totals[0].step = t
    decide(state, traders, t, simulation.seed)
    traders.next_wake[:] = UNLIMITED
    return np.array(state.intent[: int(state.totals[0].num_intents)])


def give(simulation: Simulation, i: int, coins: float, m: int = 0, entry: float = 0.0) -> None:
    """Give account `i` a position bought at `entry` USD (default: the mark) from the last account.

    Sizes of a market keep summing to zero.
    """
    state = simulation.state
    market = state.market[m]
    lots = round(coins / float(market.lot_size))
    ticks = round(entry / float(market.tick_size)) or int(market.mark_ticks)
    cost = lots * ticks * int(market.tick_atoms)
    for account, sign in ((i, 1), (len(state.account) - 2, -1)):
        position = state.position[account, m]
        position.size += sign * lots
        position.entry_cost += sign * cost
        state.pool[position.pool].cash -= sign * cost
        state.flow[account, 0] -= sign * cost
    market.open_interest = np.maximum(state.position["size"][:, m], 0).sum()


def set_price(simulation: Simulation, usd: float, m: int = 0) -> None:
    """Put index, mark and what everybody sees of a market at a price."""
    market = simulation.state.market[m]
    market.index_price = usd
    market.index_ticks = market.mark_ticks = round(usd / float(market.tick_size))
    simulation.traders.public[m].mid = usd


def coins(simulation: Simulation, intent: Any) -> Any:
    """Size of intents in coins."""
    return intent["size"] * simulation.state.market["lot_size"][intent["market"]]


def prices(simulation: Simulation, intent: Any) -> Any:
    """Limit of intents in USD."""
    return intent["price"] * simulation.state.market["tick_size"][intent["market"]]


def equity(simulation: Simulation, i: int) -> float:
    """Equity of an account's pools at the mark, USD."""
    state = simulation.state
    mark = state.market["mark_ticks"] * state.market["tick_atoms"]
    value = int((state.position["size"][i] * mark).sum())
    return (int(state.pool["cash"][state.pool["owner"] == i].sum()) + value) / ATOMS

"""Which strategies there are, and the traders' arrays made from a scenario."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from marketsim.agents.base import Habits, Kind, Parameters, Traders, allocate_traders
from marketsim.agents.basis import Basis
from marketsim.agents.carry import Carry
from marketsim.agents.herd import Herd, seed_opinions
from marketsim.agents.holder import Holder
from marketsim.agents.maker import Maker
from marketsim.agents.network import link_traders
from marketsim.agents.noise import Noise
from marketsim.agents.own import Plain, find_strategy, own_class, parameters_class
from marketsim.agents.pair import Pair
from marketsim.engine.state import UNLIMITED, State
from marketsim.scenario.errors import ScenarioError, explain, one_of
from marketsim.scenario.roster import Roster
from marketsim.scenario.schema import Scenario
from marketsim.streams import Stream, exponential

STRATEGIES: dict[str, type[Parameters]] = {
    "maker": Maker,
    "basis": Basis,
    "noise": Noise,
    "holder": Holder,
    "herd": Herd,
    "carry": Carry,
    "pair": Pair,
}

#: Who must be there from the first step, or the others find no market.
EARLY = ("maker", "basis")

#: Annual volatility the makers expect before they have seen any.
FIRST_VOLATILITY = 0.6


def check_strategies(scenario: Scenario, own: Mapping[str, Any] | None = None) -> list[Parameters]:
    """Check every population's strategy and its parameters.

    Parameters
    ----------
    scenario : Scenario
    own : mapping, optional
        Users' classes by the name a population calls them.

    Returns
    -------
    list of Parameters
        One per population.

    Raises
    ------
    ScenarioError
        Naming every wrong field, its value and the nearest valid name.
    """
    problems: list[str] = []
    found: list[Parameters] = []
    markets = tuple(scenario.markets)
    for name, population in scenario.populations.items():
        path = f"populations.{name}"
        try:
            strategy = _find(population.strategy, own or {})
        except ValueError as error:
            problems.append(f'{path}.strategy = "{population.strategy}": {error}')
            continue
        try:
            found.append(strategy.model_validate(population.parameters))
            if strategy is Pair and sum(map(bool, population.market_weights(markets))) < 2:
                problems.append(f"{path}.markets: a pair trader needs two markets")
        except ValidationError as error:
            data = dict(population.parameters)
            for _, lines in explain(error, data, strategy.model_json_schema()):
                problems += [f"{path}.parameters.{line}" for line in lines]
    if problems:
        raise ScenarioError(problems, scenario.name)
    return found


def _find(name: str, own: Mapping[str, Any]) -> type[Parameters]:
    """Return the class of a strategy's parameters."""
    if name in STRATEGIES:
        return STRATEGIES[name]
    if name in own or ":" in name:
        return parameters_class(find_strategy(name, own))
    known = one_of(name, [*STRATEGIES, *own])
    raise ValueError(f'{known}, or your own: "module:Class" or "path/to/file.py:Class"')


def needs_face(scenario: Scenario) -> bool:
    """Tell whether a population consists of traders in plain Python, who are Mesa agents."""
    classes = [own_class(values) for values in check_strategies(scenario)]
    return any(own is not None and issubclass(own, Plain) for own in classes)


def intents_per_trader(parameters: Parameters, num_markets: int) -> int:
    """Return how many intents a trader of this strategy can submit in one step."""
    habits = 2 * num_markets  # what `habits.mind_positions` may ask for
    if isinstance(parameters, Maker):
        return habits + num_markets * (2 * int(parameters.levels) + 2)
    return habits + max(2 * num_markets, 4)


def build_traders(
    scenario: Scenario, state: State, roster: Roster, seed: int, chosen: list[Parameters]
) -> Traders:
    """Make the traders' arrays: keys, habits in steps, parameters, first waking.

    Parameters
    ----------
    scenario : Scenario
    state : State
        Opened: the index prices seed what is public.
    roster : Roster
    seed : int
    chosen : list of Parameters
        From `check_strategies`.

    Returns
    -------
    Traders

    Raises
    ------
    ScenarioError
        If the network of a herd cannot be made.
    """
    dtypes = {name: strategy.dtype() for name, strategy in STRATEGIES.items()}
    groups = list(zip(roster.names, roster.rows, chosen, strict=True))
    links = link_traders(groups, roster.num_traders, seed)
    traders = allocate_traders(roster.num_traders, len(state.market), dtypes, len(chosen), links)
    traders.trader["key"] = roster.keys
    traders.trader["population"] = roster.population
    traders.trader["attention"] = roster.attention / scenario.step_minutes
    for habit in Habits.names:
        traders.trader[habit] = getattr(roster, habit)
    traders.weight[:] = roster.market_weight
    for g, (strategy, values) in enumerate(zip(roster.strategies, chosen, strict=True)):
        rows = roster.rows[g]
        row = traders.population[g]
        row.kind = Kind.OWN if own_class(values) else Kind[strategy.upper()]
        row.start, row.stop = rows.start, rows.stop
        if row.kind != Kind.OWN:
            for name, value in values.record(rows.stop - rows.start).items():
                getattr(traders, strategy)[name][g] = value
        if isinstance(values, Herd):
            seed_opinions(traders, g, seed)
        if strategy not in EARLY:
            traders.next_wake[rows] = _first_wakes(traders, rows, seed, scenario)
    variance = FIRST_VOLATILITY**2 * scenario.step_minutes / (365 * 1440)
    for m in range(len(state.market)):
        view = traders.public[m]
        view.mid = view.last_index = state.market[m].index_price
        view.variance = variance
    return traders


def _first_wakes(traders: Traders, rows: slice, seed: int, scenario: Scenario) -> Any:
    """Spread the first look over one attention span, over the first day for who looks once."""
    day = 1440 / scenario.step_minutes
    mean = np.minimum(traders.trader["attention"][rows], day)
    draws = np.array(
        [exponential(seed, int(Stream.WAKE), int(k), 0, 1) for k in traders.trader["key"][rows]]
    )
    return np.minimum(np.ceil(mean * draws), UNLIMITED).astype(np.int64)


def most_intents(scenario: Scenario, chosen: list[Parameters]) -> int:
    """Return the most intents one step can bring, users' own orders left out."""
    populations = scenario.populations.values()
    return sum(
        population.count * intents_per_trader(values, len(scenario.markets))
        for population, values in zip(populations, chosen, strict=True)
    )

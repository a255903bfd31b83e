"""From a scenario's populations to checked strategies, and to the traders' arrays."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from pydantic import ValidationError

from marketsim.agents.base import OWN, BuiltIn, Habits, Parameters, Traders, allocate_traders
from marketsim.agents.own import Plain, find_strategy, own_class, parameters_class
from marketsim.agents.strategies import PARAMETERS, STRATEGIES
from marketsim.agents.turnover import begin_stay
from marketsim.engine.state import NONE, UNLIMITED, State
from marketsim.scenario.errors import ScenarioError, explain, one_of
from marketsim.scenario.loader import json_schema
from marketsim.scenario.population import Turnover
from marketsim.scenario.roster import Roster
from marketsim.scenario.schema import Scenario
from marketsim.streams import Stream, asset_key, bits, fill_exponential

#: Hours between two looks of a trader at whether to leave.
LOOK_HOURS = 1.0
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
            traded = sum(map(bool, population.market_weights(markets)))
            if issubclass(strategy, BuiltIn) and traded < strategy.MIN_MARKETS:
                problems.append(
                    f"{path}.markets: a {population.strategy} trader needs "
                    f"{strategy.MIN_MARKETS} markets"
                )
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


def needs_face(scenario: Scenario, strategies: Mapping[str, Any] | None = None) -> bool:
    """Tell whether a population consists of traders in plain Python, who are Mesa agents."""
    classes = [own_class(values) for values in check_strategies(scenario, strategies)]
    return any(own is not None and issubclass(own, Plain) for own in classes)


def scenario_schema() -> dict[str, Any]:
    """Return the JSON schema of a scenario file, with the parameters of each built-in strategy."""
    schema = deepcopy(json_schema())
    population = schema["$defs"]["Population"]
    population["properties"]["strategy"]["examples"] = list(STRATEGIES)
    population["allOf"] = []
    for name, strategy in STRATEGIES.items():
        key = f"{strategy.__name__}Parameters"
        schema["$defs"][key] = strategy.model_json_schema()
        own: dict[str, Any] = {
            habit: {"default": value} for habit, value in strategy.DEFAULT_HABITS.items()
        }
        own["parameters"] = {"$ref": f"#/$defs/{key}"}
        chosen = {"properties": {"strategy": {"const": name}}, "required": ["strategy"]}
        population["allOf"].append({"if": chosen, "then": {"properties": own}})
    for table in schema["$defs"].values():
        kind = table.get("properties", {}).get("kind", {})
        if "const" in kind:
            kind.setdefault("description", "Which kind of table this is.")
    return schema


def intents_per_trader(parameters: Parameters, num_markets: int) -> int:
    """Return how many intents a trader can submit in one step, a user's own orders left out."""
    habits = 2 * num_markets  # what `habits.check_positions` may ask for
    return habits + (parameters.max_intents(num_markets) if isinstance(parameters, BuiltIn) else 0)


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
    traders = undrawn_traders(scenario, state, roster, chosen)
    return draw_traders(traders, scenario, roster, seed, chosen)


def undrawn_traders(
    scenario: Scenario, state: State, roster: Roster, chosen: list[Parameters]
) -> Traders:
    """Make the traders' arrays as far as no seed decides them; arguments as of `build_traders`."""
    spans = zip(roster.rows, chosen, strict=True)
    num_own = sum(rows.stop - rows.start for rows, own in spans if not isinstance(own, BuiltIn))
    traders = allocate_traders(
        roster.num_traders, len(state.market), PARAMETERS, len(chosen), num_own
    )
    traders.trader["key"] = roster.keys
    traders.trader["population"] = roster.population
    traders.weight[:] = roster.market_weight
    variance = FIRST_VOLATILITY**2 * scenario.step_minutes / (365 * 1440)
    for m, name in enumerate(scenario.markets):
        view = traders.public[m]
        view.key = asset_key(name)
        view.mid = view.last_index = state.market[m].index_price
        view.variance = view.stir = variance
    for g, (rows, values) in enumerate(zip(roster.rows, chosen, strict=True)):
        row = traders.population[g]
        row.kind = OWN
        row.start, row.stop = rows.start, rows.stop
        if isinstance(values, BuiltIn):
            row.kind = list(STRATEGIES).index(roster.strategies[g])
            row.plans_hedge = values.PLANS_HEDGE
            row.has_opinions = values.HAS_OPINIONS
            write_parameters(traders, g, roster.strategies[g], values)
        turnover = scenario.populations[roster.names[g]].turnover
        if turnover is not None:
            _write_turnover(row, turnover, scenario)
    return traders


def draw_traders(
    traders: Traders, scenario: Scenario, roster: Roster, seed: int, chosen: list[Parameters]
) -> Traders:
    """Make undrawn traders those of a roster and its seed, see `build_traders`; overwrites them."""
    links = _link_traders(roster, chosen, seed)
    if links is not None:
        traders = traders._replace(link_span=links[0], link=links[1])
    traders.trader["attention"] = roster.attention / scenario.step_minutes
    for habit in Habits.names:
        traders.trader[habit] = getattr(roster, habit)
    for g, (rows, values) in enumerate(zip(roster.rows, chosen, strict=True)):
        if isinstance(values, BuiltIn):
            values.set_up(traders, g, seed)
        accounts = np.arange(rows.start, rows.stop)
        wake_first(traders, accounts, values, 0, seed, scenario.step_minutes)
        if scenario.populations[roster.names[g]].turnover is not None:
            begin_stay(traders, g, accounts, 0, seed)
    return traders


def write_parameters(traders: Traders, g: int, name: str, values: BuiltIn) -> None:
    """Write what kernels read of the parameters of population `g`, of the strategy `name`."""
    row = traders.population[g]
    for field, value in values.record(int(row.stop - row.start)).items():
        traders.parameters[name][field][g] = value


def _link_traders(
    roster: Roster, chosen: Sequence[Parameters], seed: int
) -> tuple[Any, Any] | None:
    """List every trader's neighbours: `link_span` and `link` of `Traders`; None: nobody has any."""
    span: Any = None
    links: list[int] = []
    for name, rows, values in zip(roster.names, roster.rows, chosen, strict=True):
        if not isinstance(values, BuiltIn) or type(values).graph is BuiltIn.graph:
            continue
        own = int(bits(seed, int(Stream.NETWORK), asset_key(name), 0, 0)) % 2**32
        try:
            graph = values.graph(rows.stop - rows.start, own)
        except ValueError as error:
            raise ScenarioError([f"populations.{name}.parameters.{error}"]) from None
        if graph is None:
            continue
        if span is None:
            span = np.full((roster.num_traders, 2), NONE, np.int64)
        for node in range(rows.stop - rows.start):
            span[rows.start + node, 0] = len(links)
            links += [rows.start + other for other in sorted(graph[node])]
            span[rows.start + node, 1] = len(links)
    return None if span is None else (span, np.array(links or [0], np.int64))


def wake_first(
    traders: Traders, accounts: Any, values: Parameters, t: int, seed: int, step_minutes: float
) -> None:
    """Spread the first look over one attention span, over the first day for who looks once.

    Overwrites the next waking of traders of one population who begin in step `t`.
    """
    traders.next_wake[accounts] = t
    if isinstance(values, BuiltIn) and values.ACTS_FIRST:
        return
    mean = np.minimum(traders.trader["attention"][accounts], 1440 / step_minutes)
    draws = np.empty(len(accounts))
    keys = np.ascontiguousarray(traders.trader["key"][accounts])
    fill_exponential(seed, int(Stream.WAKE), keys, 0, 1, draws)
    wait = np.minimum(np.ceil(mean * draws), UNLIMITED - t)
    traders.next_wake[accounts] += wait.astype(np.int64)


def _write_turnover(row: Any, turnover: Turnover, scenario: Scenario) -> None:
    """Write how a population's traders come and go, in steps."""

    def steps(hours: float) -> float:
        return 60.0 * hours / scenario.step_minutes

    row.turns_over = 1
    row.look = max(round(steps(LOOK_HOURS)), 1)
    row.wait = steps(turnover.wait_hours)
    row.stay = steps(_number(turnover.stay_hours))
    row.withdraw_above = _number(turnover.withdraw_above)
    row.ruin_below = turnover.ruin_below


def _number(value: float | str) -> float:
    return math.inf if isinstance(value, str) else value


def most_intents(scenario: Scenario, chosen: list[Parameters]) -> int:
    """Return the most intents one step can bring, users' own orders left out."""
    populations = scenario.populations.values()
    return sum(
        population.count * intents_per_trader(values, len(scenario.markets))
        for population, values in zip(populations, chosen, strict=True)
    )

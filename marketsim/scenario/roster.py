"""Who is who: the traders of a run, their capital, habits and pools, drawn from their keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from marketsim.scenario.distributions import Constant, Floats, choose
from marketsim.scenario.population import RANGES, Group, Population
from marketsim.scenario.schema import Scenario
from marketsim.streams import Stream, fill_uniform, trader_keys

#: Numbers of the draws that are not habits; habits have their place in `Population.HABITS`.
MODE_DRAW = 32
GROUP_DRAW = 64


class SidePools(NamedTuple):
    """Pools beside the main ones, and which positions lie in them."""

    owner: Any  #: (Q,) int64 account of each pool
    draw_limit: Any  #: (Q,) USD the pool may draw from the main pool
    account: Any  #: (R,) int64: position (account, market) lies in side pool `number`
    market: Any  #: (R,) int64
    number: Any  #: (R,) int64, from 0


#: Where everybody's positions lie in main pools.
NO_POOLS = SidePools(
    owner=np.zeros(0, np.int64),
    draw_limit=np.zeros(0),
    account=np.zeros(0, np.int64),
    market=np.zeros(0, np.int64),
    number=np.zeros(0, np.int64),
)


@dataclass(frozen=True)
class Roster:
    """The traders, population by population; arrays have one entry per trader."""

    names: tuple[str, ...]  #: of the populations
    strategies: tuple[str, ...]  #: of each population
    parameters: tuple[Mapping[str, Any], ...]  #: of each population, for its strategy
    rows: tuple[slice, ...]  #: accounts of each population
    population: Any  #: int32 number of the trader's population
    keys: Any  #: int64 keys of the trader's random draws
    priority: Any  #: int64 fixed random rank in [0, 2**31)
    margin_mode: Any  #: int8, place in `marketsim.scenario.population.MODES`
    market_weight: Any  #: (populations, M) share of each market, rows sum to one
    side_pool: SidePools
    capital: Floats  #: USD
    leverage: Floats  #: notional / equity, within the limits of the markets traded
    funding_sensitivity: Floats
    attention: Floats  #: mean minutes between two looks; inf: never again
    buffer: Floats  #: multiple of maintenance margin
    stop_loss: Floats  #: fraction of the entry price; inf: none
    tranches: Floats  #: whole numbers
    stable_share: Floats  #: of capital
    spot_hedge: Floats  #: of the perp position
    slippage: Floats  #: fraction of mid

    @property
    def num_traders(self) -> int:
        """Traders of all populations."""
        return len(self.keys)

    def rows_of(self, name: str) -> slice:
        """Return the accounts of a population."""
        return self.rows[self.names.index(name)]


def draw_roster(scenario: Scenario, seed: int, like: Roster | None = None) -> Roster:
    """Draw every trader's capital and habits.

    A trader's draws depend on the seed, the name of its population and its number there; not on
    the other populations, nor on its own other habits.

    Parameters
    ----------
    scenario : Scenario
    seed : int
    like : Roster, optional
        One of the same scenario with another seed: what no seed changes is taken from there.

    Returns
    -------
    Roster
    """
    markets = tuple(scenario.markets)
    if like is None:
        like = _undrawn_roster(scenario)
    keys = like.keys
    mode = np.zeros(len(keys), np.int8)
    habits = {name: getattr(like, name).copy() for name in Population.HABITS}
    side = []
    for place, (name, own) in enumerate(zip(like.names, like.rows, strict=True)):
        population = scenario.populations[name]
        for habit, column in habits.items():
            if not isinstance(getattr(population, habit), Constant):
                column[own] = draw_habit(scenario, name, habit, seed, keys[own])
        weights = population.mode_weights
        if max(weights) < sum(weights):
            draws = draw_uniform(seed, Stream.SETUP, keys[own], MODE_DRAW)
            mode[own] = pick_modes(population, draws)
        else:
            mode[own] = weights.index(max(weights))
        if not mode[own].any():  # all of its positions lie in main pools
            continue
        isolated, partial = (own.start + np.flatnonzero(mode[own] == kind) for kind in (1, 2))
        side.append(_pool_per_position(isolated, np.flatnonzero(like.market_weight[place])))
        for draw, group in enumerate(population.groups.values()):
            if group.draw_limit != "unlimited":  # an unlimited group is part of the main pool
                where = np.array([markets.index(market) for market in group.markets])
                limit = draw_limit(group, draw, seed, keys[partial], habits["capital"][partial])
                side.append(_pool_per_group(partial, where, limit))
    return replace(
        like,
        priority=(draw_uniform(seed, Stream.RANK, keys, 0) * 2.0**31).astype(np.int64),
        margin_mode=mode,
        side_pool=_join(side),
        **habits,
    )


def _undrawn_roster(scenario: Scenario) -> Roster:
    """Return the roster as far as no seed decides it; habits that are drawn are zero."""
    markets = tuple(scenario.markets)
    populations = scenario.populations
    stops = np.cumsum([0, *(each.count for each in populations.values())]).tolist()
    rows = tuple(slice(*span) for span in pairwise(stops))
    habits = {name: np.zeros(stops[-1]) for name in Population.HABITS}
    for (name, population), own in zip(populations.items(), rows, strict=True):
        for habit, column in habits.items():
            if isinstance(getattr(population, habit), Constant):
                column[own] = draw_habit(scenario, name, habit, 0, np.zeros(population.count))
    none = np.zeros(0, np.int64)
    return Roster(
        names=tuple(populations),
        strategies=tuple(each.strategy for each in populations.values()),
        parameters=tuple(each.parameters for each in populations.values()),
        rows=rows,
        population=np.repeat(
            np.arange(len(rows), dtype=np.int32), [each.count for each in populations.values()]
        ),
        keys=np.concatenate([trader_keys(name, p.count) for name, p in populations.items()]),
        priority=none,
        margin_mode=none,
        market_weight=np.array([each.market_weights(markets) for each in populations.values()]),
        side_pool=NO_POOLS,
        **habits,
    )


def draw_habit(scenario: Scenario, name: str, habit: str, seed: int, keys: Any) -> Floats:
    """Draw one habit, or the capital, of those traders of a population who have these keys.

    Leverage stays within the limits of the markets traded.
    """
    population = scenario.populations[name]
    distribution = getattr(population, habit)
    if isinstance(distribution, Constant):  # within its range, or the scenario would be refused
        value = distribution.quantile(keys)
    else:
        allowed, place = RANGES[habit], Population.HABITS.index(habit)
        value = distribution.quantile(draw_uniform(seed, Stream.SETUP, keys, place))
        kept = np.minimum(np.maximum(value, allowed.low), allowed.high)
        value = np.where(np.isinf(value), value, kept) if allowed.allows_never else kept
    if habit == "leverage":
        return np.minimum(value, _leverage_limit(scenario, population))
    return np.rint(value) if habit == "tranches" else value


def _leverage_limit(scenario: Scenario, population: Population) -> float:
    names = tuple(scenario.markets)
    weights = population.market_weights(names)
    traded = [scenario.markets[m] for m, w in zip(names, weights, strict=True) if w]
    return min(market.leverage_limit for market in traded)


def draw_uniform(seed: int, stream: int, keys: Any, k: int, step: int = 0) -> Floats:
    """Draw once for each key; equal to `marketsim.streams.uniform`.

    Parameters
    ----------
    seed : int
    stream : int
    keys : array of int64
    k : int
        Number of the draw.
    step : int, optional

    Returns
    -------
    array of float64
        In (0, 1).
    """
    found = np.empty(len(keys))
    fill_uniform(seed, int(stream), np.ascontiguousarray(keys), step, k, found)
    return found


def pick_modes(population: Population, uniform: Floats) -> Any:
    """Return a margin mode (int8) for each uniform draw, by the population's shares."""
    return choose(population.mode_weights, uniform).astype(np.int8)


def _pool_per_position(accounts: Any, markets: Any) -> SidePools:
    """Give each account a pool of its own in each market, drawing nothing."""
    owner = np.repeat(accounts, len(markets))
    market = np.broadcast_to(markets, (len(accounts), len(markets))).reshape(-1)
    return SidePools(owner, np.zeros(len(owner)), owner, market, np.arange(len(owner)))


def _pool_per_group(accounts: Any, markets: Any, limits: Floats) -> SidePools:
    """Give each account one pool for all of these markets."""
    owner = np.repeat(accounts, len(markets))
    market = np.tile(markets, len(accounts))
    number = np.repeat(np.arange(len(accounts)), len(markets))
    return SidePools(accounts, limits, owner, market, number)


def draw_limit(group: Group, number: int, seed: int, keys: Any, capital: Floats) -> Floats:
    """Return what the pools of a population's `number`-th group may draw, USD."""
    uniform = draw_uniform(seed, Stream.SETUP, keys, GROUP_DRAW + number)
    if group.draw_limit_usd is not None:
        return group.draw_limit_usd.quantile(uniform)
    if group.draw_limit is None or isinstance(group.draw_limit, str):
        return np.zeros(len(capital))
    return np.clip(group.draw_limit.quantile(uniform), 0.0, 1.0) * capital


def _join(parts: Sequence[SidePools]) -> SidePools:
    """Put the pools of all populations in one list."""
    if not parts:
        return NO_POOLS
    offset = np.cumsum([0] + [len(part.owner) for part in parts])
    numbers = [part.number + first for part, first in zip(parts, offset, strict=False)]
    return SidePools(
        owner=np.concatenate([part.owner for part in parts]),
        draw_limit=np.concatenate([part.draw_limit for part in parts]),
        account=np.concatenate([part.account for part in parts]),
        market=np.concatenate([part.market for part in parts]),
        number=np.concatenate(numbers),
    )

"""From the spot tables of a scenario to the arrays of the outside world."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from marketsim.engine.world import (
    IndexRule,
    JumpLaw,
    SpotKind,
    World,
    allocate_world,
    schedule,
)
from marketsim.scenario.shocks import Row, Shock, contradictions
from marketsim.scenario.spot_model import Factor, Jumps, Own, Scale, Spot
from marketsim.streams import asset_key

if TYPE_CHECKING:
    from marketsim.scenario.history import HistoryPath

YEAR_HOURS = 365 * 24
DEFAULT_DEVIATION = 0.0001


class Priced(Protocol):
    """A market as far as the outside world knows it."""

    @property
    def price(self) -> float | None:
        """USD, at the start; not needed where a history states it."""


class RuleChange(NamedTuple):
    """A rule of the venue that changes at the start of a step."""

    step: int
    field: str
    value: bool | int | float | str


def build_world(
    spot: Spot,
    shocks: Sequence[Shock],
    markets: Mapping[str, Priced],
    *,
    step_minutes: float,
    history: "HistoryPath | None" = None,
    given_rate: Any = None,
) -> World:
    """Build the arrays of the outside world.

    Parameters
    ----------
    spot : Spot
    shocks : sequence of Shock
    markets : mapping of str to Priced
        Name -> anything with a `price`; their order is the order of the arrays.
    step_minutes : float
    history : HistoryPath, optional
        Of these markets in this order; needed for ``kind = "history"``.
    given_rate : array, optional
        (steps, markets) funding rates that are paid as they are; NaN: by the venue's rule.

    Returns
    -------
    World
        Before the first step; call ``update_index(world, state, NONE)`` for the opening index.

    Raises
    ------
    ValueError
        If a market or spot venue is named that does not exist, jumps are too frequent for the
        step, the history is missing or bursts are scheduled for a constant price.
    """
    _check(spot, shocks, markets, step_minutes, history)
    names, sources = list(markets), list(spot.sources)
    rows = [row for shock in shocks for row in shock.rows(names, sources, step_minutes)]
    world = allocate_world(
        len(markets),
        len(spot.sources),
        num_shocks=len(rows),
        num_steps=0 if history is None else history.num_steps,
        num_given=0 if given_rate is None else len(given_rate),
    )
    if given_rate is not None:
        world.given_rate[:] = given_rate
    _write_shocks(world, rows)
    if spot.kind == "history" and history is not None:
        world.history[:] = history.price
    world.factor[0].kind = SpotKind[spot.kind.upper()]
    world.factor[0].is_random = spot.kind == "factor"
    write_process(world, spot, names, step_minutes)
    for m, name in enumerate(markets):
        asset = world.asset[m]
        asset.key = asset_key(name)
        start: Any = world.history[0, m] if spot.kind == "history" else markets[name].price
        asset.base = asset.fundamental = asset.price = start
        _set_sources(world, spot, m, name, step_minutes)
    return world


def write_process(
    world: World,
    spot: Spot,
    markets: Sequence[str],
    step_minutes: float,
) -> None:
    """Write the law by which spot prices move; prices and the state of volatility stay.

    Parameters
    ----------
    world : World
        The laws of its factor, assets and time scales are overwritten.
    spot : Spot
    markets : sequence of str
        Their names.
    step_minutes : float
    """
    factor = world.factor[0]
    factor.index_rule = IndexRule.MEDIAN if spot.median else IndexRule.MEAN
    factor.reflexivity = spot.reflexivity
    assets = [spot.market(name) for name in markets]
    factor.log_sd = _log_sd(spot.factor)
    is_read = factor.log_sd > 0.0 or any(_log_sd(own) * own.common_share > 0.0 for own in assets)
    common_variance = _set_scales(world, 0, spot.factor.scales, step_minutes, is_read)
    factor.centre = factor.log_sd * factor.log_sd * common_variance
    _set_sizes(factor, spot.factor, step_minutes)
    _set_regime(factor, spot.factor, step_minutes)
    for m, own in enumerate(assets):
        asset = world.asset[m]
        asset.loading = own.beta
        asset.drift = own.drift * step_minutes / (60.0 * YEAR_HOURS)
        log_sd = _log_sd(own)
        asset.common_log_sd = log_sd * math.sqrt(own.common_share)
        asset.log_sd = log_sd * math.sqrt(1.0 - own.common_share)
        own_variance = _set_scales(world, m + 1, own.scales, step_minutes, asset.log_sd > 0.0)
        common = asset.common_log_sd * asset.common_log_sd * common_variance
        asset.centre = common + asset.log_sd * asset.log_sd * own_variance
        _set_sizes(asset, own, step_minutes)
        if spot.reflexivity == 0.0:
            asset.displacement = 0.0


def add_shocks(world: World, rows: Sequence[Row], warm_up: int = 0) -> World:
    """Return the outside world with rows more at the end of its schedule.

    Their steps count from the end of so many of `warm_up`.
    """
    first = len(world.shock)
    longer = schedule(first + len(rows))
    longer[:first] = world.shock
    world = world._replace(shock=longer)
    _write_shocks(world, rows, first)
    world.shock["start"][first:] += warm_up
    return world


def _write_shocks(world: World, rows: Sequence[Row], first: int = 0) -> None:
    for j, row in enumerate(rows, first):
        for field, value in row.items():
            world.shock[field][j] = value


def rule_changes(shocks: Sequence[Shock], step_minutes: float) -> list[RuleChange]:
    """List the scheduled changes of venue rules, earliest first."""
    changes = [
        RuleChange(shock.first_step(step_minutes), *shock.rule)
        for shock in shocks
        if shock.rule is not None
    ]
    return sorted(changes, key=lambda change: change.step)


def _check(
    spot: Spot,
    shocks: Sequence[Shock],
    markets: Mapping[str, Priced],
    step_minutes: float,
    history: "HistoryPath | None",
) -> None:
    problems = contradictions(spot, shocks, markets, step_minutes)
    if spot.kind == "history" and history is None:
        problems.append("spot.kind: 'history' needs a loaded history")
    if spot.kind != "history":
        missing = [name for name, market in markets.items() if market.price is None]
        problems += [f"markets.{name}.price: needed unless a history states it" for name in missing]
    if problems:
        raise ValueError("; ".join(problems))


def _log_sd(stated: Factor | Own) -> float:
    """Return the standard deviation S of log-volatility: a step's return has kurtosis 3 exp(4 S^2).

    `clustering` fixes that at ``3 / (1 - clustering)``.
    """
    return math.sqrt(-0.25 * math.log1p(-stated.clustering))


def _set_scales(
    world: World, row: int, scales: Sequence[Scale], step_minutes: float, is_read: bool
) -> float:
    """Set the time scales of one log-volatility; return its variance in the middle of a step.

    At the ends of steps that is 1.
    """
    total = math.fsum(scale.share for scale in scales)
    variance = 0.0
    world.scale["weight"][row] = 0.0
    for k, stated in enumerate(scales):
        scale = world.scale[row, k]
        share = stated.share / total
        forgotten = math.log(2.0) * step_minutes / (60.0 * stated.half_life)
        scale.memory = math.exp(-forgotten)
        scale.innovation = math.sqrt(-math.expm1(-2.0 * forgotten))
        scale.weight = math.sqrt(share) if is_read else 0.0
        variance += share * 0.5 * (1.0 + scale.memory)
    return variance


def _set_regime(factor: Any, stated: Factor, step_minutes: float) -> None:
    """Set the chances of a two-state Markov process over one step."""
    enter, leave = stated.stress_per_day / 24.0, 1.0 / stated.stress_hours
    moved = -math.expm1(-(enter + leave) * step_minutes / 60.0) / (enter + leave)
    factor.enter_probability = enter * moved
    factor.leave_probability = leave * moved
    factor.stress_multiplier = stated.stress_multiplier


def _set_sizes(series: Any, stated: Factor | Own, step_minutes: float) -> None:
    series.sd = stated.volatility * math.sqrt(step_minutes / (60.0 * YEAR_HOURS))
    _set_jumps(series, stated.jumps, step_minutes)


def _set_jumps(series: Any, jumps: Jumps, step_minutes: float) -> None:
    series.jump_probability = -math.expm1(-jumps.per_day * step_minutes / 1440.0)
    series.jump_law = JumpLaw[jumps.law.upper()]
    series.jump_mean = jumps.mean
    series.jump_sd = jumps.sd
    series.jump_up_share = jumps.up_share
    series.jump_up_mean = jumps.up_mean
    series.jump_down_mean = jumps.down_mean


def _set_sources(world: World, spot: Spot, m: int, market: str, step_minutes: float) -> None:
    first = int(world.asset["first_source"][m])
    total = math.fsum(stated.weight for stated in spot.sources.values())
    for k, (name, stated) in enumerate(spot.sources.items(), start=first):
        source = world.source[k]
        deviation = stated.deviation
        if deviation is None:
            deviation = 0.0 if spot.kind == "constant" else DEFAULT_DEVIATION
        memory = math.exp(-math.log(2.0) * step_minutes / stated.half_life_minutes)
        source.key = asset_key(f"{market}\0{name}")
        source.weight = stated.weight / total
        source.deviation_persistence = memory
        source.deviation_sd = deviation * math.sqrt(1.0 - memory * memory)
        source.price = world.asset["price"][m]

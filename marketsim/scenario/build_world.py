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
from marketsim.scenario.spot_model import Factor, Jumps, Own, Spot
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
    before: Spot | None = None,
) -> None:
    """Write the law by which spot prices move; prices stay as they are.

    Parameters
    ----------
    world : World
        The laws of its factor and assets are overwritten.
    spot : Spot
    markets : sequence of str
        Their names.
    step_minutes : float
    before : Spot, optional
        What was written last: the variance of the coming step changes in proportion. Without it,
        it is the usual one.
    """
    factor = world.factor[0]
    factor.index_rule = IndexRule.MEDIAN if spot.median else IndexRule.MEAN
    factor.reflexivity = spot.reflexivity
    _set_law(factor, spot.factor, step_minutes, before and before.factor)
    factor.enter_probability = -math.expm1(-spot.factor.stress_per_day * step_minutes / 1440.0)
    factor.leave_probability = -math.expm1(-step_minutes / (60.0 * spot.factor.stress_hours))
    factor.stress_multiplier = spot.factor.stress_multiplier
    for m, name in enumerate(markets):
        asset, own = world.asset[m], spot.market(name)
        asset.loading = own.beta
        asset.drift = own.drift * step_minutes / (60.0 * YEAR_HOURS)
        _set_law(asset, own, step_minutes, before and before.market(name))
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


def _set_law(series: Any, stated: Factor | Own, step_minutes: float, before: Any) -> None:
    """Set a GARCH(1,1) and jumps from quantities that do not depend on the step.

    With persistence ``p = alpha + beta`` the kurtosis of returns is
    ``3 (1 - p^2) / (1 - p^2 - 2 alpha^2)``, which `clustering` fixes at ``3 / (1 - clustering)``.
    """
    variance = stated.volatility * stated.volatility * step_minutes / (60.0 * YEAR_HOURS)
    memory = math.exp(-math.log(2.0) * step_minutes / (60.0 * stated.half_life))
    alpha = min(memory, math.sqrt(0.5 * stated.clustering * (1.0 - memory * memory)))
    series.alpha = alpha
    series.persistence = memory - alpha
    series.omega = variance * (1.0 - memory)
    if before is None or before.volatility == 0.0:
        series.variance = variance
    elif before.volatility != stated.volatility:
        series.variance *= (stated.volatility / before.volatility) ** 2
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
    total = sum(stated.weight for stated in spot.sources.values())
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

"""Everything outside the venue, as arrays: assets, spot venues, shocks and a replayed history.

An asset is what one market is written on; it has the market's index ``m``. Prices are USD
float64, returns natural logs, variances those of one step. Random draws are written here before a
step by whoever owns the streams of chance: the engine draws nothing itself.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import by_reference
from marketsim.engine.records import F8, I8, Grid, Record, Rows, records
from marketsim.engine.state import NONE, UNLIMITED


class SpotKind(IntEnum):
    """What moves the spot prices."""

    CONSTANT = 0
    FACTOR = 1
    HISTORY = 2


class JumpLaw(IntEnum):
    """Law of a jump's size."""

    NORMAL = 0
    DOUBLE_EXPONENTIAL = 1


class IndexRule(IntEnum):
    """How the spot venues of a market make its index."""

    MEAN = 0
    MEDIAN = 1


class ShockKind(IntEnum):
    """What a scheduled shock strikes."""

    PRICE = 0
    VOLATILITY = 1
    DEPTH = 2
    SOURCE_FACTOR = 3
    SOURCE_STALE = 4
    STABLE = 5


#: Most time scales of one log-volatility.
SCALES = 4


class Scale(Record):
    """A time scale of a log-volatility: an Ornstein-Uhlenbeck process of unit variance."""

    memory: F8  #: share of its value that a step leaves
    innovation: F8  #: standard deviation of what a step adds, sqrt(1 - memory^2)
    weight: F8  #: in the log-volatility, the root of its share; 0: nothing reads it, nor draws it
    value: F8
    gauss: F8  #: draw


class Returns(Record):
    """Law of a log return: normal with a lognormal volatility, and jumps."""

    sd: F8  #: root mean square of a step's, before stress and bursts
    log_sd: F8  #: standard deviation of log-volatility, of an asset that of its own part
    centre: F8  #: taken off log-volatility, so that `sd` is what it says
    jump_probability: F8  #: of one jump in a step
    jump_law: I8  #: JumpLaw
    jump_mean: F8  #: NORMAL: mean and standard deviation of the log return
    jump_sd: F8
    jump_up_share: F8  #: DOUBLE_EXPONENTIAL: probability of a jump up,
    jump_up_mean: F8  #: mean log return of jumps up
    jump_down_mean: F8  #: and of jumps down, both positive


class Factor(Returns):
    """The common factor of all assets, and what holds for all of them."""

    kind: I8  #: SpotKind
    is_random: I8  #: 1 if the news is drawn
    index_rule: I8  #: IndexRule
    reflexivity: F8  #: share of the perp's departure from news that spot follows
    enter_probability: F8  #: calm to stress, per step
    leave_probability: F8
    stress_multiplier: F8  #: of the factor's volatility
    stress: I8  #: 1 in the stress regime
    log_volatility: F8  #: this step's, of unit variance, stress apart
    shock: F8  #: this step's Gaussian return, with stress
    shock_variance: F8  #: and its variance when it was drawn
    jump_return: F8  #: this step's common jump


class Asset(Returns):
    """What one market is written on."""

    key: I8  #: of its random draws
    loading: F8  #: on the common factor and its jumps
    common_log_sd: F8  #: of the part of its log-volatility that is the factor's
    drift: F8  #: expected log growth of the price per step, apart from jumps
    base: F8  #: USD: price by news alone, without scheduled shocks
    burst_return: F8  #: what volatility bursts added to a replayed history so far
    fundamental: F8  #: USD: base with scheduled shocks
    displacement: F8  #: log: how far reflexivity holds the price off its fundamental
    price: F8  #: USD
    shock_factor: F8  #: product of the scheduled price shocks now in force
    burst_factor: F8  #: of the volatility
    first_source: I8
    num_sources: I8
    spread: F8  #: (highest - lowest source) / index


class Source(Record):
    """A spot venue of one market."""

    key: I8
    weight: F8  #: the weights of a market's sources sum to 1
    deviation: F8  #: fraction by which it prints off the asset's price
    deviation_persistence: F8
    deviation_sd: F8  #: of the step's innovation; 0: prints the asset's price
    fault_factor: F8  #: an outage prints the price times this
    is_stale: I8  #: 1: an outage keeps the last price
    price: F8  #: USD
    gauss: F8  #: draw


class Shock(Record):
    """A scheduled shock."""

    kind: I8  #: ShockKind
    market: I8
    source: I8
    start: I8  #: step in which it begins to act
    rise: I8  #: steps until it acts in full; 1 strikes at once
    hold: I8  #: steps in full after that
    recovery: I8  #: steps in which it fades
    remainder: F8  #: share that never fades
    size: F8  #: PRICE, STABLE: relative change; others: factor in full


class News(Record):
    """Random draws of one step, for the factor or one asset."""

    gauss: F8  #: standard normal
    regime: F8  #: uniform
    jump: F8  #: uniform: a jump arrives below `jump_probability`
    jump_gauss: F8  #: standard normal
    jump_side: F8  #: uniform
    jump_size: F8  #: exponential


@by_reference
class World(NamedTuple):
    """All arrays of the outside world; M markets, K sources, T steps of history, G of rates."""

    factor: Rows[Factor]  #: (1,)
    asset: Rows[Asset]  #: (M,)
    scale: Grid[Scale]  #: (M + 1, SCALES) of the factor, then of each asset
    source: Rows[Source]  #: (K,) those of one market side by side
    shock: Rows[Shock]  #: (shocks,)
    history: NDArray[np.float64]  #: (T + 1, M) USD; row t is the price before step t
    given_rate: NDArray[np.float64]  #: (G, M) funding rate per 8 h of each step; NaN: the venue's
    common_draw: Rows[News]  #: (1,)
    own_draw: Rows[News]  #: (M,)
    sorted_price: NDArray[np.float64]  #: (K,) scratch of the median


def allocate_world(
    num_markets: int,
    num_sources: int,
    *,
    num_shocks: int = 0,
    num_steps: int = 0,
    num_given: int = 0,
) -> World:
    """Allocate constant prices of 1 USD, each printed by ``num_sources`` equal venues.

    Parameters
    ----------
    num_markets : int
    num_sources : int
        Spot venues of each market, at least 1.
    num_shocks : int
        Rows of the schedule; an unset row never strikes.
    num_steps : int
        Steps of the history; its prices are to be filled in.
    num_given : int
        Steps whose funding rates are given; they are to be filled in.

    Returns
    -------
    World
    """
    world = World(
        factor=records(Factor, 1),
        asset=records(Asset, num_markets),
        scale=records(Scale, num_markets + 1, SCALES),
        source=records(Source, num_markets * num_sources),
        shock=schedule(num_shocks),
        history=np.ones((num_steps + 1, num_markets)),
        given_rate=np.full((num_given, num_markets), np.nan),
        common_draw=records(News, 1),
        own_draw=records(News, num_markets),
        sorted_price=np.zeros(num_markets * num_sources),
    )
    world.factor["stress_multiplier"] = 1.0
    for name in ("base", "fundamental", "price", "shock_factor", "burst_factor", "loading"):
        world.asset[name] = 1.0
    world.asset["first_source"] = np.arange(num_markets) * num_sources
    world.asset["num_sources"] = num_sources
    world.source["weight"] = 1.0 / num_sources
    world.source["fault_factor"] = 1.0
    world.source["price"] = 1.0
    return world


def schedule(num_shocks: int) -> Rows[Shock]:
    """Allocate rows of a schedule that never strike."""
    shock = records(Shock, num_shocks)
    shock["start"] = UNLIMITED
    shock["market"] = NONE
    shock["source"] = NONE
    shock["rise"] = 1
    return shock

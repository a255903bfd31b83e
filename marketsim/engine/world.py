"""Everything outside the venue, as arrays: assets, spot venues, shocks and a replayed history.

An asset is what one market is written on; it has the market's index ``m``. Prices are USD
float64, returns natural logs, variances those of one step. Random draws are written here before a
step by whoever owns the streams of chance: the engine draws nothing itself.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from marketsim.engine.allocation import records
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


_JUMP = [
    ("jump_probability", "f8"),  #: of one jump in a step
    ("jump_law", "i8"),  #: JumpLaw
    ("jump_mean", "f8"),  #: NORMAL: mean and standard deviation of the log return
    ("jump_sd", "f8"),
    ("jump_up_share", "f8"),  #: DOUBLE_EXPONENTIAL: probability of a jump up,
    ("jump_up_mean", "f8"),  #: mean log return of jumps up
    ("jump_down_mean", "f8"),  #: and of jumps down, both positive
]

_GARCH = [
    ("omega", "f8"),  #: variance = omega + alpha * squared return + beta * variance
    ("alpha", "f8"),
    ("persistence", "f8"),  #: beta
    ("variance", "f8"),  #: of the coming step, before stress and bursts
]

FACTOR = np.dtype(
    [
        ("kind", "i8"),  #: SpotKind
        ("is_random", "i8"),  #: 1 if the news is drawn
        ("index_rule", "i8"),  #: IndexRule
        ("reflexivity", "f8"),  #: share of the perp's departure from news that spot follows
        *_GARCH,
        *_JUMP,
        ("enter_probability", "f8"),  #: calm to stress, per step
        ("leave_probability", "f8"),
        ("stress_multiplier", "f8"),  #: of the factor's volatility
        ("stress", "i8"),  #: 1 in the stress regime
        ("shock", "f8"),  #: this step's Gaussian return, with stress
        ("shock_variance", "f8"),  #: and its variance when it was drawn
        ("jump_return", "f8"),  #: this step's common jump
    ]
)

ASSET = np.dtype(
    [
        ("key", "i8"),  #: of its random draws
        ("loading", "f8"),  #: on the common factor and its jumps
        ("drift", "f8"),  #: expected log growth of the price per step, apart from jumps
        *_GARCH,
        *_JUMP,
        ("base", "f8"),  #: USD: price by news alone, without scheduled shocks
        ("burst_return", "f8"),  #: what volatility bursts added to a replayed history so far
        ("fundamental", "f8"),  #: USD: base with scheduled shocks
        ("lean", "f8"),  #: log: how far reflexivity holds the price off its fundamental
        ("price", "f8"),  #: USD
        ("shock_factor", "f8"),  #: product of the scheduled price shocks now in force
        ("burst_factor", "f8"),  #: of the volatility
        ("first_source", "i8"),
        ("num_sources", "i8"),
        ("spread", "f8"),  #: (highest - lowest source) / index
    ]
)

SOURCE = np.dtype(
    [
        ("key", "i8"),
        ("weight", "f8"),  #: the weights of a market's sources sum to 1
        ("deviation", "f8"),  #: fraction by which it prints off the asset's price
        ("deviation_persistence", "f8"),
        ("deviation_sd", "f8"),  #: of the step's innovation; 0: prints the asset's price
        ("fault_factor", "f8"),  #: an outage prints the price times this
        ("is_stale", "i8"),  #: 1: an outage keeps the last price
        ("price", "f8"),  #: USD
        ("gauss", "f8"),  #: draw
    ]
)

SHOCK = np.dtype(
    [
        ("kind", "i8"),  #: ShockKind
        ("market", "i8"),
        ("source", "i8"),
        ("start", "i8"),  #: step in which it begins to act
        ("rise", "i8"),  #: steps until it acts in full; 1 strikes at once
        ("hold", "i8"),  #: steps in full after that
        ("recovery", "i8"),  #: steps in which it fades
        ("remainder", "f8"),  #: share that never fades
        ("size", "f8"),  #: PRICE, STABLE: relative change; others: factor in full
    ]
)

NEWS = np.dtype(
    [
        ("gauss", "f8"),  #: standard normal
        ("regime", "f8"),  #: uniform
        ("jump", "f8"),  #: uniform: a jump arrives below `jump_probability`
        ("jump_gauss", "f8"),  #: standard normal
        ("jump_side", "f8"),  #: uniform
        ("jump_size", "f8"),  #: exponential
    ]
)


class World(NamedTuple):
    """All arrays of the outside world; M markets, K sources, T steps of history."""

    factor: Any  #: (1,) FACTOR
    asset: Any  #: (M,) ASSET
    source: Any  #: (K,) SOURCE, those of one market side by side
    shock: Any  #: (shocks,) SHOCK
    history: Any  #: (T + 1, M) USD; row t is the price before step t
    common_draw: Any  #: (1,) NEWS
    own_draw: Any  #: (M,) NEWS
    sorted_price: Any  #: (K,) scratch of the median


def allocate_world(
    num_markets: int, num_sources: int, *, num_shocks: int = 0, num_steps: int = 0
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

    Returns
    -------
    World
    """
    world = World(
        factor=records(FACTOR, 1),
        asset=records(ASSET, num_markets),
        source=records(SOURCE, num_markets * num_sources),
        shock=records(SHOCK, num_shocks),
        history=np.ones((num_steps + 1, num_markets)),
        common_draw=records(NEWS, 1),
        own_draw=records(NEWS, num_markets),
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
    world.shock["start"] = UNLIMITED
    world.shock["market"] = NONE
    world.shock["source"] = NONE
    world.shock["rise"] = 1
    return world

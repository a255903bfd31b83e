"""The herd: traders who are of one mind, or of two, and change it with the others."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from marketsim.agents.base import STOPPED, BuiltIn, Traders, position_coins, wealth_usd
from marketsim.agents.habits import affordable_notional, mean_wait, move_position
from marketsim.agents.network import build_graph, read_graph
from marketsim.engine._jit import kernel
from marketsim.engine.records import F8, Indices, Record
from marketsim.engine.state import State
from marketsim.streams import Stream, uniform

if TYPE_CHECKING:
    import networkx as nx


class Rates(Record):
    """What kernels read of a herd's parameters."""

    up: F8  #: per hour, at which a trader turns long by itself
    down: F8  #: per hour, short
    herding: F8  #: per hour, at which it takes over the opinion of one other
    trend: F8
    repulsion: F8  #: how far a funding rate of 1 per 8 h moves U at sensitivity 1
    rebalance: F8
    alignment: F8


class Herd(BuiltIn):
    """Is long or short, and changes sides by itself, with the crowd, the trend and funding.

    Believes what the others believe. Long becomes short and back at the rates of Kirman and of
    Alfarano, Lux and Wagner, in which everybody meets everybody (or their neighbours on a network),
    tilted by a field U: the trend of the index, less the funding rate times the trader's funding
    sensitivity. A trader looks at the market as its attention has it and changes its mind with the
    probability rate x mean time between looks, one after the other: waits have no memory, so the
    law of the crowd is that of continuous time at any crowd size, as long as that product is below
    1. Then it trades toward opinion x leverage x equity.

    References
    ----------
    A. Kirman, "Ants, rationality, and recruitment", Quarterly Journal of Economics 108 (1993).
    S. Alfarano, T. Lux and F. Wagner, "Time variation of higher moments in a financial market with
    heterogeneous agents", Journal of Economic Dynamics and Control 32 (2008).
    """

    RECORD = Rates
    HAS_OPINIONS = True

    independence: float = Field(60.0, ge=1e-9, le=1e9)
    """e = a / h: below 1 the crowd is mostly of one mind, above 1 mostly of two. The rate h of
    imitation counts heads, so a large crowd with e near 1 changes sides often."""
    memory_hours: float = Field(168.0, ge=1e-3, le=1e9)
    """Relaxation time of the crowd's opinion, 1 / (2 a)."""
    bias: float = Field(0.0, gt=-1, lt=1)
    """How much more often they turn long by themselves: a (1 + bias) against a (1 - bias)."""
    trend: float = Field(0.3, ge=0, le=20)
    """Largest pull of the trend on U."""
    funding_scale: float = Field(0.002, ge=1e-9, le=1e6)
    """Funding rate per 8 h that pushes a trader of sensitivity 1 by U = 1."""
    anti_herding: float | None = Field(None, ge=0, le=1e6)
    """phi / phi_c, instead of `funding_scale`: 1 is critical. phi_c = 2 (1 - e) / N, where the
    centre of the crowd's law turns from a valley into a peak; needs `independence` below 1."""
    crowd_rate: float = Field(0.001, ge=1e-9, le=1)
    """Funding rate per 8 h that a unanimous crowd causes; only for `anti_herding`."""
    alignment: float = Field(0.5, ge=0, le=1, json_schema_extra={"live": "at reset"})
    """Share of traders with one opinion for all their markets."""
    rebalance: float = Field(0.3, ge=0, le=1e9)
    """A position is left alone while it is off by less than this share."""
    network: Literal["complete", "small_world", "scale_free", "random", "file"] = Field(
        "complete", json_schema_extra={"live": "at reset"}
    )
    """Who imitates whom: everybody, or neighbours on a graph."""
    degree: float = Field(8.0, gt=0, le=1e5, json_schema_extra={"live": "at reset"})
    """Mean number of neighbours."""
    rewiring: float = Field(0.1, ge=0, le=1, json_schema_extra={"live": "at reset"})
    """Of small_world: share of links that lead anywhere."""
    network_file: str | None = Field(None, json_schema_extra={"live": "at reset"})
    """Of file: GraphML, GEXF, GML, adjacency or edge list whose nodes are 0, 1, ... of the
    population."""

    @model_validator(mode="after")
    def _consistent(self) -> "Herd":
        if self.anti_herding is not None and self.independence >= 1.0:
            raise ValueError("anti_herding needs independence below 1: there is no phi_c otherwise")
        if (self.network == "file") != (self.network_file is not None):
            raise ValueError('network = "file" needs network_file, the others have none')
        return self

    def record(self, num_traders: int) -> dict[str, float]:
        """Return rates per hour and the pull per unit of funding rate."""
        alone = 0.5 / self.memory_hours
        repulsion = 1.0 / self.funding_scale
        if self.anti_herding is not None:
            critical = critical_field(num_traders, self.independence)
            repulsion = self.anti_herding * critical / self.crowd_rate
        return {
            "up": alone * (1.0 + self.bias),
            "down": alone * (1.0 - self.bias),
            "herding": alone / self.independence,
            "trend": self.trend,
            "repulsion": repulsion,
            "rebalance": self.rebalance,
            "alignment": self.alignment,
        }

    def graph(self, num_traders: int, seed: int) -> "nx.Graph | None":
        """Draw or read the network, None for the complete one: everybody meets everybody."""
        if self.network == "complete":
            return None
        if self.network_file is not None:
            try:
                return read_graph(Path(self.network_file), num_traders)
            except ValueError as error:
                raise ValueError(f'network_file = "{self.network_file}": {error}') from None
        return build_graph(self.network, num_traders, self.degree, self.rewiring, seed)

    def set_up(self, traders: Traders, g: int, seed: int) -> None:
        """Draw everybody's first opinion."""
        seed_opinions(traders, traders.parameters[g]["herd"], g, seed)

    def welcome(self, traders: Traders, g: int, accounts: NDArray[np.int64], seed: int) -> None:
        """Draw the newcomers' first opinions, as the crowd stands."""
        renew_opinions(traders, traders.parameters[g]["herd"], g, accounts, seed)

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: Rates, g: int, count: int, t: int, seed: int
    ) -> None:
        """Let the herd traders who wake change their minds, and trade toward what they think."""
        field = np.empty(len(state.market))
        for n in range(count):
            i = traders.awake[n]
            measure_field(state, traders, p, i, field)
            hours = mean_wait(traders.trader[i].attention) * state.venue[0].step_hours
            reconsider(traders, p, g, i, field, hours, t, seed)
            wealth = wealth_usd(state, i)
            for m in range(len(state.market)):
                opinion = traders.memory[i, m, OPINION]
                if opinion == 0.0 or traders.memory[i, m, STOPPED] == opinion:
                    continue
                equity = wealth * traders.weight[g, m]
                notional = affordable_notional(state, traders, i, m, equity)
                target = opinion * notional / traders.public[m].mid
                if abs(target - position_coins(state, i, m)) > p.rebalance * abs(target):
                    move_position(state, traders, i, m, target)


#: What a herd trader remembers per market: its opinion, +1 or -1 (0: not its market), and, with
#: the first, whether it has one opinion for all.
OPINION = 0
ALIGNED = 1

#: Numbers of the draws of the stream OPINION for the alignment and the first opinion, which are of
#: no step; changes of mind are keyed by step and have the number 0. Opinions are keyed by market.
_ALIGNED_DRAW = 1 << 20
_FIRST_DRAW = _ALIGNED_DRAW + 1


def critical_field(num_traders: int, independence: float) -> float:
    r"""Strength of a restoring field at which a herd of two minds becomes one of none.

    .. math:: \phi_c = 2 (1 - \varepsilon) / N

    for U = -phi (2 X / N - 1), X optimists of N and e = a / h below 1: there the centre of the
    stationary law turns from a local minimum into a local maximum.

    Parameters
    ----------
    num_traders : int
    independence : float
        e.

    Returns
    -------
    float

    References
    ----------
    Curvature at the centre of the stationary law of Alfarano, Lux and Wagner (2008) with rates
    multiplied by exp(U) and exp(-U).

    Examples
    --------
    >>> critical_field(100, 0.5)
    0.01
    """
    return 2.0 * (1.0 - independence) / num_traders


@kernel
def seed_opinions(traders: Traders, p: Rates, g: int, seed: int) -> None:
    """Draw everybody's first opinion and who has one for all; overwrites memory and `crowd`."""
    population = traders.population[g]
    long_share = np.full(traders.weight.shape[1], p.up / (p.up + p.down))
    for i in range(population.start, population.stop):
        traders.memory[i, 0, ALIGNED] = draw_alignment(traders, p, i, seed)
        draw_opinions(traders, g, i, long_share, seed)


@kernel
def renew_opinions(traders: Traders, p: Rates, g: int, accounts: Indices, seed: int) -> None:
    r"""Draw the first opinions of newcomers; overwrites their memory and `crowd`.

    A newcomer is long with the probability that it would settle at among the others, so that it
    changes no law of the crowd:

    .. math:: \frac{a_+ + h n_+}{a_+ + a_- + h (n_+ + n_-)}
    """
    num_markets = traders.weight.shape[1]
    long_share = np.empty(num_markets)
    for i in accounts:
        for m in range(num_markets):
            traders.crowd[g, m] -= 1.0 if traders.memory[i, m, OPINION] > 0.0 else 0.0
        traders.memory[i] = 0.0
        is_aligned = draw_alignment(traders, p, i, seed)
        traders.memory[i, 0, ALIGNED] = is_aligned
        total = count = 0.0
        for m in range(num_markets):
            long, short = count_peers(traders, g, i, m)
            alone = p.up + p.down
            long_share[m] = (p.up + p.herding * long) / (alone + p.herding * (long + short))
            if traders.weight[g, m] > 0.0:
                total += long_share[m]
                count += 1.0
        if is_aligned > 0.0:
            long_share[:] = total / count
        draw_opinions(traders, g, i, long_share, seed)


@kernel
def draw_alignment(traders: Traders, p: Rates, i: int, seed: int) -> float:
    """Return 1 for a trader who has one opinion for all its markets, 0 for others."""
    key = traders.trader[i].key
    draw = uniform(seed, Stream.OPINION.value, key, 0, _ALIGNED_DRAW)
    return 1.0 if draw < p.alignment else 0.0


@kernel
def draw_opinions(
    traders: Traders, g: int, i: int, long_share: NDArray[np.float64], seed: int
) -> None:
    """Draw a trader's opinions, long with the probability ``long_share[m]``, and count them."""
    key = traders.trader[i].key
    is_aligned = traders.memory[i, 0, ALIGNED] > 0.0
    for m in range(len(long_share)):
        if traders.weight[g, m] > 0.0:
            own = key if is_aligned else key ^ traders.public[m].key
            draw = uniform(seed, Stream.OPINION.value, own, 0, _FIRST_DRAW)
            traders.memory[i, m, OPINION] = 1.0 if draw < long_share[m] else -1.0
            traders.crowd[g, m] += 1.0 if draw < long_share[m] else 0.0


@kernel
def count_peers(traders: Traders, g: int, i: int, m: int) -> tuple[float, float]:
    """Count the optimists and pessimists trader `i` meets: all others, or its neighbours.

    Neighbours are scaled up to the size of the rest of the crowd, so that a complete graph gives
    the same as no network.
    """
    population = traders.population[g]
    others = population.stop - population.start - 1.0
    first = traders.link_span[i, 0]
    last = traders.link_span[i, 1]
    if first < 0:
        own = 1.0 if traders.memory[i, m, OPINION] > 0.0 else 0.0
        long = traders.crowd[g, m] - own
        return long, others - long
    if first == last:
        return 0.0, 0.0
    long = 0.0
    for n in range(first, last):
        if traders.memory[traders.link[n], m, OPINION] > 0.0:
            long += 1.0
    scale = others / (last - first)
    return scale * long, scale * (last - first - long)


@kernel
def switch_probability(
    p: Rates, opinion: float, long: float, short: float, field: float, hours: float
) -> float:
    r"""Probability that a trader changes its mind at one look.

    .. math:: \pi_\pm = (a_\pm + h n_\pm) e^{\pm U}

    Parameters
    ----------
    p : record
        Rates `up`, `down`, `herding` per hour.
    opinion : float
        +1 or -1.
    long, short : float
        Others of either opinion.
    field : float
        U.
    hours : float
        Mean time between two looks.

    Returns
    -------
    float
        Rate x time, at most 1.

    References
    ----------
    Alfarano, Lux and Wagner (2008), equation 2, with the field of Lux and Marchesi (1999).
    """
    if opinion > 0.0:
        rate = (p.down + p.herding * short) * math.exp(-field)
    else:
        rate = (p.up + p.herding * long) * math.exp(field)
    return min(rate * hours, 1.0)


@kernel
def change_mind(traders: Traders, g: int, i: int, m: int, opinion: float) -> None:
    """Set an opinion and count it; who was stopped out may trade again."""
    traders.memory[i, m, OPINION] = opinion
    traders.memory[i, m, STOPPED] = 0.0
    traders.crowd[g, m] += opinion


@kernel
def reconsider(
    traders: Traders, p: Rates, g: int, i: int, field: Any, hours: float, t: int, seed: int
) -> None:
    """Let a trader change its opinions given U per market in `field`, drawn market by market.

    An aligned trader has one opinion: it meets the mean crowd and feels the mean field of its
    markets.
    """
    key = traders.trader[i].key
    stream = Stream.OPINION.value
    num_markets = len(field)
    if traders.memory[i, 0, ALIGNED] == 0.0:
        for m in range(num_markets):
            opinion = traders.memory[i, m, OPINION]
            if opinion != 0.0:
                long, short = count_peers(traders, g, i, m)
                chance = switch_probability(p, opinion, long, short, field[m], hours)
                if uniform(seed, stream, key ^ traders.public[m].key, t, 0) < chance:
                    change_mind(traders, g, i, m, -opinion)
        return
    opinion = 0.0
    long = short = pull = count = 0.0
    for m in range(num_markets):
        if traders.memory[i, m, OPINION] != 0.0:
            opinion = traders.memory[i, m, OPINION]
            here_long, here_short = count_peers(traders, g, i, m)
            long += here_long
            short += here_short
            pull += field[m]
            count += 1.0
    chance = switch_probability(p, opinion, long / count, short / count, pull / count, hours)
    if uniform(seed, stream, key, t, 0) < chance:
        for m in range(num_markets):
            if traders.memory[i, m, OPINION] != 0.0:
                change_mind(traders, g, i, m, -opinion)


@kernel
def measure_field(state: State, traders: Traders, p: Rates, i: int, field: Any) -> None:
    """Compute U of every market for a trader; overwrites `field`."""
    sensitivity = traders.trader[i].funding_sensitivity
    for m in range(len(state.market)):
        pull = p.trend * math.tanh(traders.public[m].momentum)
        field[m] = pull - sensitivity * p.repulsion * state.market[m].funding_rate

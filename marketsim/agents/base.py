"""What every strategy sees and how it acts: the contract of `decide`.

A strategy is one file: a frozen `Parameters` class of floats and one kernel::

    decide(state, traders, g, count, t, seed)

which reads the venue (`state`), what is public (`traders.public`), its own parameters (row ``g`` of
its array in `traders`) and `count` of the traders of population ``g`` who wake in step ``t``
(``traders.awake[:count]``; it is called until all had their turn), and submits intents. It changes
nothing but the intents and its traders' rows of `traders.memory`. Draws are keyed by (seed, stream,
trader key, step), so nobody's luck depends on who else is in the market.
"""

import math
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from marketsim.engine import orders
from marketsim.engine._jit import by_reference, kernel
from marketsim.engine.ledger import holdings_value
from marketsim.engine.pools import assess_pool, haircut_holdings
from marketsim.engine.records import F8, I4, I8, Indices, Record, Rows, records, zeroed
from marketsim.engine.state import Flag, IntentKind, State, wide

#: Numbers a strategy may keep per trader and market.
MEMORY = 4
#: The last of them is the habits': side of a position they closed or cut, to which the strategy
#: adds nothing until it starts anew; 0 if none.
STOPPED = 3


class Kind(IntEnum):
    """The built-in strategies, and a user's own."""

    MAKER = 0
    BASIS = 1
    NOISE = 2
    HOLDER = 3
    HERD = 4
    CARRY = 5
    PAIR = 6
    OWN = 7  #: decides in Python, see `marketsim.agents.own`


class Parameters(BaseModel):
    """Base of a strategy's parameters: numbers with defaults, checked when a scenario is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: What kernels read of them; None: every field as it is.
    RECORD: ClassVar[type[Record] | None] = None

    @classmethod
    def dtype(cls) -> np.dtype[Any]:
        """Return the record type in which kernels read the parameters."""
        if cls.RECORD is not None:
            return cls.RECORD.dtype
        return np.dtype([(name, np.float64) for name in cls.model_fields])

    def record(self, num_traders: int) -> dict[str, float]:  # noqa: ARG002
        """Return the values of that record for a population of `num_traders`."""
        return self.model_dump()


class Habits(Record):
    """What a trader is like, as drawn: see `marketsim.scenario.population.Population`."""

    leverage: F8
    funding_sensitivity: F8
    buffer: F8
    stop_loss: F8  #: inf: never
    tranches: F8
    stable_share: F8
    spot_hedge: F8
    slippage: F8


class Trader(Habits):
    """A trader: its habits, and when it looks at the market."""

    key: I8  #: of the trader's random draws
    last_wake: I8  #: step at which it looked last
    population: I4
    elapsed: I4  #: steps between the last two looks
    attention: F8  #: mean steps between two looks; inf: never again


class Population(Record):
    """Traders of one strategy, account by account."""

    kind: I8  #: Kind
    start: I8  #: first account
    stop: I8


class Public(Record):
    """What everyone sees of a market."""

    mid: F8  #: USD, the mark where a side is empty
    basis: F8  #: slow average of mid / index - 1
    variance: F8  #: of the index's return in one step, moving average
    trend: F8  #: slow average of the index's return in one step
    momentum: F8  #: the trend in standard deviations of such an average
    funding: F8  #: slow average of the settled funding rate, per 8 h
    last_index: F8  #: USD, one step ago


class Averaging(Record):
    """Weights of the newest value in the averages of `Public`."""

    basis_weight: F8
    variance_weight: F8
    trend_weight: F8
    funding_weight: F8


@by_reference
class Traders(NamedTuple):
    """The traders as arrays: N traders, G populations, M markets."""

    trader: Rows[Trader]  #: (N,)
    population: Rows[Population]  #: (G,)
    weight: NDArray[np.float64]  #: (G, M) share of each market
    public: Rows[Public]  #: (M,) what everyone sees
    next_wake: NDArray[np.int64]  #: (N,) step at which each looks again
    memory: NDArray[np.float64]  #: (N, M, MEMORY)
    awake: Indices  #: (N,) int64, scratch: who wakes
    caller: Indices  #: (N,) int64: whose decision Python makes in this step
    crowd: NDArray[np.float64]  #: (G, M) traders of a herd with the opinion long
    #: (N, 2) trader i imitates ``link[start:stop]``; -1: its whole crowd
    link_span: NDArray[np.int64]
    link: NDArray[np.int64]  #: (links,) traders
    maker: Any  #: (G,) parameters, each used where the population is of that kind
    basis: Any
    noise: Any
    holder: Any
    herd: Any
    carry: Any
    pair: Any


@kernel
def submit(
    state: State, i: int, m: int, kind: int, size: int, price: int, flags: int, expiry: int
) -> None:
    """Append an intent; the loop made room for as many as every trader can need."""
    totals = state.totals[0]
    intent = state.intent[totals.num_intents]
    intent.account = i
    intent.market = m
    intent.kind = kind
    intent.size = size
    intent.price = price
    intent.flags = flags
    intent.expiry = expiry
    totals.num_intents += 1


@kernel
def withdraw(state: State, i: int, m: int) -> None:
    """Ask for all of an account's orders in a market to be withdrawn."""
    submit(state, i, m, IntentKind.CANCEL.value, 0, 0, 0, 0)


@kernel
def limit_order(
    state: State, i: int, m: int, size: float, price: float, flags: int, expiry: int
) -> None:
    """Ask for a limit order of `size` coins (buy > 0) at `price` USD, in whole lots and ticks."""
    lots = orders.round_size(state, m, size)
    if lots != 0:
        ticks = orders.round_price(state, m, price, lots)
        submit(state, i, m, IntentKind.ORDER.value, lots, ticks, flags, expiry)


@kernel
def market_order(
    state: State, traders: Traders, i: int, m: int, size: float, slippage: float, flags: int
) -> None:
    """Ask for `size` coins now, no further than `slippage` from mid; the rest is dropped."""
    side = 1.0 if size > 0.0 else -1.0
    price = traders.public[m].mid * (1.0 + side * slippage)
    limit_order(state, i, m, size, price, flags | Flag.IMMEDIATE.value, 0)


@kernel
def account_equity_usd(state: State, i: int) -> float:
    """Equity of an account over its main pool and side pools, USD, holdings with haircut."""
    assess_pool(state, i)
    equity = state.pool[i].equity
    for m in range(len(state.market)):
        p = wide(state.position[i, m].pool)
        is_counted = p == i
        for n in range(m):
            is_counted |= state.position[i, n].pool == p
        if not is_counted:
            assess_pool(state, p)
            equity += state.pool[p].equity
    return equity * 1e-6


@kernel
def position_coins(state: State, i: int, m: int) -> float:
    """Position in coins, long > 0."""
    return state.position[i, m].size * state.market[m].lot_size


@kernel
def wealth_usd(state: State, i: int) -> float:
    """Everything an account owns, USD: cash of all pools, positions at mark, holdings in full."""
    return (
        account_equity_usd(state, i)
        + (holdings_value(state, i) - haircut_holdings(state, i)) * 1e-6
    )


@kernel
def observe(state: State, traders: Traders, weight: Averaging) -> None:
    """Update what is public; overwrites `traders.public`."""
    for m in range(len(state.market)):
        market = state.market[m]
        view = traders.public[m]
        view.mid = 0.5 * market.mid2 * market.tick_size
        view.basis += weight.basis_weight * (view.mid / market.index_price - 1.0 - view.basis)
        change = market.index_price / view.last_index - 1.0
        view.variance += weight.variance_weight * (change * change - view.variance)
        view.trend += weight.trend_weight * (change - view.trend)
        usual = math.sqrt(0.5 * weight.trend_weight * max(view.variance, 1e-18))
        view.momentum = view.trend / usual
        view.funding += weight.funding_weight * (market.funding_rate - view.funding)
        view.last_index = market.index_price


def allocate_traders(
    num_traders: int,
    num_markets: int,
    parameters: dict[str, np.dtype[Any]],
    num_populations: int,
    links: tuple[Any, Any],
) -> Traders:
    """Allocate the traders' arrays, zeroed; `links` are their `link_span` and `link`."""
    return Traders(
        trader=records(Trader, num_traders),
        population=records(Population, num_populations),
        weight=np.zeros((num_populations, num_markets)),
        public=records(Public, num_markets),
        next_wake=np.zeros(num_traders, np.int64),
        memory=np.zeros((num_traders, num_markets, MEMORY)),
        awake=np.zeros(max(num_traders, 1), np.int64),
        caller=np.zeros(max(num_traders, 1), np.int64),
        crowd=np.zeros((num_populations, num_markets)),
        link_span=links[0],
        link=links[1],
        **{name: zeroed(dtype, num_populations) for name, dtype in parameters.items()},
    )

"""What every strategy sees and how it acts: the contract of `decide`.

A built-in strategy is one file with one class made from `BuiltIn`: its parameters are fields, and
its kernel::

    decide(state, traders, p, g, count, t, seed)

reads the venue (`state`), what is public (`traders.public`), the parameters of its population
(``p``) and `count` of the traders of population ``g`` who wake in step ``t``
(``traders.awake[:count]``; it is called until all had their turn), and submits intents. It changes
nothing but the intents and its traders' rows of `traders.memory`. Draws are keyed by (seed, stream,
trader key, step), so nobody's draws depend on who else is in the market. `carry.py` is the one to
imitate; the name of the class in the tuple of `strategies.py` makes it known everywhere.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from marketsim.engine import orders
from marketsim.engine._jit import by_reference, inlined, kernel
from marketsim.engine.ledger import holdings_value
from marketsim.engine.pools import assess_pool, haircut_holdings, opens_side_pool
from marketsim.engine.records import F8, I4, I8, Indices, Record, Rows, records, zeroed
from marketsim.engine.state import NONE, Flag, IntentKind, State, widen
from marketsim.scenario.coercion import without_coercion

if TYPE_CHECKING:
    import networkx as nx

#: Numbers a strategy may keep per trader and market.
MEMORY = 4
#: The last of them is the habits': side of a position they closed or cut, to which the strategy
#: adds nothing until it starts anew; 0 if none.
STOPPED = 3

#: Requests there is room for per trader who decides in Python, before they are handed in.
REQUESTS = 4

#: Kind of a population whose traders decide in Python, see `marketsim.agents.own`; that of a
#: built-in strategy is its place in `marketsim.agents.strategies.BUILT_IN`.
OWN = NONE

#: A strategy's kernel, see above.
Decide: TypeAlias = Callable[..., None]


class Parameters(BaseModel):
    """Base of a strategy's parameters: numbers with defaults, checked when a scenario is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take numbers only for what they are."""
        return without_coercion(handler(source))


class BuiltIn(Parameters):
    """Base of a built-in strategy: its parameters, what its traders are like, how they decide.

    Populations call it by the name of its class in small letters. A class without `decide` cannot
    be made.
    """

    model_config = ConfigDict(use_attribute_docstrings=True, allow_inf_nan=False)

    #: The kernel by which its traders decide, see above.
    decide: ClassVar[Decide]
    #: What a population of it has where it states no habit; its others are as `Population` says.
    DEFAULT_HABITS: ClassVar[Mapping[str, Any]] = {}
    #: What kernels read of the parameters, as `record` gives them; None: the fields as they are.
    RECORD: ClassVar[type[Record] | None] = None
    #: Whether its traders must be there from the first step, or the others find no market.
    ACTS_FIRST: ClassVar[bool] = False
    #: Whether it plans its spot coins itself, so that the habit `spot_hedge` keeps off them.
    PLANS_HEDGE: ClassVar[bool] = False
    #: Whether its traders are long or short by opinion, and `Traders.crowd` counts them.
    HAS_OPINIONS: ClassVar[bool] = False
    #: Markets its population needs.
    MIN_MARKETS: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a strategy that does not say how its traders decide."""
        super().__pydantic_init_subclass__(**kwargs)
        if not hasattr(cls, "decide"):
            raise TypeError(f"{cls.__name__} has no decide(state, traders, p, g, count, t, seed)")

    @classmethod
    def dtype(cls) -> np.dtype[Any]:
        """Return the record type in which kernels read the parameters."""
        if cls.RECORD is not None:
            return cls.RECORD.dtype
        return np.dtype([(name, np.float64) for name in cls.model_fields])

    def record(self, num_traders: int) -> dict[str, float]:  # noqa: ARG002
        """Return the values of that record for a population of `num_traders`."""
        return self.model_dump()

    def max_intents(self, num_markets: int) -> int:
        """Return the most intents one of its traders submits in one step, habits apart."""
        return max(2 * num_markets, 4)

    def graph(self, num_traders: int, seed: int) -> "nx.Graph | None":  # noqa: ARG002
        """Return who imitates whom among `num_traders`, None for who imitates nobody or all.

        Raises
        ------
        ValueError
            Naming the parameter by which there is no such graph.
        """
        return None

    def set_up(self, traders: "Traders", g: int, seed: int) -> None:
        """Set what population `g` remembers before the first step."""

    def welcome(
        self,
        traders: "Traders",
        g: int,  # noqa: ARG002
        accounts: NDArray[np.int64],
        seed: int,  # noqa: ARG002
    ) -> None:
        """Set what newcomers remember who take over these accounts of population `g`."""
        traders.memory[accounts] = 0.0


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
    is_retired: I8  #: 1: leaves the market, or has left, and decides no more


class Stay(Record):
    """A trader's time with its account, which others may have had before it."""

    generation: I8  #: traders who had the account before
    before: I8  #: atoms that they paid in
    until: I8  #: step from which it leaves of its own accord
    reason: I8  #: why it leaves: Turn
    is_vacant: I8  #: 1: it is gone, and nobody has the account


class Population(Record):
    """Traders of one strategy, account by account."""

    kind: I8  #: of its strategy, or OWN
    start: I8  #: first account
    stop: I8
    plans_hedge: I8  #: 1: its strategy has PLANS_HEDGE
    has_opinions: I8  #: 1: its strategy has HAS_OPINIONS
    num_asked: I8  #: its traders whose decision Python makes in this step
    # who comes and goes, see `marketsim.scenario.population.Turnover`; times are steps
    turns_over: I8  #: 1: traders come and go
    look: I8  #: between two looks at whether to leave
    wait: F8  #: mean, until a newcomer takes over an account that was left
    stay: F8  #: mean, of a trader; inf: never leaves of its own accord
    withdraw_above: F8  #: multiple of the deposit; inf: withdraws no profit
    ruin_below: F8  #: multiple of the deposit


class Public(Record):
    """What everyone sees of a market."""

    key: I8  #: of its name, for draws that a trader makes of one market
    mid: F8  #: USD, the mark where a side is empty
    basis: F8  #: slow average of mid / index - 1
    variance: F8  #: of the index's return in one step, moving average
    stir: F8  #: the same over the last minutes
    trend: F8  #: slow average of the index's return in one step
    momentum: F8  #: the trend in standard deviations of such an average
    funding: F8  #: slow average of the settled funding rate, per 8 h
    last_index: F8  #: USD, one step ago


class Request(Record):
    """What a trader in plain Python asks for, before it is rounded and becomes an intent."""

    account: I8
    market: I8
    kind: I8  #: IntentKind
    size: F8  #: coins, buy > 0; USD of a transfer
    price: F8  #: USD
    flags: I8  #: Flag
    expiry: I8  #: steps; 0: none


class Averaging(Record):
    """Weights of the newest value in the averages of `Public`."""

    basis_weight: F8
    variance_weight: F8
    stir_weight: F8
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
    stay: Rows[Stay]  #: (N,)
    #: (N,) step at which each looks whether to leave, or at which a newcomer takes over
    next_turn: NDArray[np.int64]
    memory: NDArray[np.float64]  #: (N, M, MEMORY)
    awake: Indices  #: (N,) int64, scratch: who wakes
    caller: Indices  #: (N,) int64: whose decision Python makes in this step
    #: (callers, 3) USD: equity, maintenance and free margin of each as they decide
    margin: NDArray[np.float64]
    request: Rows[Request]  #: (rows,) what those of them in plain Python ask for
    crowd: NDArray[np.float64]  #: (G, M) traders of a herd with the opinion long
    #: (N, 2) trader i imitates ``link[start:stop]``; -1: its whole crowd
    link_span: NDArray[np.int64]
    link: NDArray[np.int64]  #: (links,) traders
    parameters: Any  #: (G,) a record for each built-in strategy; a population uses its own


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


@inlined
def account_equity_atoms(state: State, i: int) -> int:
    """Equity of an account over its main pool and side pools, atoms, holdings with haircut."""
    assess_pool(state, i)
    equity = state.pool[i].equity
    for m in range(len(state.market)):
        if opens_side_pool(state, i, m):
            p = widen(state.position[i, m].pool)
            assess_pool(state, p)
            equity += state.pool[p].equity
    return equity


@kernel
def account_equity_usd(state: State, i: int) -> float:
    """Equity of an account over its main pool and side pools, USD, holdings with haircut."""
    return account_equity_atoms(state, i) * 1e-6


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
def wealth_atoms(state: State, i: int) -> int:
    """Everything an account owns, atoms: cash of all pools, positions at mark, holdings in full."""
    return account_equity_atoms(state, i) + holdings_value(state, i) - haircut_holdings(state, i)


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
        view.stir += weight.stir_weight * (change * change - view.stir)
        view.trend += weight.trend_weight * (change - view.trend)
        usual = math.sqrt(0.5 * weight.trend_weight * max(view.variance, 1e-18))
        view.momentum = view.trend / usual
        view.funding += weight.funding_weight * (market.funding_rate - view.funding)
        view.last_index = market.index_price


def allocate_traders(
    num_traders: int,
    num_markets: int,
    parameters: np.dtype[Any],
    num_populations: int,
    num_own: int,
) -> Traders:
    """Allocate the traders' arrays, zeroed, without links; `num_own` of them decide in Python."""
    return Traders(
        trader=records(Trader, num_traders),
        population=records(Population, num_populations),
        weight=np.zeros((num_populations, num_markets)),
        public=records(Public, num_markets),
        next_wake=np.zeros(num_traders, np.int64),
        stay=records(Stay, num_traders),
        next_turn=np.zeros(num_traders, np.int64),
        memory=np.zeros((num_traders, num_markets, MEMORY)),
        awake=np.zeros(max(num_traders, 1), np.int64),
        caller=np.zeros(max(num_traders, 1), np.int64),
        margin=np.zeros((num_own, 3)),
        request=records(Request, REQUESTS * num_own),
        crowd=np.zeros((num_populations, num_markets)),
        link_span=np.full((num_traders, 2), NONE, np.int64),
        link=np.zeros(1, np.int64),
        parameters=zeroed(parameters, num_populations),
    )

"""Everything the venue knows, as arrays: enums, record types and their allocation.

Prices are ticks, sizes are lots (long > 0), money is atoms (1e-6 USD), all int64. Fractions and
fee rates are int64 in units of 1e-9 (`ONE`); premia and funding rates are float64. Index letters:
``i`` account, ``m`` market, ``p`` pool, ``k`` order, ``t`` step. The insurance fund is the last
account, so it may hold positions like anyone else.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import by_reference, record_copier
from marketsim.engine.cause_records import Impact, Loss, Recovery, Safe, Seizure, Split, Tally
from marketsim.engine.records import F8, I1, I2, I4, I8, Grid, Indices, Record, Rows

#: Atoms in one USD.
ATOMS = 1_000_000
#: The fraction 1.0 in integer units.
ONE = 1_000_000_000
#: "No order", "no level", "no pool" in an index field.
NONE = -1
#: The price tree is six levels of 32 children: prices lie in [1, 2**30 - 1] ticks.
TREE_LEVELS = 6
MAX_PRICE_TICKS = 2**30 - 1
#: No sum of notionals of one market may reach this; the scenario check enforces it.
MAX_ATOMS = 2**60
#: Widens a narrow field of a record, so that a kernel is compiled for one kind of integer only.
widen = cast("Callable[[int], int]", np.int64)
#: A limit that never binds.
UNLIMITED = 2**62
#: Liquidation rows (and deleveraging rows) one step may write; what is left goes on next step.
MAX_ROWS_PER_STEP = 65_536
#: Slots of the expiry wheel; an order that lives longer passes its slot more than once.
WHEEL_SLOTS = 1024


class MarkRule(IntEnum):
    """Where the mark price comes from."""

    INDEX = 0
    LAST = 1
    INDEX_PLUS_BASIS = 2
    MEDIAN = 3


class AverageRule(IntEnum):
    """How premium samples are averaged over a funding interval."""

    PLAIN = 0
    WEIGHTED = 1


class SettlementPrice(IntEnum):
    """Price at which a funding payment values the position."""

    INDEX = 0
    MARK = 1


class SizeRule(IntEnum):
    """How much of a leg one liquidation order closes."""

    WHOLE = 0
    PORTION = 1
    JUST_ENOUGH = 2
    TIER = 3
    CHUNK = 4


class LegRule(IntEnum):
    """Which legs of a seized pool are closed."""

    UNTIL_SAFE = 0
    ALL = 1


class LimitRule(IntEnum):
    """Worst price a liquidation order accepts in the book."""

    MARKET = 0
    BANKRUPTCY = 1
    FILLABLE = 2


class RankRule(IntEnum):
    """Who is deleveraged: whoever ranks first, or (from PRO_RATA on) all, each for its part."""

    BITMEX = 0
    BINANCE = 1
    HYPERLIQUID = 2
    RANDOM = 3
    PRO_RATA = 4
    PRO_RATA_PROFIT = 5


class Stage(IntEnum):
    """How far below maintenance a pool is."""

    NONE = 0
    MARKET = 1
    BACKSTOP = 2


class Cause(IntEnum):
    """Why money moved: the columns of ``State.flow``."""

    PRICE = 0
    SLIPPAGE = 1
    FEE = 2
    FUNDING = 3
    LIQUIDATION_FEE = 4
    TAKEOVER = 5
    ADL = 6
    SOCIALISED = 7
    SPOT = 8
    ROUNDING = 9


class IntentKind(IntEnum):
    """What a trader asks for."""

    ORDER = 0
    CANCEL = 1
    SPOT = 2
    STABLE = 3
    TRANSFER = 4


class Flag(IntEnum):
    """Bits of an order's ``flags``."""

    POST_ONLY = 1
    REDUCE_ONLY = 2
    IMMEDIATE = 4


class Outcome(IntEnum):
    """What became of an intent: the entries of ``Totals.outcome``."""

    ACCEPTED = 0
    ZERO_SIZE = 1
    BAD_PRICE = 2
    MARGIN = 3
    POST_ONLY_CROSSES = 4
    NOTHING_TO_REDUCE = 5
    POSITION_LIMIT = 6
    NO_FUNDS = 7
    BOOK_FULL = 8


class Market(Record):
    """A market: its rules, its prices, the funding interval and the step's counters."""

    # rules
    tick_atoms: I8  #: atoms in one tick of one lot
    tick_size: F8  #: USD
    lot_size: F8  #: coins
    num_tiers: I8  #: rows used of `State.tier[m]`; 1 is a flat requirement
    oi_lower_atoms: I8  #: open interest at which the initial fraction starts to rise
    oi_upper_atoms: I8  #: and reaches 1; 0 switches the scaling off
    maker_fee: I8  #: 1e-9 of notional; negative is a rebate
    taker_fee: I8  #: 1e-9 of notional
    impact_atoms: I8  #: notional of the impact price of the premium sample
    funding_cap: F8  #: bound of the funding rate, per 8 h
    max_position_lots: I8
    liquidates: I8  #: 0: legs in this market are never liquidated
    # prices
    index_price: F8  #: USD
    index_ticks: I8
    mark_ticks: I8
    last_ticks: I8  #: price of the last fill
    best_bid: I8  #: ticks, 0 if that side is empty
    best_ask: I8
    mid2: I8  #: half ticks: best bid + best ask before the step's orders
    basis: F8  #: USD: moving average of mid - index
    depth_factor: F8  #: 1 in ordinary times; a depth shock lowers it, makers read it
    # funding
    premium: F8  #: last sample, fraction of index
    premium_sum: F8  #: weighted sum of this interval's samples
    premium_weight: F8  #: sum of their weights
    num_samples: I8
    funding_rate: F8  #: last settled rate, per 8 h
    is_rate_given: I8  #: 1: the rate is a file's, not found from premia
    given_rate: F8  #: of this step, per 8 h, if it is a file's
    # open interest and the step's counters
    open_interest: I8  #: lots, one-sided
    oi_ratio: I8  #: 1e-9: how far open interest is between its two caps
    volume: I8  #: lots traded this step, in the book and by takeover or deleveraging
    num_fills: I8  #: this step
    liquidated_atoms: I8  #: notional liquidated this step, at mark
    num_liquidations: I8  #: this step
    num_orders: I8  #: resting now


class Tier(Record):
    """A margin tier of a market."""

    floor_atoms: I8  #: the bracket begins at this notional
    initial_fraction: I8  #: 1e-9 of notional
    maintenance_fraction: I8  #: 1e-9 of notional
    maintenance_amount: I8  #: atoms: keeps the requirement continuous


class Venue(Record):
    """The rules all markets share."""

    step_hours: F8  #: length of a step
    # mark
    mark_rule: I8  #: MarkRule
    basis_weight: F8  #: weight of the newest mid - index in its moving average
    # funding
    funding_interval: I8  #: steps
    funding_share: F8  #: interval / 8 h: share of the quoted rate paid per interval
    funding_phase: I8  #: steps from 1970-01-01 00:00 UTC to the run's first; 0: no calendar
    average_rule: I8  #: AverageRule
    min_samples: I8  #: fewer samples are padded with zeros
    interest_rate: F8  #: per 8 h
    dead_band: F8  #: negative: no dead band, rate = premium + interest
    premium_cap: F8  #: bound of one sample
    settlement_price: I8  #: SettlementPrice
    # margin
    spot_haircut: I8  #: 1e-9; ONE: spot holdings are no collateral
    stable_haircut: I8
    # liquidation
    legs: I8  #: LegRule
    size_rule: I8  #: SizeRule
    limit_rule: I8  #: LimitRule
    portion: I8  #: 1e-9 of the leg, for PORTION and CHUNK
    min_notional_atoms: I8  #: PORTION closes at least this
    chunk_threshold_atoms: I8  #: CHUNK closes smaller legs whole
    chunk_cooldown: I8  #: steps after a chunk in which the leg is closed whole
    max_account_notional_atoms: I8  #: liquidated per account and step
    max_account_loss_atoms: I8  #: paid by the fund for book fills per account and step
    market_bound: I8  #: 1e-9: MARKET stops this far from the mark
    bankruptcy_adjustment: I8  #: 1e-9, for FILLABLE
    spread_ratio: I8  #: 1e-9 of the maintenance fraction, for FILLABLE
    liquidation_fee: I8  #: 1e-9 of the fill, at most, to the insurance fund
    backstop_ratio: I8  #: 1e-9 of maintenance: below, the fund takes over at once
    fund_takeover: I8  #: 1: the fund takes over what a bankrupt pool has left
    fund_unwind: I8  #: 1e-9 of its position the fund sells per step
    max_rounds: I8  #: of liquidation in one step
    rank_rule: I8  #: RankRule


class Totals(Record):
    """What is counted over the whole venue."""

    step: I8
    deposits: I8  #: atoms paid in by all accounts and the fund, less what was taken out
    fees: I8  #: atoms: the fee account, less what the venue lost
    outside_cash: I8  #: atoms: what the outside spot market received
    stable_price: I8  #: 1e-9 USD
    conservation_error: I8  #: atoms: largest seen
    adl_atoms: I8  #: notional deleveraged so far, at mark
    socialised_atoms: I8  #: loss shared so far
    venue_loss_atoms: I8  #: loss nobody was left to share so far, paid out of `fees`
    num_intents: I8
    num_fills: I8  #: rows of `State.fill`
    record_fills: I8  #: 1: fills in the books are recorded
    record_causes: I8  #: 1: why pools are liquidated is recorded
    num_liquidations: I8  #: rows of `State.liquidation`
    num_deleverages: I8  #: rows of `State.deleverage`
    num_passes: I8  #: margin passes over all pools
    num_seizures: I8  #: rows of `State.seizure`
    num_losses: I8  #: rows of `State.loss`
    num_shortfalls: I8  #: rows of `State.shortfall`, emptied every round
    step_liquidations: I8  #: row count at the start of the step
    step_deleverages: I8
    funding_since: I8  #: first step that no settlement has charged yet
    next_order: I8  #: slot from which a free one for the next order is looked for
    free_level: I8
    free_node: I8
    num_orders: I8  #: resting in all books
    num_levels: I8
    num_nodes: I8
    #: intents by what became of them
    outcome: Annotated[NDArray[np.int64], (np.int64, (len(Outcome),))]


class Account(Record):
    """A trader's account, beside what its pools and positions hold."""

    priority: I8  #: a fixed random rank that settles ties, keyed by the trader
    deposit: I8  #: atoms paid in, in cash and holdings: at the start, and since
    liquidated_step: I8  #: step the two counters below belong to
    liquidated_atoms: I8  #: notional liquidated in that step
    fund_loss_atoms: I8  #: paid by the fund for book fills in that step


class Position(Record):
    """What an account holds in one market."""

    size: I8  #: lots, long > 0
    entry_cost: I8  #: atoms, signed like size
    pool: I4  #: that backs it
    first_order: I4  #: newest resting order of this account and market


class Pool(Record):
    """Positions that share collateral."""

    cash: I8  #: atoms: buying `size` at `price` takes size * price out of it
    equity: I8  #: atoms, with haircut collateral, at the last margin pass
    maintenance: I8  #: atoms, at the last margin pass
    owner: I8  #: account; its main pool has the same number


class Draw(Record):
    """What a side pool may take from its main pool."""

    limit: I8  #: atoms a side pool may draw from its main pool; 0 is isolated
    drawn: I8  #: atoms of that so far


class Order(Record, align=True):
    """A resting order, or a free slot."""

    price: I8
    size: I8  #: lots left, positive; 0: the slot is free
    mid2: I8  #: half ticks: mid when the order was decided
    account: I4
    expiry: I4  #: step at whose start it is withdrawn; 0: good till cancelled
    level: I4  #: that it rests in
    prev: I4  #: at its price: the order before it
    next: I4
    own_prev: I4  #: of its account and market: the next newer one
    own_next: I4
    wheel_prev: I4  #: in its slot of the expiry wheel
    wheel_next: I4
    market: I2
    side: I1  #: +1 buys, -1 sells
    flags: I1  #: Flag


class Level(Record):
    """The queue of orders at one price."""

    volume: I8  #: lots resting
    head: I4  #: oldest order; of a free level, the next free one
    tail: I4  #: newest order


class Node(Record):
    """A node of the price tree."""

    mask: I8  #: bit b set: child b exists
    #: node, or level in the lowest generation
    child: Annotated[Indices, (np.int32, (32,))]


class Intent(Record, align=True):
    """What a trader asks for."""

    size: I8  #: lots, buy > 0; atoms of stablecoin or cash for STABLE and TRANSFER
    price: I8  #: limit, ticks; CANCEL: withdraw only orders at this price (0: all)
    account: I4
    market: I4
    expiry: I4  #: steps the order lives; 0: good till cancelled
    kind: I1  #: IntentKind
    flags: I1  #: Flag
    outcome: I1  #: Outcome


class Fill(Record):
    """A trade in the book."""

    step: I4
    market: I4
    taker: I4
    maker: I4
    size: I8  #: lots, signed for the taker
    price: I8  #: ticks


class Liquidation(Record):
    """What became of one leg of a seized pool."""

    step: I4
    round: I4
    account: I4
    pool: I4
    market: I4
    stage: I4  #: Stage
    equity: I8  #: atoms of the pool when it was seized
    maintenance: I8
    index_ticks: I8
    mark_ticks: I8
    limit_ticks: I8  #: worst price for the book
    bankruptcy_price: F8  #: ticks
    size_before: I8
    order_size: I8  #: lots sent to the book
    book_size: I8  #: lots filled there
    book_cash: I8  #: atoms received for them
    fee: I8  #: account -> fund
    fund_paid: I8  #: fund -> account
    takeover_size: I8
    takeover_cost: I8  #: fund's cost against mark
    adl_size: I8
    adl_cost: I8  #: the counterparties' cost against mark
    socialised: I8  #: atoms shared among all holders
    size_after: I8


class Deleverage(Record):
    """A position closed by auto-deleveraging."""

    step: I4
    liquidation: I4  #: row of the liquidation it completes
    market: I4
    account: I4  #: the one deleveraged
    size_before: I8  #: lots it held
    profit: I8  #: atoms unrealised on them at mark
    size: I8  #: change of that account's position
    cash: I8  #: atoms received
    cost: I8  #: atoms lost against mark


class Shortfall(Record):
    """What neither book nor fund took of a leg."""

    liquidation: I4
    pool: I4
    market: I4
    size: I8


@by_reference
class State(NamedTuple):
    """All arrays of a venue; N accounts and the fund, M markets, P pools."""

    venue: Rows[Venue]  #: (1,)
    totals: Rows[Totals]  #: (1,)
    market: Rows[Market]  #: (M,)
    tier: Grid[Tier]  #: (M, tiers)
    account: Rows[Account]  #: (N + 1,)
    position: Grid[Position]  #: (N + 1, M)
    # apart from their accounts and positions: every step passes over those
    spot: NDArray[np.int64]  #: (N + 1, M) lots of the underlying coin held
    stable: NDArray[np.int64]  #: (N + 1,) stablecoin atoms
    own_fraction: NDArray[np.int64]  #: (N + 1, M) 1e-9: 1 / leverage chosen; 0: the market's
    chunk_step: NDArray[np.int64]  #: (N + 1, M) step of the last partial liquidation that filled
    pool: Rows[Pool]  #: (P,)
    draw: Rows[Draw]  #: (P,)
    #: (P,) 1 if a pool was short in the last margin pass, or money or positions may have changed
    #: since
    touched: NDArray[np.int8]
    short: Indices  #: (P,) int64: the pools the last margin pass found below maintenance come first
    flow: NDArray[np.int64]  #: (N + 1, causes) atoms
    order: Rows[Order]  #: (orders,)
    level: Rows[Level]  #: (levels,)
    node: Rows[Node]  #: (nodes,) node m is the root of market m
    wheel: Indices  #: (WHEEL_SLOTS,) int32: first order of each expiry slot
    intent: Rows[Intent]  #: (intents,)
    fill: Rows[Fill]  #: (rows,)
    liquidation: Rows[Liquidation]  #: (rows,)
    deleverage: Rows[Deleverage]  #: (rows,)
    shortfall: Rows[Shortfall]  #: (MAX_ROWS_PER_STEP,)
    recovery: Rows[Recovery]  #: (M,)
    #: (M, M) sum of the products of the marks' moves in a step, relative, those long past less
    movement: NDArray[np.float64]
    # why pools are liquidated (`cause_records`); one row each unless that is recorded
    split: Rows[Split]  #: (M,)
    tally: Grid[Tally]  #: (N + 1, M)
    safe: Rows[Safe]  #: (P,)
    impact: Rows[Impact]  #: (rows,) beside `liquidation`
    seizure: Rows[Seizure]  #: (rows,)
    loss: Rows[Loss]  #: (rows,)


#: All arrays of `State` with a record for each market, each account and each pool. What is noted of
#: causes (`cause_records`) is not among them: nothing is decided by it.
MARKET_ARRAYS = ("market", "tier")
ACCOUNT_ARRAYS = ("account", "position", "spot", "stable", "own_fraction", "chunk_step", "flow")
POOL_ARRAYS = ("pool", "draw", "touched")

#: Of (source, number, target, number): copy all that one account, or pool, has in a state.
copy_account = record_copier(ACCOUNT_ARRAYS)
copy_pool = record_copier(POOL_ARRAYS)

"""Everything the venue knows, as arrays: enums, record types and their allocation.

Prices are ticks, sizes are lots (long > 0), money is atoms (1e-6 USD), all int64. Fractions and
fee rates are int64 in units of 1e-9 (`ONE`); premia and funding rates are float64. Index letters:
``i`` account, ``m`` market, ``p`` pool, ``k`` order, ``t`` step. The insurance fund is the last
account, so it may hold positions like anyone else.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from marketsim.engine._jit import by_reference

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
wide: Any = np.int64
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
    """Who is deleveraged first."""

    BITMEX = 0
    BINANCE = 1
    HYPERLIQUID = 2
    RANDOM = 3


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


MARKET = np.dtype(
    [
        # rules
        ("tick_atoms", "i8"),  #: atoms in one tick of one lot
        ("tick_size", "f8"),  #: USD
        ("lot_size", "f8"),  #: coins
        ("num_tiers", "i8"),  #: rows used of `State.tier[m]`; 1 is a flat requirement
        ("oi_lower_atoms", "i8"),  #: open interest at which the initial fraction starts to rise
        ("oi_upper_atoms", "i8"),  #: and reaches 1; 0 switches the scaling off
        ("maker_fee", "i8"),  #: 1e-9 of notional; negative is a rebate
        ("taker_fee", "i8"),  #: 1e-9 of notional
        ("impact_atoms", "i8"),  #: notional of the impact price of the premium sample
        ("funding_cap", "f8"),  #: bound of the funding rate, per 8 h
        ("max_position_lots", "i8"),
        ("liquidates", "i8"),  #: 0: legs in this market are never liquidated
        # prices
        ("index_price", "f8"),  #: USD
        ("index_ticks", "i8"),
        ("mark_ticks", "i8"),
        ("last_ticks", "i8"),  #: price of the last fill
        ("best_bid", "i8"),  #: ticks, 0 if that side is empty
        ("best_ask", "i8"),
        ("mid2", "i8"),  #: half ticks: best bid + best ask before the step's orders
        ("basis", "f8"),  #: USD: moving average of mid - index
        ("depth_factor", "f8"),  #: 1 in ordinary times; a depth shock lowers it, makers read it
        # funding
        ("premium", "f8"),  #: last sample, fraction of index
        ("premium_sum", "f8"),  #: weighted sum of this interval's samples
        ("premium_weight", "f8"),  #: sum of their weights
        ("num_samples", "i8"),
        ("funding_rate", "f8"),  #: last settled rate, per 8 h
        # open interest and the step's counters
        ("open_interest", "i8"),  #: lots, one-sided
        ("oi_ratio", "i8"),  #: 1e-9: how far open interest is between its two caps
        ("volume", "i8"),  #: lots traded this step, in the book and by takeover or deleveraging
        ("num_fills", "i8"),  #: this step
        ("liquidated_atoms", "i8"),  #: notional liquidated this step, at mark
        ("num_liquidations", "i8"),  #: this step
        ("num_orders", "i8"),  #: resting now
    ]
)

TIER = np.dtype(
    [
        ("floor_atoms", "i8"),  #: the bracket begins at this notional
        ("initial_fraction", "i8"),
        ("maintenance_fraction", "i8"),
        ("maintenance_amount", "i8"),  #: atoms: keeps the requirement continuous
    ]
)

VENUE = np.dtype(
    [
        ("step_hours", "f8"),
        # mark
        ("mark_rule", "i8"),
        ("basis_weight", "f8"),  #: weight of the newest mid - index in its moving average
        # funding
        ("funding_interval", "i8"),  #: steps
        ("funding_share", "f8"),  #: interval / 8 h: share of the quoted rate paid per interval
        ("average_rule", "i8"),
        ("min_samples", "i8"),  #: fewer samples are padded with zeros
        ("interest_rate", "f8"),  #: per 8 h
        ("dead_band", "f8"),  #: negative: no dead band, rate = premium + interest
        ("premium_cap", "f8"),  #: bound of one sample
        ("settlement_price", "i8"),
        # margin
        ("spot_haircut", "i8"),  #: 1e-9; ONE: spot holdings are no collateral
        ("stable_haircut", "i8"),
        # liquidation
        ("legs", "i8"),  #: LegRule
        ("size_rule", "i8"),
        ("limit_rule", "i8"),
        ("portion", "i8"),  #: 1e-9 of the leg, for PORTION and CHUNK
        ("min_notional_atoms", "i8"),  #: PORTION closes at least this
        ("chunk_threshold_atoms", "i8"),  #: CHUNK closes smaller legs whole
        ("chunk_cooldown", "i8"),  #: steps after a chunk in which the leg is closed whole
        ("max_account_notional_atoms", "i8"),  #: liquidated per account and step
        ("max_account_loss_atoms", "i8"),  #: paid by the fund for book fills per account and step
        ("market_bound", "i8"),  #: 1e-9: MARKET stops this far from the mark
        ("bankruptcy_adjustment", "i8"),  #: 1e-9, for FILLABLE
        ("spread_ratio", "i8"),  #: 1e-9 of the maintenance fraction, for FILLABLE
        ("liquidation_fee", "i8"),  #: 1e-9 of the fill, at most, to the insurance fund
        ("backstop_ratio", "i8"),  #: 1e-9 of maintenance: below, the fund takes over at once
        ("fund_takeover", "i8"),  #: 1: the fund takes over what a bankrupt pool has left
        ("fund_unwind", "i8"),  #: 1e-9 of its position the fund sells per step
        ("max_rounds", "i8"),
        ("rank_rule", "i8"),
    ]
)

TOTALS = np.dtype(
    [
        ("step", "i8"),
        ("deposits", "i8"),  #: atoms paid in by all accounts and the fund
        ("fees", "i8"),  #: atoms: the fee account
        ("outside_cash", "i8"),  #: atoms: what the outside spot market received
        ("stable_price", "i8"),  #: 1e-9 USD
        ("conservation_error", "i8"),  #: atoms: largest seen
        ("adl_atoms", "i8"),  #: notional deleveraged so far, at mark
        ("socialised_atoms", "i8"),  #: loss shared so far
        ("num_intents", "i8"),
        ("num_fills", "i8"),  #: rows of `State.fill`
        ("record_fills", "i8"),
        ("record_causes", "i8"),  #: 1: why pools are liquidated is recorded
        ("num_liquidations", "i8"),  #: rows of `State.liquidation`
        ("num_deleverages", "i8"),  #: rows of `State.deleverage`
        ("num_passes", "i8"),  #: margin passes over all pools
        ("num_seizures", "i8"),  #: rows of `State.seizure`
        ("num_losses", "i8"),  #: rows of `State.loss`
        ("num_shortfalls", "i8"),  #: rows of `State.shortfall`, emptied every round
        ("step_liquidations", "i8"),  #: row count at the start of the step
        ("step_deleverages", "i8"),
        ("next_order", "i8"),  #: slot from which a free one for the next order is looked for
        ("free_level", "i8"),
        ("free_node", "i8"),
        ("num_orders", "i8"),  #: resting in all books
        ("num_levels", "i8"),
        ("num_nodes", "i8"),
        ("outcome", "i8", (len(Outcome),)),  #: intents by what became of them
    ]
)

ACCOUNT = np.dtype(
    [
        ("priority", "i8"),  #: a fixed random rank that settles ties, keyed by the trader
        ("deposit", "i8"),  #: atoms, in cash and holdings, at the start
        ("liquidated_step", "i8"),  #: step the two counters below belong to
        ("liquidated_atoms", "i8"),  #: notional liquidated in that step
        ("fund_loss_atoms", "i8"),  #: paid by the fund for book fills in that step
    ]
)

POSITION = np.dtype(
    [
        ("size", "i8"),  #: lots, long > 0
        ("entry_cost", "i8"),  #: atoms, signed like size
        ("pool", "i4"),
        ("first_order", "i4"),  #: newest resting order of this account and market
    ]
)

POOL = np.dtype(
    [
        ("cash", "i8"),  #: atoms: buying `size` at `price` takes size * price out of it
        ("equity", "i8"),  #: atoms, with haircut collateral, at the last margin pass
        ("maintenance", "i8"),  #: atoms, at the last margin pass
        ("owner", "i8"),  #: account; its main pool has the same number
    ]
)

DRAW = np.dtype(
    [
        ("limit", "i8"),  #: atoms a side pool may draw from its main pool; 0 is isolated
        ("drawn", "i8"),
    ]
)

ORDER = np.dtype(
    [
        ("price", "i8"),
        ("size", "i8"),  #: lots left, positive; 0: the slot is free
        ("mid2", "i8"),  #: half ticks: mid when the order was decided
        ("account", "i4"),
        ("expiry", "i4"),  #: step at whose start it is withdrawn; 0: good till cancelled
        ("level", "i4"),
        ("prev", "i4"),
        ("next", "i4"),
        ("own_prev", "i4"),
        ("own_next", "i4"),
        ("wheel_prev", "i4"),
        ("wheel_next", "i4"),
        ("market", "i2"),
        ("side", "i1"),  #: +1 buys, -1 sells
        ("flags", "i1"),
    ],
    align=True,
)

LEVEL = np.dtype(
    [
        ("volume", "i8"),  #: lots resting
        ("head", "i4"),  #: oldest order; of a free level, the next free one
        ("tail", "i4"),
    ]
)

NODE = np.dtype(
    [
        ("mask", "i8"),  #: bit b set: child b exists
        ("child", "i4", (32,)),  #: node, or level in the lowest generation
    ]
)

INTENT = np.dtype(
    [
        ("size", "i8"),  #: lots, buy > 0; atoms of stablecoin or cash for STABLE and TRANSFER
        ("price", "i8"),  #: limit, ticks; CANCEL: withdraw only orders at this price (0: all)
        ("account", "i4"),
        ("market", "i4"),
        ("expiry", "i4"),  #: steps the order lives; 0: good till cancelled
        ("kind", "i1"),
        ("flags", "i1"),
        ("outcome", "i1"),
    ],
    align=True,
)

FILL = np.dtype(
    [
        ("step", "i4"),
        ("market", "i4"),
        ("taker", "i4"),
        ("maker", "i4"),
        ("size", "i8"),  #: lots, signed for the taker
        ("price", "i8"),  #: ticks
    ]
)

LIQUIDATION = np.dtype(
    [
        ("step", "i4"),
        ("round", "i4"),
        ("account", "i4"),
        ("pool", "i4"),
        ("market", "i4"),
        ("stage", "i4"),  #: Stage
        ("equity", "i8"),  #: atoms of the pool when it was seized
        ("maintenance", "i8"),
        ("index_ticks", "i8"),
        ("mark_ticks", "i8"),
        ("limit_ticks", "i8"),  #: worst price for the book
        ("bankruptcy_price", "f8"),  #: ticks
        ("size_before", "i8"),
        ("order_size", "i8"),  #: lots sent to the book
        ("book_size", "i8"),  #: lots filled there
        ("book_cash", "i8"),  #: atoms received for them
        ("fee", "i8"),  #: account -> fund
        ("fund_paid", "i8"),  #: fund -> account
        ("takeover_size", "i8"),
        ("takeover_cost", "i8"),  #: fund's cost against mark
        ("adl_size", "i8"),
        ("adl_cost", "i8"),  #: the counterparties' cost against mark
        ("socialised", "i8"),  #: atoms shared among all holders
        ("size_after", "i8"),
    ]
)

DELEVERAGE = np.dtype(
    [
        ("step", "i4"),
        ("liquidation", "i4"),  #: row of the liquidation it completes
        ("market", "i4"),
        ("account", "i4"),  #: the one deleveraged
        ("size", "i8"),  #: change of that account's position
        ("cash", "i8"),  #: atoms received
        ("cost", "i8"),  #: atoms lost against mark
    ]
)

SHORTFALL = np.dtype([("liquidation", "i4"), ("pool", "i4"), ("market", "i4"), ("size", "i8")])


@by_reference
class State(NamedTuple):
    """All arrays of a venue; N accounts and the fund, M markets, P pools."""

    venue: Any  #: (1,) VENUE
    totals: Any  #: (1,) TOTALS
    market: Any  #: (M,) MARKET
    tier: Any  #: (M, tiers) TIER
    account: Any  #: (N + 1,) ACCOUNT
    position: Any  #: (N + 1, M) POSITION
    # apart from their accounts and positions: every step passes over those
    spot: Any  #: (N + 1, M) int64 lots of the underlying coin held
    stable: Any  #: (N + 1,) int64 stablecoin atoms
    own_fraction: Any  #: (N + 1, M) int64 1e-9: 1 / leverage chosen; 0: the market's
    chunk_step: Any  #: (N + 1, M) int64 step of the last partial liquidation that filled
    pool: Any  #: (P,) POOL
    draw: Any  #: (P,) DRAW
    #: (P,) int8: 1 if a pool was short in the last margin pass, or money or positions may have
    #: changed since
    touched: Any
    short: Any  #: (P,) int64: the pools the last margin pass found below maintenance come first
    flow: Any  #: (N + 1, causes) int64 atoms
    order: Any  #: (orders,) ORDER
    level: Any  #: (levels,) LEVEL
    node: Any  #: (nodes,) NODE; node m is the root of market m
    wheel: Any  #: (WHEEL_SLOTS,) int32 first order of each expiry slot
    intent: Any  #: (intents,) INTENT
    fill: Any  #: (rows,) FILL
    liquidation: Any  #: (rows,) LIQUIDATION
    deleverage: Any  #: (rows,) DELEVERAGE
    shortfall: Any  #: (MAX_ROWS_PER_STEP,) SHORTFALL
    # why pools are liquidated (`cause_records`); one row each unless that is recorded
    split: Any  #: (M,) SPLIT
    tally: Any  #: (N + 1, M) TALLY
    safe: Any  #: (P,) SAFE
    push: Any  #: (rows,) PUSH, beside `liquidation`
    seizure: Any  #: (rows,) SEIZURE
    loss: Any  #: (rows,) LOSS

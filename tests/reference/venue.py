"""What the reference venue knows, in dataclasses, lists and dicts.

Fields that the engine's arrays have too carry the same names, so that they can be compared one by
one; everything else is laid out in the way that is easiest to read.
"""

from collections import Counter
from dataclasses import dataclass, field

from marketsim.engine.state import NONE, ONE, UNLIMITED, Cause, Outcome


@dataclass
class Rules:
    """The rule book all markets share."""

    step_hours: float = 1.0 / 60.0
    mark_rule: int = 0
    basis_weight: float = 0.1
    funding_interval: int = 8
    funding_share: float = 1.0
    funding_phase: int = 0
    average_rule: int = 0
    min_samples: int = 0
    interest_rate: float = 1e-4
    dead_band: float = 5e-4
    premium_cap: float = 1.0
    settlement_price: int = 0
    spot_haircut: int = ONE
    stable_haircut: int = 0
    legs: int = 0
    size_rule: int = 0
    limit_rule: int = 0
    portion: int = ONE
    min_notional_atoms: int = 0
    chunk_threshold_atoms: int = 0
    chunk_cooldown: int = 0
    max_account_notional_atoms: int = UNLIMITED
    max_account_loss_atoms: int = UNLIMITED
    market_bound: int = ONE // 20
    bankruptcy_adjustment: int = ONE
    spread_ratio: int = ONE
    liquidation_fee: int = 0
    backstop_ratio: int = 0
    fund_takeover: int = 1
    fund_unwind: int = 0
    max_rounds: int = 3
    rank_rule: int = 0


@dataclass
class Tier:
    """A bracket of notional and its requirements."""

    floor_atoms: int
    initial_fraction: int
    maintenance_fraction: int
    maintenance_amount: int = 0


@dataclass(eq=False)
class Order:
    """A resting order; it is itself, not its terms."""

    account: int
    side: int
    price: int
    size: int
    mid2: int
    expiry: int
    flags: int


@dataclass
class Market:
    """One perp: its rules, its prices and its book, a queue of orders at each price."""

    tick_atoms: int = 100
    tick_size: float = 0.1
    lot_size: float = 0.001
    tiers: list[Tier] = field(default_factory=list)
    oi_lower_atoms: int = 0
    oi_upper_atoms: int = 0
    maker_fee: int = 0
    taker_fee: int = 0
    impact_atoms: int = 0
    funding_cap: float = 1.0
    max_position_lots: int = UNLIMITED
    liquidates: int = 1

    index_price: float = 0.0
    index_ticks: int = 0
    mark_ticks: int = 0
    last_ticks: int = 0
    mid2: int = 0
    basis: float = 0.0
    depth_factor: float = 1.0
    premium: float = 0.0
    samples: list[float] = field(default_factory=list)
    funding_rate: float = 0.0
    stated_rate: float | None = None  #: of this step, instead of what premia make
    oi_ratio: int = 0
    volume: int = 0
    num_fills: int = 0
    liquidated_atoms: int = 0
    num_liquidations: int = 0

    bids: dict[int, list[Order]] = field(default_factory=dict)
    asks: dict[int, list[Order]] = field(default_factory=dict)

    @property
    def best_bid(self) -> int:
        return max(self.bids, default=0)

    @property
    def best_ask(self) -> int:
        return min(self.asks, default=0)

    def queues(self, side: int) -> dict[int, list[Order]]:
        """The side of the book on which orders of a sign rest."""
        return self.bids if side > 0 else self.asks

    def prices(self, side: int) -> list[int]:
        """The occupied prices of a side, best first."""
        return sorted(self.queues(side), reverse=side > 0)

    def orders(self) -> list[Order]:
        """All resting orders."""
        sides = (self.bids, self.asks)
        return [order for side in sides for queue in side.values() for order in queue]


@dataclass
class Account:
    """What an account has beside its pools and positions."""

    priority: int = 0
    deposit: int = 0
    stable: int = 0
    liquidated_step: int = NONE
    liquidated_atoms: int = 0
    fund_loss_atoms: int = 0


@dataclass
class Position:
    """One account in one market."""

    pool: int
    size: int = 0
    entry_cost: int = 0
    spot: int = 0
    own_fraction: int = 0
    chunk_step: int = -UNLIMITED


@dataclass
class Pool:
    """Positions that share collateral; buying takes size x price out of its cash."""

    owner: int
    cash: int = 0
    draw_limit: int = 0
    drawn: int = 0


@dataclass
class Fill:
    """A trade, seen by the taker."""

    step: int
    market: int
    taker: int
    maker: int
    size: int
    price: int


@dataclass
class Liquidation:
    """One attempt at one leg of a seized pool."""

    step: int
    round: int
    account: int
    pool: int
    market: int
    stage: int
    equity: int
    maintenance: int
    index_ticks: int
    mark_ticks: int
    limit_ticks: int
    bankruptcy_price: float
    size_before: int
    size_after: int
    order_size: int = 0
    book_size: int = 0
    book_cash: int = 0
    fee: int = 0
    fund_paid: int = 0
    takeover_size: int = 0
    takeover_cost: int = 0
    adl_size: int = 0
    adl_cost: int = 0
    socialised: int = 0


@dataclass
class Deleverage:
    """One account made to close against a liquidation."""

    step: int
    liquidation: int
    market: int
    account: int
    size_before: int
    profit: int
    size: int
    cash: int
    cost: int


@dataclass
class Intent:
    """What a trader asks for."""

    account: int
    market: int
    kind: int = 0
    size: int = 0
    price: int = 0
    flags: int = 0
    expiry: int = 0
    outcome: int = 0


@dataclass
class Venue:
    """Everything; the insurance fund is the last account, an account's main pool has its number."""

    rules: Rules
    markets: list[Market]
    accounts: list[Account]
    positions: list[list[Position]]
    pools: list[Pool]
    order_capacity: int
    step: int = 0
    funding_since: int = 0  #: first step not yet charged
    fees: int = 0
    outside_cash: int = 0
    stable_price: int = ONE
    adl_atoms: int = 0
    socialised_atoms: int = 0
    venue_loss_atoms: int = 0
    flow: Counter[tuple[int, Cause]] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)  #: what happened, for the test to ask
    fills: list[Fill] = field(default_factory=list)
    liquidations: list[Liquidation] = field(default_factory=list)
    deleverages: list[Deleverage] = field(default_factory=list)
    shortfalls: list[int] = field(default_factory=list)  #: numbers of liquidations left open
    journal: list[object] = field(default_factory=list)  #: entries of `tests.reference.journal`
    first_liquidation: int = 0  #: number of the step's first
    first_deleverage: int = 0

    @property
    def fund(self) -> int:
        return len(self.accounts) - 1

    def legs(self, p: int) -> list[int]:
        """The markets whose positions sit in a pool, open or not."""
        row = self.positions[self.pools[p].owner]
        return [m for m, position in enumerate(row) if position.pool == p]

    def is_flat(self, p: int) -> bool:
        """Whether no position of a pool is open."""
        row = self.positions[self.pools[p].owner]
        return all(row[m].size == 0 for m in self.legs(p))

    def value(self, m: int, size: int) -> int:
        """Atoms that a signed size is worth at the mark."""
        return size * self.markets[m].mark_ticks * self.markets[m].tick_atoms

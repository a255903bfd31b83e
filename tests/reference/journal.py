"""What happened on the reference venue, in order: all that an explanation of it may look at.

Prices are ticks; what a position loses is counted in atoms, a gain as a negative loss.
"""

import math
from dataclasses import dataclass

from tests.reference.venue import Market, Venue


@dataclass(frozen=True)
class Quote:
    """The middle of a book and the index beside it."""

    mid: float
    index: float
    is_two_sided: bool


@dataclass(frozen=True)
class Mark:
    """A mark price that was just set, and the prices it may have been made from."""

    mark: int
    index: float
    last: int
    with_basis: int  #: the index plus the average basis


@dataclass(frozen=True)
class Began:
    """Losses are counted from here; the equity of every pool."""

    equity: list[int]


@dataclass(frozen=True)
class Displaced:
    """Spot was set: how many times its news' price each is, and the books it leans on."""

    times_news: list[float]
    quotes: list[Quote]
    reflexivity: float


@dataclass(frozen=True)
class Met:
    """The step's orders have met the books."""

    quotes: list[Quote]


@dataclass(frozen=True)
class Ended:
    """A step is over."""

    quotes: list[Quote]


@dataclass(frozen=True)
class Marked:
    """Marks were set."""

    marks: list[Mark]


@dataclass(frozen=True)
class Passed:
    """A margin pass looked at every pool: equity and maintenance; liquidations so far."""

    pools: list[tuple[int, int]]
    num_liquidations: int


@dataclass(frozen=True)
class Traded:
    """A position changed; `cost` is what that cost it against the mark."""

    account: int
    market: int
    change: int
    cost: int


@dataclass(frozen=True)
class Charged:
    """A position paid a fee."""

    account: int
    market: int
    fee: int


@dataclass(frozen=True)
class Funded:
    """A position paid funding."""

    account: int
    market: int
    loss: int


@dataclass(frozen=True)
class Seized:
    """A pool is about to be liquidated; liquidations so far."""

    pool: int
    equity: int
    num_liquidations: int


@dataclass(frozen=True)
class Moved:
    """The order of liquidation `number` has traded: how far mid and last price went with it."""

    number: int
    market: int
    mid: float
    last: float


def middle(market: Market) -> float:
    """Halfway between the best orders; the last price stands in for a side that is empty."""
    last = market.last_ticks or market.index_ticks
    return 0.5 * ((market.best_bid or last) + (market.best_ask or last))


def fresh_last(market: Market) -> float:
    """The last price, or the best order beyond it if the book has moved on since."""
    last = market.last_ticks or market.index_ticks
    return float(min(max(last, market.best_bid), market.best_ask or math.inf))


def quotes_of(venue: Venue) -> list[Quote]:
    """Mid and index of every market."""
    return [
        Quote(
            mid=middle(market),
            index=market.index_price / market.tick_size,
            is_two_sided=bool(market.bids and market.asks),
        )
        for market in venue.markets
    ]

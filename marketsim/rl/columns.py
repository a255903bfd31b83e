"""What a learner sees: the columns of an observation, each with its unit.

All of it a trader on the venue can see: prices and rates that are public, and its own account.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """A number of an observation."""

    name: str
    unit: str
    what: str


VOLATILITY = Column("volatility", "1 per year^1/2", "recent volatility of the index, a year's")
PREMIUM = Column("premium", "0.1 % of the index", "last premium sample of the perp")
FUNDING_RATE = Column("funding_rate", "0.01 % per 8 h", "last settled; above 0 longs pay")
TIME_LEFT = Column("time_left", "share of the episode", "until the horizon")

#: Of each market, in the order in which `marketsim.rl.play.show_market` writes them.
OF_MARKET = (
    Column("index_return", "usual moves", "of the index since the last decision, over its sd"),
    Column("momentum", "standard deviations", "slow trend of the index, over its own sd"),
    VOLATILITY,
    PREMIUM,
    Column("basis", "0.1 % of the index", "slow average of the perp's mid over the index"),
    FUNDING_RATE,
    Column("usual_funding_rate", "0.01 % per 8 h", "slow average of the settled rate"),
    Column("predicted_rate", "0.01 % per 8 h", "what the interval would pay if it ended now"),
    Column("funding_left", "share of an interval", "until the next settlement"),
    Column("spread", "0.1 % of the price", "best ask over best bid; 10 where a side is empty"),
    Column("exposure", "share of the largest", "own position, as actions count it"),
    Column("unrealised", "share of wealth", "profit of the own position at the mark"),
)
#: Of the account, after those of all markets.
OF_ACCOUNT = (
    Column("margin_used", "1 at liquidation", "maintenance margin over equity"),
    Column("growth", "log", "wealth over that at the start"),
    TIME_LEFT,
)


def columns_of(
    markets: Sequence[str],
    of_market: Sequence[Column] = OF_MARKET,
    of_all: Sequence[Column] = OF_ACCOUNT,
) -> tuple[Column, ...]:
    """List the columns of an observation of these markets: of each, then of all together.

    Examples
    --------
    >>> [column.name for column in columns_of(["BTC"])][-4:]
    ['BTC.unrealised', 'margin_used', 'growth', 'time_left']
    """
    each = [
        column._replace(name=f"{market}.{column.name}")
        for market in markets
        for column in of_market
    ]
    return (*each, *of_all)

"""What every column of a run folder's tables means, and its unit.

A column is looked up with its table first (``fills.size``), then by its name alone. ``<market>``,
``<venue>`` and ``<n>`` stand for a market's name, a spot venue's and a number of basis points.
"""

import re
from typing import NamedTuple

from marketsim.results.tables import PROFIT_COLUMNS


class Column(NamedTuple):
    """A column's unit ("" where it has none) and what it says."""

    unit: str
    text: str


#: What each cause of `PROFIT_COLUMNS` pays or costs.
_CAUSES = {
    "price": "moves of the marks of what is held",
    "slippage": "fills away from the mid at the decision",
    "fee": "trading fees, rebates positive",
    "funding": "funding received less paid",
    "liquidation_fee": "fees of liquidations, to the insurance fund",
    "takeover": "what the insurance fund took over, against the mark",
    "adl": "auto-deleveraging, against the mark",
    "socialised": "shared losses",
    "spot": "moves of the coins held and of the stablecoin",
    "rounding": "rounding of funding payments, to the insurance fund",
}

_COLUMNS: dict[str, tuple[str, str]] = {
    # when and who
    "step": ("steps", "number of the step, from 0; of a moment, the steps done"),
    "hours": ("h", "hours since the start at which the row is true: the END of its step"),
    "time": ("UTC", "moment at which the row is true: the END of its step"),
    "market": ("", "name of the market"),
    "population": ("", "name of the population; insurance_fund is the fund"),
    "account": ("", "number of the account, population by population from 0; the fund is the last"),
    # prices and the market
    "index_price": ("USD", "index: mean or median of the spot venues"),
    "mark_price": ("USD", "mark, by which margin values positions"),
    "last_price": ("USD", "price of the last fill"),
    "mid_price": ("USD", "middle of best bid and best ask; the mark where a side is empty"),
    "best_bid": ("USD", "best bid; NaN without one"),
    "best_ask": ("USD", "best ask; NaN without one"),
    "premium": ("fraction of index", "premium sample of the step"),
    "funding_rate": (
        "fraction per 8 h",
        "last settled funding rate; longs pay where it is positive",
    ),
    "predicted_rate": ("fraction per 8 h", "rate that would be settled as things stand"),
    "open_interest": ("coins", "open interest, one-sided"),
    "open_interest_usd": ("USD", "open interest at the mark, one-sided"),
    "volume": ("coins", "traded in the step, takeovers and deleveraging included"),
    "volume_usd": ("USD", "the same at the mark"),
    "num_fills": ("", "fills in the step"),
    "liquidated_usd": ("USD", "notional liquidated in the step, at the mark"),
    "num_liquidations": ("", "liquidation orders in the step"),
    "num_orders": ("", "orders resting at the end of the step"),
    "spot_spread": ("fraction of index", "highest less lowest spot venue"),
    "deviation_<venue>": ("fraction of index", "how far the spot venue prints off the index"),
    "herd_index": ("-1 to 1", "long less short share of the herd traders; NaN without any"),
    "long_share": ("fraction", "share of accounts with a position that are long"),
    "leverage": ("", "notional over equity of the accounts with a position"),
    "long_distance": (
        "fraction of mark",
        "fall of the mark alone that liquidates longs, mean by notional",
    ),
    "short_distance": (
        "fraction of mark",
        "rise of the mark alone that liquidates shorts, mean by notional",
    ),
    # the venue
    "insurance_fund_usd": ("USD", "equity of the insurance fund"),
    "insurance_fund_cash_usd": ("USD", "its cash"),
    "fees_usd": ("USD", "trading fees collected since the start, rebates and `venue_loss_usd` off"),
    "steps.adl_usd": ("USD", "notional deleveraged since the start, at the mark"),
    "steps.socialised_usd": ("USD", "losses shared among holders since the start"),
    "venue_loss_usd": ("USD", "losses nobody was left to share since the start, paid by the venue"),
    "conservation_error_atoms": ("1e-6 USD", "by how much the books do not balance; 0"),
    "num_intents": ("", "what traders asked for in the step"),
    # funding
    "interest_rate": ("fraction per 8 h", "interest term of the rate"),
    "average_premium": ("fraction of index", "average premium of the interval"),
    "settlement_price": ("USD", "price at which positions were valued"),
    "paid_usd": ("USD", "paid by one side to the other, unsigned"),
    "rate_<market>": ("fraction per 8 h", "settled funding rate; NaN where none was settled"),
    "premium_<market>": ("fraction of index", "average premium behind it"),
    # liquidations
    "round": ("", "round of liquidation within the step, from 0; the fund's own come after all"),
    "pool": ("", "number of the pool seized; an account's main pool has the account's number"),
    "stage": ("", "market: sold in the book first; backstop: taken over by the fund at once"),
    "side": ("", "long or short: the side of the positions meant"),
    "equity_usd": ("USD", "equity"),
    "maintenance_usd": ("USD", "maintenance margin of the pool"),
    "limit_price": ("USD", "worst price accepted in the book; NaN: none"),
    "bankruptcy_price": (
        "USD",
        "price at which the position uses up its share of the pool's equity",
    ),
    "size_before": ("coins", "position before, long positive"),
    "order_size": ("coins", "sent to the book, buy positive"),
    "book_size": ("coins", "filled there, buy positive"),
    "average_price": ("USD", "average price of these fills; NaN without any"),
    "takeover_size": ("coins", "taken over by the insurance fund"),
    "adl_size": ("coins", "closed by auto-deleveraging"),
    "size_after": ("coins", "position after, long positive"),
    "rest_taken_by": ("", "who took what the book did not: none (nothing left), fund, adl, later"),
    "notional_usd": ("USD", "what left the account, at the mark"),
    "book_cost_usd": ("USD", "what the book paid below the mark (above it for a short)"),
    "fee_usd": ("USD", "liquidation fee to the insurance fund"),
    "fund_paid_usd": ("USD", "paid by the insurance fund to the account"),
    "takeover_cost_usd": ("USD", "cost of the takeover to the fund, against the mark"),
    "adl_cost_usd": ("USD", "cost of the deleveraging to the other side, against the mark"),
    "liquidations.socialised_usd": ("USD", "loss of this liquidation shared among holders"),
    "liquidations.equity_usd": ("USD", "equity of the pool when it was seized"),
    # causes
    "liquidation": ("", "row of the table `liquidations` it belongs to, from 0"),
    "causes.market": ("", "market in which the loss was made"),
    "kind": (
        "",
        "what made the loss: moves of the index, forced or other flow, funding, fees, ...",
    ),
    "parent": ("", "row of `liquidations` that pushed the price; -1: none"),
    "loss_usd": ("USD", "loss of the pool since it was last safe, by this cause"),
    "weight": ("fraction", "share of this cause; those of a liquidation sum to 1"),
    # deleveragings
    "size": ("coins", "size"),
    "deleveragings.size_before": ("coins", "position before, long positive"),
    "deleveragings.profit_usd": ("USD", "unrealised on it, at the mark"),
    "deleveragings.size": ("coins", "change of the account's position"),
    "deleveragings.price": ("USD", "price at which it was closed"),
    "cash_usd": ("USD", "cash in the wallet, all pools"),
    "deleveragings.cash_usd": ("USD", "cash received for it"),
    "cost_usd": ("USD", "lost by it against the mark"),
    # populations and accounts
    "num_accounts": ("", "accounts"),
    "num_traders": ("", "traders who had the accounts, newcomers included"),
    "generation": ("", "traders who had the account before"),
    "deposit_usd": ("USD", "deposited at the start and since, by all traders of the account"),
    "withdrawn_usd": ("USD", "taken out by traders who left or took profit"),
    "equity_start_usd": ("USD", "equity at the start, nothing haircut"),
    "equity_end_usd": ("USD", "equity at the end, nothing haircut"),
    "cash_end_usd": ("USD", "cash at the end, all pools"),
    "stable_end": ("stablecoins", "stablecoins held at the end"),
    "profit_usd": ("USD", "profit: the sum of its causes; what was paid in or taken out is none"),
    "profit_atoms": ("1e-6 USD", "the same, exactly"),
    "accounts_liquidated": ("", "accounts that met a liquidation order"),
    "populations.liquidated_usd": ("USD", "notional liquidated, at the mark"),
    "population_series.equity_usd": ("USD", "everything owned, nothing haircut"),
    "population_series.fees_usd": ("USD", "trading fees paid so far, rebates off"),
    "accounts_with_position": ("", "accounts with a position"),
    "net_usd_<market>": ("USD", "sum of signed size x mark"),
    "gross_usd_<market>": ("USD", "sum of absolute size x mark"),
    "size_start_<market>": ("coins", "position at the start, long positive"),
    "size_end_<market>": ("coins", "position at the end, long positive"),
    "spot_end_<market>": ("coins", "coins held at the end"),
    "pool_<market>": ("", "number of the pool that backs the position"),
    "size_<market>": ("coins", "position, long positive"),
    "arrivals.kind": (
        "",
        "arrival, withdrawal of profit, or why it left: ruined, finished, idle, retired",
    ),
    "usd": ("USD", "came into the account; negative: left it"),
    # contagion
    "contagion.side": ("", "falls or rises: the way the mark of `cause` moves"),
    "cause": ("", "market that is moved"),
    "m": ("", "how far `market` follows a push of `cause` by a liquidation, both as fractions"),
    "m_on_paper": ("", "the same of a move of 1 % with books that never refill"),
    "recovery": ("", "share of an impact that the book of `market` took back in a step so far"),
    "reproduction.side": ("", "falls or rises: the way the marks move"),
    "reproduction_number": ("", "R, the spectral radius of the contagion matrix"),
    "reproduction_on_paper": ("", "R on paper: of the matrix of books that never refill"),
    "band": ("", "number of the price band, away from the mark"),
    "low_price": ("USD", "lower end of the band"),
    "high_price": ("USD", "upper end of the band"),
    "liquidation_heatmap.size": (
        "coins",
        "positions whose pools first fall below maintenance there",
    ),
    "liquidation_heatmap.notional_usd": ("USD", "the same at the mark of that time"),
    # books
    "bid_usd_<n>bp": ("USD", "resting bids within so many basis points of the mid"),
    "ask_usd_<n>bp": ("USD", "resting asks within so many basis points of the mid"),
    "book.side": ("", "bid or ask"),
    "book.price": ("USD", "price of the level"),
    "book.size": ("coins", "resting at it"),
    "taker": ("", "account whose order met the book"),
    "maker": ("", "account whose order rested"),
    "fills.size": ("coins", "traded, positive where the taker buys"),
    "fills.price": ("USD", "price of the fill"),
    "snapshots.equity_usd": ("USD", "equity, nothing haircut"),
}
_COLUMNS |= {name: ("USD", f"profit by {_CAUSES[name[:-4]]}") for name in PROFIT_COLUMNS}
_COLUMNS |= {f"{cause}_atoms": ("1e-6 USD", "the same, exactly") for cause in _CAUSES}

#: Units of the figures of a run, by how their names end.
_FIGURE_UNITS = {
    "_usd": "USD",
    "_atoms": "1e-6 USD",
    "_bp_8h": "1e-4 per 8 h",
    "_bp": "1e-4 of index",
    "_share": "fraction",
    "_fall": "fraction",
    "_distance": "fraction of mark",
    "index_start": "USD",
    "index_end": "USD",
    "index_min": "USD",
    "total_return": "fraction",
    "max_drawdown": "fraction",
    "tail_loss_day": "fraction",
    "tail_loss_account": "fraction",
    "wall_s": "s",
}

#: What a placeholder stands for.
_HOLES = {"<market>": ".+", "<venue>": ".+", "<n>": r"\d+"}


def describe_column(table: str, name: str) -> Column:
    """Return the unit of a column and what it says.

    Parameters
    ----------
    table, name : str

    Returns
    -------
    Column

    Raises
    ------
    KeyError
        If nothing is known of it.

    Examples
    --------
    >>> describe_column("markets", "open_interest_usd").unit
    'USD'
    """
    return Column(*_COLUMNS[_key(table, name)])


def figure_unit(name: str) -> str:
    """Return the unit of a figure of a run (`marketsim.results.summary.run_figures`), "" for none.

    Examples
    --------
    >>> figure_unit("markets.BTC.premium_std_bp"), figure_unit("liquidations")
    ('1e-4 of index', '')
    """
    return next((unit for end, unit in _FIGURE_UNITS.items() if name.endswith(end)), "")


def general_name(table: str, name: str) -> str:
    """Return the name of a column without those of a run: ``rate_<market>`` for ``rate_BTC``.

    Parameters
    ----------
    table, name : str

    Returns
    -------
    str

    Raises
    ------
    KeyError
        If nothing is known of it.

    Examples
    --------
    >>> general_name("funding_heatmap", "rate_BTC"), general_name("fills", "size")
    ('rate_<market>', 'size')
    """
    return _key(table, name).removeprefix(f"{table}.")


def _key(table: str, name: str) -> str:
    """Find what is said of a column."""
    for key in (f"{table}.{name}", name):
        if key in _COLUMNS:
            return key
    for key in _COLUMNS:
        if "<" in key and re.fullmatch(_pattern(key), name):
            return key
    raise KeyError(f"no column {name!r} of table {table!r} is described")


def _pattern(key: str) -> str:
    for hole, stands_for in _HOLES.items():
        key = key.replace(hole, stands_for)
    return key

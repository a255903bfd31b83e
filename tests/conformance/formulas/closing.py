"""Closing elsewhere: other liquidation prices, a protocol's fees, a queue's lights, a delisting."""

from marketsim.engine.formulas.closing import liquidation_price
from marketsim.engine.state import ONE
from tests.conformance.formulas.beside import beside


@beside
def liquidation_price_at_entry(
    cash: float, size: float, entry_price: float, fraction: float, amount: float, close_fee: float
) -> float:
    r"""Solve equity = requirement where the requirement is taken on the entry value.

    .. math:: C + q p = |q| p_0 f - a + |q| p c

    Requirements here are taken at the mark.

    Parameters
    ----------
    cash : float
        Equity of the pool at price 0 of this market, less the requirements of its other positions.
    size : float
        Signed size.
    entry_price : float
        In the unit of cash over size.
    fraction : float
        Plain maintenance fraction.
    amount : float
        Maintenance amount, in the unit of cash.
    close_fee : float
        Plain fee rate of closing, charged at the liquidation price.

    Returns
    -------
    float
        In the unit of cash over size; nan if no positive price solves it.

    References
    ----------
    Bybit, Liquidation Price (USDT Contract).

    Examples
    --------
    >>> round(liquidation_price_at_entry(2.0 + 10.0, -1.0, 10.0, 0.01, 0.0, 0.0), 9)
    11.9
    """
    return liquidation_price(cash, size, close_fee, amount - abs(size) * entry_price * fraction)


@beside
def freeable_portion(shortage: int, small_shortage: int, portion: int) -> int:
    r"""Compute the share of a margin shortage one liquidation may free; a small one whole.

    .. math:: 1 \;\text{if}\; S < S_0, \;\text{else}\; f

    Parameters
    ----------
    shortage, small_shortage : int
        Margin missing, and what counts as small; any one money unit.
    portion : int
        1e-9.

    Returns
    -------
    int
        1e-9.

    References
    ----------
    Drift protocol v2, programs/drift/src/math/liquidation.rs, calculate_max_pct_to_liquidate
    (shortages below 50 USD are freed at once).

    Examples
    --------
    >>> freeable_portion(49, 50, 200_000_000), freeable_portion(50, 50, 200_000_000)
    (1000000000, 200000000)
    """
    return ONE if shortage < small_shortage else min(portion, ONE)


@beside
def implied_fee_rate(
    shortage: float,
    size: float,
    margin_ratio: float,
    liquidator_fee: float,
    price: float,
    quote_price: float,
    max_fee: float,
) -> float:
    r"""Compute the insurance fee a position can still bear once its margin shortage is covered.

    .. math:: \min(f, 0.95 \max(0, m - f_l - S / (q p\,p_q)))

    Parameters
    ----------
    shortage : float
        Margin missing, USD.
    size : float
        Contracts, not negative.
    margin_ratio, liquidator_fee, max_fee : float
        Plain fractions of notional.
    price, quote_price : float
        Of a contract in the quote coin, and of the quote coin in USD.

    Returns
    -------
    float
        Plain fraction of notional.

    References
    ----------
    Drift protocol v2, programs/drift/src/math/liquidation/tests.rs, calculate_perp_if_fee.

    Examples
    --------
    >>> round(implied_fee_rate(20.0, 10.0, 0.05, 0.01, 100.0, 1.0, 0.05), 9)
    0.019
    """
    notional = size * price * quote_price
    if notional <= 0.0:
        return 0.0
    room = margin_ratio - liquidator_fee - shortage / notional
    return min(max_fee, 0.95 * max(room, 0.0))


@beside
def queue_quintile(cumulative_size: int, total_size: int) -> int:
    r"""Locate a place of the deleveraging queue in fifths of its open size.

    .. math:: \lceil 5 c / C \rceil

    What a venue shows to its traders; who is deleveraged does not depend on it.

    Parameters
    ----------
    cumulative_size : int
        Size from the top of the queue down to this place, included.
    total_size : int
        Of the whole queue, same unit.

    Returns
    -------
    int
        1 (first to be deleveraged) to 5.

    References
    ----------
    BitMEX, Auto-Deleveraging (example of the ranking system).

    Examples
    --------
    >>> [queue_quintile(size, 100) for size in (10, 30, 60, 70, 80, 100)]
    [1, 2, 3, 4, 4, 5]
    """
    return -(-5 * cumulative_size // total_size)


@beside
def settles_at_mark(equity: int) -> bool:
    r"""Tell whether an account in a delisted market is closed at the mark.

    .. math:: E \ge 0

    At the mark equity stays as it is, so whoever is not under water does not become riskier. Both
    sides of a pair have to pass. No market is delisted here.

    Parameters
    ----------
    equity : int
        Any money unit.

    Returns
    -------
    bool

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/deleveraging_test.go, TestCanDeleverageSubaccount and
    TestProcessDeleveragingAtOraclePrice.

    Examples
    --------
    >>> settles_at_mark(0), settles_at_mark(-1)
    (True, False)
    """
    return equity >= 0

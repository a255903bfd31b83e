"""What the insurance fund earns, pays and shares out, and how fast a shortage is worked off."""

from marketsim.engine._jit import kernel
from marketsim.engine.state import ONE


@kernel
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


@kernel
def socialised_loss_per_unit(loss: float, long_size: float, short_size: float) -> float:
    r"""Share a loss among all holders of a market by size.

    .. math:: |\ell| / (|q_{long}| + |q_{short}|)

    Parameters
    ----------
    loss : float
        Money, of either sign.
    long_size, short_size : float
        Total sizes of the two sides; signs do not matter.

    Returns
    -------
    float
        Money per unit of size; 0 where nobody holds the market.

    References
    ----------
    Drift protocol v2, programs/drift/src/math/liquidation.rs,
    calculate_funding_rate_deltas_to_resolve_bankruptcy.

    Examples
    --------
    >>> socialised_loss_per_unit(100.0, 6.0, -4.0)
    10.0
    """
    total = abs(long_size) + abs(short_size)
    return abs(loss) / total if total > 0.0 else 0.0


@kernel
def repay(fund_balance: int, account_value: int) -> tuple[int, int]:
    r"""Pay the fund's own trading loss out of the fund.

    .. math:: r = \min(\max(F, 0), \max(-V, 0))

    Parameters
    ----------
    fund_balance, account_value : int
        Fund's wallet, and value of its trading account; any one money unit.

    Returns
    -------
    tuple of int
        Repaid, and the balance left.

    References
    ----------
    Perpetual Protocol, perp-curie-contract, test/insuranceFund/InsuranceFund.test.ts (repay).

    Examples
    --------
    >>> repay(50, -100), repay(50, 10)
    ((50, 0), (0, 50))
    """
    repaid = min(max(int(fund_balance), 0), max(-int(account_value), 0))
    return repaid, int(fund_balance) - repaid


@kernel
def capacity(fund_balance: int, account_value: int) -> int:
    r"""Compute what the fund could pay if it closed its own trading account.

    .. math:: F + V

    Parameters
    ----------
    fund_balance, account_value : int
        Fund's wallet, and value of its trading account; any one money unit.

    Returns
    -------
    int
        Same unit.

    References
    ----------
    Perpetual Protocol, perp-curie-contract, test/insuranceFund/InsuranceFund.test.ts (capacity).

    Examples
    --------
    >>> capacity(100, -30)
    70
    """
    return int(fund_balance) + int(account_value)


@kernel
def fill_vs_bankruptcy(size: int, fill_price: int, bankruptcy_price: int) -> int:
    r"""Compute what the fund gains when a seized position is closed away from bankruptcy.

    .. math:: q (p - p_b)

    Parameters
    ----------
    size : int
        Signed size of the seized position.
    fill_price, bankruptcy_price : int
        Any one price unit.

    Returns
    -------
    int
        In the unit of size times price; negative if the fund loses.

    References
    ----------
    BTCMEX blog, Insurance Fund examples.

    Examples
    --------
    >>> fill_vs_bankruptcy(1, 3_060, 3_000), fill_vs_bankruptcy(-1, 3_060, 3_000)
    (60, -60)
    """
    return int(size) * (int(fill_price) - int(bankruptcy_price))


@kernel
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
    return ONE if shortage < small_shortage else min(int(portion), ONE)

"""Who is deleveraged first: the venues' ranking scores."""

import math

from marketsim.engine._jit import kernel


@kernel
def score_bitmex(mark_value: float, bankrupt_value: float, entry_value: float) -> float:
    r"""Rank a position by profit share and effective leverage, with BitMEX's signed values.

    .. math::
        g = (V_m - V_e) / |V_e|, \quad L = |V_m| / (V_m - V_b); \quad
        g L \;\text{if}\; g > 0, \;\text{else}\; g / L

    Parameters
    ----------
    mark_value, bankrupt_value, entry_value : float
        Signed like the size, any one money unit.

    Returns
    -------
    float
        Highest first.

    References
    ----------
    BitMEX, Auto-Deleveraging.

    Examples
    --------
    >>> round(score_bitmex(120.0, 90.0, 100.0), 9)
    0.8
    """
    if entry_value == 0.0:
        return 0.0
    profit = (mark_value - entry_value) / abs(entry_value)
    buffer = mark_value - bankrupt_value
    if profit > 0.0:
        return profit * abs(mark_value) / buffer if buffer != 0.0 else math.inf
    return profit * buffer / abs(mark_value) if mark_value != 0.0 else 0.0


@kernel
def score_binance(unrealised: float, notional: float, wallet: float) -> float:
    r"""Rank a position by profit share and leverage of the account.

    .. math::
        g = U / |N|, \quad L = |N| / (W + U); \quad
        g L \;\text{if}\; g > 0, \;\text{else}\; g / L

    Parameters
    ----------
    unrealised, notional, wallet : float
        Unrealised profit, position value and wallet balance, any one money unit.

    Returns
    -------
    float
        Highest first.

    References
    ----------
    Binance, What Is Auto-Deleveraging (ADL).

    Examples
    --------
    >>> round(score_binance(200.0, 5_000.0, 300.0), 9)
    0.4
    """
    if notional == 0.0:
        return 0.0
    profit = unrealised / abs(notional)
    equity = wallet + unrealised
    if profit > 0.0:
        return unrealised / equity if equity != 0.0 else math.inf
    return profit * equity / abs(notional)


@kernel
def score_hyperliquid(
    mark_price: float, entry_price: float, notional: float, account_value: float
) -> float:
    r"""Rank a position by price gain and leverage, as documented for a long.

    .. math:: (p / p_0) (N / V)

    Parameters
    ----------
    mark_price, entry_price : float
        Any one price unit; swap them for a short, so that its gain raises the score too.
    notional, account_value : float
        Any one money unit.

    Returns
    -------
    float
        Highest first.

    References
    ----------
    Hyperliquid docs, Auto-deleveraging.

    Examples
    --------
    >>> round(score_hyperliquid(120.0, 100.0, 1_000.0, 200.0), 9)
    6.0
    """
    if entry_price == 0.0:
        return 0.0
    if account_value == 0.0:
        return math.inf
    return mark_price / entry_price * (notional / account_value)

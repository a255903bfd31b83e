"""Closing a position: at which price, how much, who bears the difference."""

import math

from marketsim.engine._jit import kernel
from marketsim.engine.formulas.integers import mul_div, mul_div_up, take_fraction
from marketsim.engine.state import ONE


@kernel
def liquidation_price(cash: float, size: float, fraction: float, amount: float) -> float:
    r"""Solve equity = requirement for the mark price, all other prices held fixed.

    .. math:: C + q p = |q| p f - a \;\Rightarrow\; p = -(C + a) / (q - |q| f)

    Parameters
    ----------
    cash : float
        Equity of the pool at price 0 of this market, less the requirements of its other positions.
    size : float
        Signed size; cash, size and amount fix the unit of the price.
    fraction : float
        Plain: maintenance fraction plus the fee rate of closing, if the venue counts it.
    amount : float
        Maintenance amount of the position's tier, in the unit of cash.

    Returns
    -------
    float
        In the unit of cash over size; nan if no positive price solves it.

    References
    ----------
    Binance, How to Calculate Liquidation Price of USD-M Futures Contracts; for one position alone
    this is p0 (1 - s/L) / (1 - s m).

    Examples
    --------
    >>> round(liquidation_price(2 / 3 - 1.0, 1.0, 0.1, 0.0), 4)
    0.3704
    """
    slope = size - abs(size) * fraction
    if slope == 0.0:
        return math.nan
    price = -(cash + amount) / slope
    return price if price > 0.0 else math.nan


@kernel
def bankruptcy_cash(
    size_change: int,
    mark_value_change: int,
    equity: int,
    maintenance_change: int,
    maintenance_total: int,
) -> int:
    r"""Compute the cash for which a pool closes part of a position at its bankruptcy price.

    Each position bears the pool's equity by its share of the maintenance margin.

    .. math:: \lceil -\Delta V - E\, |\Delta M| / M \rceil

    Parameters
    ----------
    size_change : int
        Signed change of the position; closing nothing is worth nothing.
    mark_value_change : int
        ``size_change`` at the mark price, any money unit.
    equity : int
        Of the whole pool, same unit.
    maintenance_change, maintenance_total : int
        Maintenance freed by the close, and the whole pool's, same unit.

    Returns
    -------
    int
        Cash received by the pool, same unit, rounded up.

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go,
    TestGetBankruptcyPriceInQuoteQuantums.

    Examples
    --------
    A long of 5,000 with equity 100 is closed whole, so the pool may receive 100 less:

    >>> bankruptcy_cash(-1, -5_000, 100, -500, 500)
    4900
    """
    if size_change == 0:
        return 0
    if maintenance_total <= 0:
        return -int(mark_value_change)
    freed = abs(int(maintenance_change))
    if equity >= 0:
        return -int(mark_value_change) - mul_div(equity, freed, maintenance_total)
    return -int(mark_value_change) - mul_div_up(equity, freed, maintenance_total)


@kernel
def fillable_price(
    mark: float,
    side: int,
    equity: int,
    maintenance: int,
    maintenance_fraction: float,
    adjustment: float,
    spread_ratio: float,
) -> float:
    r"""Compute the limit price of a liquidation order that worsens as equity vanishes.

    .. math:: p (1 - s A r m), \quad A = \min(1, \max(0, \beta (1 - E / M)))

    Parameters
    ----------
    mark : float
        Any price unit.
    side : int
        1 if the position is long, -1 if short.
    equity, maintenance : int
        Of the whole pool, any one money unit.
    maintenance_fraction, adjustment, spread_ratio : float
        Plain.

    Returns
    -------
    float
        In the unit of the mark.

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go, TestGetFillablePrice.

    Examples
    --------
    >>> fillable_price(50_000.0, 1, 0, 500, 0.1, 1.0, 0.1)
    49500.0
    """
    if maintenance > 0:
        depth = adjustment * (float(maintenance) - float(equity)) / float(maintenance)
    else:
        depth = 1.0 if equity < 0 else 0.0
    depth = min(max(depth, 0.0), 1.0)
    return mark * (1.0 - side * depth * spread_ratio * maintenance_fraction)


@kernel
def notional_limits(notional: int, min_notional: int, portion: int) -> tuple[int, int]:
    r"""Bound the notional one liquidation order may close.

    .. math:: l = \min(L, N), \quad u = \max(l, N f)

    Parameters
    ----------
    notional, min_notional : int
        Of the position, and the venue's least order; any one money unit.
    portion : int
        1e-9 of the position.

    Returns
    -------
    tuple of int
        Least and largest notional, same unit.

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go,
    TestGetMaxAndMinPositionNotionalLiquidatable.

    Examples
    --------
    >>> notional_limits(50_000, 10, 500_000_000), notional_limits(5, 10, 1_000_000_000)
    ((10, 25000), (5, 5))
    """
    least = min(int(min_notional), int(notional))
    return least, max(least, take_fraction(notional, portion))


@kernel
def block_size(
    size: int, notional: int, min_notional: int, portion: int, max_notional: int, size_step: int
) -> int:
    r"""Compute how much of a position one liquidation order closes.

    .. math:: \max(1, \lfloor q u / (N\,\delta) \rfloor)\, \delta

    The position is closed whole when its notional is within the limit or its size within a step.

    Parameters
    ----------
    size : int
        Lots, positive.
    notional, min_notional, max_notional : int
        Of the position, the venue's least order, and what the account may still lose to
        liquidation now; any one money unit.
    portion : int
        1e-9 of the position.
    size_step : int
        Lots, positive.

    Returns
    -------
    int
        Lots to close, positive.

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go,
    TestGetPerpetualPositionToLiquidate.

    Examples
    --------
    >>> block_size(21, 10_500_000, 1_000, 500_000_000, 2**62, 3)
    9
    """
    _, most = notional_limits(notional, min_notional, portion)
    most = min(most, int(max_notional))
    if notional <= most or size <= size_step:
        return int(size)
    return max(mul_div(size, most, notional) // int(size_step), 1) * int(size_step)


@kernel
def cover_margin_shortage(
    shortage: float,
    price: float,
    quote_price: float,
    margin_ratio: float,
    liquidator_fee: float,
    insurance_fee: float,
) -> float:
    r"""Compute the size whose closing frees as much margin as is missing.

    .. math:: S / (p\,p_q (m - f_l) - p f_i)

    Parameters
    ----------
    shortage : float
        Margin missing, USD.
    price, quote_price : float
        Of a contract in the quote coin, and of the quote coin in USD.
    margin_ratio, liquidator_fee, insurance_fee : float
        Plain fractions of notional.

    Returns
    -------
    float
        Contracts; inf where closing frees nothing.

    References
    ----------
    Drift protocol v2, programs/drift/src/math/liquidation/tests.rs,
    calculate_base_asset_amount_to_cover_margin_shortage.

    Examples
    --------
    >>> round(cover_margin_shortage(10.0, 100.0, 1.0, 0.1, 0.01, 0.01), 9)
    1.25
    """
    freed = price * quote_price * (margin_ratio - liquidator_fee) - price * insurance_fee
    return shortage / freed if freed > 0.0 else math.inf


@kernel
def chunk_portion(notional: int, threshold: int, chunk: int, in_cooldown: bool) -> int:
    r"""Compute the share of a position sent to the book: a large one goes in two parts.

    .. math:: f \;\text{if}\; N > T \;\text{and not in cooldown, else}\; 1

    Parameters
    ----------
    notional, threshold : int
        Any one money unit.
    chunk : int
        1e-9: first part of a large position.
    in_cooldown : bool
        A part was sent a short time ago.

    Returns
    -------
    int
        1e-9.

    References
    ----------
    Hyperliquid docs, Liquidations (positions above 100,000 USDC: 20 % first, 30 s cooldown).

    Examples
    --------
    >>> chunk_portion(5_000_000, 100_000, 200_000_000, False)
    200000000
    """
    return int(chunk) if notional > threshold and not in_cooldown else ONE


@kernel
def precedes(limit_a: float, size_a: int, limit_b: float, size_b: int, mark: float) -> bool:
    r"""Tell whether liquidation order a goes before b: furthest from the mark, then largest.

    .. math:: (|l_a - p|, |q_a|) > (|l_b - p|, |q_b|)

    Parameters
    ----------
    limit_a, limit_b, mark : float
        Limit prices of the orders and the mark of their market, any price unit.
    size_a, size_b : int
        Signed sizes.

    Returns
    -------
    bool

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go, TestSortLiquidationOrders.

    Examples
    --------
    >>> precedes(101.0, 1, 98.0, 1, 100.0), precedes(101.0, -2, 99.0, 1, 100.0)
    (False, True)
    """
    distance_a = abs(limit_a - mark)
    distance_b = abs(limit_b - mark)
    if distance_a != distance_b:
        return distance_a > distance_b
    return abs(size_a) > abs(size_b)


@kernel
def remaining_limit(limit: int, used: int) -> int:
    r"""Compute what a limit per account and block leaves.

    .. math:: \max(0, L - u)

    Parameters
    ----------
    limit, used : int
        Any one money unit.

    Returns
    -------
    int
        Same unit.

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go,
    TestGetMaxLiquidatableNotionalAndInsuranceLost.

    Examples
    --------
    >>> remaining_limit(150, 100), remaining_limit(100, 150)
    (50, 0)
    """
    return max(int(limit) - int(used), 0)


@kernel
def liquidation_delta(fill_cash: int, bankruptcy_cash: int, max_fee: int) -> int:
    r"""Compute what a liquidation fill moves between account and fund.

    .. math:: d = C - B; \quad d \;\text{if}\; d < 0, \;\text{else}\; \min(d, f |C|)

    Parameters
    ----------
    fill_cash, bankruptcy_cash : int
        Cash received for the fill, and at the bankruptcy price; any one money unit.
    max_fee : int
        1e-9 of the fill.

    Returns
    -------
    int
        Positive: the account pays the fund; negative: the fund pays.

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go,
    TestGetLiquidationInsuranceFundDelta.

    Examples
    --------
    >>> liquidation_delta(5_105, 5_100, 5_000_000), liquidation_delta(5_000, 5_100, 5_000_000)
    (5, -100)
    """
    delta = int(fill_cash) - int(bankruptcy_cash)
    if delta <= 0:
        return delta
    return min(delta, take_fraction(abs(int(fill_cash)), max_fee))


@kernel
def fund_covers(fund_balance: int, delta: int) -> bool:
    r"""Tell whether the fund can bear a liquidation fill.

    .. math:: d \ge 0 \;\text{or}\; F + d \ge 0

    Parameters
    ----------
    fund_balance, delta : int
        Of the fund, and `liquidation_delta`; any one money unit.

    Returns
    -------
    bool

    References
    ----------
    dYdX v4-chain, protocol/x/clob/keeper/deleveraging_test.go, TestIsValidInsuranceFundDelta.

    Examples
    --------
    >>> fund_covers(100, -100), fund_covers(99, -100), fund_covers(-5, 1)
    (True, False, True)
    """
    return delta >= 0 or fund_balance + delta >= 0

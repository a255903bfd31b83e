"""What a pool must hold: margin requirements, the liquidation test and the acceptance rule."""

from marketsim.engine._jit import kernel
from marketsim.engine.formulas.integers import (
    compare_products,
    mul_div_up,
    take_fraction,
    take_fraction_up,
)
from marketsim.engine.state import ONE, Stage


@kernel
def open_interest_ratio(oi_atoms: int, lower: int, upper: int) -> int:
    r"""Locate open interest between the two caps of a market.

    .. math:: \min(1, \max(0, (O - O_l) / (O_u - O_l)))

    Parameters
    ----------
    oi_atoms : int
        One-sided open interest at the mark price, any money unit.
    lower, upper : int
        Caps in the same unit; an upper cap of 0 switches the scaling off.

    Returns
    -------
    int
        1e-9, from 0 to ``ONE``, rounded up.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/types/liquidity_tier_test.go,
    TestGetAdjustedInitialMarginPpm.

    Examples
    --------
    >>> open_interest_ratio(1_500_000, 1_000_000, 2_000_000)
    500000000
    """
    if upper <= 0 or oi_atoms <= lower:
        return 0
    if oi_atoms >= upper:
        return ONE
    return mul_div_up(oi_atoms - lower, ONE, upper - lower)


@kernel
def scaled_initial_fraction(initial_fraction: int, ratio: int) -> int:
    r"""Raise the initial margin fraction with open interest.

    .. math:: i + (1 - i) \rho

    Parameters
    ----------
    initial_fraction : int
        1e-9.
    ratio : int
        1e-9: `open_interest_ratio`.

    Returns
    -------
    int
        1e-9, rounded up.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/types/liquidity_tier_test.go,
    TestGetAdjustedInitialMarginPpm.

    Examples
    --------
    >>> scaled_initial_fraction(200_000_000, 500_000_000)
    600000000
    """
    if ratio == 0 or initial_fraction >= ONE:
        return int(initial_fraction)
    return int(initial_fraction) + take_fraction_up(ONE - initial_fraction, ratio)


@kernel
def maintenance_amount(
    previous_amount: int, floor_atoms: int, fraction: int, previous_fraction: int
) -> int:
    r"""Accumulate the amount that keeps a tiered requirement continuous in notional.

    .. math:: a_k = a_{k-1} + F_k (m_k - m_{k-1})

    Parameters
    ----------
    previous_amount : int
        Amount of the tier below, any money unit; 0 for the lowest tier.
    floor_atoms : int
        Notional at which this tier begins.
    fraction, previous_fraction : int
        1e-9: maintenance fractions of this tier and the one below.

    Returns
    -------
    int
        In the unit of the floor, rounded toward zero.

    References
    ----------
    Binance, How to Calculate Liquidation Price of USD-M Futures Contracts (maintenance amount).

    Examples
    --------
    >>> maintenance_amount(50, 250_000, 10_000_000, 5_000_000)
    1300
    """
    step = int(fraction) - int(previous_fraction)
    part = take_fraction(floor_atoms, abs(step))
    return int(previous_amount) + (part if step >= 0 else -part)


@kernel
def bracket_requirement(notional: int, fraction: int, amount: int) -> int:
    r"""Compute the requirement of one position from its tier.

    .. math:: \max(0, \lceil N f \rceil - a)

    Parameters
    ----------
    notional : int
        Not negative, any money unit.
    fraction : int
        1e-9: initial or maintenance fraction of the tier.
    amount : int
        Maintenance amount of the tier, same unit; 0 for a flat requirement.

    Returns
    -------
    int
        In the unit of the notional.

    References
    ----------
    Binance, How to Calculate Liquidation Price of USD-M Futures Contracts; rounding up:
    dYdX v4-chain, protocol/x/perpetuals/types/liquidity_tier_test.go,
    TestGetInitialMarginQuoteQuantums.

    Examples
    --------
    >>> bracket_requirement(500_000, 10_000_000, 1_300)
    3700
    """
    return max(take_fraction_up(notional, fraction) - int(amount), 0)


@kernel
def is_liquidatable(equity: int, maintenance: int) -> bool:
    r"""Tell whether a pool is below maintenance; equality is safe.

    .. math:: M > 0 \;\text{and}\; E < M

    Parameters
    ----------
    equity, maintenance : int
        Any one money unit.

    Returns
    -------
    bool

    References
    ----------
    dYdX v4-chain, protocol/lib/margin/risk_test.go, TestRisk_IsLiquidatable.

    Examples
    --------
    >>> is_liquidatable(75, 100), is_liquidatable(100, 100), is_liquidatable(-1, 0)
    (True, False, False)
    """
    return maintenance > 0 and equity < maintenance


@kernel
def is_collateralised(equity: int, requirement: int) -> bool:
    r"""Tell whether a pool holds what is required of it; equality is enough.

    .. math:: E \ge R

    Parameters
    ----------
    equity, requirement : int
        Any one money unit.

    Returns
    -------
    bool

    References
    ----------
    dYdX v4-chain, protocol/lib/margin/risk_test.go, TestRisk_IsInitialCollateralized.

    Examples
    --------
    >>> is_collateralised(100, 100), is_collateralised(99, 100)
    (True, False)
    """
    return equity >= requirement


@kernel
def compare_risk(equity_a: int, maintenance_a: int, equity_b: int, maintenance_b: int) -> int:
    r"""Compare two pools by equity over maintenance.

    .. math:: \operatorname{sign}(E_b M_a - E_a M_b)

    Ties go to the higher maintenance, and to the lower equity where both maintenances are zero.

    Parameters
    ----------
    equity_a, maintenance_a, equity_b, maintenance_b : int
        Any one money unit.

    Returns
    -------
    int
        1 if a is riskier, -1 if b is, 0 if they are equal.

    References
    ----------
    dYdX v4-chain, protocol/lib/margin/risk_test.go, TestRisk_Cmp.

    Examples
    --------
    >>> compare_risk(100, 0, 100, 100), compare_risk(50, 100, 60, 100), compare_risk(0, 2, 0, 1)
    (-1, 1, 1)
    """
    if maintenance_a == 0 and maintenance_b == 0:
        return int(equity_a < equity_b) - int(equity_a > equity_b)
    order = compare_products(equity_b, maintenance_a, equity_a, maintenance_b)
    if order == 0:
        order = int(maintenance_a > maintenance_b) - int(maintenance_a < maintenance_b)
    return order


@kernel
def change_is_accepted(
    equity_before: int,
    maintenance_before: int,
    equity_after: int,
    initial_after: int,
    maintenance_after: int,
) -> bool:
    r"""Tell whether a pool may change: initial margin met afterwards, or risk not worse.

    .. math::
        E' \ge I' \;\text{or}\; (M' \le M \;\text{and not}\; (E', M') \succ_{risk} (E, M))

    With no requirement before and after, only rising equity is accepted.

    Parameters
    ----------
    equity_before, maintenance_before : int
        Any one money unit.
    equity_after, initial_after, maintenance_after : int
        The pool as the change would leave it.

    Returns
    -------
    bool

    References
    ----------
    dYdX v4-chain, protocol/x/subaccounts/keeper/subaccount_test.go, TestCanUpdateSubaccounts.

    Examples
    --------
    >>> change_is_accepted(5, 10, 5, 20, 10), change_is_accepted(5, 10, 4, 20, 10)
    (True, False)
    """
    if is_collateralised(equity_after, initial_after):
        return True
    if maintenance_after > maintenance_before:
        return False
    if maintenance_before == 0:
        return equity_after > equity_before
    return compare_risk(equity_after, maintenance_after, equity_before, maintenance_before) <= 0


@kernel
def waterfall_stage(equity: int, maintenance: int, backstop_ratio: int) -> int:
    r"""Tell how far below maintenance a pool is.

    .. math:: E < M: \text{market}; \quad E < r M: \text{backstop}

    Parameters
    ----------
    equity, maintenance : int
        Any one money unit.
    backstop_ratio : int
        1e-9 of maintenance; 0: the venue has no backstop.

    Returns
    -------
    int
        A `Stage`.

    References
    ----------
    Hyperliquid docs, Liquidations (backstop below 2/3 of the maintenance margin).

    Examples
    --------
    >>> [waterfall_stage(equity, 100, 666_666_667) for equity in (100, 67, 66)]
    [0, 1, 2]
    """
    if not is_liquidatable(equity, maintenance):
        return Stage.NONE.value
    if backstop_ratio > 0 and compare_products(equity, ONE, maintenance, backstop_ratio) < 0:
        return Stage.BACKSTOP.value
    return Stage.MARKET.value

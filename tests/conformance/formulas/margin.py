"""Margin elsewhere: fractions that follow from others, or rise with steps or size."""

import math
from fractions import Fraction
from typing import TypeVar

from marketsim.engine.formulas.integers import take_fraction
from tests.conformance.formulas.beside import beside

Price = TypeVar("Price", float, Fraction)


@beside
def maintenance_fraction(initial_fraction: int, share: int) -> int:
    r"""Derive the maintenance margin fraction from the initial one.

    .. math:: m = i s

    A bracket here states both.

    Parameters
    ----------
    initial_fraction, share : int
        1e-9.

    Returns
    -------
    int
        1e-9, rounded toward zero.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/types/liquidity_tier_test.go,
    TestLiquidityTierGetMaintenanceMarginPpm.

    Examples
    --------
    >>> maintenance_fraction(450_000_000, 770_000_000)
    346500000
    """
    return take_fraction(initial_fraction, share)


@beside
def risk_limit_steps(value: int, base_limit: int, step: int) -> int:
    r"""Count the risk-limit steps a position has climbed.

    .. math:: \lceil \max(0, V - L) / S \rceil

    A step's fractions hold for the whole position; a bracket's here for the part above its floor.

    Parameters
    ----------
    value : int
        Position value, any money unit.
    base_limit, step : int
        Value covered by the base fractions, and the width of a step.

    Returns
    -------
    int
        Steps above the base limit.

    References
    ----------
    BitMEX, Risk Limits guide (risk limit steps).

    Examples
    --------
    >>> risk_limit_steps(300, 200, 100), risk_limit_steps(180, 200, 100)
    (1, 0)
    """
    return -(-max(value - base_limit, 0) // step)


@beside
def stepped_maintenance_fraction(base_maintenance: int, steps: int) -> int:
    r"""Raise the maintenance fraction with risk-limit steps.

    .. math:: m (1 + k)

    Parameters
    ----------
    base_maintenance : int
        1e-9: fraction below the base limit.
    steps : int
        `risk_limit_steps`.

    Returns
    -------
    int
        1e-9.

    References
    ----------
    BitMEX, Risk Limits guide (risk limit steps).

    Examples
    --------
    >>> stepped_maintenance_fraction(4_000_000, 1)
    8000000
    """
    return base_maintenance * (1 + steps)


@beside
def stepped_initial_fraction(base_initial: int, base_maintenance: int, steps: int) -> int:
    r"""Raise the initial fraction with risk-limit steps.

    .. math:: i + k m

    Parameters
    ----------
    base_initial, base_maintenance : int
        1e-9: fractions below the base limit.
    steps : int
        `risk_limit_steps`.

    Returns
    -------
    int
        1e-9.

    References
    ----------
    BitMEX, Risk Limits guide (risk limit steps).

    Examples
    --------
    >>> stepped_initial_fraction(10_000_000, 4_000_000, 1)
    14000000
    """
    return base_initial + steps * base_maintenance


@beside
def size_scaled_fraction(base: float, size: float, factor: float) -> float:
    r"""Raise a margin fraction with the square root of the position.

    .. math:: \max(b, 0.8 b + f \sqrt{q})

    Parameters
    ----------
    base : float
        Fraction of a small position.
    size : float
        Contracts, not negative.
    factor : float
        Growth per square root of a contract.

    Returns
    -------
    float
        Fraction of notional.

    References
    ----------
    Drift protocol v2, programs/drift/src/math/margin/tests.rs (imf factor).

    Examples
    --------
    >>> round(size_scaled_fraction(0.1, 1_000_000.0, 0.00005), 12)
    0.13
    """
    return max(base, 0.8 * base + factor * math.sqrt(size))


@beside
def mirrored(price: Price) -> Price:
    r"""Turn a price of a coin-margined contract into one of a linear contract, or back.

    .. math:: 1 / p

    A contract worth 1 USD that is margined in the coin is, in coins, a linear contract on the
    price of the dollar, with the sides swapped.

    Parameters
    ----------
    price : float or Fraction
        USD per coin, or coins per USD.

    Returns
    -------
    float or Fraction
        The other of the two.

    References
    ----------
    BitMEX, Perpetual Contracts Guide Examples (profit in coins: contracts x (1/entry - 1/exit)).

    Examples
    --------
    >>> mirrored(8_000.0), mirrored(Fraction(1, 5))
    (0.000125, Fraction(5, 1))
    """
    return 1 / price

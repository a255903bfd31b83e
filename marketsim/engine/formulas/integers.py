"""Exact products and quotients of 64-bit integers."""

import numpy as np

from marketsim.engine._jit import highest_bit, kernel
from marketsim.engine.state import ONE

#: A product of floats below this bounds the exact product away from 2**63.
_SAFE_PRODUCT = 9.0e18
_HALF = 31
_HALF_MASK = 2**31 - 1
# Unsigned, for quicker quotients: there is no rounding toward minus infinity to see to.
_ONE = np.uint64(ONE)
_ALL_BUT_ONE = np.uint64(ONE - 1)


@kernel
def divide_product(a: int, b: int, c: int) -> tuple[int, int]:
    """Return quotient and remainder of a * b / c for non-negative a, b and positive c."""
    if float(a) * float(b) < _SAFE_PRODUCT:
        product, divisor = np.uint64(a * b), np.uint64(c)
        return int(np.int64(product // divisor)), int(np.int64(product % divisor))
    if a < b:
        a, b = b, a
    # Long multiplication, highest bit of b first, reduced by c as it grows: the remainder stays
    # below c, the quotient below the final one.
    whole = a // c
    part = a % c
    quotient = 0
    remainder = 0
    bit = 1 << highest_bit(b)
    while bit > 0:
        quotient *= 2
        if remainder >= c - remainder:
            remainder -= c - remainder
            quotient += 1
        else:
            remainder *= 2
        if b & bit:
            quotient += whole
            if remainder >= c - part:
                remainder -= c - part
                quotient += 1
            else:
                remainder += part
        bit >>= 1
    return quotient, remainder


@kernel
def mul_div(a: int, b: int, c: int) -> int:
    r"""Multiply and divide exactly, rounding toward zero.

    .. math:: \operatorname{trunc}(a b / c)

    Parameters
    ----------
    a, b : int
        Factors of either sign, at most 2**62 in size.
    c : int
        Positive divisor, at most 2**62. The result must fit in 64 bits.

    Returns
    -------
    int
        In the unit of ``a * b / c``.

    References
    ----------
    D. E. Knuth, The Art of Computer Programming, volume 2, section 4.3.1 (multiple precision).

    Examples
    --------
    >>> mul_div(-7, 3, 2), mul_div(2**62, 2**61, 2**62)
    (-10, 2305843009213693952)
    """
    a, b, c = int(a), int(b), int(c)
    quotient, _ = divide_product(abs(a), abs(b), c)
    return -quotient if (a < 0) != (b < 0) else quotient


@kernel
def mul_div_up(a: int, b: int, c: int) -> int:
    r"""Multiply and divide exactly, rounding away from zero.

    .. math:: \operatorname{sign}(a b) \lceil |a b| / c \rceil

    Parameters
    ----------
    a, b : int
        Factors of either sign, at most 2**62 in size.
    c : int
        Positive divisor, at most 2**62. The result must fit in 64 bits.

    Returns
    -------
    int
        In the unit of ``a * b / c``.

    References
    ----------
    D. E. Knuth, The Art of Computer Programming, volume 2, section 4.3.1 (multiple precision).

    Examples
    --------
    >>> mul_div_up(-7, 3, 2), mul_div_up(6, 3, 2)
    (-11, 9)
    """
    a, b, c = int(a), int(b), int(c)
    quotient, remainder = divide_product(abs(a), abs(b), c)
    if remainder > 0:
        quotient += 1
    return -quotient if (a < 0) != (b < 0) else quotient


@kernel
def _halves(a: int, b: int) -> tuple[int, int]:
    """Return the product of non-negative a, b <= 2**62 as (high, low) in base 2**62."""
    a1, a0 = a >> _HALF, a & _HALF_MASK
    b1, b0 = b >> _HALF, b & _HALF_MASK
    low = a0 * b0
    middle = a1 * b0 + a0 * b1 + (low >> _HALF)
    return a1 * b1 + (middle >> _HALF), ((middle & _HALF_MASK) << _HALF) | (low & _HALF_MASK)


@kernel
def compare_products(a: int, b: int, c: int, d: int) -> int:
    r"""Compare two products exactly.

    .. math:: \operatorname{sign}(a b - c d)

    Parameters
    ----------
    a, b, c, d : int
        Factors of either sign, at most 2**62 in size.

    Returns
    -------
    int
        -1, 0 or 1.

    References
    ----------
    D. E. Knuth, The Art of Computer Programming, volume 2, section 4.3.1 (multiple precision).

    Examples
    --------
    >>> compare_products(2**61, 2**61, 2**61 - 1, 2**61 + 1), compare_products(1, -2, 3, 4)
    (1, -1)
    """
    a, b, c, d = int(a), int(b), int(c), int(d)
    left = float(a) * float(b)
    right = float(c) * float(d)
    if abs(left) < _SAFE_PRODUCT and abs(right) < _SAFE_PRODUCT:
        x, y = a * b, c * d
        return int(x > y) - int(x < y)
    if (left > 0) != (right > 0) or (left < 0) != (right < 0):
        return int(left > right) - int(left < right)
    high_left, low_left = _halves(abs(a), abs(b))
    high_right, low_right = _halves(abs(c), abs(d))
    if high_left != high_right:
        larger = int(high_left > high_right) - int(high_left < high_right)
    else:
        larger = int(low_left > low_right) - int(low_left < low_right)
    return larger if left > 0 else -larger


@kernel
def take_fraction(amount: int, fraction: int) -> int:
    r"""Take a fraction of an amount, rounding toward zero.

    .. math:: \operatorname{trunc}(A f / 10^9)

    Parameters
    ----------
    amount : int
        Of either sign, below 2**62 in size.
    fraction : int
        1e-9, of either sign, at most ``9 * ONE`` in size. The result must fit in 64 bits.

    Returns
    -------
    int
        In the unit of the amount.

    References
    ----------
    Conformance vectors, README: rates are rounded toward zero.

    Examples
    --------
    >>> take_fraction(2_000_001, 500_000_000), take_fraction(-2_000_001, 500_000_000)
    (1000000, -1000000)
    """
    size, share = np.uint64(abs(int(amount))), np.uint64(abs(int(fraction)))
    # The remainder is below 1e9, so its product with the fraction is below 9e18.
    taken = int(np.int64(size // _ONE * share + size % _ONE * share // _ONE))
    return -taken if (amount < 0) != (fraction < 0) else taken


@kernel
def take_fraction_up(amount: int, fraction: int) -> int:
    r"""Take a fraction of an amount, rounding away from zero.

    .. math:: \operatorname{sign}(A) \lceil |A| f / 10^9 \rceil

    Parameters
    ----------
    amount : int
        Of either sign, below 2**62 in size.
    fraction : int
        1e-9, of either sign, at most ``9 * ONE`` in size. The result must fit in 64 bits.

    Returns
    -------
    int
        In the unit of the amount.

    References
    ----------
    Conformance vectors, README: requirements are rounded up.

    Examples
    --------
    >>> take_fraction_up(2_000_001, 500_000_000), take_fraction_up(-1, 1)
    (1000001, -1)
    """
    size, share = np.uint64(abs(int(amount))), np.uint64(abs(int(fraction)))
    rest = size % _ONE * share + _ALL_BUT_ONE
    taken = int(np.int64(size // _ONE * share + rest // _ONE))
    return -taken if (amount < 0) != (fraction < 0) else taken

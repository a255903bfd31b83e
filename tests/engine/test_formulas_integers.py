from hypothesis import example, given, settings
from hypothesis import strategies as st

from marketsim.engine.formulas.integers import (
    compare_products,
    mul_div,
    mul_div_up,
    take_fraction,
    take_fraction_up,
)
from marketsim.engine.state import ONE

#: The first example of a kernel waits for its compilation.
compiles = settings(deadline=None)

LARGEST = 2**62
factor = st.integers(-LARGEST, LARGEST) | st.integers(-(10**6), 10**6)
divisor = st.integers(1, LARGEST) | st.integers(1, 10**6)


def _toward_zero(a: int, b: int, c: int) -> int:
    return abs(a * b) // c * (1 if a * b >= 0 else -1)


def _away_from_zero(a: int, b: int, c: int) -> int:
    return -(-abs(a * b) // c) * (1 if a * b >= 0 else -1)


@compiles
@given(factor, factor, divisor)
@example(LARGEST, LARGEST, LARGEST)
@example(LARGEST, LARGEST - 1, LARGEST)
@example(LARGEST - 1, -(LARGEST - 1), LARGEST - 1)
@example(3_037_000_499, 3_037_000_500, 1)
@example(LARGEST, 2, LARGEST - 1)
def test_product_over_divisor_is_exact_wherever_the_result_fits(a: int, b: int, c: int):
    if abs(_away_from_zero(a, b, c)) < 2**63:
        assert mul_div(a, b, c) == _toward_zero(a, b, c)
        assert mul_div_up(a, b, c) == _away_from_zero(a, b, c)


@compiles
@given(factor, factor, factor, factor)
@example(LARGEST, LARGEST - 2, LARGEST - 1, LARGEST - 1)
@example(2**61, 2**61, 2**61 - 1, 2**61 + 1)
@example(LARGEST, LARGEST, LARGEST, LARGEST)
@example(-LARGEST, LARGEST, LARGEST, -LARGEST)
def test_products_are_compared_exactly(a: int, b: int, c: int, d: int):
    expected = (a * b > c * d) - (a * b < c * d)
    assert compare_products(a, b, c, d) == expected


@compiles
@given(factor, factor, st.integers(-3, 3), st.integers(-3, 3))
def test_nearly_equal_products_are_told_apart(a: int, b: int, near_a: int, near_b: int):
    c = max(min(a + near_a, LARGEST), -LARGEST)
    d = max(min(b + near_b, LARGEST), -LARGEST)
    assert compare_products(a, b, c, d) == (a * b > c * d) - (a * b < c * d)


@compiles
@given(st.integers(-LARGEST + 1, LARGEST - 1), st.integers(-ONE, ONE))
@example(LARGEST - 1, ONE)
@example(1 - LARGEST, ONE - 1)
def test_fraction_of_any_amount_is_exact(amount: int, fraction: int):
    assert take_fraction(amount, fraction) == _toward_zero(amount, fraction, ONE)
    assert take_fraction_up(amount, fraction) == _away_from_zero(amount, fraction, ONE)


@compiles
@given(st.integers(-(10**17), 10**17), st.integers(ONE, 9 * ONE))
def test_fractions_up_to_nine_do_not_overflow(amount: int, fraction: int):
    assert take_fraction(amount, fraction) == _toward_zero(amount, fraction, ONE)
    assert take_fraction_up(amount, fraction) == _away_from_zero(amount, fraction, ONE)


@compiles
@given(factor, factor, divisor)
def test_rounding_treats_both_signs_alike(a: int, b: int, c: int):
    if abs(_away_from_zero(a, b, c)) < 2**63:
        assert mul_div(-a, b, c) == -mul_div(a, b, c)
        assert mul_div_up(a, -b, c) == -mul_div_up(a, b, c)

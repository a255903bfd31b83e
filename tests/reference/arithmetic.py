"""Whole-number arithmetic with Python's unbounded integers, rounded as the venue rounds."""

from marketsim.engine.state import ONE


def toward_zero(numerator: int, denominator: int) -> int:
    """Divide by a positive number and drop the fraction."""
    size = abs(numerator) // denominator
    return -size if numerator < 0 else size


def away_from_zero(numerator: int, denominator: int) -> int:
    """Divide by a positive number and round any fraction up in size."""
    size = -(-abs(numerator) // denominator)
    return -size if numerator < 0 else size


def part(amount: int, fraction: int) -> int:
    """A fraction (1e-9) of an amount, what the venue pays or charges: rounded toward zero."""
    return toward_zero(amount * fraction, ONE)


def requirement(amount: int, fraction: int) -> int:
    """A fraction (1e-9) of an amount, what the venue requires: rounded away from zero."""
    return away_from_zero(amount * fraction, ONE)


def ratio(a: int, b: int) -> float:
    """A quotient in double precision of numbers that were doubles before they were divided."""
    return float(a) / float(b)

"""Numbers as people read them: short, in money, in percent; what does not exist is "-"."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from marketsim.scenario.paths import path_keys

#: Units of large numbers.
UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
#: What is smaller than this share of what it was computed from is rounding.
NOISE = 1e-12
#: Units that the names of figures and fields end with.
UNIT_ENDINGS = {
    "usd": "USD",
    "bp_8h": "bp per 8 h",
    "bp": "bp",
    "share": "share",
    "days": "days",
    "hours": "hours",
    "minutes": "minutes",
}
#: Tables of a scenario whose entries have names of their own.
CONTAINERS = ("populations", "parameters", "markets")


def number(value: Any, digits: int = 4) -> str:
    """Write a value in a few digits, a large one in thousands (k), millions (M), billions (B).

    What does not exist is "-".

    Examples
    --------
    >>> number(0.123456), number(1234567.8), number(float("nan")), number("cross")
    ('0.1235', '1.235M', '-', 'cross')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | np.bool) or not isinstance(value, int | float | np.number):
        return str(value)
    plain, unit = _in_unit(float(value))
    return f"{plain:.{digits}g}{unit}"


def short(value: float | None, large: str = ",.2f", small: str = ",.0f") -> str:
    """Write an amount: whole below a thousand, a large one in k, M or B.

    Parameters
    ----------
    value : float or None
    large, small : str, optional
        Formats of the two.

    Examples
    --------
    >>> short(1234567.8), short(12.3), short(1234567.8, ".3g"), short(None)
    ('1.23M', '12', '1.23M', '-')
    """
    if value is None:
        return "-"
    plain, unit = _in_unit(value)
    return f"{plain:{large}}{unit}" if unit else f"{_rounded(plain, 0):{small}}"


def grouped(value: float | None, digits: int = 0) -> str:
    """Write a number with thousands separators.

    Examples
    --------
    >>> grouped(1234567.8), grouped(-0.01, 1), grouped(None)
    ('1,234,568', '0.0', '-')
    """
    return "-" if value is None else f"{_rounded(value, digits):,.{digits}f}"


def fixed(value: float | None, digits: int) -> str:
    """Write a number with so many decimals; one that is infinite does not exist.

    Examples
    --------
    >>> fixed(0.12345, 3), fixed(float("inf"), 3)
    ('0.123', '-')
    """
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def money(usd: float) -> str:
    """Write USD to the cent, from a million on to the dollar.

    Examples
    --------
    >>> money(1234.567), money(1234567.8), money(-0.001)
    ('1,234.57', '1,234,568', '0.00')
    """
    if abs(usd) >= 1e6:
        return f"{usd:,.0f}"
    return f"{usd:,.2f}" if abs(usd) >= 0.005 else "0.00"


def signed_money(usd: float) -> str:
    """Write USD with its sign."""
    return f"+{money(usd)}" if usd > 0 else money(usd)


def price(usd: float | None) -> str:
    """Write a price."""
    return "-" if usd is None else f"{usd:,.7g}"


def percent(fraction: float, digits: int = 2) -> str:
    """Write a share in percent."""
    return f"{100 * fraction:.{digits}f} %"


def signed_percent(fraction: float, digits: int = 2) -> str:
    """Write a move in percent, with its sign.

    Examples
    --------
    >>> signed_percent(0.1), signed_percent(-0.1234, 1)
    ('+10.00 %', '-12.3 %')
    """
    return f"{100 * fraction:+.{digits}f} %"


def counted(count: int, noun: str) -> str:
    """Write how many there are of something.

    Examples
    --------
    >>> counted(1, "step"), counted(1200, "step")
    ('1 step', '1,200 steps')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def without_noise(
    value: float, low: float, high: float, scale: float = 0.0
) -> tuple[float, float, float]:
    """Return an estimate with its interval; an end that is mere rounding of sums becomes 0.

    Parameters
    ----------
    value, low, high : float
    scale : float, optional
        Size of what was compared, where the three are a difference.

    Examples
    --------
    >>> without_noise(0.6, -1.11e-16, 2.67), without_noise(-3e-11, -4e-11, 2e-11, scale=265_200.0)
    ((0.6, 0.0, 2.67), (0.0, 0.0, 0.0))
    """
    sizes = [abs(each) for each in (value, low, high, scale) if math.isfinite(each)]
    least = NOISE * max(sizes, default=0.0)
    value, low, high = (0.0 if abs(each) <= least else each for each in (value, low, high))
    return value, low, high


def interval(value: float, low: float, high: float, digits: int = 4, *, scale: float = 0.0) -> str:
    """Write an estimate with its interval; see `without_noise`.

    Examples
    --------
    >>> interval(0.25, 0.2, 0.3)
    '0.25 [0.2, 0.3]'
    """
    value, low, high = without_noise(value, low, high, scale)
    if math.isnan(low) or math.isnan(high):
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Shorten paths of a scenario: without the tables that all have, and to the last two parts.

    A place in a list stays with the list's name.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    dict of str
        The short name of each; a path whose short name another has stays as it is.

    Examples
    --------
    >>> list(short_names(["populations.crowd.parameters.phi", "venue.funding.cap"]).values())
    ['crowd.phi', 'funding.cap']
    >>> list(short_names(["shocks.0.size"]).values())
    ['shocks.0.size']
    >>> list(short_names(['drawn."spot.own.volatility".sigma']).values())
    ['spot.own.volatility.sigma']
    """
    short = {}
    for name in names:
        parts = [part for part in path_keys(name) if part not in CONTAINERS]
        is_listed = len(parts) > 2 and parts[-2].isdigit()
        short[name] = ".".join(parts[-3 if is_listed else -2 :])
    found = list(short.values())
    return {name: each if found.count(each) == 1 else name for name, each in short.items()}


def in_words(name: str) -> str:
    """Write the name of a figure or a field with its unit, for an axis.

    Examples
    --------
    >>> in_words("GOLD.liquidated_usd"), in_words("shocks.0.size"), in_words("funding_mean_bp_8h")
    ('GOLD liquidated, USD', 'shocks.0 size', 'funding mean, bp per 8 h')
    """
    place, _, last = name.rpartition(".")
    unit = next((each for each in UNIT_ENDINGS if last.endswith(f"_{each}")), "")
    words = last.removesuffix(f"_{unit}").replace("_", " ")
    return f"{place} {words}".strip() + (f", {UNIT_ENDINGS[unit]}" if unit else "")


def _in_unit(value: float) -> tuple[float, str]:
    """Return a number in the largest unit it reaches, and that unit's letter."""
    for unit, letter in UNITS:
        if unit <= abs(value) < math.inf:
            return value / unit, letter
    return value, ""


def _rounded(value: float, digits: int) -> float:
    """Round a number; what rounds to zero has no sign."""
    return round(value, digits) + 0.0

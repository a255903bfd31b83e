"""Numbers as people and spreadsheets write them: ``99.760,50``, ``$99,760.5``, ``99 760``."""

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

#: Of no meaning for the number: signs of currency, and spaces between groups of thousands.
_ORNAMENT = re.compile("[$€£¥₿\\s'’\u00a0\u2009\u202f]")
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,]\d{3})+")
#: Words for "no number here".
_MISSING = {"", "nan", "inf", "null", "none", "-", "n/a"}


class AmbiguousNumberError(ValueError):
    """A separator may be the decimal point or stand between thousands; the value shows it."""


def bare(text: str) -> str:
    """Return a number without signs of currency and spaces.

    Examples
    --------
    >>> bare("$ 99'760.5")
    '99760.5'
    """
    return _ORNAMENT.sub("", text)


def looks_like_number(text: str) -> bool:
    """Tell whether a text is a number in some way of writing.

    Examples
    --------
    >>> [looks_like_number(text) for text in ("99.760,50", "1e5", "2025-01-01", "close")]
    [True, True, False, False]
    """
    number = bare(text)
    return bool(_PLAIN.fullmatch(number) or re.fullmatch(r"[+-]?\d[\d.,]*", number))


def find_decimal(texts: Iterable[str], separator: str = ",") -> str:
    """Tell which of ``.`` and ``,`` is the decimal point of some numbers.

    Parameters
    ----------
    texts : iterable of str
        Numbers of one file.
    separator : str
        Of its fields; a file separated by ``;`` may well have decimal commas.

    Returns
    -------
    str

    Raises
    ------
    AmbiguousNumberError
        If it may be either.

    Examples
    --------
    >>> find_decimal(["1.234,5", "999,0"]), find_decimal(["1,234,567", "999"])
    (',', '.')
    """
    unsure: dict[str, str] = {}
    plain = False
    for text in texts:
        number = bare(text)
        if number.lower() in _MISSING or not looks_like_number(number):
            continue
        found = _decimal_of(number)
        if found in (".", ","):
            return found
        if found:
            unsure.setdefault(found[0], text)
        else:
            plain = True
    if "," in unsure and "." in unsure:  # 1,234 and 1.234: neither says which is which
        raise AmbiguousNumberError(unsure[","])
    if "," in unsure:
        raise AmbiguousNumberError(unsure[","])
    if "." in unsure and separator == ";" and not plain:
        raise AmbiguousNumberError(unsure["."])
    return "."


def _decimal_of(number: str) -> str:
    """Return the decimal sign a number proves, ``",?"`` or ``".?"`` if unsure, "" without one."""
    commas, points = number.count(","), number.count(".")
    if not commas and not points:
        return ""
    if commas and points:
        return "." if number.rindex(".") > number.rindex(",") else ","
    sign = "," if commas else "."
    if commas + points > 1:
        return "." if commas else ","
    if sign == "." and not _GROUPED.fullmatch(number):
        return "."
    if not _GROUPED.fullmatch(number) or number.lstrip("+-").startswith("0"):
        return sign
    return sign + "?"


def to_float(value: Any, decimal: str = ".") -> float:
    """Read one number exactly; what is none becomes NaN.

    Examples
    --------
    >>> to_float("99.760,50", ","), to_float("$99,760.5"), to_float("99,7")
    (99760.5, 99760.5, nan)
    """
    if decimal == "." or not isinstance(value, str):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    if not isinstance(value, str):
        return math.nan
    number = bare(value)
    thousands = "," if decimal == "." else "."
    whole, sign, fraction = number.partition(decimal)
    if thousands in fraction or (thousands in whole and not _GROUPED.fullmatch(whole)):
        return math.nan
    plain = whole.replace(thousands, "") + (f".{fraction}" if sign else "")
    return float(plain) if _PLAIN.fullmatch(plain) else math.nan


def to_floats(column: Any, decimal: str = ".") -> Any:
    """Read a column of numbers, text or typed, to the last bit as Python does.

    Parameters
    ----------
    column : pandas.Series
    decimal : str
        ``.`` or ``,``; the other one may stand between thousands.

    Returns
    -------
    array of float64
        NaN where there is no number.
    """
    if column.dtype == np.float32:
        # the decimal number that was stored, 0.11 and not 0.10999999940395355
        return column.to_numpy().astype(str).astype(np.float64)
    if decimal == ".":
        try:  # as exact as Python's float(), and fast
            typed = pa.array(column, from_pandas=True).cast(pa.float64())
            return np.array(typed.to_numpy(zero_copy_only=False), np.float64)
        except (pa.ArrowException, TypeError):
            pass  # some need more than that
    return np.array([to_float(value, decimal) for value in column.tolist()], np.float64)

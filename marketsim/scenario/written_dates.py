"""Dates in words and figures: ``Nov 01, 2023``, ``01/02/2024 5:30 PM``, ``1.2.2024``."""

import re

import pandas as pd

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_CLOCK = (
    r"(?:[T ,]+(?P<h>\d{1,2})(?::(?P<mi>\d{2}))?(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"[ -]?(?P<half>[AaPp]\.?[Mm]\.?)?)?"
    r"\s*(?:GMT|UTC)?(?P<zone>[+-]\d{2}:?\d{2}|Z)?(?:\s*UTC)?(?:\s*\(.*\))?"
)
#: Year first; numbers with the year last; names of months.
_YEAR_FIRST = re.compile(
    r"(?P<y>\d{4})[-/. ](?P<m>\d{1,2}|[A-Za-z]{3,9})[-/. ](?P<d>\d{1,2})" + _CLOCK
)
YEAR_LAST = re.compile(
    r"(?P<a>\d{1,2})(?P<sep>[-/.])(?P<b>\d{1,2})(?P=sep)(?P<y>\d{4}|\d{2})" + _CLOCK
)
_DAY_NAME = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +)?"
_NAMED = re.compile(
    _DAY_NAME + r"(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?[ -]+(?P<m>[a-z]{3,9})\.?|"
    r"(?P<m2>[a-z]{3,9})\.?(?:[ -]+(?P<d2>\d{1,2})(?:st|nd|rd|th)?)?),?[ -]+(?P<y>\d{4})" + _CLOCK,
    re.IGNORECASE,
)


def looks_like_time(text: str) -> bool:
    """Tell whether a text is a date or a time of day, numbers apart.

    Examples
    --------
    >>> [looks_like_time(text) for text in ("1/2/2024", "Nov 01, 2023", "00:05", "BTC-USD", "7")]
    [True, True, True, False, False]
    """
    text = text.strip()
    if re.fullmatch(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?", text):
        return True
    if re.fullmatch(r"\d{4}-\d{2}", text) or YEAR_LAST.fullmatch(text):
        return True
    found = _YEAR_FIRST.fullmatch(text) or _NAMED.fullmatch(text)
    return found is not None and _month(found) is not None


def read_date(text: str) -> tuple[int, int | None] | None:
    """Return local nanoseconds and the offset from UTC, None without one."""
    for pattern in (_YEAR_FIRST, _NAMED, YEAR_LAST):
        found = pattern.fullmatch(text)
        if found is None:
            continue
        groups = found.groupdict()
        if pattern is YEAR_LAST:  # with points the day comes first everywhere
            day, month = int(found["a"]), int(found["b"])
        else:
            month_found = _month(found)
            if month_found is None:
                return None
            day, month = int(groups.get("d") or groups.get("d2") or 1), month_found
        try:
            date = pd.Timestamp(full_year(found["y"]), month, day)
        except ValueError:
            return None
        zone = found["zone"]
        is_utc = zone == "Z" or bool(re.search(r"\b(?:UTC|GMT)", text))
        return int(date.as_unit("ns").value) + time_of_day(found), _offset(zone, is_utc)
    return None


def _offset(zone: str | None, is_utc: bool) -> int | None:
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        return sign * (int(zone[1:3]) * HOUR + int(zone[-2:]) * HOUR // 60)
    return 0 if is_utc else None


def _month(found: re.Match[str]) -> int | None:
    groups = found.groupdict()
    text = str(groups.get("m") or groups.get("m2")).lower()
    if text.isdigit():
        return int(text)
    return MONTHS.index(text[:3]) + 1 if text[:3] in MONTHS else None


def full_year(text: str) -> int:
    """Return a year of four digits; one of two is of this century."""
    return int(text) if len(text) == 4 else 2000 + int(text)


def time_of_day(found: re.Match[str]) -> int:
    """Return the nanoseconds of a day that a text's time of day says."""
    hours = int(found["h"] or 0)
    half = (found["half"] or "").lower().replace(".", "")
    if half:
        hours = hours % 12 + (12 if half == "pm" else 0)
    fraction = int((found["f"] or "").ljust(9, "0") or 0)
    return (
        hours * HOUR + int(found["mi"] or 0) * HOUR // 60 + int(found["s"] or 0) * SECOND + fraction
    )


def show_time(nanoseconds: int) -> str:
    """Write a UTC time without seconds that are zero.

    Examples
    --------
    >>> show_time(1_760_130_900_000_000_000)
    '2025-10-10 21:15 UTC'
    """
    time = pd.Timestamp(int(nanoseconds))
    return time.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00") + " UTC"

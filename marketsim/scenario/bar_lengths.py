"""How long the bars of a file are: a fixed time, or days and months of a calendar."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from marketsim.scenario.written_dates import DAY, HOUR

#: A day of a calendar has 23 to 25 hours.
CHANGE_OF_CLOCK = HOUR
#: Mean days of a month, and how far a month may be from them.
MONTH_DAYS, MONTH_SLACK = 30.4369, 3 * DAY
#: Rows by which it is told whether they are bars at all.
SAMPLE = 100_000
#: A bar may begin this share of its length early: clocks of exchanges err.
EARLY_SHARE = 0.05


class Ends(NamedTuple):
    """Where bars begin and end, UTC nanoseconds, and what was said about it."""

    opening: Any
    closing: Any
    length: str  #: "60 min", "1 day", "3 months"
    notes: list[str]
    overlap: int | None  #: first bar that begins well before the one before it has ended


def most_common_distance(marks: Any) -> int | None:
    """Return the distance most rows are from the next one, the shorter of two; None without any."""
    distance = np.diff(marks)
    if len(distance) and distance[0] > 0 and (distance == distance[0]).mean() > 0.5:
        return int(distance[0])
    distance = distance[distance > 0]
    if len(distance) == 0:
        return None
    lengths, counts = np.unique(distance, return_counts=True)
    return int(lengths[np.argmax(counts)])


def is_irregular(marks: Any) -> bool:
    """Tell whether rows are no bars: less than half of them are as far apart as others."""
    distance = np.diff(marks[:SAMPLE])
    distance = distance[distance > 0]
    if len(distance) < 3:
        return False
    _, counts = np.unique(distance, return_counts=True)
    close_to_median = np.abs(distance - np.median(distance)) <= 0.1 * np.median(distance)
    return bool(counts.max() < 0.5 * len(distance) and close_to_median.mean() < 0.5)


def find_ends(marks: Any, length: int, at_open: bool, timezone: str) -> Ends:
    """Give each bar its beginning and end.

    A bar ends where the next begins if that is as far as its kind may be: a day of 23 hours, a
    month of 28 days, a bar a few seconds early. Where a row is missing it has its usual length.

    Parameters
    ----------
    marks : array of int64
        Times of the rows, increasing.
    length : int
        Usual length of a bar, nanoseconds.
    at_open : bool
        Whether they mark the beginning.
    timezone : str
        Of the calendar.

    Returns
    -------
    Ends
    """
    months = _months(marks, length, timezone)
    days = length // DAY if length % DAY == 0 else 0
    sign = 1 if at_open else -1
    if months or days:
        other = _shift_calendar(marks, sign * months, sign * (0 if months else days), timezone)
    else:
        other = marks + sign * length
    neighbour = marks[1:] if at_open else marks[:-1]
    ends = other[:-1] if at_open else other[1:]
    # how much before the usual end the next bar begins
    early = (ends - neighbour) * sign
    slack_early = MONTH_SLACK if months else CHANGE_OF_CLOCK if days else int(EARLY_SHARE * length)
    slack_late = MONTH_SLACK if months else CHANGE_OF_CLOCK if days else 0
    joined = (early <= slack_early) & (early >= -slack_late)
    is_fault = joined & (early > 0) & (not months and not days)
    ends[joined] = neighbour[joined]
    overlapping = early > slack_early
    notes = []
    if is_fault.any():
        longest = early[is_fault].max() / 1e9
        count = int(is_fault.sum())
        notes.append(
            f"{count} bar{'s' * (count > 1)} up to {longest:.3g} s short: the next is early"
        )
    if months:
        said = "1 month" if months == 1 else f"{months} months"
    elif days:
        said = "1 day" if days == 1 else f"{days} days"
    else:
        said = f"{length / (HOUR // 60):g} min"
    overlap = int(np.argmax(overlapping)) + 1 if overlapping.any() else None
    opening, closing = (marks, other) if at_open else (other, marks)
    return Ends(opening, closing, said, notes, overlap)


def _months(marks: Any, length: int, timezone: str) -> int:
    """Return how many months a bar has, 0 if it is not counted in months."""
    months = round(length / DAY / MONTH_DAYS)
    if months < 1 or abs(length - months * MONTH_DAYS * DAY) > MONTH_SLACK or len(marks) < 2:
        return 0
    distance = np.diff(marks)
    local = _local(marks, timezone)
    same_day = len(set(local.day)) == 1
    last_days = bool((local.day == local.days_in_month).all())
    uneven = len(np.unique(distance)) > 1
    near = np.abs(distance - months * MONTH_DAYS * DAY) <= MONTH_SLACK
    return months if same_day or last_days or (uneven and near.all()) else 0


def _local(marks: Any, timezone: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(marks.astype("datetime64[ns]")).tz_localize("UTC").tz_convert(timezone)


def _shift_calendar(marks: Any, months: int, days: int, timezone: str) -> Any:
    """Move times by months or days of a zone's calendar: by 23 hours where a day has as many."""
    naive = _local(marks, timezone).tz_localize(None) + pd.DateOffset(months=months, days=days)
    moved = naive.tz_localize(
        timezone, ambiguous=np.ones(len(naive), bool), nonexistent="shift_forward"
    )
    return (
        moved.tz_convert("UTC")
        .tz_localize(None)
        .to_numpy()
        .astype("datetime64[ns]")
        .astype(np.int64)
    )

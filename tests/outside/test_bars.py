"""Bars of a calendar: days of 23 and 25 hours, months, rows out of order, early, late or twice."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim.scenario.bar_lengths import find_ends
from marketsim.scenario.history import HistoryError, HistoryPath, load_history
from marketsim.scenario.spot_model import History
from marketsim.scenario.written_dates import DAY

Load = Callable[..., HistoryPath]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a file of times and closes 100, 101, ... and replay it in one market, by the hour."""

    def write_and_load(
        times: Sequence[str], closes: Sequence[float] | None = None, **fields: Any
    ) -> HistoryPath:
        file = tmp_path / "p.csv"
        prices = range(100, 100 + len(times)) if closes is None else closes
        rows = (f"{time},{price}\n" for time, price in zip(times, prices, strict=True))
        file.write_text("time,close\n" + "".join(rows))
        return load_history(History(path=file, **fields), ["BTC"], 60.0)

    return write_and_load


def price_at(path: HistoryPath, time: str) -> float:
    hours = (datetime.fromisoformat(time) - path.start).total_seconds() / 3600
    return float(path.price[round(hours), 0])


def dates(start: str, periods: int, step: str) -> list[str]:
    return [f"{time:%Y-%m-%d}" for time in pd.date_range(start, periods=periods, freq=step)]


NEW_YORK, ZURICH, SYDNEY = "America/New_York", "Europe/Zurich", "Australia/Sydney"

#: Name -> dates, fields, what is known at some UTC times.
CALENDARS: dict[str, tuple[list[str], dict[str, Any], dict[str, float]]] = {
    "spring in New York": (dates("2024-03-05", 14, "D"), {"timezone": NEW_YORK},
        {"2024-03-10T05:00Z": 104, "2024-03-11T04:00Z": 105, "2024-03-12T04:00Z": 106}),
    "autumn in New York": (dates("2024-10-30", 9, "D"), {"timezone": NEW_YORK},
        {"2024-11-03T04:00Z": 103, "2024-11-04T05:00Z": 104, "2024-11-05T05:00Z": 105}),
    "spring in Zurich": (dates("2024-03-28", 7, "D"), {"timezone": ZURICH},
        {"2024-03-30T23:00Z": 102, "2024-03-31T22:00Z": 103}),
    "autumn in Sydney": (dates("2024-04-03", 7, "D"), {"timezone": SYDNEY},
        {"2024-04-06T13:00Z": 103, "2024-04-07T14:00Z": 104}),
    "spring, the last bar": (dates("2024-03-05", 6, "D"), {"timezone": NEW_YORK},
        {"2024-03-10T05:00Z": 104, "2024-03-11T04:00Z": 105}),
    "spring, marked by the close": (dates("2024-03-05", 14, "D"),
        {"timezone": NEW_YORK, "time_marks": "close"},
        {"2024-03-10T05:00Z": 105, "2024-03-11T04:00Z": 106}),
    "weeks": (dates("2024-02-18", 8, "7D"), {"timezone": NEW_YORK},
        {"2024-03-10T05:00Z": 102, "2024-03-17T04:00Z": 103}),
    "months": (dates("2024-01-01", 14, "MS"), {},
        {"2024-02-01T00:00Z": 100, "2024-03-01T00:00Z": 101, "2025-03-01T00:00Z": 113}),
    "quarters": (dates("2022-01-01", 8, "QS"), {},
        {"2022-04-01T00:00Z": 100, "2022-07-01T00:00Z": 101, "2024-01-01T00:00Z": 107}),
    "years": (dates("2019-01-01", 6, "YS"), {},
        {"2020-01-01T00:00Z": 100, "2021-01-01T00:00Z": 101, "2025-01-01T00:00Z": 105}),
    "months by their last days": (dates("2024-01-31", 8, "ME"), {"time_marks": "close"},
        {"2024-02-29T00:00Z": 101, "2024-08-31T00:00Z": 107}),
    "two months": (dates("2024-02-01", 2, "MS"), {}, {"2024-03-01T00:00Z": 100}),
    "months in New York": (dates("2024-01-01", 6, "MS"), {"timezone": NEW_YORK},
        {"2024-03-01T05:00Z": 101, "2024-04-01T04:00Z": 102}),
}  # fmt: skip


@pytest.mark.parametrize("case", CALENDARS)
def test_bars_end_where_the_calendar_ends_them(load: Load, case: str) -> None:
    texts, fields, known = CALENDARS[case]
    path = load(texts, **fields)
    assert {time: price_at(path, time) for time in known} == known
    assert not any("gaps" in note for note in path.notes)


def test_aware_days_of_a_zone_need_no_zone_stated(load: Load) -> None:
    days = pd.date_range("2024-03-08", periods=5, freq="D", tz=NEW_YORK)
    path = load([time.isoformat() for time in days])
    assert price_at(path, "2024-03-10T05:00Z") == 101
    assert price_at(path, "2024-03-11T04:00Z") == 102


def test_a_missing_month_is_a_gap_of_one(load: Load) -> None:
    texts = dates("2024-01-01", 8, "MS")
    del texts[3]
    with pytest.raises(HistoryError, match=r"a gap of 720 h before this row"):
        load(texts)
    path = load(texts, max_gap=800)
    assert price_at(path, "2024-04-01T00:00Z") == 102
    assert price_at(path, "2024-06-01T00:00Z") == 103


def hourly(shift: int, first: int = 12, count: int = 24) -> list[str]:
    times = pd.date_range("2025-01-01", periods=count, freq="h", tz="UTC")
    moved = [t + pd.Timedelta(seconds=shift * (n >= first)) for n, t in enumerate(times)]
    return [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in moved]


@pytest.mark.parametrize("shift", [-14, -150, 14])
def test_a_clock_that_errs_is_said_and_no_fault(load: Load, shift: int) -> None:
    path = load(hourly(shift))
    assert price_at(path, "2025-01-01T06:00Z") == 105
    said = f"1 bar up to {-shift} s short" if shift < 0 else "gaps bridged: 1"
    assert any(said in note for note in path.notes)


def test_a_bar_that_begins_much_too_early_is_refused(load: Load) -> None:
    with pytest.raises(HistoryError, match=r"40 min after row 12, less than a bar; .* of 60 min"):
        load(hourly(-1200))


def test_rows_may_come_latest_first(load: Load) -> None:
    up, closes = hourly(0), list(range(100, 124))
    path = load(up[::-1], closes[::-1])
    assert np.array_equal(path.price, load(up, closes).price)
    assert any("put in the order of time" in note for note in path.notes)


def test_a_row_that_repeats_another_is_left_out_and_said(load: Load) -> None:
    times, closes = hourly(0), list(range(100, 124))
    plain = load(times, closes).price
    once = load([*times[:5], times[4], *times[5:]], [*closes[:5], closes[4], *closes[5:]])
    assert np.array_equal(once.price, plain)
    assert any("1 row that repeat another left out" in note for note in once.notes)
    twice = load([*times, *times[-3:]], [*closes, *closes[-3:]])
    assert np.array_equal(twice.price, plain)
    assert any("3 rows that repeat another left out" in note for note in twice.notes)


def test_two_prices_for_one_time_are_refused(load: Load) -> None:
    with pytest.raises(
        HistoryError, match=r"row 25 .* the same time as row 24; their prices differ"
    ):
        load([*hourly(0), hourly(0)[-1]], [*range(100, 124), 999])


def test_irregular_rows_are_prices_at_their_moments(load: Load) -> None:
    times = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta([0, 7, 50, 61, 190, 240], "min")
    path = load([time.isoformat() for time in times], max_gap=6)
    assert path.start == times[0]
    assert path.price[[0, 4], 0].tolist() == [100.0, 105.0]
    assert any("irregular times" in note for note in path.notes)
    assert any("6 prices at moments" in note for note in path.notes)


def test_prices_of_one_moment_are_its_last(load: Load) -> None:
    times = ["2025-01-01T00:00Z", "2025-01-01T01:00Z", "2025-01-01T01:00Z", "2025-01-01T02:00Z"]
    path = load(times, time_marks="moment")
    assert path.price[:, 0].tolist() == [100.0, 102.0, 103.0]


def test_fixed_bars_of_thirty_days_are_no_months() -> None:
    marks = np.arange(6) * 30 * DAY
    ends = find_ends(marks, 30 * DAY, True, "UTC")
    assert ends.length == "30 days"
    assert np.array_equal(ends.closing, marks + 30 * DAY)

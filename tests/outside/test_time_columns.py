"""A time column is judged row by row and by what is possible, not guessed as a whole."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim.scenario.history import HistoryError, HistoryPath, load_history
from marketsim.scenario.spot_model import History

Load = Callable[..., HistoryPath]
SERIAL_ZERO = pd.Timestamp("1899-12-30", tz="UTC")


def hours(start: str, count: int = 24) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq="h", tz="UTC")


def days(start: str, count: int = 20) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq="D", tz="UTC")


def written(times: pd.DatetimeIndex, form: str) -> list[str]:
    return [f"{time:{form}}" for time in times]


def serial(times: pd.DatetimeIndex, digits: int) -> list[str]:
    return [f"{(time - SERIAL_ZERO) / pd.Timedelta('1D'):.{digits}f}" for time in times]


def unix(times: pd.DatetimeIndex, unit: int) -> list[str]:
    return [str(int(time.timestamp()) * unit) for time in times]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a file of times and closes 100, 101, ... and replay it in one market."""

    def write_and_load(times: Sequence[str], **fields: Any) -> HistoryPath:
        file = tmp_path / "p.csv"
        rows = "".join(f'"{time}",{100 + n}\n' for n, time in enumerate(times))
        file.write_text("time,close\n" + rows)
        return load_history(History(path=file, **fields), ["BTC"], 60.0)

    return write_and_load


N, H, Y = hours("2023-11-01"), hours("2025-01-01"), days("2023-11-01")
FEW = hours("2024-02-01", 99)  # neither number of 01/02/2024 ... 05/02/2024 is above 12

#: Name -> times as written, what they are, fields.
READ: dict[str, tuple[list[str], pd.DatetimeIndex, dict[str, Any]]] = {
    "YYYYMMDD": (written(Y, "%Y%m%d"), Y, {}),
    "YYYYMMDDHH": (written(N, "%Y%m%d%H"), N, {}),
    "YYYYMMDDhhmm": (written(N, "%Y%m%d%H%M"), N, {}),
    "YYYYMMDDhhmmss": (written(N, "%Y%m%d%H%M%S"), N, {}),
    "a spreadsheet's hours": (serial(N, 10), N, {}),
    "a spreadsheet's hours, five digits": (serial(N, 5), N, {}),
    "a spreadsheet's hours, four digits": (serial(N, 4), N, {}),
    "a spreadsheet's hours, decimal comma": ([t.replace(".", ",") for t in serial(N, 10)], N, {}),
    "a spreadsheet's days": (serial(Y, 0), Y, {}),
    "UNIX seconds": (unix(H, 1), H, {}),
    "UNIX milliseconds": (unix(H, 1000), H, {}),
    "UNIX microseconds": (unix(H, 10**6), H, {}),
    "UNIX nanoseconds": (unix(H, 10**9), H, {}),
    "seconds, then milliseconds": (unix(H[:12], 1) + unix(H[12:], 1000), H, {}),
    "milliseconds, then microseconds": (unix(H[:7], 1000) + unix(H[7:], 10**6), H, {}),
    "milliseconds, then seconds with a point": (
        unix(H[:12], 1000) + [f"{t}.0" for t in unix(H[12:], 1)], H, {},
    ),
    "seconds, then ISO": (unix(H[:12], 1) + written(H[12:], "%Y-%m-%dT%H:%M:%SZ"), H, {}),
    "seconds with a fraction": ([f"{t}.000" for t in unix(H, 1)], H, {}),
    "milliseconds of a computer": ([f"{int(t):.12e}" for t in unix(H, 1000)], H, {}),
    "UTC behind": (written(H, "%Y-%m-%d %H:%M:%S UTC"), H, {}),
    "an offset and UTC behind": (written(H, "%Y-%m-%d %H:%M:%S +0000 UTC"), H, {}),
    "GMT behind": (written(H, "%Y-%m-%d %H:%M GMT"), H, {}),
    "an offset": (written(H.tz_convert("Asia/Tokyo"), "%Y-%m-%dT%H:%M:%S+09:00"), H, {}),
    "an offset without a colon": (written(H, "%Y-%m-%d %H:%M:%S+0000"), H, {}),
    "offsets that change": ([t.isoformat() for t in
        hours("2024-03-31", 6).tz_convert("Europe/Zurich")], hours("2024-03-31", 6), {}),
    "naive in a zone": (written(H.tz_convert("Asia/Tokyo"), "%Y-%m-%d %H:%M"), H,
        {"timezone": "Asia/Tokyo"}),
    "slashes, year first": (written(H, "%Y/%m/%d %H:%M"), H, {}),
    "points, year first": (written(H, "%Y.%m.%d %H:%M"), H, {}),
    "points, day first": (written(H, "%d.%m.%Y %H:%M"), H, {}),
    "month, day, year": (written(Y, "%m/%d/%Y"), Y, {}),
    "day, month, year": (written(Y, "%d/%m/%Y"), Y, {}),
    "day, month, year of two digits": (written(Y, "%d-%m-%y"), Y, {}),
    "day and month by what follows": (written(FEW, "%d/%m/%Y %H:%M"), FEW, {}),
    "month and day by what follows": (written(FEW, "%m/%d/%Y %H:%M"), FEW, {}),
    "day and month as stated": (written(H, "%d/%m/%Y %H:%M"), H, {"time_format": "%d/%m/%Y %H:%M"}),
    "hours of a clock of twelve": (written(N, "%m/%d/%Y %I:%M %p"), N,
        {"time_format": "%m/%d/%Y %I:%M %p"}),
    "an hour and PM": (written(N, "%Y-%m-%d %I-%p"), N, {}),
    "month by name": (written(Y, "%b %d, %Y"), Y, {}),
    "month by its whole name": (written(Y, "%B %d, %Y"), Y, {}),
    "day, month by name": (written(Y, "%d %b %Y"), Y, {}),
    "day, month by name, hyphens": (written(Y, "%d-%b-%Y"), Y, {}),
    "weekday": (written(N, "%a, %d %b %Y %H:%M:%S GMT"), N, {}),
    "a browser's": (
        written(N, "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"), N, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_times_are_told_row_by_row(load: Load, case: str) -> None:
    texts, times, fields = READ[case]
    path = load(texts, **fields)
    step = times[1] - times[0]
    assert pd.Timestamp(path.start) == times[0] + step
    hourly = max(int(step / pd.Timedelta("1h")), 1)
    assert path.price[::hourly, 0].tolist() == [100.0 + n for n in range(len(times))]


def test_months_may_be_written_alone(load: Load) -> None:
    for texts in (["2024-01", "2024-02", "2024-03"], ["202401", "202402", "202403"],
                  ["Jan 2024", "Feb 2024", "Mar 2024"]):  # fmt: skip
        path = load(texts)
        assert f"{path.start:%Y-%m-%d}" == "2024-02-01"
        assert path.price[[0, 29 * 24, 60 * 24], 0].tolist() == [100.0, 101.0, 102.0]


def test_units_and_orders_are_said(load: Load) -> None:
    said = load(READ["seconds, then milliseconds"][0]).notes
    assert any("UNIX seconds from row 1, UNIX milliseconds from row 13" in note for note in said)
    said = load(READ["day and month by what follows"][0]).notes
    assert any("day/month/year, so that no row is months from the next" in note for note in said)
    assert any("day.month.year" in note for note in load(READ["points, day first"][0]).notes)


def test_a_note_says_what_times_mark(load: Load) -> None:
    assert any("times mark the opening of bars (else" in note for note in load(unix(H, 1)).notes)
    said = load(unix(H, 1), time_marks="close").notes
    assert any(note.endswith("times mark the close of bars") for note in said)


#: Name -> times, what the error says.
REFUSED = {
    "years": (written(pd.date_range("2010", periods=9, freq="YS"), "%Y"),
        "row 1, column 'time': 2010 is not a time, it looks like a year; no bar is a year long"),
    "counted rows": ([str(n) for n in range(9)], "row 1, .*0 is not a time: too small for a UNIX"),
    "a word": ([*unix(H[:3], 1), "soon"], "row 4, column 'time': soon is not a time; write"),
    "a thirteenth month": (["20231301", "20231302"], "20231301 is not a time"),
    "the 30th of February": (["30 Feb 2024", "31 Feb 2024"], "30 Feb 2024 is not a time"),
    "twelve days or twelve months": (written(days("2024-01-01", 12), "%d/01/%Y"),
        r"which is the day, which the month\? State spot\.history\.time_format = '%d/%m/%Y'"),
    "hours of one day": (written(hours("2024-03-05"), "%d/%m/%Y %H:%M"), "which is the day"),
    "a zone's letters": (written(H, "%Y-%m-%d %H:%M EST"), "00:00 EST is not a time"),
    "offsets in some rows": ([*written(H[:3], "%Y-%m-%d %H:%M"), "2025-01-01 03:00+00:00"],
        "row 1, .*has no offset from UTC while others have"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_time_is_refused_with_its_row(load: Load, case: str) -> None:
    texts, said = REFUSED[case]
    with pytest.raises(HistoryError) as caught:
        load(texts)
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "first lines as read" in str(caught.value)


def test_a_format_that_does_not_fit_names_the_row(load: Load) -> None:
    with pytest.raises(HistoryError, match=r"row 1, .*is not a time in the format %d/%m/%Y"):
        load(unix(H, 1), time_format="%d/%m/%Y")


SPLIT = "date,time,close\n" + "".join(
    f"{time:%Y-%m-%d},{time:%H:%M:%S},{100 + n}\n" for n, time in enumerate(H)
)


def test_a_time_of_day_in_another_column_is_found_or_named(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text(SPLIT)
    both = r"the time of day is in another column, 'time': name both, .* = \['date', 'time'\]"
    with pytest.raises(HistoryError, match=both):
        load_history(History(path=file, time="date"), ["BTC"], 60.0)
    for fields in ({"time": ("date", "time")}, {}):
        path = load_history(History(path=file, **fields), ["BTC"], 60.0)  # type: ignore[arg-type]
        assert path.price[:, 0].tolist() == [100.0 + n for n in range(24)]


def test_date_and_time_of_day_may_be_bare_digits(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    for form in ("%H%M%S", "%H%M"):
        rows = (f"{time:%Y%m%d},{time:{form}},{100 + n}\n" for n, time in enumerate(H))
        file.write_text("<DATE>,<TIME>,<CLOSE>\n" + "".join(rows))
        path = load_history(History(path=file), ["BTC"], 60.0)
        assert path.price[:, 0].tolist() == [100.0 + n for n in range(24)]


def test_hours_may_have_a_column_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    rows = (f"{time:%Y-%m-%d},{time.hour},{100 + n}\n" for n, time in enumerate(H))
    file.write_text("date,hour,close\n" + "".join(rows))
    path = load_history(History(path=file), ["BTC"], 60.0)
    assert path.price[:, 0].tolist() == [100.0 + n for n in range(24)]
    with pytest.raises(HistoryError, match="the time of day is in another column, 'hour'"):
        load_history(History(path=file, time="date"), ["BTC"], 60.0)


def test_a_column_twice_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    rows = "".join(f"{time},{100 + n},{50 + n}\n" for n, time in enumerate(unix(H, 1)))
    file.write_text("time,close,close\n" + rows)
    with pytest.raises(
        HistoryError, match="two columns are called 'close' \\(the 2nd and the 3rd\\)"
    ):
        load_history(History(path=file, close="close"), ["BTC"], 60.0)
    with pytest.raises(HistoryError, match=r"two columns are called 'close'.*spot\.history\.names"):
        load_history(History(path=file), ["BTC"], 60.0)
    named = History(path=file, names=("time", "close", "half"))
    assert load_history(named, ["BTC"], 60.0).price[0, 0] == 100.0


def test_typed_times_of_any_unit_are_taken_as_they_are(tmp_path: Path) -> None:
    for unit in ("s", "ms", "us", "ns"):
        table = pd.DataFrame({"time": H.as_unit(unit), "close": np.arange(100.0, 124.0)})
        table.to_parquet(tmp_path / "p.parquet")
        path = load_history(History(path=tmp_path / "p.parquet"), ["BTC"], 60.0)
        assert pd.Timestamp(path.start) == H[1]

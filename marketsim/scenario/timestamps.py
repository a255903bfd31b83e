"""Times as files write them, each row by what it can be: UNIX times, dates, day numbers."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from marketsim.scenario.written_dates import (
    DAY,
    SECOND,
    YEAR_LAST,
    full_year,
    looks_like_time,
    read_date,
    time_of_day,
)

MISSING = np.iinfo(np.int64).min  #: stands where a time could not be read

#: UNIX times below a bound are in this unit, of so many nanoseconds; the next unit begins there.
UNIX_UNITS = (
    (1e11, SECOND, "UNIX seconds"),
    (1e14, SECOND // 1000, "UNIX milliseconds"),
    (1e17, 1000, "UNIX microseconds"),
    (np.inf, 1, "UNIX nanoseconds"),
)
FIRST_UNIX = 100_000_000  #: seconds: less is before 1973, and no time of a market
#: Dates without separators, by their number of digits.
COMPACT = {
    6: ("%Y%m", "YYYYMM"),
    8: ("%Y%m%d", "YYYYMMDD"),
    10: ("%Y%m%d%H", "YYYYMMDDHH"),
    12: ("%Y%m%d%H%M", "YYYYMMDDhhmm"),
    14: ("%Y%m%d%H%M%S", "YYYYMMDDhhmmss"),
}
#: Day numbers of a spreadsheet, from 30 December 1899: of 1954 to 2119.
SERIALS = (20_000, 80_000)
SERIAL_ZERO = -25_569  #: days from 1970 to it

_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_AWARE = r"(?::\d\d|T\d\d)(?:\.\d+)?\s*(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)$"
_UTC = r"\s*(?:UTC|GMT|Z)(?:\s*\(.*\))?$"


class TimeError(ValueError):
    """A row's time cannot be read, or the column's rule is open.

    Parameters
    ----------
    problem : str
    row : int, optional
        Counted from 0; None if it is about all rows.
    text : str
        What the row says.
    """

    def __init__(self, problem: str, row: int | None = None, text: str = "") -> None:
        super().__init__(problem)
        self.row = row
        self.text = text


def are_times(texts: Sequence[str], *, days: bool = False) -> bool:
    """Tell whether texts may be the times of rows.

    Parameters
    ----------
    texts : sequence of str
    days : bool
        Count a spreadsheet's day numbers too, which prices may look like.
    """
    if not texts:
        return False

    def may_be(text: str) -> bool:
        if not re.fullmatch(_NUMBER, text):
            return looks_like_time(text) and not re.match(r"\d{1,2}:", text)
        whole = text.partition(".")[0]
        number = float(text)
        if days and SERIALS[0] <= number <= SERIALS[1]:
            return True
        return number >= 9 * FIRST_UNIX or (len(whole) in (6, 8) and _compact(whole) is not None)

    return sum(map(may_be, texts)) > 0.9 * len(texts)


def join_date_and_time(dates: Any, clocks: Any) -> Any:
    """Make one column of texts of a date and a time of day: ``20240101`` and ``093000`` too."""
    dates = dates.astype("str").str.strip()
    dates = dates.str.replace(r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3", regex=True)
    clocks = clocks.astype("str").str.strip()
    bare = clocks.str.fullmatch(r"\d{1,6}")
    if bare.any():
        longest = int(clocks[bare].str.len().max())
        digits = clocks.where(bare, "0")
        if longest <= 2:  # hours
            digits = digits.str.zfill(2) + "00"
        digits = digits.str.zfill(4 if longest <= 4 else 6)
        colons = digits.str.replace(r"^(\d\d)(\d\d)(\d\d)?$", r"\1:\2:\3", regex=True)
        clocks = clocks.where(~bare, colons.str.rstrip(":"))
    return dates + " " + clocks


class Times:
    """Reads the times of a column, chunk by chunk.

    Parameters
    ----------
    timezone : str
        Of times without an offset.
    time_format : str, optional
        As `datetime.strptime` takes it; by default each row is told by itself.
    """

    def __init__(self, timezone: str = "UTC", time_format: str | None = None) -> None:
        self.timezone = timezone
        self.time_format = time_format
        #: Kinds of writing, each with its first row.
        self.kinds: dict[str, int] = {}
        #: What was guessed.
        self.notes: list[str] = []
        self._parts: list[Any] = []
        self._naive: tuple[int, str] | None = None
        self._aware: int | None = None
        self._unsure: list[tuple[int, Any]] = []  #: part, rows whose day and month are open

    def add(self, column: Any) -> None:
        """Read a part of the column; its index counts the rows of the file.

        Raises
        ------
        TimeError
            If a row holds no time.
        """
        out = np.full(len(column), MISSING, np.int64)
        self._parts.append(out)
        if getattr(column.dtype, "kind", "") == "M":
            self._note("dates", column.index)
            self._place(out, np.arange(len(column)), column.reset_index(drop=True), column)
        elif pd.api.types.is_integer_dtype(column) and not self.time_format:
            self._add_numbers(out, np.arange(len(column)), column.astype("str"), column)
        else:
            text = column.astype("str").str.strip().fillna("")
            if text.str.contains(",").any():  # a day number with a decimal comma
                text = text.str.replace(r"^(\d{5}),(\d+)$", r"\1.\2", regex=True)
            is_number = text.str.fullmatch(_NUMBER).to_numpy(bool, copy=True)
            if self.time_format:
                is_number[:] = False
            rows = np.flatnonzero(is_number)
            if len(rows):
                self._add_numbers(out, rows, text.iloc[rows], column)
            rows = np.flatnonzero(~is_number)
            if len(rows):
                self._add_texts(out, rows, text.iloc[rows].reset_index(drop=True), column)
        open_rows = self._unsure[-1][1].row if self._unsure_here() else []
        wrong = np.flatnonzero(out == MISSING)
        wrong = wrong[~np.isin(wrong, open_rows)]
        if len(wrong):
            self._fail(column, int(wrong[0]), "is not a time")

    def finish(self) -> Any:
        """Return all times, UTC nanoseconds since 1970.

        Raises
        ------
        TimeError
            If some have an offset from UTC and others none, or day and month cannot be told apart.
        """
        if self._naive is not None and self._aware is not None:
            problem = "has no offset from UTC while others have; write all times alike"
            raise TimeError(problem, *self._naive)
        self._settle_days()
        if "day.month.year" in self.kinds:
            self.notes.append("dates with points read as day.month.year")
        numbers = [kind for kind in self.kinds if kind.startswith("UNIX")]
        if len(numbers) > 1:
            changes = ", ".join(f"{kind} from row {self.kinds[kind] + 1}" for kind in numbers)
            self.notes.append(f"times in {len(numbers)} units, each row by its size: {changes}")
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.int64)

    def _note(self, kind: str, index: Any) -> None:
        if len(index):
            self.kinds.setdefault(kind, int(index[0]))

    def _fail(self, column: Any, at: int, problem: str) -> None:
        raise TimeError(problem, int(column.index[at]), str(column.iloc[at]))

    # numbers

    def _add_numbers(self, out: Any, rows: Any, text: Any, column: Any) -> None:
        """Read UNIX times, dates without separators and a spreadsheet's day numbers."""
        digits, fraction = _split_numbers(text)
        length = digits.str.len().to_numpy()
        if (length > 19).any():
            self._fail(column, int(rows[np.argmax(length > 19)]), "is not a time: too many digits")
        whole = digits.astype("int64").to_numpy()
        is_whole = np.ones(len(whole), bool)
        if fraction is not None:
            is_whole = np.array([not part.strip("0") for part in fraction])
        is_compact = np.zeros(len(whole), bool)
        for count, (form, kind) in COMPACT.items():
            here = np.flatnonzero(is_whole & (length == count))
            if not len(here):
                continue
            dates = pd.to_datetime(digits.iloc[here], format=form, errors="coerce")
            good = dates.dt.year.between(1950, 2120).to_numpy(bool, copy=True)
            if count == 10:  # and not UNIX seconds, which will begin with 20 in 2033
                good &= whole[here] >= 2_000_000_000
            if good.any():
                is_compact[here[good]] = True
                self._note(kind, column.index[rows[here[good]]])
                self._place(out, rows[here[good]], dates[good].reset_index(drop=True), column)
        rest = np.flatnonzero(~is_compact)
        is_serial = (whole >= SERIALS[0]) & (whole <= SERIALS[1])
        serial = rest[is_serial[rest]]
        if len(serial):
            self._note("day numbers of a spreadsheet", column.index[rows[serial]])
            nanoseconds = [_serial(int(whole[n]), fraction[n] if fraction else "") for n in serial]
            dates = pd.Series(np.array(nanoseconds, "datetime64[ns]"))
            self._place(out, rows[serial], dates, column)
        unix = rest[~is_serial[rest]]
        small = np.flatnonzero(whole[unix] < FIRST_UNIX)
        if len(small):
            self._fail_small(column, int(rows[unix[small[0]]]), int(whole[unix[small[0]]]))
        first = 0.0
        for bound, unit, kind in UNIX_UNITS:
            here = unix[(whole[unix] >= first) & (whole[unix] < bound)]
            first = bound
            if len(here):
                self._note(kind, column.index[rows[here]])
                out[rows[here]] = whole[here] * unit
                if fraction is not None:
                    parts = [round(float(f"0.{fraction[n] or 0}") * unit) for n in here]
                    out[rows[here]] += np.array(parts, np.int64)

    def _fail_small(self, column: Any, at: int, number: int) -> None:
        if 1900 <= number <= 2120:
            self._fail(column, at, "is not a time, it looks like a year; no bar is a year long")
        self._fail(column, at, "is not a time: too small for a UNIX time, and no date")

    # texts

    def _add_texts(self, out: Any, rows: Any, text: Any, column: Any) -> None:
        """Read dates in words and figures."""
        if self.time_format:
            self._add_formatted(out, rows, text, column)
            return
        if text.str.endswith(("UTC", "GMT")).any():
            iso = text.str.replace(_UTC, "+00:00", regex=True)
        else:
            iso = text
        aware = iso.str.contains(_AWARE, na=False).to_numpy(bool)
        for is_aware in (True, False):
            here = np.flatnonzero(aware == is_aware)
            if len(here):
                dates = pd.to_datetime(
                    iso.iloc[here], format="ISO8601", errors="coerce", utc=is_aware
                )
                good = dates.notna().to_numpy()
                self._note("ISO 8601", column.index[rows[here[good]]])
                self._place(out, rows[here[good]], dates[good].reset_index(drop=True), column)
        left = np.flatnonzero(out[rows] == MISSING)
        if len(left):
            self._add_worded(out, rows[left], text.iloc[left].tolist(), column)

    def _add_formatted(self, out: Any, rows: Any, text: Any, column: Any) -> None:
        dates = pd.to_datetime(text, format=self.time_format, errors="coerce")
        wrong = dates.isna().to_numpy()
        if wrong.any():
            at = int(rows[np.argmax(wrong)])
            self._fail(column, at, f"is not a time in the format {self.time_format}")
        self._note(f"format {self.time_format}", column.index[rows])
        self._place(out, rows, dates.reset_index(drop=True), column)

    def _add_worded(self, out: Any, rows: Any, texts: Sequence[str], column: Any) -> None:
        """Read what ISO 8601 does not know: ``01/02/2024``, ``Nov 01, 2023``, ``5 PM``."""
        naive: list[tuple[int, int]] = []
        unsure = _Unsure()
        for row, text in zip(rows.tolist(), texts, strict=True):
            found = YEAR_LAST.fullmatch(text)
            if found is not None and found["sep"] != "." and not found["zone"]:
                unsure.add(
                    row, int(found["a"]), int(found["b"]), full_year(found["y"]), time_of_day(found)
                )
                continue
            date = read_date(text)
            if date is None:
                continue
            if found is not None and found["sep"] == ".":
                self.kinds.setdefault("day.month.year", int(column.index[row]))
            nanoseconds, offset = date
            if offset is None:
                naive.append((row, nanoseconds))
            else:
                out[row] = nanoseconds - offset
                self._aware = row
        if naive:
            at = np.array([row for row, _ in naive])
            dates = pd.Series(np.array([ns for _, ns in naive], "datetime64[ns]"))
            if "day.month.year" not in self.kinds:
                self._note("dates in words or figures", column.index[at])
            self._place(out, at, dates, column)
        if unsure.row:
            self._note("day, month and year", column.index[unsure.row])
            self._unsure.append((len(self._parts) - 1, unsure))
            self._note_naive(column, unsure.row[0])

    def _unsure_here(self) -> bool:
        return bool(self._unsure) and self._unsure[-1][0] == len(self._parts) - 1

    def _note_naive(self, column: Any, at: int) -> None:
        if self._naive is None:
            self._naive = (int(column.index[at]), str(column.iloc[at]))

    def _place(self, out: Any, rows: Any, dates: Any, column: Any) -> None:
        """Write dates, with or without a zone, as UTC nanoseconds."""
        if not len(rows) or dates.isna().all():
            return
        if dates.dt.tz is None:
            local = self._localized(dates)
            if (local.isna() & dates.notna()).any():
                at = int(rows[np.argmax((local.isna() & dates.notna()).to_numpy())])
                problem = f"is ambiguous or missing in {self.timezone}; write times with an offset"
                self._fail(column, at, problem)
            self._note_naive(column, int(rows[0]))
            dates = local
        else:
            self._aware = int(rows[0])
        utc = dates.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        out[rows] = utc.astype("datetime64[ns]").astype(np.int64)

    def _localized(self, dates: Any) -> Any:
        return dates.dt.tz_localize(self.timezone, ambiguous="NaT", nonexistent="NaT")

    # 01/02/2024: the 1st of February or the 2nd of January

    def _settle_days(self) -> None:
        """Tell day from month by all rows: a 13 settles it, or rows that follow each other."""
        if not self._unsure:
            return
        first = np.concatenate([unsure.a for _, unsure in self._each_unsure()])
        second = np.concatenate([unsure.b for _, unsure in self._each_unsure()])
        may_be_day = {"day": bool((second <= 12).all()), "month": bool((first <= 12).all())}
        fitting = [order for order, fits in may_be_day.items() if fits]
        why = f"as {max(first.max(), second.max())} shows"
        if len(fitting) == 2:
            by_day, by_month = self._read_days("day"), self._read_days("month")
            fitting = ["day"] * _is_connected(by_day, by_month)
            fitting += ["month"] * _is_connected(by_month, by_day)
            why = "so that no row is months from the next"
        if len(fitting) != 1:
            raise TimeError(
                "which is the day, which the month? State time_format = '%d/%m/%Y' or '%m/%d/%Y' "
                "(with %H:%M:%S where there is a time of day)"
            )
        order = fitting[0]
        self.notes.append(
            f"dates read as {'day/month' if order == 'day' else 'month/day'}/year, {why}"
        )
        read = self._read_days(order)
        done = 0
        for part, unsure in self._unsure:
            count = len(unsure.row)
            utc = self._localized(pd.Series(read[done : done + count].astype("datetime64[ns]")))
            if utc.isna().any():
                raise TimeError(
                    f"a date does not exist in {self.timezone}, or twice; write offsets"
                )
            naive = utc.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
            self._parts[part][unsure.row] = naive.astype("datetime64[ns]").astype(np.int64)
            done += count

    def _each_unsure(self) -> Iterable[tuple[int, Any]]:
        return ((part, unsure) for part, unsure in self._unsure)

    def _read_days(self, order: str) -> Any:
        """Return local nanoseconds with the first number as day or as month."""
        found = []
        for _, unsure in self._unsure:
            day, month = (unsure.a, unsure.b) if order == "day" else (unsure.b, unsure.a)
            table = pd.DataFrame({"year": unsure.year, "month": month, "day": day})
            dates = pd.to_datetime(table, errors="coerce")
            if dates.isna().any():
                raise TimeError("a date does not exist in the calendar")
            found.append(
                dates.to_numpy().astype("datetime64[ns]").astype(np.int64) + np.array(unsure.clock)
            )
        return np.concatenate(found)


def _split_numbers(text: Any) -> tuple[Any, list[str] | None]:
    """Return the digits before and behind the points of numbers; None if there are no points."""
    if text.str.fullmatch(r"\d+").all():
        return text, None
    parts = text.str.extract(r"^([+-]?\d+)(?:\.(\d*))?$")
    if parts[0].isna().any():  # 1.7e12: a number, but not its digits
        spelled = [format(float(value), ".9f").rstrip("0") for value in text]
        parts = pd.Series(spelled).str.extract(r"^([+-]?\d+)(?:\.(\d*))?$")
    return parts[0].str.lstrip("+"), parts[1].fillna("").tolist()


class _Unsure:
    """Rows of which it is open which number is the day."""

    def __init__(self) -> None:
        self.row: list[int] = []
        self.a: list[int] = []
        self.b: list[int] = []
        self.year: list[int] = []
        self.clock: list[int] = []

    def add(self, row: int, a: int, b: int, year: int, clock: int) -> None:
        self.row.append(row)
        self.a.append(a)
        self.b.append(b)
        self.year.append(year)
        self.clock.append(clock)


def _is_connected(times: Any, others: Any) -> bool:
    """Tell whether rows follow each other within days by this reading, and not by the other.

    Whoever takes the day for the month jumps by months from one day to the next. Rows that are a
    month apart by one reading and a day by the other may be either.
    """
    distance, other = np.diff(np.unique(times)), np.diff(np.unique(others))
    if not len(distance) or bool(((other >= 28 * DAY) & (other <= 31 * DAY)).all()):
        return False
    return bool(distance.max() < 20 * DAY <= other.max())


def _serial(days: int, fraction: str) -> int:
    """Return nanoseconds of a spreadsheet's day number, rounded to what its digits can say."""
    unit = SECOND // 1000 if len(fraction) >= 9 else SECOND if len(fraction) >= 5 else 60 * SECOND
    clock = round(float(f"0.{fraction or 0}") * DAY / unit) * unit
    return (days + SERIAL_ZERO) * DAY + clock


def _compact(digits: str) -> pd.Timestamp | None:
    form = COMPACT.get(len(digits))
    if form is None:
        return None
    found = pd.to_datetime(digits, format=form[0], errors="coerce")
    return found if not pd.isna(found) and 1950 <= found.year <= 2120 else None

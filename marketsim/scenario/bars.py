"""Bars of prices read from a CSV or Parquet file, checked, with errors that name file and row."""

import io
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from marketsim.scenario.errors import nearest
from marketsim.scenario.inputs import PRICES, read_input
from marketsim.scenario.spot_model import Bar, History
from marketsim.scenario.wording import shortened, visible

HOUR = 3_600_000_000_000
MINUTE = HOUR // 60
#: How a CSV file is packed, by its ending.
PACKINGS: dict[str, Literal["gzip", "zstd", "bz2"]] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
#: Nanoseconds of one unit of a UNIX time below the bound; the next unit begins there.
UNIX_UNITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000), (np.inf, 1))


class HistoryError(ValueError):
    """A price file cannot be replayed; the message names file, row, column and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(visible(message)))


@dataclass(frozen=True)
class Bars:
    """The bars of one market, earliest first; times are UTC nanoseconds since 1970."""

    market: str
    path: Path
    columns: Bar
    table: Any  #: rows of the file, in the order of time
    row: Any  #: (bars,) number of each row in the file, the first is 1
    opening: Any  #: (bars,) int64
    closing: Any  #: (bars,) int64
    was_sorted: bool  #: the file itself had them in the order of time

    def window(self, first: int, last: int) -> "Bars":
        """Return bars ``first .. last``."""
        part = slice(first, last + 1)
        return Bars(
            self.market,
            self.path,
            self.columns,
            self.table.iloc[part],
            self.row[part],
            self.opening[part],
            self.closing[part],
            self.was_sorted,
        )

    def prices(self) -> tuple[Any, Any, Any]:
        """Return close, high and low as float64, the last two None if there are no columns.

        Raises
        ------
        HistoryError
            If a price is not a positive number, or a bar contradicts itself.
        """
        close = self._column(self.columns.close)
        if self.columns.high is None or self.columns.low is None:
            return close, None, None
        high, low = self._column(self.columns.high), self._column(self.columns.low)
        for wrong, column, problem in (
            (high < low, self.columns.high, "the high is below the low"),
            (close > high, self.columns.close, "the close is above the high"),
            (close < low, self.columns.close, "the close is below the low"),
        ):
            if wrong.any():
                b = int(np.argmax(wrong))
                values = f"close {close[b]:g}, high {high[b]:g}, low {low[b]:g}"
                raise self.error(b, column, f"{problem} ({values})", "correct the row")
        return close, high, low

    def _column(self, name: str) -> Any:
        column = self.table[name]
        if column.dtype == np.float32:
            # the decimal number that was stored, 0.11 and not 0.10999999940395355
            price = column.to_numpy().astype(str).astype(np.float64)
        else:
            price = np.array([_number(value) for value in column.tolist()])
        wrong = ~(np.isfinite(price) & (price > 0.0))
        if wrong.any():
            b = int(np.argmax(wrong))
            problem = f"{column.iloc[b]!s} is not a price above 0"
            raise self.error(b, name, problem, "correct or delete the row; a gap may be bridged")
        return price

    def error(self, b: int, column: str, problem: str, fix: str) -> HistoryError:
        """Return the error of bar `b`, to be raised."""
        where = f"{self.path}, row {self.row[b]} ({show_time(self.opening[b])})"
        return HistoryError(f"{where}, column '{column}': {self.market}: {problem}; {fix}")


def read_bars(history: History, markets: Iterable[str]) -> list[Bars]:
    """Read and order the bars of some markets; their prices are checked when they are asked for.

    Raises
    ------
    HistoryError
        If the file is missing or unreadable, lacks a column or a market, or has a time that
        cannot be read or appears twice.
    """
    columns = {market: _columns(history, market) for market in markets}
    named = {history.time: "time"}
    if history.format == "long":
        named[history.asset] = "asset"
    for market, bar in columns.items():
        for field in ("close", "high", "low"):
            column = getattr(bar, field)
            if column is not None:
                table = "" if history.format == "long" else f"columns.{market}."
                named.setdefault(column, f"{table}{field}")
    table = _read_table(history.path, named)
    if table.empty:
        raise HistoryError(f"{history.path}: the file has no rows; a history needs prices")
    time = _read_times(table[history.time], history)
    return [_market_bars(history, market, bar, table, time) for market, bar in columns.items()]


def _columns(history: History, market: str) -> Bar:
    if history.format == "long":
        return Bar(close=history.close, high=history.high, low=history.low)
    if market not in history.columns:
        raise HistoryError(
            f"spot.history.columns: no entry for market {market}"
            f"{nearest(market, history.columns)}; add {market} = 'its column'"
        )
    stated = history.columns[market]
    return stated if isinstance(stated, Bar) else Bar(close=stated)


def _read_table(path: Path, named: dict[str, str]) -> Any:
    ending = path.name.lower()
    is_parquet = ending.endswith((".parquet", ".pq"))
    is_csv = ending.endswith((".csv", *(f".csv{packing}" for packing in PACKINGS)))
    if path.is_file() and not is_parquet and not is_csv:
        raise HistoryError(f"{path}: neither CSV nor Parquet; name it .csv or .parquet")
    try:
        content = read_input(PRICES, path)
        return (
            _parse_parquet(path, content, named) if is_parquet else _parse_csv(path, content, named)
        )
    except HistoryError:
        raise
    except FileNotFoundError:
        others = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, others)
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        msg = f"{path}: there is no such file{where}{near}; set spot.history.path"
        raise HistoryError(msg) from None
    except (OSError, ValueError, pa.ArrowException, pd.errors.ParserWarning) as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else "no reason given"
        kind = "Parquet" if is_parquet else "CSV"
        raise HistoryError(f"{path}: cannot be read as {kind}: {reason}") from problem


def _parse_parquet(path: Path, content: bytes, named: dict[str, str]) -> Any:
    stream = pa.BufferReader(content)
    _check_columns(path, pq.read_schema(stream).names, named)
    return pq.read_table(stream, columns=list(named), use_threads=False).to_pandas(
        ignore_metadata=True
    )


def _parse_csv(path: Path, content: bytes, named: dict[str, str]) -> Any:
    packing = PACKINGS.get(path.suffix.lower())
    known = list(pd.read_csv(io.BytesIO(content), nrows=0, compression=packing).columns)
    if not "".join(known).isprintable():
        raise ValueError("it is not text")
    _check_columns(path, known, named)
    # as text: how pandas reads decimal numbers has changed in the last bit between versions
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        stream = io.BytesIO(content)
        table = pd.read_csv(stream, dtype="str", index_col=False, compression=packing)
    return table[list(named)]


def _check_columns(path: Path, known: list[str], named: dict[str, str]) -> None:
    for column, field in named.items():
        if column not in known:
            raise HistoryError(
                f"{path}: there is no column '{column}'{nearest(column, known)}; the file has "
                f"{', '.join(known)}; set spot.history.{field}"
            )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _read_times(column: Any, history: History) -> Any:
    """Return UTC nanoseconds; numbers are UNIX times in the unit their size suggests."""

    def fail(wrong: Any, problem: str) -> HistoryError:
        b = int(np.argmax(np.asarray(wrong)))
        where = f"{history.path}, row {b + 1}, column '{history.time}'"
        return HistoryError(f"{where}: {column.iloc[b]!s} {problem}")

    advice = "is not a time; write for example 2025-10-10T21:15:00Z"
    if pd.api.types.is_string_dtype(column) and column.str.fullmatch(r"\d+", na=False).all():
        column = column.astype("int64")
    if pd.api.types.is_integer_dtype(column):
        number = column.to_numpy(np.int64)
        return number * next(unit for bound, unit in UNIX_UNITS if number.max() < bound)
    if isinstance(column.dtype, pd.DatetimeTZDtype | np.dtype) and column.dtype.kind == "M":
        time = column
    else:
        text = column.astype("str").str.strip()
        aware = text.str.contains(r":\d\d(?:\.\d+)?\s*(?:Z|[+-]\d\d:?\d\d)$", na=False)
        if aware.any() and not aware.all():
            raise fail(~aware, "has no offset from UTC while others have; write all times alike")
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=bool(aware.any()))
        time = parsed
    if time.isna().any():
        raise fail(time.isna(), advice)
    if time.dt.tz is None:
        local = time.dt.tz_localize(history.timezone, ambiguous="NaT", nonexistent="NaT")
        if local.isna().any():
            problem = f"is ambiguous or missing in {history.timezone}; write times with an offset"
            raise fail(local.isna(), problem)
        time = local
    utc = time.dt.tz_convert("UTC").dt.tz_localize(None)
    return utc.to_numpy().astype("datetime64[ns]").astype(np.int64)


def _market_bars(history: History, market: str, bar: Bar, table: Any, time: Any) -> Bars:
    rows = np.arange(len(table))
    if history.format == "long":
        name = history.symbols.get(market, market)
        assets = table[history.asset].astype("str")
        rows = np.flatnonzero((assets == name).to_numpy())
        if len(rows) == 0:
            known = sorted(assets.dropna().unique())
            raise HistoryError(
                f"{history.path}, column '{history.asset}': no row is '{name}'"
                f"{nearest(name, known)}; the file has {', '.join(known[:20])}; "
                f"set spot.history.symbols.{market}"
            )
    distance = np.diff(time[rows])
    was_sorted = bool((distance >= 0).all())
    if not was_sorted:
        rows = rows[np.argsort(time[rows], kind="stable")]
        distance = np.diff(time[rows])
    marks = time[rows]
    if (distance == 0).any():
        b = int(np.argmax(distance == 0)) + 1
        where = f"{history.path}, row {rows[b] + 1} ({show_time(marks[b])})"
        raise HistoryError(
            f"{where}, column '{history.time}': {market}: the same time as row {rows[b - 1] + 1}; "
            "delete one of them"
        )
    length = _bar_length(history, market, distance)
    opening = marks if history.time_marks == "open" else marks - length
    closing = opening + length
    bars = Bars(market, history.path, bar, table.iloc[rows], rows + 1, opening, closing, was_sorted)
    if (distance < length).any():
        b = int(np.argmax(distance < length)) + 1
        other = f"row {bars.row[b - 1]}"
        problem = f"{distance[b - 1] / MINUTE:g} min after {other}, less than a bar"
        raise bars.error(b, history.time, problem, f"a bar has {length / MINUTE:g} min here")
    return bars


def _bar_length(history: History, market: str, distance: Any) -> int:
    """Return the stated length of a bar or the most common distance, the shorter of two."""
    if history.bar_minutes is not None:
        return round(history.bar_minutes * MINUTE)
    distance = distance[distance > 0]
    if len(distance) == 0:
        raise HistoryError(
            f"{history.path}: {market} has fewer than two times; set spot.history.bar_minutes"
        )
    lengths, counts = np.unique(distance, return_counts=True)
    return int(lengths[np.argmax(counts)])


def show_time(nanoseconds: int) -> str:
    """Write a UTC time without seconds that are zero.

    Examples
    --------
    >>> show_time(1_760_130_900_000_000_000)
    '2025-10-10 21:15 UTC'
    """
    time = pd.Timestamp(int(nanoseconds))
    return time.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00") + " UTC"


def read_time(moment: datetime, field: str, history: History) -> int:
    """Return a time the user stated as UTC nanoseconds; without an offset it is in the zone."""
    time = pd.Timestamp(moment)
    if time.tzinfo is None:
        try:
            time = time.tz_localize(history.timezone)
        except ValueError as problem:
            message = f"spot.history.{field} = {moment}: ambiguous or missing in {history.timezone}"
            raise HistoryError(f"{message}; write it with an offset") from problem
    return int(time.tz_convert("UTC").as_unit("ns").value)

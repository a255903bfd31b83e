"""Bars of prices read from a file, checked, with errors that name file and row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from marketsim.scenario.bar_lengths import find_ends, is_irregular, most_common_distance
from marketsim.scenario.column_roles import Roles, clock_column, coin_of, find_roles
from marketsim.scenario.errors import nearest
from marketsim.scenario.inputs import PRICES
from marketsim.scenario.numerals import (
    AmbiguousNumberError,
    find_decimal,
    looks_like_number,
    to_floats,
)
from marketsim.scenario.opened_table import open_table
from marketsim.scenario.spot_model import Bar, History
from marketsim.scenario.table_file import CHUNK_ROWS, Table
from marketsim.scenario.timestamps import TimeError, Times, join_date_and_time
from marketsim.scenario.unpacking import HistoryError
from marketsim.scenario.written_dates import show_time

HOUR = 3_600_000_000_000
MINUTE = HOUR // 60
#: The table that states how a price file is read.
OPTION = "spot.history"
#: Of so many wrong prices the text is kept, for the error.
MAX_WRONG = 100_000


@dataclass(frozen=True)
class Bars:
    """The bars of one market, earliest first; times are UTC nanoseconds since 1970."""

    market: str
    path: Path
    columns: Bar
    price: dict[str, Any]  #: column -> (bars,) float64, NaN where there is no number
    wrong: dict[str, dict[int, str]]  #: column -> row -> what stands where no price above 0 does
    row: Any  #: (bars,) number of each row in the file, the first is 1
    opening: Any  #: (bars,) int64
    closing: Any  #: (bars,) int64
    length: str  #: in words: "bars of 60 min"
    is_moments: bool  #: prices of no bar: opening and closing are one
    notes: tuple[str, ...]  #: how the rows became bars
    time_column: str

    def window(self, first: int, last: int) -> "Bars":
        """Return bars ``first .. last``."""
        part = slice(first, last + 1)
        return replace(
            self,
            price={name: values[part] for name, values in self.price.items()},
            row=self.row[part],
            opening=self.opening[part],
            closing=self.closing[part],
        )

    def gaps(self) -> Any:
        """Return the time from each bar's end to the next one's beginning, nanoseconds.

        Prices of no bar are always some way apart: what is beyond the usual distance is a gap.
        """
        gap = self.opening[1:] - self.closing[:-1]
        return gap - int(np.median(gap)) if self.is_moments and len(gap) else gap

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
        price = self.price[name]
        wrong = ~(np.isfinite(price) & (price > 0.0))
        if wrong.any():
            b = int(np.argmax(wrong))
            text = self.wrong[name].get(int(self.row[b]), f"{price[b]:g}")
            fix = "correct or delete the row; a gap may be bridged"
            if np.isnan(price[b]) and looks_like_number(text):
                fix = "state spot.history.decimal, the sign before the fraction"
            raise self.error(b, name, f"{text} is not a price above 0", fix)
        return price

    def error(self, b: int, column: str, problem: str, fix: str) -> HistoryError:
        """Return the error of bar `b`, to be raised."""
        where = f"{self.path}, row {self.row[b]} ({show_time(self.opening[b])})"
        return HistoryError(f"{where}, column '{column}': {self.market}: {problem}; {fix}")


class Read(NamedTuple):
    """The columns of a file that are needed, all rows in their order."""

    table: Table
    roles: Roles
    time: Any  #: (rows,) UTC nanoseconds
    row: Any  #: (rows,) number of each, the first is 1
    asset: Any  #: (rows,) place in `assets`; None without such a column
    assets: list[str]
    price: dict[str, Any]  #: column -> (rows,) float64
    wrong: dict[str, dict[int, str]]
    rules: tuple[str, ...]  #: how times are written
    notes: tuple[str, ...]  #: how the file was understood


def read_bars(history: History, markets: Sequence[str]) -> tuple[list[Bars], tuple[str, ...]]:
    """Read and order the bars of some markets; their prices are checked when they are asked for.

    Parameters
    ----------
    history : History
    markets : sequence of str

    Returns
    -------
    bars : list of Bars
    notes : tuple of str
        How the file was understood, where that was not stated.

    Raises
    ------
    HistoryError
        If the file is missing or unreadable, lacks a column or a market, or has a time that
        cannot be read or appears twice.
    """
    read = read_rows(history, markets)
    return [market_bars(history, market, read) for market in markets], read.notes


def read_rows(history: History, markets: Sequence[str]) -> Read:
    """Read the columns that are needed, chunk by chunk, into numbers.

    Raises
    ------
    HistoryError
        As `read_bars` does.
    """
    with open_table(history.path, PRICES, history, OPTION, f"{OPTION}.path") as table:
        if len(table.sample) == 0:
            raise HistoryError(f"{history.path}: the file has no rows; a history needs prices")
        roles = find_roles(history, table, markets)
        named = [
            column
            for bar in roles.bars.values()
            for column in (bar.close, bar.high, bar.low)
            if column is not None
        ]
        columns = list(dict.fromkeys(named))
        decimal, notes = _decimal(history, table, columns)
        return _read_all(history, table, roles, columns, decimal, notes)


def _read_all(
    history: History,
    table: Table,
    roles: Roles,
    columns: Sequence[str],
    decimal: str,
    notes: Sequence[str],
) -> Read:
    place = {name: table.places(name)[0] for name in table.columns}
    asset = [] if roles.asset is None else [roles.asset]
    wanted = list(dict.fromkeys(place[name] for name in (*roles.time, *asset, *columns)))
    times = Times(history.timezone, history.time_format)
    rows: list[Any] = []
    codes: list[Any] = []
    assets: dict[str, int] = {}
    prices: dict[str, list[Any]] = {name: [] for name in columns}
    wrong: dict[str, dict[int, str]] = {name: {} for name in columns}
    try:
        for chunk in table.read(wanted, CHUNK_ROWS):
            row = np.asarray(chunk.index, np.int32) + 1
            rows.append(row)
            column = chunk[place[roles.time[0]]]
            if len(roles.time) == 2:
                column = join_date_and_time(column, chunk[place[roles.time[1]]])
            times.add(column)
            if roles.asset is not None:
                local, found = pd.factorize(chunk[place[roles.asset]].astype("str").str.strip())
                ours = [assets.setdefault(str(name), len(assets)) for name in found]
                codes.append(np.array(ours, np.int32)[local])
            for name in columns:
                price = to_floats(chunk[place[name]], decimal)
                _keep_wrong(wrong[name], price, chunk[place[name]], row)
                prices[name].append(price)
        time = times.finish()
    except TimeError as problem:
        raise _time_error(history, table, roles, problem) from None
    return Read(
        table=table,
        roles=roles,
        time=time,
        row=np.concatenate(rows),
        asset=np.concatenate(codes) if codes else None,
        assets=list(assets),
        price={name: np.concatenate(parts) for name, parts in prices.items()},
        wrong=wrong,
        rules=tuple(times.kinds),
        notes=(*table.notes, *roles.notes, *notes, *times.notes),
    )


def _decimal(history: History, table: Table, columns: Sequence[str]) -> tuple[str, list[str]]:
    """Tell the decimal point of the prices by the first rows, unless it is stated."""
    if history.decimal is not None:
        return history.decimal, []
    texts = [
        text
        for name in columns
        if not pd.api.types.is_numeric_dtype(table.sample[table.places(name)[0]])
        for text in table.texts(table.places(name)[0])
    ]
    try:
        decimal = find_decimal(texts, table.separator)
    except AmbiguousNumberError as unsure:
        raise HistoryError(
            f"{table.path}: is {unsure} written with a thousands separator or with a decimal "
            f"{'comma' if ',' in str(unsure) else 'point'}? State spot.history.decimal = "
            "'.' or ','",
            table.head,
        ) from None
    other = "," if decimal == "." else "."
    notes = ["prices read with a decimal comma"] if decimal == "," else []
    if any(other in text for text in texts):
        notes.append(f"'{other}' in prices taken as a separator of thousands")
    return decimal, notes


def _keep_wrong(wrong: dict[int, str], price: Any, column: Any, row: Any) -> None:
    """Note what is written where there is no price above 0, for the error if it is needed."""
    for n in np.flatnonzero(~(np.isfinite(price) & (price > 0.0)))[: MAX_WRONG - len(wrong)]:
        wrong[int(row[n])] = str(column.iloc[n])


def _time_error(history: History, table: Table, roles: Roles, problem: TimeError) -> HistoryError:
    column = "' and '".join(roles.time)
    if problem.row is None:
        fix = str(problem).replace("State time_format", "State spot.history.time_format")
        return HistoryError(f"{history.path}, column '{column}': {fix}", table.head)
    advice = ""
    if str(problem) == "is not a time":
        advice = (
            "; write for example 2025-10-10T21:15:00Z, or state spot.history.time_format"
            " (or another column, spot.history.time)"
        )
    where = f"{history.path}, row {problem.row + 1}, column '{column}'"
    return HistoryError(f"{where}: {problem.text} {problem}{advice}", table.head)


def market_bars(history: History, market: str, read: Read) -> Bars:
    """Put the rows of one market in order and give each its beginning and end.

    Raises
    ------
    HistoryError
        If there are none, or two of one time, or bars overlap.
    """
    rows, notes = _rows_of(history, market, read)
    bar = read.roles.bars[market]
    if not bool((np.diff(read.time[rows]) >= 0).all()):
        rows = np.arange(len(read.time))[rows][np.argsort(read.time[rows], kind="stable")]
        notes.append("rows of the file put in the order of time")
    marks = read.roles.marks
    if marks is None and history.bar_minutes is None and is_irregular(read.time[rows]):
        marks = "moment"
        notes.append("rows at irregular times: each taken as the price at its moment")
    rows = _without_repeats(history, market, read, rows, marks == "moment", notes)
    time = read.time[rows]
    if marks == "moment":
        opening, closing, overlap = time, time, None
        length = f"{len(time)} prices at moments"
    else:
        at_open = marks != "close"
        ends = find_ends(time, _bar_length(history, market, time), at_open, history.timezone)
        opening, closing, overlap = ends.opening, ends.closing, ends.overlap
        length = f"bars of {ends.length}"
        notes += ends.notes
        said = "" if history.time_marks else " (else state spot.history.time_marks)"
        notes.append(f"times mark the {'opening' if at_open else 'close'} of bars{said}")
    found = Bars(
        market=market,
        path=history.path,
        columns=bar,
        price={name: values[rows] for name, values in read.price.items()},
        wrong=read.wrong,
        row=read.row[rows],
        opening=opening,
        closing=closing,
        length=length,
        is_moments=marks == "moment",
        notes=tuple(notes),
        time_column=read.roles.time[0],
    )
    if overlap is not None:
        distance = (time[overlap] - time[overlap - 1]) / MINUTE
        problem = f"{distance:g} min after row {found.row[overlap - 1]}, less than a bar"
        fix = f"they are {length} here; correct the row, or state spot.history.bar_minutes"
        raise found.error(overlap, found.time_column, problem, fix)
    return found


def _rows_of(history: History, market: str, read: Read) -> tuple[Any, list[str]]:
    """Return the rows of one market in the order of the file."""
    if read.asset is None:
        return slice(None), []  # all of them, without a copy
    name = history.symbols.get(market, market)
    notes = []
    if name not in read.assets and market not in history.symbols:
        alike = [asset for asset in read.assets if coin_of(asset) == coin_of(market)]
        if len(alike) == 1:
            name = alike[0]
            notes.append(f"rows of '{name}'")
    if name not in read.assets:
        known = sorted(asset for asset in read.assets if asset != "nan")
        raise HistoryError(
            f"{history.path}, column '{read.roles.asset}': no row is '{name}'"
            f"{nearest(name, known)}; the file has {', '.join(known[:20])}; "
            f"set spot.history.symbols.{market}"
        )
    return np.flatnonzero(read.asset == read.assets.index(name)), notes


def _without_repeats(
    history: History, market: str, read: Read, rows: Any, at_moments: bool, notes: list[str]
) -> Any:
    """Leave out rows that repeat another; two prices for one time are refused."""
    time = read.time[rows]
    same = np.diff(time) == 0
    if not same.any():
        return rows
    rows = np.arange(len(read.time))[rows]
    if at_moments:  # the last of a moment is its price
        notes.append(f"{int(same.sum())} prices followed by another at the same moment left out")
        return rows[np.append(~same, True)]
    differs = np.zeros(len(same), bool)
    for values in read.price.values():
        before, after = values[rows[:-1]], values[rows[1:]]
        differs |= same & (before != after) & ~(np.isnan(before) & np.isnan(after))
    if differs.any():
        b = int(np.argmax(differs)) + 1
        where = f"{history.path}, row {read.row[rows[b]]} ({show_time(time[b])})"
        raise HistoryError(
            f"{where}, column '{read.roles.time[0]}': {market}: the same time as row "
            f"{read.row[rows[b - 1]]}; {_why_repeated(read, rows, same)}",
            read.table.head,
        )
    notes.append(f"{int(same.sum())} row{'s' * (int(same.sum()) > 1)} that repeat another left out")
    return rows[np.insert(~same, 0, True)]


def _why_repeated(read: Read, rows: Any, same: Any) -> str:
    """Say what two prices for one time come from."""
    date = read.roles.time[0]
    clock = clock_column(read.table, date) if len(read.roles.time) == 1 else None
    if clock is not None:
        return (
            f"the time of day is in another column, '{clock}': name both, "
            f"spot.history.time = ['{date}', '{clock}']"
        )
    if same.sum() > 0.4 * len(rows) and read.roles.asset is None:
        count = round(len(rows) / (len(rows) - same.sum()))
        return (
            f"each time stands in about {count} rows: the prices of several assets, and no column "
            "known to say which; name it with spot.history.asset"
        )
    return (
        "their prices differ: delete one of them, or name the column of assets, spot.history.asset"
    )


def _bar_length(history: History, market: str, time: Any) -> int:
    """Return the stated length of a bar or the most common distance."""
    if history.bar_minutes is not None:
        return round(history.bar_minutes * MINUTE)
    length = most_common_distance(time)
    if length is None:
        raise HistoryError(
            f"{history.path}: {market} has fewer than two times; set spot.history.bar_minutes"
        )
    return length


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

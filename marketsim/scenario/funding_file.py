"""Funding rates that a venue really charged, from a file, and as a run pays them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from marketsim.scenario.column_roles import ASSETS, coin_of, find_times, plain_name
from marketsim.scenario.inputs import RATES
from marketsim.scenario.numerals import to_floats
from marketsim.scenario.opened_table import open_table
from marketsim.scenario.spot_model import Reading
from marketsim.scenario.table_file import CHUNK_ROWS, Table
from marketsim.scenario.timestamps import TimeError, Times
from marketsim.scenario.unpacking import HistoryError
from marketsim.scenario.written_dates import HOUR, SECOND, show_time

if TYPE_CHECKING:
    from marketsim.scenario.schema import Scenario

MINUTE = 60 * SECOND
#: Hours that rates are quoted for.
QUOTED_HOURS = 8.0
#: Names of columns, the likelier first.
RATE_NAMES = ("last_funding_rate", "funding_rate", "fundingrate", "realized_rate", "rate")
INTERVAL_NAMES = ("funding_interval_hours", "interval_hours", "funding_interval", "interval")


class RateFile(NamedTuple):
    """The funding that one market paid, earliest first."""

    path: Path
    time: Any  #: (n,) UTC nanoseconds, to the minute: when it was paid
    rate: Any  #: (n,) per 8 h
    hours: Any  #: (n,) of the interval that it was paid for
    notes: list[str]
    roles: dict[str, str]  #: column -> what it was taken for


def is_rate_table(table: Table) -> bool:
    """Tell whether a table holds funding rates and no prices that a run could follow."""
    plain = {plain_name(name) for name in table.columns}
    return bool(plain & set(RATE_NAMES[:3])) and not plain & {"close", "last_price", "price"}


def read_rates(path: Path, market: str, option: str) -> RateFile:
    """Read what a market paid in funding.

    Parameters
    ----------
    path : Path
        Of a file with a time, a rate and perhaps the hours of its interval in each row.
    market : str
        Which rows, where a column says of which contract they are.
    option : str
        What names the file, for errors: "venue.funding.history.BTC".

    Returns
    -------
    RateFile

    Raises
    ------
    HistoryError
        If it cannot be read, or a time or a rate in it.
    """
    notes: list[str] = []
    times = Times()
    with open_table(path, RATES, Reading(), "", option) as table:
        if len(table.sample) == 0:
            raise HistoryError(f"{path}: the file has no rows; funding needs rates")
        time_column = find_times(None, table, "", [])[0]
        rate_column = _rate_column(table)
        hours_column = _find(table, INTERVAL_NAMES)
        asset_column = _find(table, ASSETS)
        columns = [time_column, rate_column, hours_column, asset_column]
        places = [table.places(name)[0] for name in columns if name is not None]
        try:
            chunks = []
            for chunk in table.read(list(dict.fromkeys(places)), CHUNK_ROWS):
                times.add(chunk[places[0]])
                chunks.append(chunk)
            time = times.finish()
        except TimeError as problem:
            where = "" if problem.row is None else f", row {problem.row + 1}"
            msg = f"{path}{where}, column '{time_column}': {problem.text} {problem}"
            raise HistoryError(msg, table.head) from None
        rows = pd.concat(chunks)
    keep = np.ones(len(rows), bool)
    if asset_column is not None:
        keep = _rows_of(path, market, rows[table.places(asset_column)[0]])
    rate = _fractions(rows[places[1]])
    _check_rates(path, rate_column, rate, keep)
    stated = None if hours_column is None else _hours(rows[table.places(hours_column)[0]])
    time = (time[keep] + MINUTE // 2) // MINUTE * MINUTE
    notes.append(f"rates of the column '{rate_column}', times of '{time_column}'")
    roles = dict.fromkeys([time_column], "time") | {rate_column: "rate of an interval"}
    roles |= {name: "hours of an interval" for name in [hours_column] if name is not None}
    roles |= {name: "asset" for name in [asset_column] if name is not None}
    hours = None if stated is None else stated[keep]
    return _ordered(path, time, rate[keep], hours, notes)._replace(roles=roles)


def load_given_rates(
    scenario: "Scenario", num_steps: int | None, start: "np.datetime64 | None"
) -> tuple[Any, list[str]]:
    """Read the funding rates that a scenario gives, for each of its steps.

    Parameters
    ----------
    scenario : Scenario
    num_steps : int or None
        None: as far as the files reach.
    start : datetime64 or None
        Of the run, UTC; without a calendar a run begins where the rates do.

    Returns
    -------
    rates : array or None
        (steps, markets) per 8 h, NaN where the venue's own rule applies; None if none are given.
    notes : list of str

    Raises
    ------
    HistoryError
        If a file cannot be read, or lacks rates of the run.
    """
    stated = scenario.venue.funding.history
    if not stated:
        return None, []
    files = {
        market: read_rates(file, market, f"venue.funding.history.{market}")
        for market, file in stated.items()
    }
    return given_rates(
        files,
        tuple(scenario.markets),
        interval_hours=scenario.funding_interval_steps * scenario.step_minutes / 60.0,
        step_minutes=scenario.step_minutes,
        num_steps=num_steps,
        start=start,
    )


def given_rates(
    files: Mapping[str, RateFile],
    markets: Sequence[str],
    *,
    interval_hours: float,
    step_minutes: float,
    num_steps: int | None,
    start: "np.datetime64 | None",
) -> tuple[Any, list[str]]:
    """Give every step the rate that a settlement at its end pays.

    Parameters
    ----------
    files : mapping of str to RateFile
        By market; the others pay the venue's own rates.
    markets : sequence of str
        Columns of the result.
    interval_hours : float
        Between the run's settlements.
    step_minutes : float
    num_steps : int or None
        None: as far as the files reach.
    start : datetime64 or None
        Of the run, UTC; without a calendar a run begins where the rates do.

    Returns
    -------
    rates : array
        (steps, markets) per 8 h, NaN where the venue's own rule applies.
    notes : list of str

    Raises
    ------
    HistoryError
        If rates are missing, or are for another interval than the run's.
    """
    step = round(step_minutes * MINUTE)
    first = max(int(file.time[0] - file.hours[0] * HOUR) for file in files.values())
    origin = first if start is None else int(start.astype("datetime64[ns]").astype(np.int64))
    last = min(int(file.time[-1]) for file in files.values())
    steps = (last - origin) // step if num_steps is None else num_steps
    rates = np.full((max(steps, 0), len(markets)), np.nan)
    notes = []
    ends = origin + step * np.arange(1, len(rates) + 1)
    for name, file in files.items():
        row = np.searchsorted(file.time, ends, side="left")
        covered = row < len(file.time)
        row = np.minimum(row, len(file.time) - 1)
        covered &= ends > file.time[row] - file.hours[row] * HOUR
        if not covered.all():
            at = int(ends[np.argmin(covered)])
            raise HistoryError(
                f"{file.path}: no funding rate of {name} for {show_time(at)}; it has "
                f"{show_time(int(file.time[0] - file.hours[0] * HOUR))} to "
                f"{show_time(int(file.time[-1]))}: choose spot.history.start and days within"
            )
        used = np.unique(file.hours[row])
        if len(used) != 1 or used[0] != interval_hours:
            found = " and ".join(f"{hours:g}" for hours in used)
            raise HistoryError(
                f"{file.path}: {name} paid funding every {found} h, the run every "
                f"{interval_hours:g} h: set venue.funding.interval_hours = {used[0]:g}"
                + (", and days within which it is the same" if len(used) > 1 else "")
            )
        rates[:, markets.index(name)] = file.rate[row]
        notes.append(
            f"{name} pays the funding rates of {file.path.name} from {show_time(origin)}"
            f" (mean {100 * float(file.rate[np.unique(row)].mean()):.4g} % per 8 h)"
        )
        if start is not None and bool((file.time % int(interval_hours * HOUR)).any()):
            notes.append(f"{name}: paid at the run's settlements, the file's are at other hours")
    return rates, notes


def _find(table: Table, names: Sequence[str]) -> str | None:
    for name in names:
        for column in table.columns:
            if plain_name(column) == name and len(table.places(column)) == 1:
                return column
    return None


def _rate_column(table: Table) -> str:
    found = _find(table, RATE_NAMES)
    if found is None:
        raise HistoryError(
            f"{table.path}: no column holds funding rates; the file has "
            f"{', '.join(table.columns[:20])}: call it funding_rate",
            table.head,
        )
    return found


def _rows_of(path: Path, market: str, assets: Any) -> Any:
    names = assets.astype("str").to_numpy()
    known = sorted(set(names))
    alike = [name for name in known if name == market or coin_of(name) == coin_of(market)]
    if len(alike) != 1:
        raise HistoryError(
            f"{path}: {'no row is' if not alike else 'several contracts are'} of {market}; the "
            f"file has {', '.join(known[:20])}: keep one of them"
        )
    return names == alike[0]


def _fractions(column: Any) -> Any:
    """Read rates, fractions or percent."""
    if not pd.api.types.is_numeric_dtype(column):
        text = column.astype("str").str.strip()
        if text.str.endswith("%").any():
            return to_floats(text.str.removesuffix("%")) / 100.0
    return to_floats(column)


def _check_rates(path: Path, name: str, rate: Any, keep: Any) -> None:
    wrong = keep & ~(np.abs(rate) <= 1.0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise HistoryError(
            f"{path}, row {row + 1}, column '{name}': {rate[row]:g} is not a rate between -1 and "
            "1, a fraction of the notional; correct or delete the row"
        )


def _hours(column: Any) -> Any:
    """Read the length of intervals: hours, or a time of day as BitMEX writes it."""
    hours = to_floats(column)
    if np.isnan(hours).all():
        clock = column.astype("str").str.extract(r"T(\d\d):(\d\d)")
        hours = clock[0].astype(float).to_numpy() + clock[1].astype(float).to_numpy() / 60.0
    return hours


def _ordered(path: Path, time: Any, rate: Any, hours: Any, notes: list[str]) -> RateFile:
    """Put rows in the order of time, leave out repeats, and find the intervals."""
    order = np.argsort(time, kind="stable")
    time, rate = time[order], rate[order]
    same = np.diff(time) == 0
    if (same & (np.diff(rate) != 0)).any():
        at = int(np.argmax(same & (np.diff(rate) != 0)))
        msg = f"{path}: two rates for {show_time(int(time[at]))}; delete one of them"
        raise HistoryError(msg)
    keep = np.insert(~same, 0, True)
    time, rate = time[keep], rate[keep]
    if hours is None:
        if len(time) < 2:
            raise HistoryError(f"{path}: one rate, and no column of its interval's hours; add it")
        apart = np.diff(time) / HOUR
        lengths, counts = np.unique(apart, return_counts=True)
        hours = np.full(len(time), lengths[np.argmax(counts)])
        notes.append(f"intervals of {hours[0]:g} h, by the distances of the rows")
    else:
        hours = hours[order][keep]
        if not (np.isfinite(hours) & (hours > 0)).all():
            raise HistoryError(f"{path}: a funding interval is not a number of hours above 0")
    return RateFile(path, time, rate * (QUOTED_HOURS / hours), hours, notes, {})

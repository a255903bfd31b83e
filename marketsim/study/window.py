"""What the statistics of a market's window are computed from: series of a run on regular grids."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marketsim.results import tables
from marketsim.results.run import Run
from marketsim.tape import events
from marketsim.tape.result import Floats, RunResult

#: Minutes of a bar, by the name of the scale of returns.
BARS = {"1m": 1, "5m": 5, "1h": 60, "1d": 1440}
#: Days of a window, counted back from the end of the run; of the two that data are short of, fewer.
DAYS, MINUTE_DAYS, LIQUIDATION_DAYS = 90, 29, 45
#: Days below which nothing can be measured.
FEWEST_DAYS = 2


class WindowError(ValueError):
    """A run is too short, or its rows too far apart, to be a window."""


@dataclass(frozen=True, eq=False)
class Window:
    """Series of the last days of a run: M markets, H full hours, D full days."""

    market_names: tuple[str, ...]
    #: by scale: (rows, M) USD, the last trade at the end of each bar; those the rows are too
    #: far apart for are missing
    price: Mapping[str, Floats]
    traded: "Traded | None" = None  #: None: only the spot process ran


@dataclass(frozen=True, eq=False)
class Traded:
    """The same of what traders make: hours and days as in `Window`."""

    index: Floats  #: (H, M) USD at the end of the hour
    volume: Floats  #: (H, M) coins
    premium: Floats  #: (H, M) mean of the hour's samples
    open_interest: Floats  #: (H, M) coins, mean of the hour
    mean_price: Floats  #: (H, M) USD, mean of the hour
    liquidated_usd: Floats  #: (D, M)
    open_interest_usd: Floats  #: (D, M) mean of the day
    settlement_hours: tuple[Floats, ...]  #: (M,) of (settlements,) since the window's start
    funding_rate: tuple[Floats, ...]  #: (M,) of (settlements,) per 8 h


def window_of_result(result: RunResult) -> Window:
    """Take the window at the end of a result in memory.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    Window

    Raises
    ------
    WindowError
        If the run is shorter than two days, or its rows do not end at full hours.
    """
    return _window(tables.markets(result), events.funding(result), result.market_names)


def window_of_run(run: Run) -> Window:
    """Take the window at the end of a run in a folder; see `window_of_result`."""
    markets, funding = (
        {str(name): table[name].to_numpy() for name in table}
        for table in (run.markets, run.funding)
    )
    return _window(markets, funding, tuple(run.summary["markets"]))


def check_grid(days: float, row_minutes: float) -> None:
    """Refuse rows that make no window.

    Parameters
    ----------
    days : float
        That they cover.
    row_minutes : float
        From one to the next.

    Raises
    ------
    WindowError
        If they cover less than two days or do not divide an hour.
    """
    per_hour = 60.0 / row_minutes if row_minutes > 0.0 else 0.0
    if days < FEWEST_DAYS or per_hour < 1.0 or abs(per_hour - round(per_hour)) > 1e-9:
        raise WindowError(
            f"{days:.3g} days in rows of {row_minutes:g} minutes make no window: it takes "
            f"{FEWEST_DAYS} days, and rows that divide an hour (record.series_minutes and "
            "step_minutes)"
        )


def window_of_prices(price: Floats, names: tuple[str, ...], row_minutes: float) -> Window:
    """Make a window of prices alone.

    Parameters
    ----------
    price : ndarray
        (T, M) USD at the ends of rows.
    names : tuple of str
    row_minutes : float
    """
    return Window(names, _bars(price, row_minutes))


def _window(
    markets: Mapping[str, Any], funding: Mapping[str, Any], names: tuple[str, ...]
) -> Window:
    def grid(column: str) -> Floats:
        values: Floats = np.asarray(markets[column], np.float64).reshape(-1, len(names))
        return values

    ends = np.asarray(markets["hours"], np.float64)[:: len(names)]
    row_minutes = 60.0 * float(ends[0]) if len(ends) else 0.0
    check_grid(len(ends) * row_minutes / 1440.0, row_minutes)
    hour = round(60.0 / row_minutes)
    whole = len(ends) // hour
    hours = min(whole, 24 * DAYS)
    of_market = [np.asarray(funding["market"]) == name for name in names]
    settled = np.asarray(funding["hours"], np.float64) - (whole - hours)
    rate = np.asarray(funding["funding_rate"], np.float64)

    def hourly(column: str) -> Floats:
        return _last_blocks(grid(column), hour, hours)

    def daily(column: str) -> Floats:
        return _last_blocks(grid(column), 24 * hour, LIQUIDATION_DAYS)

    held = [rows & (settled > 1e-6) for rows in of_market]
    return Window(
        names,
        _bars(grid("last_price"), row_minutes),
        Traded(
            index=hourly("index_price")[:, -1],
            volume=hourly("volume").sum(axis=1),
            premium=hourly("premium").mean(axis=1),
            open_interest=hourly("open_interest").mean(axis=1),
            mean_price=hourly("last_price").mean(axis=1),
            liquidated_usd=daily("liquidated_usd").sum(axis=1),
            open_interest_usd=daily("open_interest_usd").mean(axis=1),
            settlement_hours=tuple(settled[rows] for rows in held),
            funding_rate=tuple(rate[rows] for rows in held),
        ),
    )


def _last_blocks(values: Floats, rows: int, most: int) -> Floats:
    """Cut (T, M) values into blocks of rows; return the last: (at most so many, rows, M)."""
    count = len(values) // rows
    blocks = values[: count * rows].reshape(count, rows, -1)
    return blocks[-most:]


def _bars(price: Floats, row_minutes: float) -> dict[str, Floats]:
    """Return the prices at the ends of the last bars, of every scale that has whole rows."""
    found = {}
    for scale, minutes in BARS.items():
        rows = minutes / row_minutes
        if rows < 1.0 - 1e-9 or abs(rows - round(rows)) > 1e-9:
            continue
        every = round(rows)
        days = MINUTE_DAYS if scale == "1m" else DAYS
        bars = min(len(price) // every, round(days * 1440 / minutes))
        last = len(price) // every * every
        found[scale] = price[last - (bars - 1) * every - 1 : last : every]
    return found

"""The parts of a finished run that are measured, from memory or from its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marketsim.results import tables
from marketsim.results.run import Run
from marketsim.tape import events
from marketsim.tape.result import Floats, RunResult

#: Fewer hours than this leave nothing to measure.
MIN_HOURS = 24


class AnalysisError(ValueError):
    """A run is too short, or its rows too far apart, to be measured."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Series of a finished run: T rows, M markets, H full hours; row 0 of the hourly is hour 1."""

    scenario: str
    seed: int
    days: float
    conservation_error: int  #: atoms, largest seen
    market_names: tuple[str, ...]
    hourly_mark: Floats  #: (H, M) USD at the full hours
    hourly_premium: Floats  #: (H, M) mid / index - 1 at the full hours, NaN where a side was empty
    hourly_sample: Floats  #: (H, M) the venue's premium sample at the full hours
    sample: Floats  #: (T, M) the venue's samples, every row
    daily_liquidated: Floats  #: (days, M) liquidated in a day over its mean open interest
    settlement_hours: tuple[Floats, ...]  #: (M,) of (settlements,) hours since the start
    funding_rate: tuple[Floats, ...]  #: (M,) of (settlements,) per 8 h
    interest_rate: tuple[Floats, ...]  #: (M,) of (settlements,) per 8 h, the venue's at that time
    reproduction_on_paper: Floats  #: (moments, 2) of falls and rises; empty if it was not recorded


def observe_result(result: RunResult) -> Observed:
    """Take what is measured from a result in memory.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    Observed

    Raises
    ------
    AnalysisError
        If the run is shorter than a day, or its rows do not end at full hours.
    """
    known = len(result.contagion_steps) > 0
    return _observe(
        tables.markets(result),
        events.funding(result),
        tables.reproduction(result)["reproduction_on_paper"] if known else np.zeros(0),
        names=result.market_names,
        facts=(result.scenario, result.seed, result.conservation_error),
    )


def observe_run(run: Run) -> Observed:
    """Take what is measured from a run folder.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Observed

    Raises
    ------
    AnalysisError
        If the run is shorter than a day, or its rows do not end at full hours.
    RunFolderError
        If a table is damaged.
    """
    markets, funding = (
        {str(name): table[name].to_numpy() for name in table}
        for table in (run.markets, run.funding)
    )
    known = "reproduction" in run.tables
    return _observe(
        markets,
        funding,
        run.reproduction["reproduction_on_paper"].to_numpy() if known else np.zeros(0),
        names=tuple(run.summary["markets"]),
        facts=(run.scenario, run.seed, int(run.summary["conservation_error_atoms"])),
    )


def _observe(
    markets: Mapping[str, Any],
    funding: Mapping[str, Any],
    reproduction: Any,
    *,
    names: tuple[str, ...],
    facts: tuple[str, int, int],
) -> Observed:
    scenario, seed, conservation_error = facts

    def grid(column: str) -> Floats:
        values: Floats = np.asarray(markets[column], np.float64).reshape(-1, len(names))
        return values

    ends = np.asarray(markets["hours"], np.float64)[:: len(names)]
    full = _full_hours(ends)
    index = grid("index_price")
    premium = 0.5 * (grid("best_bid") + grid("best_ask")) / index - 1.0
    sample = grid("premium")
    of_market = [np.asarray(funding["market"]) == name for name in names]
    hours = np.asarray(funding["hours"], np.float64)
    return Observed(
        scenario=scenario,
        seed=seed,
        days=float(ends[-1]) / 24.0,
        conservation_error=conservation_error,
        market_names=names,
        hourly_mark=grid("mark_price")[full],
        hourly_premium=premium[full],
        hourly_sample=sample[full],
        sample=sample,
        daily_liquidated=_daily_share(ends, grid("liquidated_usd"), grid("open_interest_usd")),
        settlement_hours=tuple(hours[rows] for rows in of_market),
        funding_rate=tuple(
            np.asarray(funding["funding_rate"], np.float64)[rows] for rows in of_market
        ),
        interest_rate=tuple(
            np.asarray(funding["interest_rate"], np.float64)[rows] for rows in of_market
        ),
        reproduction_on_paper=np.asarray(reproduction, np.float64).reshape(-1, 2),
    )


def _full_hours(ends: Floats) -> Any:
    """Return the rows that end at a full hour, all of them in order.

    Raises
    ------
    AnalysisError
        If an hour has no such row, or there are too few hours.
    """
    rounded = np.rint(ends)
    rows = np.flatnonzero(np.abs(ends - rounded) < 1e-6)
    last = np.floor(ends[-1] + 1e-6) if len(ends) else 0
    if last < MIN_HOURS:
        raise AnalysisError(f"{last:.0f} full hours are too few to measure, {MIN_HOURS} needed")
    if not np.array_equal(rounded[rows], np.arange(1, last + 1)):
        raise AnalysisError(
            "the rows of the series do not end at every full hour: record.series_minutes "
            "(and step_minutes) must divide 60"
        )
    return rows


def _daily_share(ends: Floats, liquidated: Floats, open_interest: Floats) -> Floats:
    """Liquidated over mean open interest in each full day, NaN without open interest."""
    day = np.ceil(ends / 24.0 - 1e-9).astype(np.int64) - 1
    num_days = int(np.floor(ends[-1] / 24.0 + 1e-9))
    share = np.full((num_days, liquidated.shape[1]), np.nan)
    for d in range(num_days):
        rows = day == d
        held = open_interest[rows].mean(axis=0)
        np.divide(liquidated[rows].sum(axis=0), held, out=share[d], where=held > 0.0)
    return share

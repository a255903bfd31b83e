"""Could this market be? What a run must not do, whatever it is made to show.

Limits hold outside scheduled shocks; a scenario that leaves one says why at the top of its file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.results.risk import equity_without_payments
from marketsim.results.summary import run_figures
from marketsim.scenario.schema import Scenario
from marketsim.study.seeds import over_seeds, run_to_end
from marketsim.tape.moments import finite
from marketsim.tape.result import Floats, RunResult

if TYPE_CHECKING:
    from marketsim.run.progress import Progress

#: Minutes after a shock in which what populations earn still belongs to it.
AFTERMATH = 1440.0
HOURS_PER_WEEK = 168.0
WEEKS_PER_YEAR = 365.25 / 7.0
#: Runs of fewer days are too short for their thirds to be compared.
LEAST_DAYS_OF_TRENDS = 6.0
#: Runs of fewer days say little of a year.
LEAST_DAYS_OF_YEARS = 60.0
#: Strategies that live from others' trades: what they earn is known of real ones.
SUPPLIERS = ("maker", "basis", "carry")


@dataclass(frozen=True)
class Limit:
    """Where a figure may lie; None: it is shown, and not judged."""

    title: str
    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        """Tell whether a value lies within."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= value <= high


#: What is looked at. Depth: what rests on large venues, several times the .003 of Hyperliquid's
#: 20 recorded levels, and published figures of .01-.02 on others. A year: the carry of bitcoin and
#: ether averages 10 % and has reached 60 % (Schmeling, Schrimpf and Todorov, "Crypto carry", BIS
#: Working Papers 1087, 2023), and Hyperliquid's vault of makers made some 40 to 60 % a year from
#: 2023 to 2026. The other limits are choices: a market beyond them is one that nobody would
#: recognise.
LIMITS = {
    "depth_share": Limit("USD within 50 bp of the mid / open interest", 0.005, 0.05),
    "turnover_day": Limit("volume a day / open interest", 1.0, 20.0),
    "funding_at_cap_share": Limit("settlements at the cap", 0.0, 0.1),
    "return_week": Limit("return of a population a week", -0.3, 0.3),
    "return_year": Limit("return of makers, basis, carry a year", -0.1, 0.6),
    "insurance_fund_min_usd": Limit("lowest equity of the fund, USD", 0.0),
    "leverage": Limit("leverage of the crowd"),
    "ruined_share": Limit("traders ruined"),
    "open_interest_trend": Limit("open interest, last third / first", 0.8, 1.25),
    "volume_trend": Limit("volume, last third / first", 0.8, 1.25),
    "leverage_trend": Limit("leverage, last third / first", 0.8, 1.25),
    "liquidated_trend": Limit("liquidated, last third / first", 0.5, 2.0),
}


@dataclass(frozen=True)
class Plausible:
    """A figure of all seeds beside its limit."""

    name: str
    limit: Limit
    values: tuple[float, ...]  #: of every seed, and market or population
    labels: tuple[str, ...]  #: the market or population of each; "" for the whole venue

    @property
    def inside(self) -> float | None:
        """Share of the values within the limit; None if it has none, or nothing was measured."""
        if not self.values or (self.limit.low is None and self.limit.high is None):
            return None
        return float(np.mean([self.limit.holds(value) for value in self.values]))

    @property
    def worst(self) -> str:
        """What leaves its limit most often, "" if all hold."""
        pairs = zip(self.values, self.labels, strict=True)
        outside = [label for value, label in pairs if not self.limit.holds(value)]
        return max(sorted(set(outside)), key=outside.count, default="")

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, for JSON."""
        known = self.values or (math.nan,)
        return {
            "name": self.name,
            "low": self.limit.low,
            "high": self.limit.high,
            "min": finite(min(known)),
            "median": finite(float(np.median(known))),
            "max": finite(max(known)),
            "inside": self.inside,
            "worst": self.worst,
        }


def measure_plausibility(
    scenario: Scenario,
    seeds: Sequence[int],
    workers: int = 1,
    progress: "Progress | None" = None,
) -> tuple[Plausible, ...]:
    """Run a scenario with several seeds and hold each run against the limits.

    Parameters
    ----------
    scenario : Scenario
    seeds : sequence of int
    workers : int, optional
        Processes.
    progress : callable, optional
        Called after every run with how many are done and how many there are.

    Returns
    -------
    tuple of Plausible
        One for each of `LIMITS`.
    """
    runs = over_seeds(partial(_measure_run, scenario), seeds, workers, progress)
    found = []
    for name, limit in LIMITS.items():
        pairs = [(label, value) for run in runs for label, value in run[name].items()]
        known = [(label, float(value)) for label, value in pairs if value is not None]
        known = [(label, value) for label, value in known if math.isfinite(value)]
        labels, values = tuple(pair[0] for pair in known), tuple(pair[1] for pair in known)
        found.append(Plausible(name, limit, values, labels))
    return tuple(found)


def _measure_run(scenario: Scenario, seed: int) -> dict[str, Mapping[str, float | None]]:
    """Return the figures of a run by name and by market or population."""
    result = run_to_end(scenario, seed)
    figures = run_figures(result)
    markets, populations = figures["markets"], figures["populations"]
    by_market = ("depth_share", "turnover_day", "funding_at_cap_share", "leverage")
    found: dict[str, Mapping[str, float | None]] = {
        name: {market: each.get(name) for market, each in markets.items()} for name in by_market
    }
    found["return_week"] = weekly = weekly_returns(result, scenario)
    found["return_year"] = _yearly_returns(weekly, scenario, result.num_steps)
    found["insurance_fund_min_usd"] = {"": figures["insurance_fund_min_usd"]}
    found["ruined_share"] = {name: populations[name]["ruined_share"] for name in populations}
    return found | _trends(result)


def weekly_returns(result: RunResult, scenario: Scenario) -> dict[str, float | None]:
    """Return what each population earned a week outside scheduled shocks and the day after them.

    Parameters
    ----------
    result : RunResult
    scenario : Scenario
        Whose run it is.

    Returns
    -------
    dict
        By population; -1 where all was lost, None without a moment that counts.
    """
    steps = result.wealth["step"][:, 0]
    counts = np.ones(len(steps) - 1, bool)
    for shock in scenario.shocks:
        first = shock.first_step(scenario.step_minutes)
        last = first + (shock.duration + AFTERMATH) / scenario.step_minutes
        counts &= (steps[1:] <= first) | (steps[:-1] >= last)
    hours = float(np.diff(steps)[counts].sum()) * scenario.step_minutes / 60.0
    found: dict[str, float | None] = {}
    for g, name in enumerate(result.population_names):
        equity = equity_without_payments(result, g)
        if hours == 0.0:
            found[name] = None
            continue
        growth = equity[1:][counts] / np.where(equity[:-1] > 0, equity[:-1], np.nan)[counts]
        if not (growth > 0).all():
            found[name] = -1.0
            continue
        found[name] = float(np.exp(np.log(growth).sum() * HOURS_PER_WEEK / hours) - 1.0)
    return found


def _yearly_returns(
    weekly: Mapping[str, float | None], scenario: Scenario, num_steps: int
) -> dict[str, float | None]:
    """Return what a year of such weeks brings those who live from others' trades."""
    if num_steps * scenario.step_minutes < 1440.0 * LEAST_DAYS_OF_YEARS:
        return {}
    return {
        name: None if week is None else (1.0 + week) ** WEEKS_PER_YEAR - 1.0
        for name, week in weekly.items()
        if scenario.populations[name].strategy in SUPPLIERS
    }


def _trends(result: RunResult) -> dict[str, Mapping[str, float | None]]:
    """Compare the last third of a run with its first, all markets together."""
    series = result.series
    value = series["open_interest"] * series["mark_ticks"] * result.tick_atoms
    traded = series["volume"] * series["mark_ticks"] * result.tick_atoms
    days = result.num_steps * result.step_minutes / 1440.0
    is_long = days >= LEAST_DAYS_OF_TRENDS
    columns = {
        "open_interest_trend": value,
        "volume_trend": traded,
        "leverage_trend": series["leverage"],
        "liquidated_trend": series["liquidated_atoms"],
    }
    return {
        name: {"": _last_over_first(column.astype(np.float64)) if is_long else None}
        for name, column in columns.items()
    }


def _last_over_first(rows: Floats) -> float | None:
    third = len(rows) // 3
    first, last = np.nansum(rows[:third]), np.nansum(rows[-third:])
    return float(last / first) if first > 0 else None

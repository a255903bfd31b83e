"""Is it like a real market? One run held against bands, or many against windows of real markets."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketsim.model.opening import open_simulation
from marketsim.results.run import Run, load_run
from marketsim.run.cores import count_workers
from marketsim.run.progress import Progress
from marketsim.scenario.coercion import at_home, seed_of_run, whole_number
from marketsim.scenario.loader import days_override, list_scenarios, load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.study.bands import BandError, load_bands, shipped_bands
from marketsim.study.observed import Observed, observe_result, observe_run
from marketsim.study.plausibility import Plausible, measure_plausibility
from marketsim.study.seeds import measure_seeds
from marketsim.study.statistics import MIN_RUNS
from marketsim.study.validation import Check, check_bands, validation_record
from marketsim.study.verdict import Verdict, judge, verdict_record

if TYPE_CHECKING:
    import pandas as pd

#: Length of a run that is given none: what the bands were set for.
DEFAULT_DAYS = 90.0
#: More seeds than this are a slip of the hand.
MOST_SEEDS = 10_000


@dataclass(frozen=True, eq=False)
class RunValidation:
    """A run beside its bands."""

    observed: Observed
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every band holds."""
        return all(check.passed is not False for check in self.checks)

    @property
    def table(self) -> "pd.DataFrame":
        """One row per figure: what the run has, by market too, its band and the verdict."""
        import pandas as pd

        rows = []
        for check in self.checks:
            facts = check.as_dict()
            by_market = {name: facts["markets"].get(name) for name in self.observed.market_names}
            names = ("name", "title", "value", "low", "high", "passed")
            rows.append({name: facts[name] for name in names} | by_market)
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, for JSON."""
        return validation_record(self.observed, self.checks)


@dataclass(frozen=True, eq=False)
class SeedsValidation:
    """Runs of many seeds beside windows of real markets."""

    scenario: str
    days: float
    seeds: tuple[int, ...]
    spot_only: bool
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether what is put in and what emerges both reach their goals."""
        return all(role.passed for role in self.verdict.roles)

    @property
    def table(self) -> "pd.DataFrame":
        """One row per statistic: its role, shares of runs within real quantiles, and the miss."""
        import pandas as pd

        return pd.DataFrame(
            {
                "name": score.band.name,
                "role": score.band.role,
                "counts": score.band.is_strong,
                "inside": score.inside,
                "within": score.within,
                "median": score.ours[1],
                "real_p10": score.band.p10,
                "real_median": score.band.median,
                "real_p90": score.band.p90,
                "miss": score.miss,
            }
            for score in self.verdict.scores
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, for JSON."""
        head = {"scenario": self.scenario, "days": self.days, "seeds": list(self.seeds)}
        return {**head, "spot_only": self.spot_only, **verdict_record(self.verdict)}


@dataclass(frozen=True, eq=False)
class PlausibleRuns:
    """Runs of many seeds beside the limits of a plausible market."""

    scenario: str
    days: float
    seeds: tuple[int, ...]
    figures: tuple[Plausible, ...]

    @property
    def passed(self) -> bool:
        """Whether every figure is within its limit for at least half of what was measured."""
        return all(each.inside is None or each.inside >= 0.5 for each in self.figures)

    @property
    def table(self) -> "pd.DataFrame":
        """One row per figure: its limits, what was measured, and the share within."""
        import pandas as pd

        return pd.DataFrame(each.as_dict() for each in self.figures)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, for JSON."""
        head = {"scenario": self.scenario, "days": self.days, "seeds": list(self.seeds)}
        figures = [each.as_dict() for each in self.figures]
        return {**head, "passed": self.passed, "figures": figures}


def validate(
    target: Run | Scenario | str | Path = "calm",
    *,
    days: float | None = None,
    seed: int | None = None,
    targets: str | Path | None = None,
    seeds: int | Sequence[int] | None = None,
    spot_only: bool = False,
    plausibility: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> RunValidation | SeedsValidation | PlausibleRuns:
    """Hold runs against real markets; the same as ``marketsim validate``.

    Parameters
    ----------
    target : Run, Scenario, str or Path, optional
        A run or its folder; or a scenario, the name of a shipped one or a TOML file, which is
        simulated.
    days : float, optional
        How many days to simulate: 90, unless a `Scenario` is given, which has its own.
    seed : int, optional
        Of all random draws, or the first of several; by default the scenario's.
    targets : str or Path, optional
        JSON file of real statistics, shown beside those of one run; with `seeds` instead of the
        bands that are shipped.
    seeds : int or sequence of int, optional
        Many runs: how many, or their seeds. Left out, it is one run.
    spot_only : bool, optional
        With `seeds`: the spot process alone, without its traders.
    plausibility : bool, optional
        With `seeds`: hold runs against the limits of a plausible market instead; `days` is then by
        default the scenario's own.
    workers : int, optional
        Processes for `seeds`; by default one for every core.
    progress : callable, optional
        Called with (done, asked): of steps, or with `seeds` of runs.

    Returns
    -------
    RunValidation, SeedsValidation or PlausibleRuns
        All have ``passed``, ``table`` (pandas) and ``to_dict``.

    Raises
    ------
    ScenarioError
        If the scenario is wrong.
    RunFolderError
        If the run folder is damaged.
    BandError
        If the file of real statistics cannot be used.
    AnalysisError, WindowError
        If the runs are too short, or their rows too far apart.
    TypeError, ValueError
        If a seed is no whole number from 0 to 2**63 - 1 or the days are no number; if days or a
        seed are given with a run, or the seeds are fewer than two or repeated.
    ArithmeticError
        If the books of a run do not balance.

    Examples
    --------
    >>> from marketsim import validate
    >>> found = validate("quickstart", days=1.0)
    >>> row = found.table.set_index("name").loc["funding_at_interest"]
    >>> float(row["low"]), float(row["high"])
    (0.25, 0.65)
    """
    if isinstance(target, str | Path) and _is_folder(target):
        _check_finished(days, seed, seeds)
        target = load_run(target)
    if isinstance(target, Run):
        _check_finished(days, seed, seeds)
        return _hold(observe_run(target), _read_quantiles(targets))
    if not isinstance(target, Scenario):
        length = days if plausibility or days is not None else DEFAULT_DAYS
        target = load_scenario(target, days_override(length))
    elif days is not None:
        raise ValueError("days: give them with a scenario's name or file")
    seed = target.seed if seed is None else seed_of_run("seed", seed)
    if plausibility:
        chosen = _chosen(() if seeds is None else seeds, seed)
        figures = measure_plausibility(target, chosen, count_workers(workers), progress)
        days = target.num_steps * target.step_minutes / 1440.0
        return PlausibleRuns(target.name, days, chosen, figures)
    if seeds is not None:
        return _judge(target, _chosen(seeds, seed), targets, spot_only, workers, progress)
    bands = _read_quantiles(targets)
    simulation = open_simulation(target, seed, progress=progress)
    simulation.run(simulation.num_steps, progress)
    return _hold(observe_result(simulation.result()), bands)


def _is_folder(target: str | Path) -> bool:
    """Tell whether a run's folder is meant: a shipped scenario's name only if it holds a run."""
    folder = at_home(target)
    is_shipped = str(target) in {name for name, _ in list_scenarios()}
    return (folder / "run.json").is_file() or (folder.is_dir() and not is_shipped)


def _check_finished(*changes: object) -> None:
    if any(change is not None for change in changes):
        raise ValueError("days, seed and seeds are for a scenario; a run folder has its own")


def _hold(observed: Observed, bands: Mapping[str, Any]) -> RunValidation:
    if observed.conservation_error:
        raise ArithmeticError(f"the books are off by {observed.conservation_error} atoms")
    return RunValidation(observed, tuple(check_bands(observed, bands)))


def _judge(
    scenario: Scenario,
    seeds: tuple[int, ...],
    targets: str | Path | None,
    spot_only: bool,
    workers: int | None,
    progress: Progress | None,
) -> SeedsValidation:
    bands = shipped_bands() if targets is None else load_bands(targets)
    found = measure_seeds(
        scenario,
        seeds,
        spot_only=spot_only,
        workers=count_workers(workers),
        progress=progress,
    )
    days = scenario.num_steps * scenario.step_minutes / 1440.0
    return SeedsValidation(scenario.name, days, seeds, spot_only, judge(found, bands))


def _chosen(seeds: int | Sequence[int], first: int) -> tuple[int, ...]:
    if isinstance(seeds, Iterable) and not isinstance(seeds, str):
        chosen = tuple(seed_of_run("seeds", each) for each in seeds)
    else:
        chosen = tuple(range(first, first + whole_number("seeds", seeds)))
        seed_of_run("seed + seeds - 1", chosen[-1] if chosen else first)
    if not MIN_RUNS <= len(chosen) <= MOST_SEEDS:
        raise ValueError(
            f"seeds: {len(chosen)} seeds; an interval needs {MIN_RUNS}, and at most {MOST_SEEDS}"
        )
    if len(set(chosen)) < len(chosen):
        raise ValueError("seeds: some overlap, and a seed counts once")
    return chosen


def _read_quantiles(file: str | Path | None) -> Mapping[str, Any]:
    """Read the quantiles of real statistics by key; refuse a file that holds none."""
    if file is None:
        return {}
    try:
        content = json.loads(at_home(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BandError(f"{file}: cannot be read as JSON: {error}") from None
    bands = content.get("bands") if isinstance(content, dict) else None
    if not isinstance(bands, dict) or not all(_has_quantiles(band) for band in bands.values()):
        raise BandError(f"{file}: no table `bands` with p10, median and p90 of each statistic")
    return bands


def _has_quantiles(band: Any) -> bool:
    quantiles = ("p10", "median", "p90")
    return isinstance(band, dict) and all(isinstance(band.get(q), int | float) for q in quantiles)

"""Runs of many seeds held against windows of real markets as long as they are.

Every seed and market counts once within its statistic, and every statistic once; what is put into
a run (the spot process) and what emerges in it are judged apart, by shares with an interval over
the seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.study.bands import EDGES, ROLES, Band, Bands
from marketsim.study.statistics import Interval, bootstrap_groups, bootstrap_mean
from marketsim.tape.moments import finite, present
from marketsim.tape.result import Floats

#: Shares aimed at, by role: inside [p10, p90], and inside [min, max], of real windows.
GOALS = {"input": (0.70, 0.90), "emergent": (0.74, 0.94)}
#: Least spread of what emerges: runs that all hit the middle would be no markets either.
SPREAD_GOAL = {"input": None, "emergent": 0.8}


@dataclass(frozen=True)
class Score:
    """A statistic of all seeds and markets beside its band."""

    band: Band
    inside: float  #: share in [p10, p90]
    within: float  #: share in [min, max]
    ours: tuple[float, float, float]  #: 10 %, 50 % and 90 % quantiles; NaN where there is none
    miss: float  #: of the median, off [p10, p90] in widths of it; below 0: too low


@dataclass(frozen=True)
class RoleVerdict:
    """How the strong statistics of a role do together."""

    role: str
    num_statistics: int
    inside: Interval
    within: Interval
    goal: tuple[float, float]
    ceiling: tuple[float, float] | None  #: of real windows against the others
    #: between the 10 % and 90 % quantiles of runs over that of real windows, median of statistics
    spread: Interval
    spread_goal: float | None

    @property
    def passed(self) -> bool | None:
        """Whether shares and spread reach their goals; None: their intervals do not say."""
        pairs = list(zip((self.inside, self.within), self.goal, strict=True))
        if self.spread_goal is not None:
            pairs.append((self.spread, self.spread_goal))
        if all(share.low >= goal for share, goal in pairs):
            return True
        return False if any(share.high < goal for share, goal in pairs) else None


@dataclass(frozen=True)
class Verdict:
    """Runs of a scenario beside real markets."""

    scores: tuple[Score, ...]
    roles: tuple[RoleVerdict, ...]


def judge(found: Sequence[Mapping[str, Sequence[float]]], bands: Bands) -> Verdict:
    """Hold runs against bands.

    Parameters
    ----------
    found : sequence of mapping
        Of each seed: the values of every statistic, as `input_statistics` and
        `emergent_statistics` give them; one that is NaN lies in no band.
    bands : Bands
        Those of statistics that no run has are left out.

    Returns
    -------
    Verdict
    """
    known = [band for band in bands.of.values() if all(band.name in run for run in found)]
    scores = tuple(_score(band, [run[band.name] for run in found]) for band in known)
    roles = []
    for role in ROLES:
        strong = [band for band in known if band.role == role and band.is_strong]
        if strong:
            inside, within = (
                bootstrap_mean([_share_of(run, strong, edges) for run in found])
                for edges in (("p10", "p90"), ("min", "max"))
            )
            ceiling = bands.ceilings.get(role)
            spread = _spread(found, strong)
            goals = (GOALS[role], ceiling, spread, SPREAD_GOAL[role])
            roles.append(RoleVerdict(role, len(strong), inside, within, *goals))
    return Verdict(scores, tuple(roles))


def _spread(found: Sequence[Mapping[str, Sequence[float]]], strong: Sequence[Band]) -> Interval:
    """Compare how far runs lie apart with how far real windows do, statistic by statistic."""
    by_length: dict[int, list[Band]] = {}
    for band in strong:
        if band.p90 > band.p10:
            by_length.setdefault(len(found[0][band.name]), []).append(band)
    tables = [
        np.array([[run[band.name] for run in found] for band in alike])
        for alike in by_length.values()
    ]
    widths = np.array([band.p90 - band.p10 for alike in by_length.values() for band in alike])

    def ratio(rows: NDArray[np.int64]) -> float:
        picked = [table[:, rows].reshape(len(table), -1) for table in tables]
        ranges = present(np.concatenate([_range(values) for values in picked]) / widths)
        return float(np.median(ranges)) if len(ranges) else math.nan

    if not tables:
        return Interval(math.nan, math.nan, math.nan)
    return bootstrap_groups(range(len(found)), ratio)


def _range(table: Floats) -> Floats:
    """Return the distance of the 10 % and 90 % quantiles of every row; NaN of those without any."""
    if np.isnan(table).any():
        known = [row[~np.isnan(row)] for row in table]
        return np.array([_range(row[None])[0] if len(row) else math.nan for row in known])
    low, high = np.quantile(table, [0.1, 0.9], axis=1)
    return np.asarray(high - low)


def _share_of(
    run: Mapping[str, Sequence[float]], strong: Sequence[Band], edges: tuple[str, str]
) -> float:
    return float(np.mean([_share(band, run[band.name], edges) for band in strong]))


def _share(band: Band, values: Sequence[float], edges: tuple[str, str]) -> float:
    low, high = (getattr(band, edge) for edge in edges)
    return float(np.mean([low <= value <= high for value in values]))


def _score(band: Band, runs: Sequence[Sequence[float]]) -> Score:
    values = np.concatenate([np.asarray(run, np.float64) for run in runs])
    known = values[~np.isnan(values)]
    ours = np.quantile(known, [0.1, 0.5, 0.9]) if len(known) else np.full(3, np.nan)
    nearest = min(max(ours[1], band.p10), band.p90)
    width = band.p90 - band.p10
    off = float(ours[1] - nearest)
    return Score(
        band,
        inside=_share(band, values.tolist(), ("p10", "p90")),
        within=_share(band, values.tolist(), ("min", "max")),
        ours=(float(ours[0]), float(ours[1]), float(ours[2])),
        miss=off / width if width > 0.0 else math.copysign(math.inf, off) if off else 0.0,
    )


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain numbers that JSON can hold; what does not exist is None."""
    return {
        "roles": {
            each.role: {
                "statistics": each.num_statistics,
                **{
                    name: {
                        **_record(share),
                        "goal": goal,
                        "real": real,
                    }
                    for name, share, goal, real in zip(
                        ("inside", "within"),
                        (each.inside, each.within),
                        each.goal,
                        each.ceiling or (None, None),
                        strict=True,
                    )
                },
                "spread": {**_record(each.spread), "goal": each.spread_goal},
                "passed": each.passed,
            }
            for each in verdict.roles
        },
        "statistics": [
            {
                "name": score.band.name,
                "role": score.band.role,
                "counts": score.band.is_strong,
                "inside": score.inside,
                "within": score.within,
                "ours": [finite(value) for value in score.ours],
                "real": [getattr(score.band, edge) for edge in EDGES],
                "miss": finite(score.miss),
            }
            for score in verdict.scores
        ],
    }


def _record(interval: Interval) -> dict[str, float | None]:
    return {name: finite(value) for name, value in interval._asdict().items()}

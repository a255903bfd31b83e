"""What is measured of each run: its large cascades, and the hours around them."""

from typing import TYPE_CHECKING

import numpy as np

from marketsim.study.event_courses import SERIES, course_around, hours_held

if TYPE_CHECKING:
    import pandas as pd

    from marketsim.results.large_cascades import LargeCascade
    from marketsim.results.run import Run

#: Hours before and after the start of a cascade.
SPAN = 48
#: Hours whose means are kept, by the end of each: closer together near the start.
HOURS = (
    *range(-168, -48, 12),
    *range(-48, -12, 6),
    *(-12, -9, *range(-6, 7), 9, 12),
    *range(18, 49, 6),
)
#: Hours before a cascade in which it is looked since when a state has lasted.
LONGEST = 14 * 24
#: What is put in parts of its mean from two days to one day before.
RELATIVE = ("open_interest", "depth")
#: Days before a cascade that are compared: the last, that before it, and that of a week before.
BEFORE, EARLIER, WEEK = (-24, 0), (-48, -24), (-168, -144)
#: Least share of open interest within two hours of a cascade that is looked at for its reach.
SMALL = 0.01
#: A cascade of four generations in two markets that is this large is an event.
SHARE, MARKETS, GENERATIONS = 0.05, 2, 4


def measure(run: "Run") -> dict[str, float]:
    """Measure a run.

    `large.number` counts its large cascades, `large.long_share` tells how many of them sold longs;
    `any.largest` is the largest share of open interest that any cascade took within two hours,
    `any.markets` and `any.generations` the mean reach of those of a hundredth and more.
    `around.NAME.HOUR` is the mean course around its large cascades; `change.NAME.week` by how much
    its mean over the day before is above that over the day a week before, `change.NAME.before`
    above that over the day before that, `change.NAME.after` that over the day after above that over
    the day before; `held.NAME` for how many hours a state had lasted when they began,
    `held.NAME_share` in how many of them it was there at all. `after.flipped_share` tells in how
    many that side was paid in an hour of the day after, `fund.drawn` which share of what the
    insurance fund began with it had lost at its lowest.
    """
    every = run.large_cascades(share=0.0, markets=1, generations=1)
    large = [each for each in every if _is_large(each)]
    small = [each for each in every if each.share >= SMALL]
    return {
        "large.number": float(len(large)),
        "large.long_share": _mean([each.side == "long" for each in large]),
        "any.largest": max((each.share for each in every), default=0.0),
        "any.markets": _mean([len(each.markets) for each in small]),
        "any.generations": _mean([each.generations for each in small]),
        "fund.drawn": _drawn(run.steps["insurance_fund_usd"]),
        **_courses(run, large),
    }


def _is_large(each: "LargeCascade") -> bool:
    is_far = len(each.markets) >= MARKETS and each.generations >= GENERATIONS
    return each.share >= SHARE and is_far


def _courses(run: "Run", large: "list[LargeCascade]") -> dict[str, float]:
    """Average over the large cascades of a run."""
    courses = [course_around(run, each, LONGEST, SPAN) for each in large]
    found = {}
    for name in SERIES:
        table = np.array([each[name] for each in courses]).reshape(len(large), LONGEST + SPAN)
        if name in RELATIVE:
            table = table / np.nanmean(_hours(table, *EARLIER), axis=1, keepdims=True)
        for hour in HOURS:
            found[f"around.{name}.{hour}"] = _mean(table[:, LONGEST + hour - 1])
        week, earlier, before, after = (
            _hours(table, *ends).mean(axis=1) for ends in (WEEK, EARLIER, BEFORE, (0, 24))
        )
        found[f"change.{name}.week"] = _mean(before - week)
        found[f"change.{name}.before"] = _mean(before - earlier)
        found[f"change.{name}.after"] = _mean(after - before)
    lowest = [each["funding_rate"][LONGEST : LONGEST + 24].min() for each in courses]
    found["after.flipped_share"] = _mean([rate < 0.0 for rate in lowest])
    states = [_states(run, *each) for each in zip(large, courses, strict=True)]
    for name in ("herd_index", "premium", "off_pin"):
        held = [hours_held(each[name][:LONGEST]) for each in states]
        found[f"held.{name}"] = _mean(held)
        found[f"held.{name}_share"] = _mean([hours > 0.0 for hours in held])
    return found


def _drawn(fund: "pd.Series[float]") -> float:
    return float(1.0 - fund.min() / fund.iloc[0]) if len(fund) else float("nan")


def _states(
    run: "Run", event: "LargeCascade", course: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return what a crowd has that is about to be liquidated, by the hour.

    That is a side, a dear perp, and funding to pay beyond the interest rate at which it is pinned.
    """
    pin = 1e4 * float(run.funding["interest_rate"].iloc[0])
    sign = 1.0 if event.side == "long" else -1.0
    off_pin = course["funding_rate"] - sign * pin
    return {"herd_index": course["herd_index"], "premium": course["premium"], "off_pin": off_pin}


def _hours(table: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return the hours from `first` to `last` after the start."""
    return table[:, LONGEST + first : LONGEST + last]


def _mean(values: object) -> float:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")

"""What is measured of each run: how far a fall goes, who is sold, and how long funding is dear."""

import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from marketsim.results.run import Run

#: Hours after a shock begins in which it is followed.
FOLLOWED = 6
#: Minutes in which most of what is sold by force on 10 October was sold.
EARLY_MINUTES = 40
#: Hours of funding at its cap that are an episode.
EPISODE_HOURS = 24.0
#: Hours up to the first settlement on the other side of the pin: liquidations of the flip.
FLIP_HOURS = 24.0
#: Hours by which the days are earlier that those of flips are held against.
EARLIER = 168.0
#: Of a rate at its cap, relative.
ROUNDING = 1e-9


def measure(run: "Run") -> dict[str, float]:
    """Measure a run.

    `cap.*` is about settlements at the funding cap: their share, before the first shock and in all,
    how long the longest row of them lasts in days, how many rows last a day and longer, and what is
    liquidated in the day up to a flip after such a row, over that market's mean day. A flip is the
    first settlement at a rate on the other side of the interest rate; it comes `flip_days` after
    the row (median). `flip_before` is of the same day a week earlier.
    `forced_weight` is the share of forced orders among the causes of all liquidations.
    `beyond.least` and `beyond.most` say how far the marks of the markets without news are below
    their index at the trough, per cent. `week.*` are the worst and the best weekly return of a
    population, per cent. `crash.*` and `premium.*` follow what a shock sets off.
    """
    scenario = tomllib.loads(run.scenario_text)
    shocks = scenario.get("shocks", [])
    crashes = [shock for shock in shocks if shock["kind"] == "crash"]
    start = float(crashes[0]["at"]) if crashes else np.nan
    return {
        **_cap(run, scenario["venue"]["funding"], start),
        "forced_weight": _forced_weight(run),
        **_beyond(run, {name for shock in crashes for name in shock["markets"]}, start),
        **_weeks(run),
        **_sold(run, start),
        **_premium(run, start),
    }


def _cap(run: "Run", rules: dict[str, Any], start: float) -> dict[str, float]:
    """Follow the settlements at the cap, market by market."""
    paid, cap, pin = run.funding, float(rules["cap"]), float(rules["interest_rate"])
    capped = paid["funding_rate"].abs() >= cap * (1.0 - ROUNDING)
    longest, episodes, flipped, before, waited = 0.0, 0, [], [], []
    for name, rows in paid.groupby("market", observed=True):
        hours, rates = rows["hours"].to_numpy(), rows["funding_rate"].to_numpy()
        flips = set()
        for first, last in _rows(capped[rows.index].to_numpy()):
            lasted = hours[last] - hours[first] + hours[1] - hours[0]
            longest = max(longest, lasted)
            if lasted >= EPISODE_HOURS:
                episodes += 1
                beyond = np.sign(rates[last]) * (rates[last:] - pin) < -ROUNDING * cap
                for n in np.flatnonzero(beyond)[:1]:
                    flips.add(float(hours[last + n]))
                    waited.append(float(hours[last + n] - hours[last]))
        flipped += [_flip(run, name, hour) for hour in sorted(flips)]
        before += [_flip(run, name, hour - EARLIER) for hour in sorted(flips) if hour > EARLIER]
    return {
        "cap.share": _mean(capped),
        "cap.before": _mean(capped[paid["hours"] <= start]),
        "cap.longest_days": longest / 24.0,
        "cap.episodes": float(episodes),
        "cap.flip": _mean(flipped),
        "cap.flip_before": _mean(before),
        "cap.flip_days": float(np.median(waited)) / 24.0 if waited else np.nan,
    }


def _flip(run: "Run", name: Any, hour: float) -> float:
    """Return what is liquidated in a market in the day up to a flip, over its mean day."""
    rows = run.markets[run.markets["market"] == name]
    inside = (rows["hours"] > hour - FLIP_HOURS) & (rows["hours"] <= hour)
    daily = rows["liquidated_usd"].sum() * FLIP_HOURS / rows["hours"].max()
    return float(rows.loc[inside, "liquidated_usd"].sum() / daily) if daily else np.nan


def _rows(held: Any) -> list[tuple[int, int]]:
    """Return the first and the last place of each row of places that hold."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(np.int8), [0]])))
    return [
        (int(first), int(stop) - 1) for first, stop in zip(edges[::2], edges[1::2], strict=True)
    ]


def _forced_weight(run: "Run") -> float:
    causes = run.causes
    total = float(causes["weight"].sum())
    return (
        float(causes.loc[causes["kind"] == "forced", "weight"].sum()) / total if total else np.nan
    )


def _beyond(run: "Run", struck: set[str], start: float) -> dict[str, float]:
    """Return how far marks are below their index at the trough, where no news fell."""
    gaps = []
    for name, rows in run.markets[run.markets["hours"] >= start].groupby("market", observed=True):
        if name not in struck and len(rows):
            trough = rows.loc[rows["mark_price"].idxmin()]
            gaps.append(100.0 * (1.0 - trough["mark_price"] / trough["index_price"]))
    return {
        "beyond.least": min(gaps, default=np.nan),
        "beyond.most": max(gaps, default=np.nan),
    }


def _weeks(run: "Run") -> dict[str, float]:
    """Return the worst and the best weekly return of a population, per cent."""
    figures = run.summary["populations"]
    weeks = run.summary["steps"] * run.summary["step_minutes"] / (7.0 * 1440.0)
    weekly = [
        100.0 * each["total_return"] / weeks
        for each in figures.values()
        if weeks and each.get("total_return") is not None
    ]
    return {
        "week.worst": min(weekly, default=np.nan),
        "week.best": max(weekly, default=np.nan),
    }


def _sold(run: "Run", start: float) -> dict[str, float]:
    """Return what was sold by force after a shock, by side and time, and who was deleveraged."""
    rows, took = run.liquidations, run.deleveragings
    rows, took = (each[_within(each, start, start + FOLLOWED)] for each in (rows, took))
    closed = rows["mark_price"] * (rows["size_before"] - rows["size_after"]).abs()
    total = float(closed.sum())
    early = rows["hours"] <= start + EARLY_MINUTES / 60.0
    return {
        "crash.open_interest_drop": _drop(run, start),
        "crash.long_share": float(closed[rows["side"] == "long"].sum()) / total
        if total
        else np.nan,
        "crash.adl_share": float(took["cash_usd"].abs().sum()) / total if total else np.nan,
        "crash.early_share": float(closed[early].sum()) / total if total else np.nan,
        "crash.adl_delay_min": 60.0 * (_first(took) - _first(rows)),
    }


def _drop(run: "Run", start: float) -> float:
    """Return how much of the open interest is gone after a shock, at the prices before it."""
    before, after = (_at(run, hours) for hours in (start, start + FOLLOWED))
    if before is None or after is None:
        return np.nan
    gone = (before["open_interest"] - after["open_interest"]) * before["mark_price"]
    return float(gone.sum() / before["open_interest_usd"].sum())


def _premium(run: "Run", start: float) -> dict[str, float]:
    """Return the lowest and highest hourly mean of the first market's premium after a shock, bp.

    And in how many hours the one furthest from zero has halved, between hourly means.
    """
    rows = run.markets
    rows = rows[(rows["market"] == run.market_names[0]) & (rows["hours"] > start)]
    if rows.empty:
        return dict.fromkeys(("premium.lowest", "premium.highest", "premium.half_life_h"), np.nan)
    hour = np.ceil(rows["hours"] - start - 1e-6).astype("int64")
    means = 1e4 * rows["premium"].groupby(hour).mean().to_numpy()
    first = means[:FOLLOWED]
    worst = int(np.abs(first).argmax())
    left = means[worst:] / means[worst]
    halved = np.flatnonzero(left <= 0.5)
    back = np.nan
    if halved.size:
        n = int(halved[0])
        back = n - 1 + (left[n - 1] - 0.5) / (left[n - 1] - left[n])
    return {
        "premium.lowest": float(first.min()),
        "premium.highest": float(first.max()),
        "premium.half_life_h": float(back),
    }


def _at(run: "Run", hours: float) -> "pd.DataFrame | None":
    """Return the rows of all markets at a time."""
    rows = run.markets[(run.markets["hours"] - hours).abs() < 1e-6]
    return rows.set_index("market") if len(rows) else None


def _within(rows: "pd.DataFrame", first: float, last: float) -> Any:
    return (rows["hours"] > first) & (rows["hours"] <= last)


def _first(rows: "pd.DataFrame") -> float:
    return float(rows["hours"].min()) if len(rows) else np.nan


def _mean(values: Any) -> float:
    known = np.asarray(values, np.float64)
    return float(known.mean()) if known.size else np.nan

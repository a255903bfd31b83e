"""What markets do around a large cascade, in tables made up for it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from marketsim.study.event_courses import SERIES, course_around, hours_held

HOURS = 100
#: Minutes of a row.
EVERY = 15


def run(optional=("depth", "reproduction")):
    """Two markets in which everything is the number of the hour, from 1; SOL is elsewhere."""
    moments = np.arange(1, HOURS * 60 // EVERY + 1) * EVERY / 60.0
    hour = np.ceil(moments)
    rows = [
        pd.DataFrame(
            {
                "hours": moments,
                "market": name,
                "herd_index": scale * hour / 100.0,
                "premium": scale * hour * 1e-4,
                "funding_rate": scale * hour * 2e-4,
                "leverage": scale * hour,
                "open_interest_usd": 1000.0,
                "liquidated_usd": np.where(hour == 61, 5.0, 0.0),
            }
        )
        for name, scale in (("BTC", 0.5), ("ETH", 1.5), ("SOL", 1e6))
    ]
    whole = np.arange(HOURS + 1.0)
    depth = [
        pd.DataFrame(
            {"hours": whole, "market": name, "bid_usd_50bp": whole, "ask_usd_50bp": 2.0 * whole}
        )
        for name in ("BTC", "ETH", "SOL")
    ]
    reproduction = pd.concat(
        [
            pd.DataFrame({"hours": whole, "side": "falls", "reproduction_on_paper": whole}),
            pd.DataFrame({"hours": whole, "side": "rises", "reproduction_on_paper": -whole}),
        ]
    )
    return SimpleNamespace(
        summary={"step_minutes": 1.0},
        tables=("markets", *optional),
        markets=pd.concat(rows),
        depth=pd.concat(depth),
        reproduction=reproduction,
    )


def event(side="long", hour=60.0):
    return SimpleNamespace(step=round(hour * 60), side=side, markets=("BTC", "ETH"))


def test_a_course_is_hour_by_hour_of_the_markets_reached():
    found = course_around(run(), event(), before=3, after=2)
    hours = np.array([58.0, 59.0, 60.0, 61.0, 62.0])
    assert tuple(found) == SERIES
    assert found["herd_index"] == pytest.approx(hours / 100.0)
    assert found["premium"] == pytest.approx(hours)
    assert found["funding_rate"] == pytest.approx(2.0 * hours)
    assert found["leverage"] == pytest.approx(hours)
    assert found["open_interest"] == pytest.approx(np.full(5, 2000.0))
    assert found["depth"] == pytest.approx(6.0 * hours)
    assert found["reproduction"] == pytest.approx(hours)
    # 4 rows of 5 USD in each of two markets: 40 USD in the hour after the start, of 2,000.
    assert found["liquidated"] == pytest.approx([0.0, 0.0, 0.0, 0.02, 0.0])


def test_the_side_that_is_liquidated_counts_as_positive():
    long, short = (course_around(run(), event(side), 3, 2) for side in ("long", "short"))
    for name in ("herd_index", "premium", "funding_rate", "reproduction"):
        assert short[name] == pytest.approx(-long[name])
    for name in ("leverage", "open_interest", "depth", "liquidated"):
        assert short[name] == pytest.approx(long[name])


def test_what_was_not_recorded_or_lies_outside_is_not_known():
    found = course_around(run(()), event(hour=98.0), before=1, after=4)
    assert np.isnan(found["depth"]).all()
    assert np.isnan(found["reproduction"]).all()
    assert np.isfinite(found["premium"]).tolist() == [True, True, True, False, False]


def test_how_long_a_state_had_lasted():
    assert hours_held([0.0] * 30 + [1.0] * 20) == pytest.approx(18.0)
    assert hours_held([1.0] * 50) == 45.0  # as long as anything is known
    assert hours_held([0.0] * 30 + [1.0] * 10 + [0.0] * 6) == 0.0
    assert np.isnan(hours_held([1.0] * 5))
    assert np.isnan(hours_held([1.0] * 20 + [np.nan]))
    assert hours_held([np.nan] * 30 + [1.0] * 20) == 15.0

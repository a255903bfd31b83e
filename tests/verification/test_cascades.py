"""`contagion` and `boom` over fixed seeds: cascades, and from market to market.

Their fields were chosen with other seeds; the shares of seeds are those the scenarios claim.
"""

import numpy as np
import pytest

import marketsim
from marketsim.results.held import HeldRun
from marketsim.results.large_cascades import LargeCascade

pytestmark = pytest.mark.slow

SEEDS = range(1001, 1011)
#: Hours until BTC's news.
NEWS = 12.0
RECORD = [("record.depth_minutes", "60"), ("record.heatmap_minutes", '"never"')]


@pytest.fixture(scope="module")
def pooled() -> list[HeldRun]:
    return [marketsim.run_scenario("contagion", seed, overrides=RECORD) for seed in SEEDS]


@pytest.fixture(scope="module")
def isolated() -> list[HeldRun]:
    return [marketsim.run_scenario("contagion-isolated", seed, overrides=RECORD) for seed in SEEDS]


def trough(run: HeldRun, market: str) -> float:
    """The lowest mark over its index after the news, %."""
    rows = run.markets[(run.markets["market"] == market) & (run.markets["hours"] >= NEWS)]
    return 100.0 * float((rows["mark_price"] / rows["index_price"] - 1.0).min())


def test_gold_and_oil_fall_below_their_index_through_pools_and_hardly_without(pooled, isolated):
    fell, stood = (
        np.array([[trough(run, market) for market in ("GOLD", "OIL")] for run in runs])
        for runs in (pooled, isolated)
    )
    print(f"pooled {fell.round(1).tolist()}, isolated {stood.round(1).tolist()}")
    assert (fell <= -1.5).all(axis=1).sum() >= 8
    assert (stood > -0.3).all(axis=1).sum() >= 8


def test_a_fifth_of_what_liquidates_is_liquidations_over_four_generations(pooled):
    for run in pooled:
        forced = run.causes["weight"][run.causes["kind"] == "forced"].sum()
        assert forced >= 0.2 * run.causes["weight"].sum()
        assert run.summary["largest_cascade_depth"] >= 4


def test_books_are_as_thin_as_real_ones_before_the_news(pooled):
    for run in pooled:
        books = run.depth[run.depth["hours"] <= NEWS].set_index(["market", "hours"])
        interest = run.markets.set_index(["market", "hours"])["open_interest_usd"]
        share = (books["bid_usd_50bp"] + books["ask_usd_50bp"]) / interest
        share = share.replace(np.inf, np.nan).dropna()
        for market, median in share.groupby("market", observed=True).median().items():
            assert 0.005 <= median <= 0.05, (run.seed, market)


def test_boom_has_large_cascades_from_ordinary_news_and_funding_flips():
    record = [("record.series_minutes", "5"), ("record.contagion_minutes", '"never"')]
    runs = [
        marketsim.run_scenario("boom", seed, overrides=[*RECORD, *record])
        for seed in range(1001, 1003)
    ]
    flipped = [[flips(run, each) for each in run.large_cascades()] for run in runs]
    print(f"funding flips {flipped}")
    assert min(map(len, flipped)) >= 2
    assert np.mean(np.concatenate(flipped)) > 0.5


def flips(run: HeldRun, cascade: LargeCascade) -> bool:
    """Whether the side that was liquidated is paid in an hour of the day after."""
    begun = cascade.step * run.summary["step_minutes"] / 60.0
    after = run.funding["hours"].between(begun, begun + 24.0)
    rows = run.funding[after & run.funding["market"].isin(cascade.markets)]
    rates = rows.groupby("hours")["funding_rate"].mean()
    return bool((rates < 0.0).any() if cascade.side == "long" else (rates > 0.0).any())

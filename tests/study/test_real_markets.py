"""The estimators give, on real prices, the figures published with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim.study import funding_statistics, returns
from marketsim.tape import moments

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TARGETS = SHARED / "targets.json"

pytestmark = pytest.mark.skipif(
    not TARGETS.exists(), reason=f"the shared statistics of real markets are not at {TARGETS}"
)


@pytest.fixture(scope="module")
def targets() -> dict[str, Any]:
    return json.loads(TARGETS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bars() -> Callable[[str], pd.DataFrame]:
    """Hourly bars of Binance by asset, on a full grid."""
    table = pd.read_parquet(SHARED / "binance_1h.parquet")

    def of(asset: str) -> pd.DataFrame:
        rows = table[table["asset"] == asset].set_index("time").drop(columns="asset")
        return rows.reindex(pd.date_range(rows.index[0], rows.index[-1], freq="1h"))

    return of


def settlements(venue: str, asset: str) -> pd.DataFrame:
    table = pd.read_parquet(SHARED / "funding.parquet")
    return table[(table["venue"] == venue) & (table["asset"] == asset)]


def close(found: float, published: float) -> bool:
    """Six digits are published; prices are stored with seven."""
    return found == pytest.approx(published, rel=2e-4, abs=2e-6)


@pytest.mark.parametrize("asset", ["BTC", "XRP"])
def test_funding_by_year(targets, asset):
    rows = settlements("binance", asset)
    years = rows["time"].dt.year
    published = targets["funding"][f"binance:{asset}"]["by_year"]
    assert len(published) >= 6
    for year, figures in published.items():
        found = funding_statistics.funding_statistics(rows["rate"][years == int(year)], 1e-4)
        found["share_at_1bp"] = found["share_at_interest"]
        for name, figure in figures.items():
            if name != "n":
                assert close(found[name], figure), (year, name)


def test_funding_of_an_hourly_venue_with_gaps(targets):
    rows = settlements("hyperliquid", "BTC")
    hours = (rows["time"] - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(hours=1)
    # The record holds what was paid per hour; rates here are per 8 hours.
    rate = funding_statistics.eight_hourly(hours, 8.0 * rows["rate"])
    published = targets["funding"]["hyperliquid:BTC"]
    assert len(moments.present(rate)) == published["n"]
    found = funding_statistics.funding_statistics(rate, 1e-4)
    assert close(found["share_at_interest"], published["share_at_1bp"])
    for name in ("mean", "std", "skew", "kurt_excess", "share_negative", "p01"):
        assert close(found[name], published[name]), name
    assert close(found["acf_21"], published["acf"]["21"])


@pytest.mark.parametrize("asset", ["BTC", "ADA"])
def test_hourly_returns_by_year(targets, bars, asset):
    price = bars(asset)["perp"]
    for year, figures in targets["returns"][f"binance:{asset}:1h"]["by_year"].items():
        r = returns.log_returns(price[price.index.year == int(year)])
        found = {
            "vol_annual_pct": 100.0 * returns.annual_volatility(r),
            "kurt_excess": moments.excess_kurtosis(r),
            "skew": returns.skewness(r),
            "hill_abs_5pct": returns.hill_exponent(np.abs(r), 0.05),
            "acf_ret_1": moments.autocorrelation(r, 1),
            "acf_abs_1": moments.autocorrelation(np.abs(r), 1),
            "acf_abs_20": moments.autocorrelation(np.abs(r), 20),
            "acf_abs_beta": returns.decay_exponent(np.abs(r)),
            "leverage": returns.leverage_effect(r),
        }
        assert found.keys() == figures.keys()
        for name, figure in figures.items():
            assert close(found[name], figure), (year, name)


def test_premium_by_year(targets, bars):
    table = bars("BTC")
    premium = table["perp"].astype(float) / table["spot"].astype(float) - 1.0
    for year, figures in targets["basis"]["binance:BTC:1h"]["by_year"].items():
        x = premium[premium.index.year == int(year)].to_numpy()
        assert close(1e4 * returns.standard_deviation(x), figures["std_bp"])
        assert close(1e4 * np.nanmean(x), figures["mean_bp"])
        assert close(funding_statistics.share_negative(x), figures["share_negative"])
        assert close(funding_statistics.half_life(x), figures["half_life_ar1_h"])


def test_correlation_of_markets(targets, bars):
    published = targets["cross"]["1h"]
    price = pd.concat([bars(asset)["perp"] for asset in published["assets"]], axis=1, sort=True)
    together = returns.log_returns(price)
    together = together[~np.isnan(together).any(axis=1)]
    assert len(together) == published["n"]
    overall, worst = returns.windowed_correlation(together, 24, returns.TAIL)
    assert close(overall, published["rolling_all"])
    assert close(worst, published["rolling_worst"])
    assert close(returns.mean_correlation(together), published["pearson"])
    assert close(returns.tail_dependence(together, returns.TAIL), published["tail_dep"])

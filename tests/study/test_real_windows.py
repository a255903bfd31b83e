"""The statistics give, on real prices and rates, what is published of real windows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim.study import emergent_statistics as emergent
from marketsim.study.bands import load_bands, reduced, shipped_bands
from marketsim.study.emergent_statistics import emergent_statistics
from marketsim.study.input_statistics import input_statistics
from marketsim.study.window import Traded, Window

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
FILE = SHARED / "targets_90d.json"
ASSETS = ["BTC", "XRP", "LTC"]
NOTHING = np.full((1, 1), np.nan)

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason=f"the shared statistics of real markets are not at {FILE}"
)


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def close(found: float, published: float, rel: float = 2e-4) -> bool:
    """Six digits are published; prices are stored with seven."""
    return found == pytest.approx(published, rel=rel, abs=2e-6)


def real_window(start: str) -> Window:
    """Ninety days of three markets of Binance."""
    table = pd.read_parquet(SHARED / "binance_1h.parquet")
    rates = pd.read_parquet(SHARED / "funding.parquet").query("venue == 'binance'")
    begin = pd.Timestamp(start, tz="UTC")
    end = begin + pd.Timedelta(days=90)
    hours = pd.date_range(begin, end, freq="1h", inclusive="left")

    def grid(column: str) -> Any:
        wide = table.set_index(["asset", "time"])[column]
        return np.column_stack([wide[asset].reindex(hours) for asset in ASSETS]).astype(np.float64)

    paid = [
        rates[(rates["asset"] == a) & (rates["time"] > begin) & (rates["time"] <= end)]
        for a in ASSETS
    ]
    price = grid("perp")
    unknown = np.full(price.shape, np.nan)
    return Window(
        tuple(ASSETS),
        {"1h": price, "1d": price[23::24]},
        Traded(
            index=grid("spot"),
            volume=grid("perp_volume"),
            premium=unknown,
            open_interest=unknown,
            mean_price=price,
            liquidated_usd=unknown[:45],
            open_interest_usd=unknown[:45],
            settlement_hours=tuple(
                ((rows["time"] - begin) / pd.Timedelta(hours=1)).to_numpy() for rows in paid
            ),
            funding_rate=tuple(rows["rate"].to_numpy() for rows in paid),
        ),
    )


@pytest.mark.slow
@pytest.mark.parametrize("start", ["2025-05-05", "2022-08-19"])
def test_hourly_windows_of_three_markets(content, start):
    window = real_window(start)
    found = {**input_statistics(window), **emergent_statistics(window)}
    missing = ("premium.", "oi.", "liq.")
    checked = 0
    for name, values in found.items():
        windows = content["windows"][name]
        keys = [f"{asset}:{start}" for asset in ASSETS]
        if name.startswith("cross."):
            keys = ["+".join(sorted(ASSETS)) + f":{start}"]
        # the Gaussian's are published from a simulation of some thousands of draws
        is_simulated = "gaussian" in name
        for key, value in zip(keys, values, strict=True):
            if not name.startswith(missing):
                checked += 1
                within = close(value, windows[key], 0.1 if is_simulated else 2e-4)
                assert within or (is_simulated and abs(value - windows[key]) < 0.05), (name, key)
    assert checked > 100


def test_a_window_of_five_minutes(content):
    table = pd.read_parquet(SHARED / "binance_5m.parquet").query(
        "market == 'perp' and asset == 'BTC'"
    )
    bars = pd.date_range("2023-11-12", periods=90 * 288, freq="5min", tz="UTC")
    price = table.set_index("time")["close"].reindex(bars).to_numpy(np.float64)[:, None]
    window = Window(("BTC",), {"5m": price, "1h": price[11::12]})
    found = input_statistics(window)
    checked = [name for name in found if name.startswith("returns.5m.")]
    assert len(checked) == 7
    for name in checked:
        # bars of a season are those of an hour of the day: one bar's difference at its edges
        rel = 5e-3 if "deseason" in name else 2e-4
        assert close(found[name][0], content["windows"][name]["BTC:2023-11-12"], rel), name


def test_open_interest_liquidations_and_premium_of_a_young_venue(content):
    oi = pd.read_parquet(SHARED / "hyperliquid_oi_1h.parquet").query("asset == 'BTC'")
    oi = oi.set_index("time").astype({"oi_usd": np.float64, "oi_coins": np.float64})
    days = pd.date_range("2025-12-12", periods=45, freq="1D", tz="UTC")
    held = oi["oi_usd"].resample("1D").mean().reindex(days).to_numpy()[:, None]
    sold = pd.read_parquet(SHARED / "hyperliquid_liq_daily.parquet").query("asset == 'BTC'")
    usd = sold.set_index("time")["total_usd"].astype(np.float64).reindex(days).to_numpy()[:, None]
    traded = Traded(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, usd, held, (), ())
    for name, value in emergent._of_liquidations(traded, 0).items():
        assert close(value, content["windows"][f"liq.1d.{name}"]["BTC:2025-12-12"]), name

    hours = pd.date_range("2025-12-05", periods=2160, freq="1h", tz="UTC")
    rows = oi.reindex(hours)
    coins = rows["oi_coins"].to_numpy()
    found = emergent._of_open_interest(coins, rows["oi_usd"].to_numpy() / coins)
    for name in ("std", "acf_1", "corr_abs_8", "worst2pct_8h", "best2pct_8h"):
        published = content["windows"][f"oi.1h.{name}"]["BTC:2025-12-05"]
        assert close(found[name], published, 3e-3), name

    table = pd.read_parquet(SHARED / "hyperliquid_premium_1h.parquet").set_index("time")
    hours = pd.date_range("2024-02-10", periods=2160, freq="1h", tz="UTC")
    premium = table["premium"].astype(np.float64).reindex(hours).to_numpy()
    for name, value in emergent._of_premium(premium).items():
        published = content["windows"][f"premium.1h.{name}"]["BTC:2024-02-10"]
        assert close(value, published, 2e-3), name


def test_the_bands_that_are_shipped_are_those_of_the_file(content):
    shipped, whole = shipped_bands(), load_bands(FILE)
    assert shipped.of == whole.of
    assert reduced(content)["ceilings"] == {k: list(v) for k, v in shipped.ceilings.items()}


def test_real_windows_reach_these_shares_of_each_other(content):
    ceilings = load_bands(FILE).ceilings
    assert ceilings["input"] == pytest.approx((0.75, 0.94), abs=0.005)
    assert ceilings["emergent"] == pytest.approx((0.79, 0.98), abs=0.005)

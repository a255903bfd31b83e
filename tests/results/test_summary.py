import io
import json
from collections.abc import Callable

import pytest
from rich.console import Console

from marketsim.engine.records import records
from marketsim.report.run_page import render_summary
from marketsim.results.summary import summarise
from marketsim.tape.result import RunResult
from marketsim.tape.series import Settlement

PROMISED = {
    "scenario",
    "seed",
    "steps",
    "digest",
    "wall_s",
    "conservation_error_atoms",
    "insurance_fund_usd",
    "insurance_fund_min_usd",
    "fund_deleveraged_usd",
    "adl_usd",
    "socialised_usd",
    "venue_loss_usd",
    "markets",
}
PROMISED_OF_A_MARKET = {
    "liquidated_usd",
    "liquidations",
    "open_interest_usd",
    "premium_mean_bp",
    "premium_std_bp",
    "funding_mean_bp_8h",
    "funding_at_interest_share",
    "funding_negative_share",
    "two_sided_share",
    "depth_share",
    "turnover_day",
}


def test_summary_has_every_promised_key(result: RunResult) -> None:
    summary = summarise(result)
    assert summary.keys() >= PROMISED
    assert list(summary["markets"]) == ["BTC", "DOGE"]
    for market in summary["markets"].values():
        assert market.keys() >= PROMISED_OF_A_MARKET


def test_summary_is_plain_json_without_nan(result: RunResult) -> None:
    text = json.dumps(summarise(result), allow_nan=False)
    assert json.loads(text)["steps"] == 4


def test_a_run_without_settlements_has_no_funding_figures(
    make_result: Callable[..., RunResult],
) -> None:
    import numpy as np

    none = records(Settlement, 0)
    summary = summarise(make_result(funding=none, funding_cap=np.zeros(0)))
    assert summary["markets"]["BTC"]["funding_mean_bp_8h"] is None
    assert summary["markets"]["BTC"]["funding_at_interest_share"] is None
    json.dumps(summary, allow_nan=False)


def test_market_figures_are_means_over_steps_and_settlements(result: RunResult) -> None:
    btc, doge = summarise(result)["markets"].values()
    # open interest 0, then 10 lots at 100,100, 100,150 and 100,200 USD a coin of 1,000 lots
    assert btc["open_interest_usd"] == pytest.approx((1_001.0 + 1_001.5 + 1_002.0) / 4)
    assert btc["premium_mean_bp"] == pytest.approx(5.0)
    assert btc["premium_std_bp"] == pytest.approx(0.0)
    assert btc["funding_mean_bp_8h"] == pytest.approx(1.0)
    assert btc["funding_at_interest_share"] == 1.0
    assert doge["funding_at_interest_share"] == 0.0
    assert doge["funding_negative_share"] == 1.0
    assert btc["two_sided_share"] == 1.0
    assert doge["two_sided_share"] == 0.75


def test_terminal_summary_fits_80_columns(result: RunResult) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    summary = summarise(result)
    summary["markets"]["BTC"] |= {"open_interest_usd": 9.87654e11, "liquidations": 12_345}
    console.print(render_summary(summary))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "12,345" in text
    assert "987.65B" in text


def test_terminal_summary_repeats_the_notes(make_result: Callable[..., RunResult]) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_summary(summarise(make_result(notes=("3 gaps bridged",)))))
    assert "3 gaps bridged" in console.export_text()


def test_lowest_fund_and_what_it_had_to_close_are_told(result: RunResult) -> None:
    result.steps["fund_equity"] = [5_000_000, 2_000_000, 0, 3_000_000]
    result.liquidation["account"][1] = 3  # the fund, which closes five of eight lots of 250 ticks
    result.liquidation["size_after"][1] = -3
    summary = summarise(result)
    assert summary["insurance_fund_min_usd"] == 0.0
    assert summary["insurance_fund_usd"] == 3.0
    lot = 250 * int(result.tick_atoms[1]) / 1e6
    assert summary["fund_deleveraged_usd"] == pytest.approx(5 * lot)

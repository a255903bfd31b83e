"""Waves of auto-deleveraging: by hand, and of a market whose fund is empty."""

import math

import numpy as np
import pytest

from marketsim.model.runs import run_scenario
from marketsim.results.waves import tabulate_waves, wave_figures
from marketsim.scenario.loader import load_scenario

#: Step 3: two bankrupt longs are closed against accounts 7 (10 of its 10 coins short) and 8 (5 of
#: 50); step 9: a short against account 7, now long.
LIQUIDATIONS = {
    "step": [3, 3, 5, 9],
    "side": ["long", "long", "long", "short"],
    "bankruptcy_price": [90.0, 88.0, 70.0, 100.0],
    "mark_price": [80.0, 80.0, 80.0, 110.0],
    "adl_size": [10.0, 5.0, 0.0, 2.0],
}
DELEVERAGINGS = {
    "step": [3, 3, 3, 9],
    "hours": [4.0, 4.0, 4.0, 10.0],
    "market": ["A", "A", "A", "A"],
    "account": [7, 7, 8, 7],
    "size_before": [-10.0, -4.0, -50.0, 8.0],
    "profit_usd": [500.0, 200.0, -10.0, 0.0],
    "size": [6.0, 4.0, 5.0, -2.0],
    "cash_usd": [-540.0, -360.0, -440.0, 200.0],
    "cost_usd": [60.0, 40.0, 40.0, 20.0],
}
#: Recorded every second step; the mark falls on to 70 and comes back to 100.
MARKETS = {
    "step": [1, 3, 5, 7, 9, 11],
    "market": ["A"] * 6,
    "mark_price": [100.0, 80.0, 70.0, 100.0, 110.0, 120.0],
}


TABLES = [
    {name: np.array(column) for name, column in each.items()}
    for each in (LIQUIDATIONS, DELEVERAGINGS, MARKETS)
]


def tabulated():
    """Five minutes are a step of these tables, and an hour twelve."""
    return tabulate_waves(*TABLES, step_minutes=5.0)


def test_a_wave_is_what_is_deleveraged_in_one_step():
    waves = tabulated()
    assert waves["step"].tolist() == [3, 9]
    assert waves["closures"].tolist() == [3, 1]
    assert waves["accounts"].tolist() == [2, 1]
    assert waves["notional_usd"].tolist() == [1200.0, 220.0]


def test_needed_is_the_negative_equity_and_taken_what_it_cost_at_the_mark():
    waves = tabulated()
    assert waves["needed_usd"].tolist() == [10 * 10.0 + 5 * 8.0, 2 * 10.0]
    assert waves["taken_usd"].tolist() == [140.0, 20.0]


def test_taken_later_is_valued_at_the_first_mark_recorded_from_then_on():
    waves = tabulated()
    # 15 coins bought back for 1,340 USD: at 70 the shorts would have made 290 more; at 120 a long
    # that sold two at 100 would have made 40 more; an hour later the run is over
    assert waves["taken_5min_usd"].tolist() == [290.0, 40.0]
    assert np.isnan(waves["taken_60min_usd"]).all()


def test_shares_are_of_the_position_and_of_its_profit():
    waves = tabulated()
    assert waves["largest_share"].tolist() == [1.0, 0.25]  # account 7: both closures together
    assert waves["largest_profit_share"][0] == pytest.approx(100 / 500)
    assert math.isnan(waves["largest_profit_share"][1])


def test_summary_adds_waves_up_and_leaves_out_what_is_not_known():
    summary = wave_figures(tabulated())
    assert (summary["count"], summary["closures"]) == (2, 4)
    assert (summary["needed_usd"], summary["taken_usd"]) == (160.0, 160.0)
    assert summary["taken_5min_usd"] == 330.0
    assert summary["taken_60min_usd"] == 0.0
    assert summary["largest_share"] == 0.625
    assert summary["largest_profit_share"] == pytest.approx(0.2)


def test_without_deleveraging_there_is_no_wave():
    none = [{name: column[:0] for name, column in each.items()} for each in TABLES]
    waves = tabulate_waves(*none, step_minutes=5.0)
    assert len(waves["step"]) == 0
    assert wave_figures(waves)["taken_usd"] == 0.0
    assert wave_figures(waves)["largest_share"] is None


@pytest.fixture(scope="module", params=["hyperliquid", "pro_rata"])
def crash(request):
    """A sudden fall of 15 % that nobody insures, with a queue and pro rata."""
    changes = [
        ("insurance_fund", "0"),
        ("venue.liquidation.rank_rule", request.param),
        ("shocks", '[{kind = "jump", at = 5, size = -0.15}]'),
    ]
    return request.param, run_scenario(load_scenario("contagion", [("days", "0.25"), *changes]), 1)


def test_closing_at_the_bankruptcy_price_takes_what_is_needed(crash):
    waves = crash[1].adl_waves()
    assert len(waves) >= 3
    assert waves["needed_usd"].sum() > 50_000.0
    # What fees have put into the fund meanwhile is used before anybody is deleveraged.
    assert waves["taken_usd"].sum() == pytest.approx(waves["needed_usd"].sum(), rel=1e-3)
    assert waves["taken_usd"][0] == pytest.approx(waves["needed_usd"][0], abs=1e-3)


def test_a_queue_takes_whole_positions_and_pro_rata_a_little_of_each(crash):
    rule, run = crash
    share = run.summary["waves"]["largest_share"]
    assert (share > 0.5) == (rule == "hyperliquid")
    assert (share < 0.1) == (rule == "pro_rata")


def test_an_empty_fund_stays_empty_and_never_owes(crash):
    run = crash[1]
    assert run.summary["insurance_fund_min_usd"] >= 0.0
    assert run.summary["conservation_error_atoms"] == 0

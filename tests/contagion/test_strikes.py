"""Which losses go back to a scheduled shock."""

import numpy as np

from marketsim.contagion.strikes import read_strikes

TEXT = """\
step_minutes = 2.0
[[shocks]]
kind = "crash"
at = 10.0
markets = ["BTC"]
size = -0.2
fall_minutes = 10.0
hold_minutes = 0.0
recovery_minutes = 50.0
[[shocks]]
kind = "depth"
at = 1.0
factor = 0.5
minutes = 30.0
[[shocks]]
kind = "rule"
at = 20.0
field = "venue.mark.rule"
value = "last"
[[shocks]]
kind = "depeg"
at = 30.0
size = -0.1
"""


def test_shocks_are_named_and_ordered_by_their_start():
    assert [strike.name for strike in read_strikes(TEXT)] == [
        "depth of all markets x 0.5",
        "crash of BTC -20.0%",
        "rule venue.mark.rule = last",
        "depeg -10.0%",
    ]


def test_a_shock_lasts_to_an_hour_after_its_end():
    crash = read_strikes(TEXT)[1]
    # steps of two minutes: from 600 minutes to 600 + 10 + 50 + 60
    step = np.array([299, 300, 360, 361])
    assert crash.explains("index", "BTC", step).tolist() == [False, True, True, False]


def test_a_crash_explains_index_moves_of_its_market_and_collateral():
    crash = read_strikes(TEXT)[1]
    kind = np.array(["index", "index", "collateral", "other", "forced"])
    market = np.array(["BTC", "ETH", "", "BTC", "BTC"])
    assert crash.explains(kind, market, 310).tolist() == [True, False, True, False, False]


def test_a_shock_of_all_markets_explains_any():
    depth = read_strikes(TEXT)[0]
    assert depth.explains(np.array(["other", "other"]), np.array(["BTC", "X"]), 40).all()


def test_a_scenario_without_shocks_has_no_strikes():
    assert read_strikes('name = "calm"\n') == []

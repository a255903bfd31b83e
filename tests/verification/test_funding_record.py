"""Card F3: the published funding rule reproduces an exchange's own record, row by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marketsim.engine.funding import current_rate
from marketsim.scenario.build import build_state
from marketsim.scenario.loader import load_scenario

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
RECORD = SHARED / "hyperliquid_premium_1h.parquet"

#: The exchange prints rates with ten decimals: half a unit of the last one, and the last bits of
#: a quotient that falls right between two of them.
TOLERANCE = 0.5e-10 + 1e-16


@pytest.mark.skipif(not RECORD.exists(), reason=f"the shared funding data are not at {RECORD}")
def test_hyperliquid_rule_reproduces_every_hour_of_its_record():
    record = pd.read_parquet(RECORD)
    assert len(record) == 11_240
    scenario = load_scenario("quickstart", [("venue.preset", "hyperliquid")])
    state, _ = build_state(scenario, seed=1)
    market = state.market[0]
    rate = np.empty(len(record))
    for row, premium in enumerate(record["premium"]):
        # What the hour's samples came to: the exchange publishes their average only.
        market.premium_sum = premium
        market.premium_weight = 1.0
        market.num_samples = 1
        rate[row] = current_rate(state, np.int64(0)) * state.venue[0].funding_share
    assert state.venue[0].funding_share == 0.125
    gap = np.abs(rate - record["rate"].to_numpy())
    assert gap.max() <= TOLERANCE
    # Every part of the rule is at work: the pinned rate, and both sides of the dead band.
    pinned = rate == 1e-4 / 8
    assert pinned.sum() > 3000
    assert (rate[~pinned] < 1e-4 / 8).sum() > 1000
    assert (rate[~pinned] > 1e-4 / 8).sum() > 1000

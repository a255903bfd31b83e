"""Card C5: what the heat map shows up to a price is what a jump to it liquidates, to the lot."""

from typing import Any

import numpy as np
import pytest

from marketsim.contagion.recorder import liquidation_bands
from marketsim.contagion.triggers import find_triggers
from marketsim.engine import step
from marketsim.engine.state import MarkRule, State
from tests.contagion.books import MARK, fill_book, open_books

NUM_ACCOUNTS = 300
NUM_MARKETS = 3


def random_venue(seed: int) -> State:
    """Longs and shorts, cross, isolated and in side pools that may draw; all safe."""
    luck = np.random.default_rng(seed)
    exposure = luck.integers(-3000, 3000, (NUM_ACCOUNTS, NUM_MARKETS)).astype(float)
    exposure[luck.random(exposure.shape) < 0.3] = 0.0
    isolated = luck.random(NUM_ACCOUNTS) < 0.3
    groups = [
        (i, luck.choice((0.0, 20.0, 1e6)), [0, 1])
        for i in np.flatnonzero(~isolated & (luck.random(NUM_ACCOUNTS) < 0.4)).tolist()
    ]
    buffer = luck.exponential(60.0, (NUM_ACCOUNTS, NUM_MARKETS)) ** 1.5 / 10.0
    return open_books(exposure, buffer, isolated=isolated, groups=groups, mark_rule=MarkRule.INDEX)


def jump(state: State, m: int, ticks: int) -> int:
    """Move a mark, close whoever is short at no impact, and return the lots closed there."""
    state.market[m].index_ticks = ticks
    for n in range(NUM_MARKETS):
        price = int(state.market[n].index_ticks)
        fill_book(state, n, 1, 10**8, start=price, spacing=1, count=1)
        fill_book(state, n, -1, 10**8, start=price + 1, spacing=1, count=1)
    step.begin_counts(state, 1)
    state.venue[0].max_rounds = 1
    step.clear_step(state, np.empty(0, np.int64))
    rows = state.liquidation[: state.totals[0].num_liquidations]
    own = rows["market"] == m
    return int(np.abs(rows["size_before"] - rows["size_after"])[own].sum())


def mapped(trigger: Any, size: Any, ticks: int) -> int:
    """Lots of longs with a trigger from a lower price up, or of shorts up to a higher one."""
    hit = (trigger >= ticks) & (size > 0) if ticks < MARK else (trigger <= ticks) & (size < 0)
    return int(np.abs(size[hit & (trigger > 0)]).sum())


@pytest.mark.parametrize("change", [-0.3, -0.05, -0.001, 0.001, 0.04, 0.25])
@pytest.mark.parametrize("seed", range(5))
def test_a_jump_liquidates_what_the_map_shows(seed: int, change: float) -> None:
    state = random_venue(seed)
    ticks = round(MARK * (1 + change))
    m = seed % NUM_MARKETS
    trigger = find_triggers(state)[:, m]
    size = np.array(state.position["size"][:-1, m])
    expected = mapped(trigger, size, ticks)
    assert expected > 0
    assert jump(state, m, ticks) == expected


def test_finding_triggers_leaves_the_state_as_it_was() -> None:
    state = random_venue(1)
    before = [array.tobytes() for array in state]
    find_triggers(state)
    assert [array.tobytes() for array in state] == before


def test_bands_hold_every_trigger_within_reach_once() -> None:
    state = random_venue(2)
    trigger = find_triggers(state)
    size = np.array(state.position["size"][:-1])
    rows = liquidation_bands(state, 7, np.full(NUM_MARKETS, 0.9 * MARK), 0.01, 0.2)
    for m in range(NUM_MARKETS):
        for side in (1, -1):
            own = rows[(rows["market"] == m) & (rows["side"] == side)]
            for row in own:
                inside = (trigger[:, m] >= row["low_ticks"]) & (trigger[:, m] <= row["high_ticks"])
                inside &= np.abs(trigger[:, m] - MARK) <= 0.2 * MARK
                assert row["size"] == np.abs(size[inside & (size[:, m] * side > 0), m]).sum()
            near = (trigger[:, m] > 0) & (np.abs(trigger[:, m] - MARK) <= 0.2 * MARK)
            assert own["size"].sum() == np.abs(size[near & (size[:, m] * side > 0), m]).sum()


def test_a_market_without_liquidations_has_no_trigger() -> None:
    state = random_venue(3)
    state.market[1].liquidates = 0
    assert not find_triggers(state)[:, 1].any()
    assert find_triggers(state)[:, 0].any()

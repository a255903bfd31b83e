"""The engine's step equals the plain one, bit for bit, on venues where everything goes wrong."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from marketsim.engine import index, step
from marketsim.engine.state import NONE, Outcome, State
from tests.reference import outside
from tests.reference import step as plain
from tests.reference.arrays import (
    differences,
    outcomes_of,
    state_of,
    world_differences,
    world_of,
    write_intents,
    write_news,
)
from tests.reference.scenarios import Scenario
from tests.reference.venue import Venue

SEEDS = range(60)


def pay_in(state: State, venue: Venue, i: int, amount: int) -> None:
    """Add money from outside to a main pool, in both."""
    venue.pools[i].cash += amount
    state.pool[i].cash += amount
    state.totals[0].deposits += amount


def play(seed: int) -> Scenario:
    """Play a scenario on engine and reference side by side; stop at the first difference."""
    scenario = Scenario(seed)
    venue, world = scenario.venue, scenario.world
    state, outer = state_of(venue), world_of(world)
    outside.update_index(venue, world, NONE)
    index.update_index(outer, state, np.int64(NONE))
    for t in range(scenario.num_steps):
        where = f"seed {seed}, step {t}"
        scenario.draw_news()
        write_news(outer, world)
        lost = plain.open_step(venue, world, t)
        assert step.open_step(state, outer, np.int64(t)) == lost, where
        assert world_differences(outer, world) == [], where
        assert differences(state, venue) == [], where
        if lost != NONE:
            venue.seen["price left the range"] += 1
            break
        for i, amount in scenario.draw_deposits().items():
            pay_in(state, venue, i, amount)
        intents, sequence = scenario.draw_intents()
        numbers = write_intents(state, intents, sequence)
        plain.clear_step(venue, [intents[n] for n in sequence])
        step.clear_step(state, numbers)
        assert outcomes_of(state, intents) == [], where
        assert differences(state, venue) == [], where
        plain.settle_step(venue)
        step.settle_step(state)
        assert differences(state, venue) == [], where
    return scenario

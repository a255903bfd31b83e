"""The engine beside the reference: both play a scenario, one step at a time."""

from marketsim.engine import causes, index, step
from marketsim.engine.state import NONE
from tests.reference import outside
from tests.reference import step as plain
from tests.reference.arrays import (
    differences,
    outcome_differences,
    state_of,
    world_differences,
    world_of,
    write_intents,
    write_news,
    write_rules,
)
from tests.reference.scenarios import Scenario
from tests.reference.venue import Intent


class Engine:
    """The engine beside the reference, compared with it after every stage.

    With `records_causes` it records why pools are liquidated, as the reference's journal does.
    """

    def __init__(self, scenario: Scenario, *, records_causes: bool = False) -> None:
        self.venue = scenario.venue
        self.outside = scenario.world
        self.records_causes = records_causes
        self.state = state_of(scenario.venue, causes=records_causes)
        self.world = world_of(scenario.world)

    def begin(self) -> None:
        index.update_index(self.world, self.state, NONE)
        if self.records_causes:
            causes.begin(self.state)

    def open(self, t: int, lost: int) -> None:
        write_news(self.world, self.outside)
        assert step.open_step(self.state, self.world, t) == lost
        assert world_differences(self.world, self.outside) == []
        assert differences(self.state, self.venue) == []

    def pay_in(self, i: int, amount: int) -> None:
        self.state.pool[i].cash += amount
        self.state.totals[0].deposits += amount

    def take_rules(self) -> None:
        write_rules(self.state, self.venue)

    def clear(self, intents: list[Intent], sequence: list[int]) -> None:
        step.clear_step(self.state, write_intents(self.state, intents, sequence))
        assert outcome_differences(self.state, intents) == []
        assert differences(self.state, self.venue) == []

    def settle(self) -> None:
        step.settle_step(self.state)
        assert differences(self.state, self.venue) == []


def play(scenario: Scenario, engine: Engine | None = None) -> None:
    """Play a scenario on the reference, and on the engine step by step beside it."""
    venue, world = scenario.venue, scenario.world
    outside.update_index(venue, world, NONE)
    plain.begin(venue)
    if engine is not None:
        engine.begin()
    for t in range(scenario.num_steps):
        scenario.draw_news()
        lost = plain.open_step(venue, world, t)
        if engine is not None:
            engine.open(t, lost)
        if lost != NONE:
            break
        for i, amount in scenario.draw_deposits().items():
            venue.pools[i].cash += amount
            if engine is not None:
                engine.pay_in(i, amount)
        if scenario.change_rules() and engine is not None:
            engine.take_rules()
        intents, sequence = scenario.draw_intents()
        plain.clear_step(venue, [intents[n] for n in sequence])
        if engine is not None:
            engine.clear(intents, sequence)
        plain.settle_step(venue)
        if engine is not None:
            engine.settle()

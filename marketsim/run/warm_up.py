"""The time a market runs before its record begins, and the record's beginning.

The clock of the kernels counts from the first step of all, so that nothing a step does depends on
where the record begins. What people state and read counts from the record's first step.
"""

import numpy as np

from marketsim.contagion.recorder import ContagionTape
from marketsim.engine import causes
from marketsim.engine.state import State
from marketsim.run.attributes import RunAttributes
from marketsim.run.room import as_bytes
from marketsim.tape.result import take_snapshot
from marketsim.tape.wealth import record_wealth

#: What a venue counts over the whole of a run's record.
COUNTS = (
    "adl_atoms",
    "socialised_atoms",
    "venue_loss_atoms",
    "num_fills",
    "num_liquidations",
    "num_deleverages",
    "num_seizures",
    "num_losses",
    "outcome",
)


def begin_record(run: RunAttributes) -> None:
    """Let the record begin with the coming step: forget what the steps before it have left.

    What the accounts own by now is what they have at the start, and counts as their deposits. The
    venue has taken home the fees collected so far.
    """
    state, tape, clock = run.state, run.tape, run.tape.clock[0]
    totals = state.totals[0]
    for name in COUNTS:
        state.totals[name] = 0
    totals.deposits -= totals.fees
    totals.fees = 0
    state.flow[:] = 0
    forget_causes(state)
    clock.num_funding = clock.num_arrivals = 0
    record_wealth(state, tape.group, tape.wealth, tape.exposure, 0, 0)
    run._start = take_snapshot(state)
    run._paid_before = np.array(state.account["deposit"]) - run._start.equity
    run._contagion = ContagionTape(run.scenario, state)


def forget_causes(state: State) -> None:
    """Let every pool count its losses from here."""
    if state.totals[0].record_causes:
        for array in (state.split, state.tally, state.safe):
            as_bytes(array)[:] = 0
        causes.begin(state)

"""Who came and who left: a row for each trader who takes an account over, takes profit or leaves.

All of it is money from or to the outside world, no profit and no loss.
"""

from enum import IntEnum

from marketsim.engine._jit import inlined
from marketsim.engine.records import I8, Record, Rows


class Turn(IntEnum):
    """What a row tells; from `RUINED` on, why a trader left."""

    ARRIVAL = 0
    WITHDRAWAL = 1  #: of profit; the trader stays
    RUINED = 2
    FINISHED = 3  #: its time was over
    IDLE = 4  #: it held nothing and would never have looked again
    RETIRED = 5  #: it was taken out of the market


class Arrival(Record):
    """A trader comes, takes profit or leaves."""

    step: I8
    account: I8
    generation: I8  #: traders who had the account before
    kind: I8  #: Turn
    atoms: I8  #: that came into the account; negative: that left


@inlined
def note_turn(
    rows: Rows[Arrival], count: int, t: int, i: int, generation: int, kind: int, atoms: int
) -> int:
    """Write row `count`; return how many there are then."""
    row = rows[count]
    row.step = t
    row.account = i
    row.generation = generation
    row.kind = kind
    row.atoms = atoms
    return count + 1

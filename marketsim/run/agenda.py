"""What was and will be done to a run from outside."""

from bisect import insort
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np

from marketsim.engine.state import ATOMS
from marketsim.scenario.interventions import (
    Change,
    DepositIntervention,
    Intervention,
    TradeIntervention,
    WithdrawIntervention,
)


class Interventions:
    """What was and will be done to a run; plain data.

    Parameters
    ----------
    entries : sequence of Intervention
        Those of the scenario.
    margin_mode : ndarray
        Of each trader at the start, place in `marketsim.scenario.population.MODES`.

    Attributes
    ----------
    entries : list of Intervention
        In the order given; an entry's place is its number.
    waiting : list of (step, 0 if it moves money, number)
        Those to come, in the order in which they act.
    orders : list of TradeIntervention
        To be put in when the step opens.
    payments : list of (step, account, atoms)
        Money that came from outside; negative: that left.
    margin_mode : ndarray
        As interventions have left it.
    notes : list of str
        Whom an intervention passed by, and why.
    """

    def __init__(self, entries: Sequence[Intervention], margin_mode: Any) -> None:
        self.entries = list(entries)
        self.waiting = sorted(_place(entry, n) for n, entry in enumerate(entries))
        self.orders: list[TradeIntervention] = []
        self.payments: list[tuple[int, int, int]] = []
        self.margin_mode = np.array(margin_mode)
        self.notes: list[str] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the lists; what is on them never changes."""
        made = copy(self)
        for name, value in vars(self).items():
            setattr(made, name, value.copy())
        return made

    @property
    def next_step(self) -> int | None:
        """The step of the next of them, None if there is none."""
        return self.waiting[0][0] if self.waiting else None

    def append(self, entry: Intervention) -> None:
        """Take one more, to be done in its turn."""
        insort(self.waiting, _place(entry, len(self.entries)))
        self.entries.append(entry)

    @property
    def changes_made(self) -> list[Change]:
        """The changes of fields so far, in the order in which they acted."""
        to_come = {number for _, _, number in self.waiting}
        places = sorted(_place(entry, n) for n, entry in enumerate(self.entries))
        changes = [self.entries[n].change for _, _, n in places if n not in to_come]
        return [change for change in changes if change is not None]

    def paid_in(self, step: int, account: int | None = None) -> int:
        """Return the atoms that wait to be paid in by a step, by one account or all."""
        entries = [self.entries[n] for at, _, n in self.waiting if at <= step]
        return sum(
            atoms_of(entry)
            for entry in entries
            if isinstance(entry, DepositIntervention | WithdrawIntervention)
            and account in (None, entry.account)
        )


def _place(entry: Intervention, number: int) -> tuple[int, int, int]:
    return entry.at_step, int(not entry.IS_MONEY), number


def atoms_of(entry: DepositIntervention | WithdrawIntervention) -> int:
    """Return what an entry pays in, atoms; negative: takes out."""
    sign = 1 if isinstance(entry, DepositIntervention) else -1
    return sign * round(entry.usd * ATOMS)

"""What a run says of R as measured, once, at the hour its scenario asks for."""

from typing import Any

import numpy as np

from marketsim.scenario.schema import Scenario
from marketsim.tape.moments import Figures, finite

#: Of the longs near the edge: R measured, with its interval and the liquidations it rests on; R as
#: computed and on paper at the same time. And of a small fall of all indices, how much further
#: marks fell, as a share of it, and what it liquidated, as a share of open interest.
FIGURES = (
    *("mean", "low", "high", "n", "computed", "on_paper"),
    *("nudged_further_fall", "nudged_liquidated_share"),
)


class Probe:
    """When a run is to be measured, and what was found.

    Parameters
    ----------
    scenario : Scenario

    Attributes
    ----------
    draws : int
    horizon : float
        Hours.
    values : ndarray
        Of `FIGURES`, NaN until then; empty if nothing is to be measured.
    """

    def __init__(self, scenario: Scenario) -> None:
        record = scenario.record
        hours = record.reproduction_hours
        self._step = -1 if isinstance(hours, str) else scenario.steps_of(60.0 * hours)
        self.draws, self.horizon = record.reproduction_draws, record.reproduction_horizon
        self.values = np.full(len(FIGURES) if self._step > 0 else 0, np.nan)

    def next_moment(self, step: int) -> int | None:
        """Return the step at which it is due if that comes after `step`, else None."""
        return self._step if self._step > step else None

    def take_turn(self, step: int) -> bool:
        """Tell whether it is due, once: copies made from now on are not measured."""
        is_due = self._step == step
        if is_due:
            self._step = -1
        return is_due


def measured_figures(values: Any) -> dict[str, Figures]:
    """Name what was measured, for a summary: nothing if nothing was to be."""
    if not len(values):
        return {}
    named = zip(FIGURES, values.tolist(), strict=True)
    return {"reproduction_measured": {name: finite(value) for name, value in named}}

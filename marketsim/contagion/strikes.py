"""Which shock a loss goes back to."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from marketsim.scenario.interventions import AnyIntervention, Intervention
from marketsim.scenario.shocks import AnyShock, Shock

#: Minutes after a shock's end in which losses may still go back to it.
AFTERMATH_MINUTES = 60.0

_SHOCKS: TypeAdapter[tuple[Shock, ...]] = TypeAdapter(tuple[AnyShock, ...])
_INTERVENTIONS: TypeAdapter[tuple[Intervention, ...]] = TypeAdapter(tuple[AnyIntervention, ...])


@dataclass(frozen=True)
class Strike:
    """A shock, scheduled or not: when it acts, and which losses go back to it.

    Attributes
    ----------
    losses : tuple of str
        Kinds of loss, as in the table of causes.
    markets : tuple of str
        Empty for all.
    start, end : float
        Steps.
    """

    name: str
    losses: tuple[str, ...]
    markets: tuple[str, ...]
    start: float
    end: float

    def explains(self, kind: Any, market: Any, step: Any) -> Any:
        """Tell which of some losses (arrays) go back to it."""
        acts = (step >= self.start) & (step <= self.end) & np.isin(kind, self.losses)
        if self.markets:
            acts &= np.isin(market, [*self.markets, ""])
        return acts


def read_strikes(scenario_text: str) -> list[Strike]:
    """Read the shocks of a resolved scenario, those among its interventions too.

    Parameters
    ----------
    scenario_text : str
        TOML.

    Returns
    -------
    list of Strike
        By start.

    Examples
    --------
    >>> text = "shocks = [{ kind = 'jump', at = 12.0, markets = ['BTC'], size = -0.2 }]"
    >>> [(each.name, round(each.start), round(each.end)) for each in read_strikes(text)]
    [('jump of BTC -20.0%', 720, 780)]
    """
    if "shocks" not in scenario_text and "interventions" not in scenario_text:
        return []
    scenario = tomllib.loads(scenario_text)
    minutes = float(scenario.get("step_minutes", 1.0))
    shocks = list(_SHOCKS.validate_python(scenario.get("shocks", ())))
    for entry in _INTERVENTIONS.validate_python(scenario.get("interventions", ())):
        shock = entry.as_shock(minutes)
        shocks += [] if shock is None else [shock]
    return list_strikes(shocks, minutes)


def list_strikes(shocks: Iterable[Shock], step_minutes: float) -> list[Strike]:
    """List when shocks act and what goes back to them, by their start."""
    strikes = []
    for shock in shocks:
        start = 60.0 * shock.at
        end = start + shock.duration + AFTERMATH_MINUTES
        strikes.append(
            Strike(
                name=shock.title,
                losses=shock.LOSSES,
                markets=shock.only,
                # a step that begins within a rounding error of the shock has it
                start=start / step_minutes - 1e-9,
                end=end / step_minutes + 1e-9,
            )
        )
    return sorted(strikes, key=lambda each: each.start)

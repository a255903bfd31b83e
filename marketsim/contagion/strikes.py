"""Which scheduled shock a loss goes back to."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Minutes after a shock's end in which losses may still go back to it.
AFTERMATH_MINUTES = 60.0

#: The kinds of loss each kind of shock brings about.
LOSSES = {
    "jump": ("index", "collateral"),
    "crash": ("index", "collateral"),
    "volatility": ("index",),
    "outage": ("index",),
    "depth": ("other",),
    "depeg": ("collateral",),
    "rule": ("requirement",),
}
#: How long shocks take, by their fields.
_SPANS = ("minutes", "fall_minutes", "hold_minutes", "recovery_minutes", "fade_minutes")


@dataclass(frozen=True)
class Strike:
    """A scheduled shock: when it acts, and which losses go back to it.

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
    """Read the schedule of a resolved scenario.

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
    if "shocks" not in scenario_text:
        return []
    scenario = tomllib.loads(scenario_text)
    minutes = float(scenario.get("step_minutes", 1.0))
    strikes = []
    for shock in scenario.get("shocks", []):
        start = 60.0 * shock["at"]
        end = start + sum(shock.get(name, 0.0) for name in _SPANS) + AFTERMATH_MINUTES
        strikes.append(
            Strike(
                name=_name(shock),
                losses=LOSSES[shock["kind"]],
                markets=tuple(shock.get("markets") or ()),
                # a step that begins within a rounding error of the shock has it
                start=start / minutes - 1e-9,
                end=end / minutes + 1e-9,
            )
        )
    return sorted(strikes, key=lambda each: each.start)


def _name(shock: Mapping[str, Any]) -> str:
    kind = shock["kind"]
    if kind == "rule":
        return f"rule {shock['field']} = {shock['value']}"
    if kind == "depeg":
        return f"depeg {shock['size']:+.1%}"
    where = " and ".join(shock.get("markets") or ("all markets",))
    size = f" {shock['size']:+.1%}" if "size" in shock else ""
    factor = f" x {shock['factor']:g}" if "factor" in shock else ""
    return f"{kind} of {where}{size}{factor}"

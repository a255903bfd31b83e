"""What can be turned while a market runs: the sliders, and what each changes of the scenario."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from marketsim.live.commands import RefusedError
from marketsim.report.recording import takes_sides
from marketsim.scenario.build import funding_cap
from marketsim.scenario.distributions import median
from marketsim.scenario.live import acts
from marketsim.scenario.loader import json_schema
from marketsim.scenario.population import MODES, Population
from marketsim.scenario.schema import Scenario

#: Fields and their new values, by dotted path.
Changes = list[tuple[str, Any]]
Value = float | str

#: In partial mode every market has a pool that may draw this share of the trader's capital.
DRAW_SHARE = 0.25
#: Hours between two payments of funding to choose from.
INTERVALS = (1, 2, 4, 8, 24)
#: Largest funding cap, basis points per 8 h.
MAX_CAP_BP = 1_000.0
_NOW, _RESET = "now", "reset"


@dataclass(frozen=True)
class Control:
    """One thing to turn.

    Attributes
    ----------
    path : str
        Its name: a field of the scenario, or several that move together.
    acts : str
        "now" on the running market, "reset" when it starts anew.
    change : callable
        Given a value, the fields to set.
    """

    path: str
    label: str
    group: str
    value: Value
    change: Callable[[Any], Changes]
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    log: bool = False
    choices: tuple[Value, ...] = ()
    acts: str = _NOW

    def check(self, value: Any) -> None:
        """Refuse a value that is out of range.

        Raises
        ------
        RefusedError
        """
        if self.choices:
            if value not in self.choices:
                words = ", ".join(str(each) for each in self.choices)
                raise RefusedError(self.path, f"must be one of {words}")
        elif isinstance(value, str) or not self.low <= value <= self.high:
            raise RefusedError(self.path, f"must be a number from {self.low:g} to {self.high:g}")

    def header(self, value: Value) -> dict[str, Any]:
        """Return what the page must know of it, with the value in force."""
        facts: dict[str, Any] = {
            "path": self.path,
            "label": self.label,
            "group": self.group,
            "unit": self.unit,
            "value": value,
            "acts": self.acts,
        }
        if self.choices:
            return facts | {"choices": list(self.choices)}
        return facts | {"min": self.low, "max": self.high, "step": self.step, "log": self.log}


def list_controls(scenario: Scenario) -> list[Control]:
    """List what can be turned of a scenario, with the values it has.

    Parameters
    ----------
    scenario : Scenario
        As it was loaded: what is turned is turned from there.
    """
    found: list[Control] = []
    for name, population in scenario.populations.items():
        found += _crowd(scenario, name, population)
    found += [_cross_share(scenario), *_funding(scenario)]
    return [*found, *_prices(scenario), *_depth(scenario)]


def mode_changes(scenario: Scenario, mode: str) -> Changes:
    """Return the fields that put all who take sides in a margin mode.

    Those who supply liquidity keep their pools: twins differ by the crowd's margin alone.
    """
    changes: Changes = []
    for name, population in _taking_sides(scenario).items():
        if mode == "partial" and not population.groups:
            groups = {
                market: {"markets": [market], "draw_limit": DRAW_SHARE}
                for market in scenario.markets
            }
            changes.append((f"populations.{name}.groups", groups))
        changes.append((f"populations.{name}.margin_mode", mode))
    return changes


def own_mode(scenario: Scenario) -> str:
    """Name the margin mode of those who take sides, "mixed" where they have several."""
    shares = [population.mode_weights for population in _taking_sides(scenario).values()]
    used = {mode for each in shares for mode, share in zip(MODES, each, strict=True) if share > 0}
    return used.pop() if len(used) == 1 else "mixed"


def _taking_sides(scenario: Scenario) -> Mapping[str, Population]:
    return {
        name: population
        for name, population in scenario.populations.items()
        if takes_sides(population)
    }


def _acts(scenario: Scenario, path: str) -> str:
    keys = path.split(".")
    said = acts(json_schema(), keys, scenario.model_dump(exclude_none=True))
    return _NOW if said is True else _RESET


def _crowd(scenario: Scenario, name: str, population: Population) -> list[Control]:
    if population.strategy not in ("herd", "holder"):
        return []
    prefix = f"populations.{name}"
    limit = min(market.leverage_limit for market in scenario.markets.values())
    leverage = _scaled(scenario, f"{prefix}.leverage", f"Leverage of {name}", "x", 1.0, limit)
    sensitivity = _scaled(
        scenario, f"{prefix}.funding_sensitivity", f"Funding sensitivity of {name}", "", 0.0, 10.0
    )
    found = [leverage, sensitivity]
    if population.strategy == "herd":
        independence = population.parameters.get("independence", 60.0)
        path = f"{prefix}.parameters.independence"
        found.append(
            Control(
                path=path,
                label=f"Herding of {name} (1 / independence)",
                group="Crowd",
                value=1.0 / independence,
                change=lambda value: [(path, 1.0 / value)],
                low=min(0.002, 1.0 / independence),
                high=max(2.0, 1.0 / independence),
                step=0.001,
                log=True,
            )
        )
        bias = f"{prefix}.parameters.bias"
        found.append(
            Control(
                path=bias,
                label=f"Bias of {name} (-1 short, 1 long)",
                group="Crowd",
                value=population.parameters.get("bias", 0.0),
                change=lambda value: [(bias, value)],
                low=-0.95,
                high=0.95,
            )
        )
    count = f"{prefix}.count"
    found.append(
        Control(
            path=count,
            label=f"Traders in {name}",
            group="Crowd",
            value=population.count,
            change=lambda value: [(count, round(value))],
            low=1,
            high=max(20_000, population.count),
            step=1,
            log=True,
            acts=_acts(scenario, count),
        )
    )
    return found


def _scaled(
    scenario: Scenario, path: str, label: str, unit: str, low: float, high: float
) -> Control:
    """Turn the median of a habit; all others keep their distance from it."""
    habit = getattr(scenario.populations[path.split(".")[1]], path.split(".")[2])
    middle = median(habit)

    def change(value: float) -> Changes:
        return [(path, _times(habit.model_dump(exclude_none=True), middle, value, high))]

    return Control(
        path=path,
        label=f"{label}, median",
        group="Crowd",
        value=middle,
        change=change,
        unit=unit,
        low=min(low, middle),
        high=max(high, middle),
        step=0.1,
        acts=_acts(scenario, path),
    )


def _times(habit: Any, middle: float, value: float, most: float) -> Any:
    """Scale a distribution so that its median is `value`, nothing above `most`."""
    if not isinstance(habit, dict) or middle <= 0.0:
        return value
    by = value / middle
    scaled = dict(habit)
    for name in ("median", "min", "max"):
        if name in habit:
            scaled[name] = min(habit[name] * by, most)
    if "values" in habit:
        scaled["values"] = [min(each * by, most) for each in habit["values"]]
    if "parts" in habit:
        scaled["parts"] = [_times(part, middle, value, most) for part in habit["parts"]]
    if scaled.get("kind") == "uniform" and scaled["max"] <= scaled["min"]:
        return value
    return scaled


def _cross_share(scenario: Scenario) -> Control:
    crowd = _taking_sides(scenario)
    shares = [
        population.mode_weights[0] / sum(population.mode_weights) for population in crowd.values()
    ]

    def change(value: float) -> Changes:
        modes = {"cross": value, "isolated": 1.0 - value}
        return [(f"populations.{name}.margin_mode", modes) for name in crowd]

    return Control(
        path="cross_share",
        label="Cross share: traders with one pool for all",
        group="Venue",
        value=sum(shares) / len(shares) if shares else 0.0,
        change=change,
        step=0.05,
    )


def _funding(scenario: Scenario) -> list[Control]:
    found = []
    hours, path = scenario.venue.funding.interval_hours, "venue.funding.interval_hours"
    if not isinstance(hours, str):
        found.append(
            Control(
                path=path,
                label="Hours between funding payments",
                group="Venue",
                value=hours,
                change=lambda value: [(path, value)],
                unit="h",
                choices=tuple(sorted({*INTERVALS, hours})),
                acts=_acts(scenario, path),
            )
        )
    names = list(scenario.markets)
    cap = min(funding_cap(scenario.venue, market) for market in scenario.markets.values())
    in_bp = min(1e4 * cap, MAX_CAP_BP)
    found.append(
        Control(
            path="funding_cap",
            label="Funding cap, per 8 h",
            group="Venue",
            value=in_bp,
            change=lambda value: [(f"markets.{name}.funding_cap", value / 1e4) for name in names],
            unit="bp",
            low=min(0.5, in_bp),
            high=MAX_CAP_BP,
            step=0.5,
            log=True,
        )
    )
    return found


def _prices(scenario: Scenario) -> list[Control]:
    path = "spot.reflexivity"
    found = [
        Control(
            path=path,
            label="Reflexivity: share of impact that moves spot",
            group="Prices",
            value=scenario.spot.reflexivity,
            change=lambda value: [(path, value)],
            acts=_acts(scenario, path),
        )
    ]
    if scenario.spot.kind != "factor":
        return found
    stated = [name for name, own in scenario.spot.markets.items() if own.beta is not None]

    def correlate(value: float) -> Changes:
        others = [(f"spot.markets.{name}.beta", value) for name in stated]
        return [("spot.own.beta", value), *others]

    found.append(
        Control(
            path="spot.own.beta",
            label="Correlation: beta to the common factor",
            group="Prices",
            value=scenario.spot.own.beta,
            change=correlate,
            low=0.0,
            high=max(2.0, scenario.spot.own.beta),
            step=0.05,
            acts=_acts(scenario, "spot.own.beta"),
        )
    )
    return found


def _depth(scenario: Scenario) -> list[Control]:
    found = []
    for name, population in scenario.populations.items():
        if population.strategy != "maker":
            continue
        path = f"populations.{name}.parameters.depth"
        found.append(
            Control(
                path=path,
                label=f"Depth that {name} show",
                group="Venue",
                value=population.parameters.get("depth", 1.0),
                change=lambda value, path=path: [(path, value)],  # type: ignore[misc]
                low=0.02,
            )
        )
    return found

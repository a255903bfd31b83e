"""What is shown: which scenario, which seed, one market or several beside each other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.live.commands import RefusedError
from marketsim.live.controls import Control, Value, list_controls, mode_changes, own_mode
from marketsim.model.opening import open_simulation
from marketsim.report.drawn import choose_drawn
from marketsim.report.recording import Cadence, Recorder
from marketsim.run.simulation import Simulation
from marketsim.scenario.history import HistoryError
from marketsim.scenario.inputs import InputChangedError
from marketsim.scenario.loader import (
    ScenarioError,
    change_tables,
    list_scenarios,
    load_scenario,
    parse_scenario,
    read_tables,
)
from marketsim.scenario.schema import Scenario
from marketsim.scenario.venue import preset_names

#: Whose rule books are shown beside each other.
VENUES = tuple(name for name in preset_names() if name != "default")
#: Shown where nothing is named.
DEFAULT_SCENARIO = "contagion"
#: How often markets of so many traders are looked at.
_CADENCES = ((2_000, Cadence(2, 10, 10)), (20_000, Cadence(5, 20, 20)))
_LARGE = Cadence(10, 60, 60)


class Catalogue:
    """The scenarios that may be chosen: those that are shipped, and one that the user named.

    Parameters
    ----------
    named : str, optional
        A shipped scenario, or the path of a TOML file. Nothing else is ever read.

    Raises
    ------
    ScenarioError
        If there is no such scenario, or it is wrong.
    """

    def __init__(self, named: str | None = None) -> None:
        self._sources = {name: name for name, _ in list_scenarios()}
        self.first = named or DEFAULT_SCENARIO
        self.seed = load_scenario(self.first).seed
        if named is not None and named not in self._sources:
            name = load_scenario(named).name
            self.first = name if name not in self._sources else f"{name} (file)"
            self._sources[self.first] = str(Path(named).resolve())

    @property
    def names(self) -> list[str]:
        """Of all scenarios, the first shown first."""
        return [self.first, *(name for name in self._sources if name != self.first)]

    def tables(self, name: str) -> dict[str, Any]:
        """Return the tables of a scenario.

        Raises
        ------
        RefusedError
            If it is none of these.
        """
        if name not in self._sources:
            raise RefusedError("scenario", f"must be one of {', '.join(self.names)}")
        return read_tables(self._sources[name])


@dataclass(frozen=True)
class Setup:
    """What to show; a change of it starts anew.

    Attributes
    ----------
    arrangement : {"single", "twins", "venues"}
    mode : str or None
        Margin mode of those who take sides; None: as the scenario has it.
    twin : str or None
        That of the twin.
    settings : mapping
        What was turned, by the path of its control.
    """

    scenario: str
    seed: int
    arrangement: str = "single"
    mode: str | None = None
    twin: str | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)

    def turned(self, path: str, value: Value) -> "Setup":
        """Return it with another value of a control."""
        return replace(self, settings={**self.settings, path: value})


class Lane(NamedTuple):
    """One market that is shown."""

    label: str
    recorder: Recorder

    @property
    def run(self) -> Simulation:
        """The market itself."""
        return self.recorder.simulation


class Base(NamedTuple):
    """A scenario as it was loaded, without an end: what is turned is turned from there."""

    tables: dict[str, Any]
    scenario: Scenario
    controls: Mapping[str, Control]  #: by path


def read_base(catalogue: Catalogue, name: str) -> Base:
    """Read a scenario of the catalogue.

    Raises
    ------
    RefusedError
        If there is none of that name, or it cannot be read.
    """
    tables = catalogue.tables(name)
    changes: list[tuple[str, Any]] = [
        ("record.series_minutes", tables.get("step_minutes", 1.0)),
        ("record.causes", True),
    ]
    if _bridge(tables) != "brownian":  # the random path follows from all prices there are
        changes.append(("days", "open"))
    scenario = _parsed(tables, changes)
    controls = {control.path: control for control in list_controls(scenario)}
    return Base(change_tables(tables, changes), scenario, controls)


def _bridge(tables: dict[str, Any]) -> Any:
    history = tables.get("spot", {}).get("history", {})
    return history.get("bridge") if isinstance(history, dict) else None


def open_lanes(base: Base, setup: Setup) -> list[Lane]:
    """Open the markets of a set-up, at their first step.

    Raises
    ------
    RefusedError
        If one of them cannot be.
    """
    changes: list[tuple[str, Any]] = []
    for path, value in setup.settings.items():
        changes += base.controls[path].change(value)
    if setup.mode is not None:
        changes += mode_changes(base.scenario, setup.mode)
    lanes: list[Lane] = []
    drawn: NDArray[np.int64] | None = None
    for number, (label, more) in enumerate(_variants(setup, base.scenario)):
        run = _opened(_parsed(base.tables, [*changes, *more]), setup.seed)
        drawn = choose_drawn(run.roster) if drawn is None else drawn
        lanes.append(Lane(label, Recorder(run, drawn, _cadence(run), number)))
    return lanes


def _variants(setup: Setup, base: Scenario) -> Iterable[tuple[str, list[tuple[str, Any]]]]:
    """List the markets of a set-up: what each is called and in what it differs."""
    if setup.arrangement == "venues":
        return [(name, [("venue.preset", name)]) for name in VENUES]
    here = setup.mode or own_mode(base)
    if setup.arrangement == "twins":
        other = setup.twin or ("cross" if here == "isolated" else "isolated")
        if here == "mixed":  # twins tell more when each is of one kind
            here = "isolated" if other == "cross" else "cross"
            return [(each, mode_changes(base, each)) for each in (here, other)]
        if other == here:
            raise RefusedError("twins", f"both would be {here}: choose another margin mode")
        return [(here, []), (other, mode_changes(base, other))]
    return [(here, [])]


def _cadence(run: Simulation) -> Cadence:
    count = run.roster.num_traders
    return next((cadence for most, cadence in _CADENCES if count <= most), _LARGE)


def _parsed(tables: dict[str, Any], changes: list[tuple[str, Any]]) -> Scenario:
    try:
        return parse_scenario(change_tables(tables, changes))
    except ScenarioError as error:
        raise RefusedError("scenario", str(error)) from None


def _opened(scenario: Scenario, seed: int) -> Simulation:
    try:
        return open_simulation(scenario, seed)
    except (ScenarioError, HistoryError, InputChangedError) as error:
        raise RefusedError("scenario", str(error)) from None

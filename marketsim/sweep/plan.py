"""The plan: every run of a design, checked, numbered and named by its key before the first."""

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from marketsim.run.shared_warm_up import felt, may_share
from marketsim.run.version import RUN_SOURCES, code_version
from marketsim.scenario.coercion import whole_number
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.inputs import Input, InputLog, scenario_inputs, without_paths
from marketsim.scenario.loader import change_tables, parse_scenario, read_tables
from marketsim.scenario.named_files import absolute_path, absolute_value
from marketsim.scenario.schema import Scenario
from marketsim.scenario.wording import show
from marketsim.sweep.design import BASE, Design, DesignError
from marketsim.sweep.measure import MeasureError, load_measure
from marketsim.sweep.sampling import Cells, count_cells

#: Runs of a design that is not asked for twice.
MAX_RUNS = 20_000
#: Fields of a scenario that change no number of a run.
WORDING = {"name", "description", "seed"}
#: Parts of the package that decide what a run's figures are.
MODEL_SOURCES = (*RUN_SOURCES, "results", "sweep/metrics.py")
#: Hexadecimal digits of a key.
KEY_DIGITS = 32


class Point(NamedTuple):
    """A variant of a cell: the scenario of its replicates."""

    cell: int
    variant: str
    values: tuple[Any, ...]  #: of the parameters, in the order of their names
    changes: tuple[tuple[str, Any], ...]  #: of the base's tables


class PlannedRun(NamedTuple):
    """One run of a plan."""

    key: str
    scenario: str  #: hash of the resolved scenario
    point: Point
    replicate: int
    seed: int


class Plan:
    """A design worked out.

    Points that lead to the same resolved scenario share their runs: the runs of a plan are
    distinct, while its points need not be.

    Parameters
    ----------
    design : Design
    most_runs : int, optional
        Refuse more runs than this.
    stated_in : iterable of Input, optional
        The files the design was read from.

    Attributes
    ----------
    tables : dict
        Of the base scenario, with the design's `set` and `days` applied.
    bases : dict
        Tables of the scenarios that are put in its place, by name.
    inputs : tuple of Input
        The files all runs are made from: those the design was read from, those of the base
        scenario, and those that any point names. Each was read once.
    notices : list of str
        What has no effect in the base scenario.
    point_hash : ndarray
        (points,) of the resolved scenario of each.
    point_warm_up : ndarray
        (points,) hash of all that its warm-up depends on beside the seed; empty where it has none
        that runs may share.
    shapes : list of Point
        One point for every set of markets, populations and records: of each, its figures' names
        are the same.

    Raises
    ------
    DesignError
        If there are too many runs, or the base, a cell or a corner is no valid scenario.
    """

    def __init__(
        self, design: Design, most_runs: int | None = None, stated_in: Iterable[Input] = ()
    ) -> None:
        self.design = design
        self.parameters = design.parameter_names
        self.variants = design.variant_names
        self.num_points = count_cells(design) * len(self.variants)
        num = self.num_points * design.replicates
        if most_runs is not None and num > whole_number("most_runs", most_runs):
            text = f"{num:,} runs, more than {most_runs:,}: confirm with --yes"
            raise DesignError([text], design.name)
        self.cells = Cells(design)
        self.model = model_version()
        read = InputLog()
        with read:
            self.tables = _base_tables(design)
        self.notices = self._check(self.tables, "base").notices()
        self.shapes: list[Point] = []
        self.bases: dict[str, dict[str, Any]] = {}
        with read:
            self.point_hash, self.point_warm_up = self._hash_points()
            self._check_measure()
        self.inputs = (*stated_in, *read)
        self._distinct = distinct_points(self.point_hash)
        #: (runs,) key of each.
        self.keys = run_keys(self.point_hash[self._distinct], design, self.model)

    def __len__(self) -> int:
        """Return the number of distinct runs."""
        return len(self._distinct) * self.design.replicates

    def point(self, number: int) -> Point:
        """Return a point by its number."""
        cell, variant = divmod(number, len(self.variants))
        return make_point(self.cells, cell, self.variants[variant])

    def points(self) -> Iterator[Point]:
        """Go through all points."""
        return map(self.point, range(self.num_points))

    def run(self, number: int) -> PlannedRun:
        """Return a run by its number; the first replicates of all cells come before the second."""
        replicate, place = divmod(number, len(self._distinct))
        place = int(self._distinct[place])
        return PlannedRun(
            key=self.keys[number].decode(),
            scenario=self.point_hash[place].decode(),
            point=self.point(place),
            replicate=replicate,
            seed=self.design.seed + replicate,
        )

    def warm_up(self, number: int) -> str:
        """Name the warm-up of a run by all that decides it; "" if there is none to share."""
        replicate, place = divmod(number, len(self._distinct))
        name = self.point_warm_up[self._distinct[place]].decode()
        return name and f"{name}-{self.design.seed + replicate}"

    def scenario(self, point: Point) -> Scenario:
        """Return the scenario of a point."""
        return resolve_scenario(self.tables, point.changes)

    def _hash_points(self) -> tuple[Any, Any]:
        """Check all corners and points and read what they name; return the hashes of each point."""
        seen = set()
        known: dict[tuple[str, str], tuple[Input, ...]] = {}
        for values in self.cells.corners():
            for name in self.variants:
                corner = self._check_point(make_point(self.cells, 0, name, values), "corner")
                scenario_inputs(corner, known)
        hashes = np.zeros(self.num_points, dtype=f"S{KEY_DIGITS}")
        warm_ups = np.zeros_like(hashes)
        for number, point in enumerate(self.points()):
            scenario = self._check_point(point, f"cell {point.cell}")
            for path, value in point.changes:
                if path == BASE and value not in self.bases:
                    self.bases[value] = read_tables(value)
            inputs = scenario_inputs(scenario, known)
            hashes[number] = scenario_hash(scenario, inputs)
            warm_ups[number] = warm_up_hash(scenario, inputs)
            record = scenario.record.model_dump_json()
            shape = (tuple(scenario.markets), tuple(scenario.populations), record)
            if shape not in seen:
                seen.add(shape)
                self.shapes.append(point)
        return hashes, warm_ups

    def _check_measure(self) -> None:
        if self.design.measure is None:
            return
        try:
            load_measure(Path(self.design.measure))
        except MeasureError as error:
            raise DesignError([f"measure: {error}"], self.design.name) from error

    def _check_point(self, point: Point, what: str) -> Scenario:
        pairs = zip(self.parameters, point.values, strict=True)
        where = [f"{name} = {show(value)}" for name, value in pairs]
        where += [f"variant {point.variant}"] if self.design.variants else []
        try:
            scenario = self.scenario(point)
            _ = scenario.num_steps  # there must be an end
        except ScenarioError as error:
            source = f"{self.design.name}: {what} ({', '.join(where)})"
            raise DesignError(error.problems, source) from None
        return scenario

    def _check(self, tables: dict[str, Any], what: str) -> Scenario:
        try:
            return parse_scenario(copy.deepcopy(tables))
        except ScenarioError as error:
            raise DesignError(error.problems, f"{self.design.name}: {what}") from None


def make_point(
    cells: Cells, cell: int, variant: str, values: tuple[Any, ...] | None = None
) -> Point:
    """Return a variant of a cell.

    Parameters
    ----------
    cells : Cells
    cell : int
    variant : str
    values : tuple, optional
        Of the parameters, if not the cell's own.

    Returns
    -------
    Point
    """
    if values is None:
        values = cells.values(cell)
    changes = [*cells.changes(values), *cells.design.variants.get(variant, {}).items()]
    bases = [change for change in changes if change[0] == BASE]
    if bases:  # what holds for the whole design holds for this base, too
        others = [change for change in changes if change[0] != BASE]
        changes = [*bases, *_of_all(cells.design), *others]
    folder = Path.cwd()  # workers may have another
    absolute = tuple(
        (path, _base_of(value, folder) if path == BASE else absolute_value(path, value, folder))
        for path, value in changes
    )
    return Point(cell, variant, values, absolute)


def _base_of(value: Any, folder: Path) -> str:
    """Return the name of a scenario of the library, or a file's path from the root."""
    file = absolute_path(str(value), folder)
    return str(file) if file.is_file() else str(value)


def resolve_scenario(tables: dict[str, Any], changes: Iterable[tuple[str, Any]]) -> Scenario:
    """Apply changes to a base's tables and check the scenario.

    Parameters
    ----------
    tables : dict
    changes : iterable of (str, value)
        One of `BASE` puts another scenario in the place of the base's tables.

    Returns
    -------
    Scenario

    Raises
    ------
    ScenarioError
    """
    made = list(changes)
    bases = [value for path, value in made if path == BASE]
    found = read_tables(bases[-1]) if bases else tables
    return parse_scenario(change_tables(found, [each for each in made if each[0] != BASE]))


def _base_tables(design: Design) -> dict[str, Any]:
    """Read the base scenario and apply what holds for the whole design."""
    try:
        tables = read_tables(design.base)
        return change_tables(tables, _of_all(design), design.base)
    except ScenarioError as error:
        raise DesignError(error.problems, f"{design.name}: base {error.source}") from None


def _of_all(design: Design) -> list[tuple[str, Any]]:
    """List the changes that hold for the whole design."""
    length = [] if design.days is None else [("days", design.days)]
    return [*design.set.items(), *length]


def scenario_hash(scenario: Scenario, inputs: Iterable[Input]) -> str:
    """Hash all of a resolved scenario that can change a number.

    The content of the files it names counts, not their paths.

    Parameters
    ----------
    scenario : Scenario
    inputs : iterable of Input
        As `scenario_inputs` returns them.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    data = without_paths(scenario, exclude=WORDING)
    data["inputs"] = [each.sha256 for each in inputs]
    return _hash(json.dumps(data, separators=(",", ":"), sort_keys=True))


def warm_up_hash(scenario: Scenario, inputs: Iterable[Input]) -> str:
    """Hash all that the warm-up of a scenario depends on, beside the seed.

    Parameters
    ----------
    scenario : Scenario
    inputs : iterable of Input
        As `scenario_inputs` returns them.

    Returns
    -------
    str
        32 hexadecimal digits; "" if it has no warm-up that runs may share.
    """
    if not may_share(scenario):
        return ""
    return _hash("\0".join([felt(scenario), *(each.sha256 for each in inputs)]))


def run_key(scenario: str, seed: int, model: str) -> str:
    """Name a run by all that decides its numbers.

    Parameters
    ----------
    scenario : str
        As `scenario_hash` returns it.
    seed : int
    model : str
        As `model_version` returns it.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    return _hash(f"{scenario}:{seed}:{model}")


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=KEY_DIGITS // 2).hexdigest()


def distinct_points(point_hash: Any) -> Any:
    """Return the numbers of the first points of each resolved scenario, in order."""
    _, first = np.unique(point_hash, return_index=True)
    return np.sort(first)


def run_keys(scenarios: Any, design: Design, model: str) -> Any:
    """Return the keys of a plan's runs by their numbers.

    Parameters
    ----------
    scenarios : ndarray
        Hashes of the distinct scenarios.
    design : Design
    model : str
        As `model_version` returns it.

    Returns
    -------
    ndarray
        (runs,) of ASCII; the first replicates of all scenarios come before the second.
    """
    return np.fromiter(
        (
            run_key(scenario.decode(), design.seed + replicate, model)
            for replicate in range(design.replicates)
            for scenario in scenarios
        ),
        dtype=f"S{KEY_DIGITS}",
        count=len(scenarios) * design.replicates,
    )


@cache
def model_version() -> str:
    """Return the package's version and a hash of its code that decides a run's figures."""
    return f"{version('marketsim-perps')}+{code_version(MODEL_SOURCES)}"

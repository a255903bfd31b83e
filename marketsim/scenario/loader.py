"""Scenarios from files: the library, the user's own, and what the command line sets."""

import copy
import re
import tomllib
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from marketsim.scenario.coercion import is_number, list_overrides
from marketsim.scenario.errors import (
    Location,
    ScenarioError,
    ScenarioWarning,
    explain,
    nearest,
)
from marketsim.scenario.inputs import BASE, SCENARIO, note_input
from marketsim.scenario.named_files import absolute_path, absolute_value, resolve_paths
from marketsim.scenario.paths import forget_draw, forget_draws, path_keys, set_field
from marketsim.scenario.schema import Scenario, completed
from marketsim.scenario.wording import show
from marketsim.scenario.writer import resolved_toml

__all__ = [
    "ScenarioError",
    "ScenarioWarning",
    "change_tables",
    "days_override",
    "json_schema",
    "list_scenarios",
    "load_scenario",
    "override_tables",
    "parse_scenario",
    "parse_toml",
    "read_tables",
    "read_toml",
    "resolved_toml",
]

#: What stands for a wrong field that must be there, so that all others are still checked.
STAND_INS = {
    "price": 100.0,
    "tick_size": 0.01,
    "lot_size": 0.01,
    "strategy": "holder",
    "count": 1,
}
#: Passes over a wrong scenario: the errors of one hide those of the next.
MAX_PASSES = 8


def load_scenario(name_or_path: str | Path, overrides: Iterable[tuple[str, str]] = ()) -> Scenario:
    """Read, complete and check a scenario.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a scenario of the library, or path of a TOML file.
    overrides : iterable of (str, str), optional
        Dotted path of a field and its new value as TOML text; text that is no TOML is a string.

    Returns
    -------
    Scenario

    Raises
    ------
    ScenarioError
        If there is no such scenario, it is not TOML, or fields are wrong: all of them at once.

    Warns
    -----
    ScenarioWarning
        If part of the scenario has no effect.
    """
    source = str(name_or_path)
    data = override_tables(read_tables(source), overrides, source)
    scenario = parse_scenario(data, source)
    for notice in scenario.notices():
        warnings.warn(f"{source}: {notice}", ScenarioWarning, stacklevel=2)
    return scenario


def read_tables(name_or_path: str | Path, folder: Path | None = None) -> dict[str, Any]:
    """Read a scenario's tables, what it takes from its `base` filled in; nothing is checked yet.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a scenario of the library, or path of a TOML file.
    folder : Path, optional
        Of a relative path; by default the current one.

    Returns
    -------
    dict

    Raises
    ------
    ScenarioError
        If there is no such scenario or it is not TOML.
    """
    source = str(name_or_path)
    data = _read_tables(source, folder or Path.cwd(), ())
    data.setdefault("name", re.sub(r"[^A-Za-z0-9_-]", "-", Path(source).stem)[:32])
    return data


def change_tables(
    tables: dict[str, Any],
    changes: Iterable[tuple[str, Any]],
    source: str = "scenario",
    *,
    folder: Path | None = None,
    said: str = "",
) -> dict[str, Any]:
    """Set fields of a scenario's tables, in a copy.

    Parameters
    ----------
    tables : dict
        As `read_tables` returns them.
    changes : iterable of (str, value)
        Dotted path of a field and its new value; tables on the way are made where missing.
    source : str, optional
        Where the tables came from, for the error.
    folder : Path, optional
        Of relative paths among the values; by default the current one.
    said : str, optional
        How the user stated the changes, for the error.

    Returns
    -------
    dict

    Raises
    ------
    ScenarioError
        If a path leads through a value or beyond the end of a list.
    """
    data = copy.deepcopy(tables)
    problems = []
    for path, given in changes:
        value = absolute_value(path, given, folder or Path.cwd())
        try:
            keys = path_keys(path)
            set_field(data, keys, value)
            forget_draw(data, ".".join(keys))
        except (LookupError, TypeError) as error:
            problems.append(f"{said}{path or show('')}: {error.args[0]}")
    if problems:
        raise ScenarioError(problems, source)
    return data


def override_tables(
    tables: dict[str, Any], overrides: Iterable[tuple[str, str]], source: str
) -> dict[str, Any]:
    """Set fields of a file's tables as ``--set`` does, in a copy.

    Parameters
    ----------
    tables : dict
    overrides : iterable of (str, str)
        Dotted path of a field and its new value as TOML text; text that is no TOML is a string.
    source : str
        The file, for the error.

    Returns
    -------
    dict

    Raises
    ------
    ScenarioError
        If a change is no pair, or its path leads through a value or beyond the end of a list.
    """
    stated = list_overrides(overrides)
    wrong = [each for each in stated if not _is_change(each)]
    if wrong:
        need = 'must be a pair of path and value, as in overrides = [("days", "7")]'
        raise ScenarioError([f"overrides: {show(each)}: {need}" for each in wrong], source)
    changes = [(path, parse_value(text)) for path, text in stated]
    return change_tables(tables, changes, source, said="--set ")


def _is_change(stated: Any) -> bool:
    is_pair = isinstance(stated, tuple | list) and len(stated) == 2
    return is_pair and isinstance(stated[0], str)


def days_override(days: float | None) -> list[tuple[str, str]]:
    """Return the override that states how long a run lasts; none for None.

    Raises
    ------
    TypeError
        If it is no number.
    """
    if days is None:
        return []
    if not is_number(days):
        raise TypeError(f"days = {days!r}: must be a number of days, such as 7 or 0.5")
    return [("days", repr(float(days)))]


def parse_scenario(data: dict[str, Any], source: str = "scenario") -> Scenario:
    """Check a scenario given as nested dictionaries.

    Parameters
    ----------
    data : dict
    source : str, optional
        Where it came from, for the error.

    Returns
    -------
    Scenario

    Raises
    ------
    ScenarioError
        Listing every wrong field.
    """
    lines: list[str] = []
    reported: list[Location] = []
    for _ in range(MAX_PASSES):
        try:
            scenario = Scenario.model_validate(data)
        except ValidationError as error:
            found = explain(error, completed(data), json_schema())
            fresh = [item for item in found if not _known(item[0], reported)]
            lines += [line for _, new in fresh for line in new if line not in lines]
            reported += [location for location, _ in fresh]
            repaired = _without(data, [location for location, _ in found])
            if repaired == data:
                break
            data = repaired
        else:
            break
    if lines:
        raise ScenarioError(lines, source)
    return scenario


def list_scenarios() -> list[tuple[str, str]]:
    """List the library: name and one line for each scenario."""
    folder = files("marketsim.scenario").joinpath("library")
    found = []
    for name in _library_names():
        data = tomllib.loads(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
        found.append((name, str(data.get("description", ""))))
    return found


def read_toml(
    file: Path | Traversable, source: str, what: str, kind: type[ScenarioError] = ScenarioError
) -> dict[str, Any]:
    """Read a TOML file that a user named.

    Parameters
    ----------
    file : Path or Traversable
    source : str
        What the user called it, for the error.
    what : str
        What it is as an input, see `marketsim.scenario.inputs`.
    kind : type, optional
        Of the error.

    Returns
    -------
    dict

    Raises
    ------
    ScenarioError
        If there is no such file, or it is not TOML.
    """
    if not source:
        raise kind(["the path of its file is empty"], what)
    try:
        content = file.read_bytes()
        is_shipped = source in _library_names()
        note_input(what, source if is_shipped else str(Path(str(file)).absolute()), content)
        return parse_toml(content.decode())
    except OSError as error:
        raise kind([f"cannot be read: {error.strerror}"], source) from None
    except ValueError as error:
        raise kind([f"not a TOML file: {error}"], source) from None


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises
    ------
    ValueError
        If it is not: also for a number of thousands of digits, or tables nested hundreds deep.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its lists or tables are nested too deeply") from None


@cache
def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a scenario file."""
    schema = Scenario.model_json_schema()
    text = "Name or file of a scenario from which all that is not stated here is taken."
    base = {"type": "string", "title": "Base", "description": text, "live": False}
    schema["properties"]["base"] = base
    return schema


def _read_tables(given: str, folder: Path, above: tuple[str, ...]) -> dict[str, Any]:
    """Read a scenario's tables, those of its base beneath; `above` are the files that led here."""
    file, folder = _find(given, folder, above)
    data = read_toml(file, given, BASE if above else SCENARIO)
    resolve_paths(data, folder)
    base = data.pop("base", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ScenarioError([f"base = {show(base)}: must be the name or file of a scenario"], given)
    if base in (*above, given):
        raise ScenarioError([f"base = {show(base)}: leads back to itself"], given)
    beneath = _read_tables(base, folder, (*above, given))
    beneath.pop("description", None)
    forget_draws(beneath, data)
    return _derive(beneath, data | {"name": data.get("name", Path(given).stem)})


def _derive(base: dict[str, Any], own: dict[str, Any], *path: str) -> dict[str, Any]:
    """Put a scenario's tables on top of its base's.

    Tables are merged field by field; a habit or the law of a drawn field is one value, whether a
    number or a table, and so are the lists of shocks and of interventions.
    """
    found = dict(base)
    is_population = len(path) == 2 and path[0] == "populations"
    for key, value in own.items():
        below = found.get(key)
        is_value = path == ("drawn",) or (is_population and key != "parameters")
        if isinstance(value, dict) and isinstance(below, dict) and not is_value:
            found[key] = _derive(below, value, *path, key)
        else:
            found[key] = value
    return found


def _find(given: str, folder: Path, above: tuple[str, ...]) -> tuple[Path | Traversable, Path]:
    """Return the file of a scenario and the folder of its relative paths."""
    if given in _library_names():
        library = files("marketsim.scenario").joinpath("library")
        return library.joinpath(f"{given}.toml"), Path.cwd()
    path = absolute_path(given, folder)
    if not given or not _exists(path):
        names = _library_names()
        known = f"the library has {', '.join(names)}"
        problem = f"there is no such file, nor a library scenario{nearest(given, names)}; {known}"
        if above:
            raise ScenarioError([f"base = {show(given)}: {problem}"], above[-1])
        raise ScenarioError([problem], given or show(given))
    return path, path.parent


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


@cache
def _library_names() -> tuple[str, ...]:
    folder = files("marketsim.scenario").joinpath("library")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def parse_value(text: str) -> Any:
    """Read a value as TOML; text that is no TOML is a string."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def _known(location: Location, reported: Sequence[Location]) -> bool:
    """Tell whether an error follows from one that is reported: at, above or below its place.

    In a market of which a stand-in replaced a part, nothing else can be said.
    """
    for place in reported:
        whole = place[:2] if place[:1] == ("markets",) and place[-1] in STAND_INS else place
        if whole and location and location[: len(whole)] == whole:
            return True
        if location and place[: len(location)] == location:
            return True
    return False


def _without(data: dict[str, Any], locations: Sequence[Location]) -> dict[str, Any]:
    """Return a copy without the fields at some places, so that the other checks can run."""
    repaired = copy.deepcopy(data)
    for location in locations:
        node: Any = repaired
        try:
            for key in location[:-1]:
                node = node[key]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(node, list):
            repaired = _without(repaired, [location[:-1]])  # the numbers of the rest would change
        elif location and isinstance(node, dict):
            node.pop(location[-1], None)
            if location[-1] in STAND_INS and location[0] in ("markets", "populations"):
                node[location[-1]] = STAND_INS[str(location[-1])]
            elif not node:
                repaired = _without(repaired, [location[:-1]])
    return repaired

"""The files that a scenario names: their paths are relative to the file that states them."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marketsim.scenario.paths import path_keys

#: Fields that hold the path of a file; "*" is any name.
PATHS = (
    ("spot", "history", "path"),
    ("venue", "funding", "history", "*"),
    ("populations", "*", "parameters", "network_file"),
)


def absolute_path(text: str, folder: Path) -> Path:
    """Return a path that a user stated, relative to a folder; what is no path stays as it is."""
    try:
        return (folder / Path(text).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, nobody's home, a NUL
        return Path(text)


def absolute_value(path: str, value: Any, folder: Path) -> Any:
    """Make the files that a field's value names absolute, in a copy of it.

    Parameters
    ----------
    path : str
        Dotted path of the field.
    value : any
    folder : Path
        Of relative paths.

    Returns
    -------
    any
    """
    keys = path_keys(path)
    node: Any = copy.deepcopy(value)
    for key in reversed(keys):
        node = {key: node}
    resolve_paths(node, folder)
    for key in keys:
        node = node[key]
    return node


def resolve_paths(data: dict[str, Any], folder: Path) -> None:
    """Make the paths that a scenario's tables state absolute, in place.

    Parameters
    ----------
    data : dict
    folder : Path
        Of the file that states them.
    """
    for *tables, field in PATHS:
        for node in _tables_at(data, tables):
            for name in list(node) if field == "*" else [field]:
                if isinstance(node.get(name), str) and node[name]:
                    node[name] = str(absolute_path(node[name], folder))
    populations = data.get("populations")
    for population in populations.values() if isinstance(populations, dict) else ():
        if isinstance(population, dict) and isinstance(population.get("strategy"), str):
            population["strategy"] = _resolve_strategy(population["strategy"], folder)


def _tables_at(data: Any, keys: Sequence[str]) -> list[dict[str, Any]]:
    """List the tables at a path; "*" leads to all there are."""
    if not isinstance(data, dict):
        return []
    if not keys:
        return [data]
    below = data.values() if keys[0] == "*" else [data.get(keys[0])]
    return [table for node in below for table in _tables_at(node, keys[1:])]


def _resolve_strategy(text: str, folder: Path) -> str:
    """Make the file of a user's own strategy absolute: ``"file.py:Class"``."""
    file, colon, name = text.rpartition(":")
    if not file.endswith(".py"):
        return text
    return f"{absolute_path(file, folder)}{colon}{name}"

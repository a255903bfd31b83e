"""Fields by their dotted path, in tables as TOML has them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

#: Each part of a path: in double quotes, in single ones, or without a dot.
PART = re.compile(r"""(?:^|\.)(?:"([^"]*)"(?=\.|\Z)|'([^']*)'(?=\.|\Z)|([^.]*))""")


def path_keys(path: str) -> list[str]:
    """Return the parts of a dotted path; one in quotes may hold dots, as in TOML.

    Examples
    --------
    >>> path_keys('drawn."populations.basis.parameters.carry".sigma')
    ['drawn', 'populations.basis.parameters.carry', 'sigma']
    """
    return ["".join(found) for found in PART.findall(path)]


def set_field(data: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set a field below tables and lists; tables on the way are made where they are missing.

    Parameters
    ----------
    data : dict
        Changed in place.
    keys : sequence of str
        Parts of the path.
    value : any

    Raises
    ------
    LookupError, TypeError
        If the path leads through a value or beyond the end of a list.
    """
    if not all(keys):
        raise LookupError("write the path as path.to.field")
    node: Any = data
    for place, key in enumerate(keys):
        last = place == len(keys) - 1
        where = ".".join(keys[:place])
        if isinstance(node, list):
            if not key.isdecimal() or int(key) >= len(node):
                entries = f"{len(node)} entries, numbered from 0" if node else "no entries"
                raise LookupError(f"{where} has {entries}; there is no entry {key}")
            index: Any = int(key)
        elif isinstance(node, dict):
            index = key
            if not last and key not in node:
                if keys[place + 1].isdecimal():
                    raise LookupError(f"there is no list {'.'.join(keys[: place + 1])}")
                node[key] = {}
        else:
            raise TypeError(f"{where} is a value, it has no field {key}")
        if last:
            node[index] = value
        else:
            node = node[index]


def forget_draw(data: dict[str, Any], path: str) -> None:
    """Let a field that is set, and what lies beneath it, no longer be drawn: a draw would win."""
    _keep_draws(data, lambda field: not f"{field}.".startswith(f"{path}."))


def forget_draws(data: dict[str, Any], own: dict[str, Any]) -> None:
    """Let the fields that tables on top of these state no longer be drawn."""
    _keep_draws(data, lambda field: not _states(own, field.split(".")))


def _keep_draws(data: dict[str, Any], stays: Callable[[str], bool]) -> None:
    drawn = data.get("drawn")
    if isinstance(drawn, dict) and not all(map(stays, drawn)):
        data["drawn"] = {field: law for field, law in drawn.items() if stays(field)}


def _states(tables: Any, keys: Sequence[str]) -> bool:
    """Tell whether tables have a value at a path, or at one above it."""
    node = tables
    for key in keys:
        if not isinstance(node, dict):
            return True
        if key not in node:
            return False
        node = node[key]
    return True

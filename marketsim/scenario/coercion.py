"""Numbers are what is written as numbers: no text, no true or false is taken for one."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

#: Entries of a core schema that hold no schemas.
_NO_SCHEMAS = ("metadata", "config", "default", "expected", "serialization", "ref")
#: Seeds of a run lie below.
SEEDS = 2**63


def without_coercion(schema: CoreSchema) -> CoreSchema:
    """Let a model take numbers, and true or false, only for what they are.

    A whole number may be written as ``5.0`` or ``1e6``; a number may be a whole one.

    Parameters
    ----------
    schema : CoreSchema
        Of a pydantic model; changed in place.

    Returns
    -------
    CoreSchema
        The same.
    """
    _visit(schema, in_union=False)
    return schema


def _visit(node: Any, *, in_union: bool) -> None:
    if isinstance(node, list | tuple):
        for entry in node:
            _visit(entry, in_union=in_union)
        return
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if kind in ("float", "bool") or (kind == "int" and in_union):
        node["strict"] = True
    elif kind == "int":
        inner = dict(node)
        node.clear()
        node.update(core_schema.no_info_before_validator_function(_number, inner))
    elif kind == "function-before" and node["function"]["function"] is _number:
        return  # a model within a model has been here
    else:
        for key, entry in node.items():
            if key not in _NO_SCHEMAS:
                _visit(entry, in_union=kind == "union" and key == "choices")


def _number(value: Any) -> Any:
    if isinstance(value, bool | str | bytes):
        raise PydanticKnownError("int_type")
    return value


def is_number(value: Any) -> bool:
    """Tell whether an argument of a call is a number, Python's or NumPy's."""
    numbers = int | float | np.integer | np.floating
    return isinstance(value, numbers) and not isinstance(value, bool)


def is_whole_number(value: Any) -> bool:
    """Tell whether an argument of a call is a whole number, Python's or NumPy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole_number(name: str, value: Any) -> int:
    """Return an argument of a call that must be a whole number.

    Parameters
    ----------
    name : str
        Of the argument.
    value : int
        Python's or NumPy's.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if not is_whole_number(value):
        raise TypeError(f"{name} = {value!r}: must be a whole number")
    return int(value)


def path_of(name: str, value: Any) -> Path:
    """Return an argument of a call that must be the path of a file or folder.

    Parameters
    ----------
    name : str
        Of the argument.
    value : str or path
        ``~`` is the user's home.

    Raises
    ------
    TypeError, ValueError
        If it is anything else, or an empty text.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} = {value!r}: must be a path, as text or a pathlib.Path")
    if not os.fspath(value):
        raise ValueError(f'{name} = {value!r}: is empty; "." is the current folder')
    return at_home(value)


def at_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with the user's home for ``~``; as it is where nobody has the name stated."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def list_overrides(overrides: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return changes as a list; whether each is one is told where they are made.

    Raises
    ------
    TypeError
        If they are no list of anything.
    """
    if not isinstance(overrides, Iterable):
        need = 'must be pairs of path and value, as in overrides = [("days", "7")]'
        raise TypeError(f"overrides = {overrides!r}: {need}")
    return list(overrides)


def seed_of_run(name: str, value: Any) -> int:
    """Return an argument of a call that must be the seed of a run.

    Parameters
    ----------
    name : str
        Of the argument.
    value : int
        Python's or NumPy's.

    Raises
    ------
    TypeError, ValueError
        If it is no whole number, or one out of range.
    """
    problem = f"{name} = {value!r}: must be a whole number, 0 to 2**63 - 1"
    if not is_whole_number(value):
        raise TypeError(problem)
    if not 0 <= value < SEEDS:
        raise ValueError(problem)
    return int(value)

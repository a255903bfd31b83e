"""Scenarios written as TOML, every field stated."""

import json
from typing import Any

from marketsim.scenario.distributions import KINDS
from marketsim.scenario.schema import Scenario


def resolved_toml(scenario: Scenario) -> str:
    """Write a scenario as TOML with every field stated; it loads back equal.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    str
    """
    return toml_text(scenario.model_dump(mode="json", exclude_none=True))


def toml_text(tables: dict[str, Any]) -> str:
    """Write tables of plain values as TOML.

    Examples
    --------
    >>> print(toml_text({"name": "few", "set": {"days": 1.0, "venue.preset": "dydx"}}), end="")
    name = "few"
    <BLANKLINE>
    [set]
    days = 1.0
    "venue.preset" = "dydx"
    """
    lines: list[str] = []
    _write_table(tables, (), lines)
    return "\n".join(lines).lstrip("\n") + "\n"


def _write_table(table: dict[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    """Append a table: its values first, then its sub-tables under headings of their own."""
    tables = {}
    for key, value in table.items():
        if isinstance(value, dict) and not _is_small(value):
            tables[key] = value
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            lines.append(f"{_key(key)} = [")
            lines.extend(f"    {_value(entry)}," for entry in value)
            lines.append("]")
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in tables.items():
        below = (*path, key)
        if not value or not all(isinstance(v, dict) and not _is_small(v) for v in value.values()):
            lines.append(f"\n[{'.'.join(_key(part) for part in below)}]")
        _write_table(value, below, lines)


def _is_small(table: dict[str, Any]) -> bool:
    """Tell whether a table reads better on one line: a distribution, weights, nothing."""
    return table.get("kind") in KINDS or all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in table.values()
    )


def _key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key if plain else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_value(entry)}" for key, entry in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value)

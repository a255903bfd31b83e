"""When a change of a field acts on a running market; the schema says it of every field.

``"live": true`` beside a field means that a change of it, or of anything beneath it, acts at once,
but for a field beneath that says otherwise;
``"at reset"`` that a running market keeps what it started with; ``false`` that it never acts.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field

from marketsim.scenario.errors import fields_at, nearest, nodes_at

T = TypeVar("T")

#: A field that acts at once: ``leverage: Live[Leverage]``.
Live: TypeAlias = Annotated[T, Field(json_schema_extra={"live": True})]
#: A table of which a running market keeps what it started with.
Fixed: TypeAlias = Annotated[T, Field(json_schema_extra={"live": "at reset"})]
#: A field that names something and never acts.
Label: TypeAlias = Annotated[T, Field(json_schema_extra={"live": False})]

RESET = "at reset"

_TABLES = {"$ref", "additionalProperties", "patternProperties"}


def say_reset(schema: dict[str, Any]) -> None:
    """Say in a model's schema of every field that is no table and marked as nothing: at reset."""
    for field in schema["properties"].values():
        if not _TABLES & field.keys():
            field.setdefault("live", RESET)


def acts(schema: dict[str, Any], keys: Sequence[str], data: Any = None) -> bool | str | None:
    """Return what a schema says of a field, or of the nearest table above it of which it does.

    Returns
    -------
    bool or str or None
        As beside the field; None for a table whose fields differ.
    """
    said: bool | str | None = None
    for place in range(1, len(keys) + 1):
        for node in nodes_at(schema, tuple(keys[:place]), data, whole=True):
            if "live" in node:
                said = node["live"]
                break
    return said


def unknown_key(schema: dict[str, Any], keys: Sequence[str], data: Any) -> str | None:
    """Say which part of a path there is not, and what there is; None if all of it is there.

    Parameters
    ----------
    schema : dict
    keys : sequence of str
        Parts of the path.
    data : dict
        The whole, whose tables of named things are looked into.
    """
    node = data
    for place, key in enumerate(keys):
        known = fields_at(schema, tuple(keys[:place]), data)
        if isinstance(node, dict):
            known = known or list(node)
            node = node.get(key)
        elif not known:
            return None  # within a list or a distribution: what it is checked by says more
        if key not in known:
            where = f" in {'.'.join(keys[:place])}" if place else ""
            hint = nearest(key, known)
            return f"there is no '{key}'{where}{hint}; known: {', '.join(known)}"
    return None


def live_fields(schema: dict[str, Any]) -> list[tuple[str, str]]:
    """List what acts at once: path, with NAME for any name, and the first sentence said of it.

    Parameters
    ----------
    schema : dict
        JSON schema of a scenario.
    """
    return list(_live_below(schema, schema, ()))


def _live_below(
    schema: dict[str, Any], node: dict[str, Any], path: tuple[str, ...]
) -> list[tuple[str, str]]:
    if node.get("live") is True:
        text = str(node.get("description", "")).replace("\n", " ")
        return [(".".join(path), text.partition(". ")[0].partition("; ")[0].rstrip("."))]
    if "live" in node:
        return []
    if "$ref" in node:
        return _live_below(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[1]], path)
    found = []
    for name, below in node.get("properties", {}).items():
        found += _live_below(schema, below, (*path, name))
    for below in (*node.get("patternProperties", {}).values(), node.get("additionalProperties")):
        if isinstance(below, dict):
            found += _live_below(schema, below, (*path, "NAME"))
    return found

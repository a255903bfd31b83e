"""One error for everything wrong with a scenario: every field, its value and what is allowed."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from pydantic import ValidationError

Key: TypeAlias = str | int
Location: TypeAlias = tuple[Key, ...]

_NO_VALUE = object()
_LONGEST_VALUE = 60
#: Words for what pydantic says in Python's terms.
_PLAIN = {
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "too_short": "must have at least one entry",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
}


class ScenarioError(ValueError):
    """A scenario that cannot be run.

    Attributes
    ----------
    problems : list of str
        One line per wrong field: its path, its value and what is allowed.
    """

    def __init__(self, problems: Iterable[str], source: str = "scenario") -> None:
        self.problems = list(problems)
        self.source = source
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        """Return one line for one problem, an indented list for more."""
        if len(self.problems) == 1:
            return f"{self.source}: {self.problems[0]}"
        return "\n  ".join([f"{self.source}: {len(self.problems)} problems", *self.problems])


class ScenarioWarning(UserWarning):
    """A scenario that can be run, though part of it has no effect, or not the one stated."""


class Problem(NamedTuple):
    """One wrong field."""

    path: str  #: dotted, from the model that found it; "" is that model itself
    text: str  #: what is allowed
    value: Any = _NO_VALUE

    def line(self, prefix: str = "") -> str:
        """Write the problem on one line, its path below `prefix`."""
        path = ".".join(part for part in (prefix, self.path) if part)
        shown = "" if self.value is _NO_VALUE else f" = {show(self.value)}"
        return f"{path}{shown}: {self.text}" if path else self.text


class FieldError(ValueError):
    """What a model raises when fields do not go together."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problem.line() for problem in self.problems))


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise if there are any."""
    if problems:
        raise FieldError(problems)


def one_of(value: str, names: Iterable[str]) -> str:
    """Say which names are allowed and which of them is meant."""
    allowed = list(names)
    return f"must be one of {', '.join(allowed)}{nearest(value, allowed)}"


def show(value: Any) -> str:
    """Write a value as TOML would, shortened."""
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, float):
        text = f"{value:.10g}"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key} = {show(entry)}" for key, entry in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(show, value)) + "]"
    else:
        text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def explain(
    error: ValidationError, data: Any, schema: dict[str, Any]
) -> list[tuple[Location, list[str]]]:
    """Turn pydantic's errors into lines, those of one field in one entry.

    Parameters
    ----------
    error : ValidationError
    data : dict
        What was validated.
    schema : dict
        JSON schema of the model: names and descriptions of the fields.

    Returns
    -------
    list of (location, lines)
        The location is a path into `data`.
    """
    lines: dict[Location, list[str]] = {}
    allowed: dict[Location, list[str]] = {}
    kinds: dict[Location, str] = {}
    for entry in error.errors(include_url=False):
        location = _locate(entry["loc"], data, entry["type"])
        cause = entry.get("ctx", {}).get("error")
        if isinstance(cause, FieldError):
            for problem in cause.problems:
                place = location + tuple(problem.path.split(".") if problem.path else ())
                lines.setdefault(place, []).append(problem.line(_dotted(location)))
        else:
            texts = allowed.setdefault(location, [])
            text = _text(location, entry, data, schema)
            texts += [] if text in texts else [text]
            kinds[location] = entry["type"]
    for location, texts in allowed.items():
        if location in lines or _has_below(location, allowed, lines):
            continue  # the whole failed because of an entry, or in the form that was not meant
        about = "" if kinds[location] == "extra_forbidden" else _about(location, schema)
        value = _NO_VALUE if kinds[location] == "missing" else _value_at(data, location)
        problem = Problem(_dotted(location), ", or ".join(texts) + about, value)
        lines.setdefault(location, []).append(problem.line())
    return list(lines.items())


def _has_below(location: Location, *places: Iterable[Location]) -> bool:
    below = (place for some in places for place in some if len(place) > len(location))
    return any(place[: len(location)] == location for place in below)


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))


def _has(node: Any, key: Key) -> bool:
    if isinstance(node, dict):
        return key in node
    return isinstance(node, list | tuple) and isinstance(key, int) and key < len(node)


def _locate(loc: Location, data: Any, kind: str) -> Location:
    """Drop what pydantic adds to a path: names of union members, types, "[key]"."""
    path: list[Key] = []
    node = data
    for number, key in enumerate(loc):
        if _has(node, key):
            path.append(key)
            node = node[key]
        elif kind == "missing" and number == len(loc) - 1:
            path.append(key)
    return tuple(path)


def _text(location: Location, entry: Any, data: Any, schema: dict[str, Any]) -> str:
    """Say what is allowed where pydantic found something else."""
    kind, context = entry["type"], entry.get("ctx", {})
    if kind == "extra_forbidden":
        names = fields_at(schema, location[:-1])
        hint = nearest(str(location[-1]), names)
        return f"unknown field{hint}; known here: {', '.join(names)}"
    if kind == "missing":
        siblings = _value_at(data, location[:-2]) if len(location) > 2 else {}
        others = [str(name) for name in siblings if name != location[-2]]
        hint = nearest(str(location[-2]), others) if others else ""
        return f"missing; state it in the file or with --set {_dotted(location)}=VALUE{hint}"
    if kind in ("literal_error", "union_tag_invalid"):
        names = re.findall(r"'([^']*)'", str(context.get("expected") or context["expected_tags"]))
        given = context.get("tag", entry["input"])
        if kind == "union_tag_invalid":
            return f"kind {one_of(str(given), [name for name in names if name != 'constant'])}"
        if len(names) == 1:
            return f'must be "{names[0]}"'
        return one_of(str(given), names) if isinstance(given, str) else one_of("", names)
    if kind == "union_tag_not_found":
        return 'must be a value or a table with a "kind"'
    if kind in _PLAIN:
        return _PLAIN[kind]
    message = str(entry["msg"]).removeprefix("Value error, ")
    return message.replace("Input should", "must").replace("String should", "must")


def _about(location: Location, schema: dict[str, Any]) -> str:
    """Quote the first sentence of a field's description, which has its unit."""
    for node in _nodes(schema, location, whole=True):
        if "description" in node and "properties" not in node:
            text = str(node["description"]).replace("\n", " ")
            return f" ({re.split(r'[.;] (?=[A-Za-z])', text)[0].rstrip('.')})"
    return ""


def _value_at(data: Any, location: Location) -> Any:
    for key in location:
        data = data[key]
    return data


def fields_at(schema: dict[str, Any], location: Location) -> list[str]:
    """List the fields a table may have, from the JSON schema of the whole.

    Parameters
    ----------
    schema : dict
    location : tuple
        Path of the table.

    Returns
    -------
    list of str
    """
    names: dict[str, None] = {}
    for node in _nodes(schema, location):
        names.update(dict.fromkeys(node.get("properties", {})))
    return list(names)


def _nodes(
    schema: dict[str, Any], location: Location, *, whole: bool = False
) -> list[dict[str, Any]]:
    """List the schemas that may describe a path; `whole` keeps references beside what they name."""
    nodes = _expand(schema, schema, whole=False)
    for place, key in enumerate(location):
        keep = whole and place == len(location) - 1
        below: list[dict[str, Any]] = []
        for node in nodes:
            if key in node.get("properties", {}):
                below.append(node["properties"][key])
            elif node.get("patternProperties"):
                below += node["patternProperties"].values()
            elif isinstance(key, int) and "items" in node:
                below.append(node["items"])
            elif isinstance(node.get("additionalProperties"), dict):
                below.append(node["additionalProperties"])
        nodes = [found for node in below for found in _expand(node, schema, whole=keep)]
    return nodes


def _expand(node: dict[str, Any], schema: dict[str, Any], *, whole: bool) -> list[dict[str, Any]]:
    """Follow references and unions."""
    found = [node] if whole else []
    members = [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]
    if "$ref" in node:
        members.append(schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
    for member in members:
        found += _expand(member, schema, whole=whole)
    return found or [node]


def nearest(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" with the nearest of some names, or nothing.

    Examples
    --------
    >>> nearest("closse", ["close", "high"])
    " (did you mean 'close'?)"
    """
    found = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean '{found[0]}'?)" if found else ""

"""One error for everything wrong with a scenario: every field, its value and what is allowed."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from pydantic import ValidationError

from marketsim.scenario.wording import LONGEST_PATH, LONGEST_VALUE, shortened, show, visible

Key: TypeAlias = str | int
Location: TypeAlias = tuple[Key, ...]

_NO_VALUE = object()
#: What to do where a field is missing: in a file, and in a call.
IN_A_FILE, IN_A_CALL = "state it in the file or with --set {}=VALUE", "give it as {}=VALUE"
#: Wrong fields that an error names.
MAX_PROBLEMS = 20
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
        self.problems = [shortened(visible(problem)) for problem in problems]
        self.source = shortened(visible(source), LONGEST_PATH)
        super().__init__(self.problems, self.source)  # what pickle makes it again from

    def __str__(self) -> str:
        """Return one line for one problem, an indented list for more."""
        if len(self.problems) == 1:
            return f"{self.source}: {self.problems[0]}"
        lines = [f"{self.source}: {len(self.problems)} problems", *self.problems[:MAX_PROBLEMS]]
        if len(self.problems) > MAX_PROBLEMS:
            lines.append(f"... and {len(self.problems) - MAX_PROBLEMS} more")
        return "\n  ".join(lines)


class ScenarioWarning(UserWarning):
    """A scenario that can be run, though part of it has no effect, or not the one stated."""


class Problem(NamedTuple):
    """One wrong field."""

    path: str  #: dotted, from the model that found it; "" is that model itself
    text: str  #: what is allowed
    value: Any = _NO_VALUE

    def line(self) -> str:
        """Write the problem on one line."""
        path = _dotted(tuple(self.path.split(".")))
        shown = "" if self.value is _NO_VALUE else f" = {show(self.value)}"
        return f"{path}{shown}: {self.text}" if path else self.text

    def below(self, prefix: str) -> "Problem":
        """Return it as the model above finds it, which has this one as a field."""
        return self._replace(path=".".join(part for part in (prefix, self.path) if part))


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


def explain(
    error: ValidationError, data: Any, schema: dict[str, Any], remedy: str = IN_A_FILE
) -> list[tuple[Location, list[str]]]:
    """Turn pydantic's errors into lines, those of one field in one entry; see `find_problems`.

    Parameters
    ----------
    error, data, schema
    remedy : str, optional
        What to do where a field is missing, with ``{}`` for its path.

    Returns
    -------
    list of (location, lines)
        The location is a path into `data`.
    """
    lines: dict[Location, list[str]] = {}
    for place, problem in _find(error, data, schema, remedy):
        lines.setdefault(place, []).append(problem.line())
    return list(lines.items())


def find_problems(error: ValidationError, data: Any, schema: dict[str, Any]) -> list[Problem]:
    """Turn pydantic's errors into problems.

    Parameters
    ----------
    error : ValidationError
    data : dict
        What was validated.
    schema : dict
        JSON schema of the model: names and descriptions of the fields.

    Returns
    -------
    list of Problem
    """
    return [problem for _, problem in _find(error, data, schema)]


def _find(
    error: ValidationError, data: Any, schema: dict[str, Any], remedy: str = IN_A_FILE
) -> list[tuple[Location, Problem]]:
    found: list[tuple[Location, Problem]] = []
    allowed: dict[Location, list[str]] = {}
    kinds: dict[Location, str] = {}
    for entry in error.errors(include_url=False):
        location = _locate(entry["loc"], data, entry["type"])
        cause = entry.get("ctx", {}).get("error")
        if isinstance(cause, FieldError):
            for problem in cause.problems:
                place = location + tuple(problem.path.split(".") if problem.path else ())
                found.append((place, problem.below(".".join(map(str, location)))))
        else:
            texts = allowed.setdefault(location, [])
            text = _text(location, entry, data, schema, remedy)
            texts += [] if text in texts else [text]
            kinds[location] = entry["type"]
    places = [place for place, _ in found]
    for location, texts in allowed.items():
        if location in places or _has_below(location, allowed, places):
            continue  # the whole failed because of an entry, or in the form that was not meant
        about = "" if kinds[location] == "extra_forbidden" else _about(location, data, schema)
        value = _NO_VALUE if kinds[location] == "missing" else _value_at(data, location)
        path = ".".join(map(str, location))
        found.append((location, Problem(path, ", or ".join(texts) + about, value)))
    return found


def _has_below(location: Location, *places: Iterable[Location]) -> bool:
    below = (place for some in places for place in some if len(place) > len(location))
    return any(place[: len(location)] == location for place in below)


def _dotted(location: Location) -> str:
    """Write a path; a name in it that is too long is cut."""
    return ".".join(shortened(visible(str(key)), LONGEST_VALUE) for key in location)


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


def _text(location: Location, entry: Any, data: Any, schema: dict[str, Any], remedy: str) -> str:
    """Say what is allowed where pydantic found something else."""
    kind, context = entry["type"], entry.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(location, data, schema)
    if kind == "missing":
        siblings = _value_at(data, location[:-2]) if len(location) > 2 else {}
        others = [str(name) for name in siblings if name != location[-2]]
        hint = nearest(str(location[-2]), others) if others else ""
        return f"missing; {remedy.format(_dotted(location))}{hint}"
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
    return _plain(entry)


def first_text(error: ValidationError) -> str:
    """Return what is allowed by the first of pydantic's errors, without its place."""
    entry = error.errors(include_url=False)[0]
    cause = entry.get("ctx", {}).get("error")
    return cause.problems[0].text if isinstance(cause, FieldError) else _plain(entry)


def _plain(entry: Any) -> str:
    if entry["type"] in _PLAIN:
        return _PLAIN[entry["type"]]
    message = str(entry["msg"]).removeprefix("Value error, ")
    least = entry.get("ctx", {}).get("ge", 1.0)
    if 0.0 < least < 1e-4:  # pydantic writes out all of its zeros
        return f"must be greater than or equal to {least:g}"
    return message.replace("Input should", "must").replace("String should", "must")


def _unknown(location: Location, data: Any, schema: dict[str, Any]) -> str:
    """Say which fields a table may have; one with a kind, of its kind."""
    name, table = str(location[-1]), location[:-1]
    names = fields_at(schema, table, data)
    kind = _value_at(data, table).get("kind")
    if kind is not None and name in fields_at(schema, table):
        return f"belongs to other kinds; known of kind {show(kind)}: {', '.join(names)}"
    return f"unknown field{nearest(name, names)}; known here: {', '.join(names)}"


def _about(location: Location, data: Any, schema: dict[str, Any]) -> str:
    """Quote the first sentence of a field's description, which has its unit."""
    for node in nodes_at(schema, location, data, whole=True):
        if "description" in node and "properties" not in node:
            text = str(node["description"]).replace("\n", " ")
            return f" ({re.split(r'[.;] (?=[A-Za-z])', text)[0].rstrip('.')})"
    return ""


def _value_at(data: Any, location: Location) -> Any:
    for key in location:
        data = data[key]
    return data


def fields_at(schema: dict[str, Any], location: Location, data: Any = None) -> list[str]:
    """List the fields a table may have, from the JSON schema of the whole.

    Parameters
    ----------
    schema : dict
    location : tuple
        Path of the table.
    data : dict, optional
        The whole; a table that states its kind may have the fields of that kind.

    Returns
    -------
    list of str
    """
    names: dict[str, None] = {}
    for node in nodes_at(schema, location, data):
        names.update(dict.fromkeys(node.get("properties", {})))
    return list(names)


def nodes_at(
    schema: dict[str, Any], location: Location, data: Any = None, *, whole: bool = False
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
        data = data[key] if _has(data, key) else None
        found = [found for node in below for found in _expand(node, schema, whole=keep)]
        nodes = [node for node in found if _is_meant(node, data)] or found
    return nodes


def _is_meant(node: dict[str, Any], table: Any) -> bool:
    """Tell whether a table may be what a schema describes, by the kind it states."""
    kind = node.get("properties", {}).get("kind", {}).get("const")
    return kind is None or not isinstance(table, dict) or table.get("kind", kind) == kind


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

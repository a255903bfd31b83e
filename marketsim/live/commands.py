"""What a client may ask for: its messages, read and checked. Nothing else is understood."""

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from marketsim.live.security import MAX_MESSAGE
from marketsim.scenario.population import MODES

SHOCKS = ("crash", "jump", "depeg", "depth", "outage")
EXPORTS = ("csv", "toml", "replay")
MAX_SEED = 2**63 - 1
MAX_STEPS = 2**30
#: Steps that one click may ask for.
MAX_CLICK = 10_000


class RefusedError(Exception):
    """What is asked for cannot be done; says which field, why and what would do.

    Attributes
    ----------
    field : str
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Command(NamedTuple):
    """Something to do."""

    do: str
    fields: dict[str, Any]


class _Field(NamedTuple):
    check: Callable[[Any], bool]
    words: str
    default: Any = ...  #: of one that may be left out


def _number(low: float, high: float, default: Any = ...) -> _Field:
    def check(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and low <= value <= high

    return _Field(check, f"must be a number from {low:g} to {high:g}", default)


def _whole(low: int, high: int, default: Any = ...) -> _Field:
    def check(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return _Field(check, f"must be a whole number from {low} to {high}", default)


def _text(most: int = 64, default: Any = ...) -> _Field:
    def check(value: Any) -> bool:
        return isinstance(value, str) and 0 < len(value) <= most

    return _Field(check, f"must be a text of 1 to {most} characters", default)


def _one_of(*names: str, default: Any = ...) -> _Field:
    words = f"must be one of {', '.join(names)}"
    return _Field(lambda value: isinstance(value, str) and value in names, words, default)


def _scalar(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    return len(value) <= 64 if isinstance(value, str) else math.isfinite(value)


_CHANGE = _Field(
    lambda value: (
        isinstance(value, dict)
        and set(value) == {"path", "value"}
        and isinstance(value["path"], str)
        and _scalar(value["value"])
    ),
    "must be an object with path and value",
    None,
)

#: By what it does, the fields that a message may have.
FIELDS: dict[str, dict[str, _Field]] = {
    **{do: {} for do in ("play", "pause", "reset", "new_seed", "skip")},
    **{do: {} for do in ("venues", "single", "digest")},
    "twins": {"mode": _one_of(*MODES, default=None)},
    "step": {"n": _whole(1, MAX_CLICK, 1)},
    "rewind": {"step": _whole(0, MAX_STEPS)},
    "branch": {"step": _whole(0, MAX_STEPS), "change": _CHANGE},
    "shock": {
        "kind": _one_of(*SHOCKS, default="crash"),
        "market": _text(default=None),
        "venue": _text(default=None),
        "size": _number(-0.99, 10.0, None),
        "share": _number(0.0, 1.0, None),
        "minutes": _number(0.0, 1e6, 10.0),
    },
    "set": {"path": _text(128), "value": _Field(_scalar, "must be a number or a short text")},
    "mode": {"mode": _one_of(*MODES)},
    "seed": {"seed": _whole(0, MAX_SEED)},
    "scenario": {"scenario": _text()},
    "speed": {"steps_per_second": _number(0.0, 1e5)},
    "inspect": {"account": _whole(0, MAX_STEPS), "lane": _whole(0, 3, 0)},
    "export": {"what": _one_of(*EXPORTS)},
    #: kept by the page alone
    "guess": {"market": _text(), "price": _number(0.0, 1e15), "at_step": _whole(0, MAX_STEPS)},
}


def read_command(text: str | bytes) -> Command:
    """Read one message.

    Raises
    ------
    RefusedError
        If it is too large, no JSON object, or a field is wrong, missing or unknown.
    """
    if len(text if isinstance(text, bytes) else text.encode(errors="replace")) > MAX_MESSAGE:
        raise RefusedError("", f"a message may have at most {MAX_MESSAGE} bytes")
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RefusedError("", "a message must be a JSON object") from None
    if not isinstance(data, dict):
        raise RefusedError("", "a message must be a JSON object")
    do = data.pop("do", None)
    if not isinstance(do, str) or do not in FIELDS:
        raise RefusedError("do", f"must be one of {', '.join(FIELDS)}")
    known = FIELDS[do]
    for name in data:
        if name not in known:
            raise RefusedError(do, f"has no field {name[:32]!r}; known: {', '.join(known)}")
    return Command(do, {name: _checked(do, name, data) for name in known})


def _checked(do: str, name: str, data: dict[str, Any]) -> Any:
    field = FIELDS[do][name]
    value = data.get(name)
    if value is None and field.default is not ...:
        return field.default
    if not field.check(value):
        raise RefusedError(do, f"{name}: {field.words}")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(name)

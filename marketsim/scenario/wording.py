"""How what a user wrote is shown in a sentence: on one line, visible and not too long."""

import re
from typing import Any

#: Of a value or a name, a path of a file, a sentence.
LONGEST_VALUE, LONGEST_PATH, LONGEST_LINE = 60, 300, 1000

#: What a terminal obeys or hides: control characters, line separators, what turns the direction
#: of writing, and halves of characters, which cannot be written at all.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
#: What a title or a description may be: a line that shows all there is of it.
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: str) -> str:
    r"""Write what cannot be seen as TOML would.

    Examples
    --------
    >>> print(visible("a\x1b[2J"))
    a\u001b[2J
    """
    return _INVISIBLE.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), text)


def shortened(text: str, longest: int = LONGEST_LINE) -> str:
    """Cut a text that is too long.

    Examples
    --------
    >>> shortened("abcdefgh", 6)
    'abc...'
    """
    return text if len(text) <= longest else text[: longest - 3] + "..."


def show(value: Any) -> str:
    """Write a value as TOML would, shortened."""
    return shortened(visible(_written(value)), LONGEST_VALUE)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {show(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(show, value)) + "]"
    if isinstance(value, int) and value.bit_length() > 1024:
        return f"a whole number of {value.bit_length()} bits"
    return str(value)

"""Words, values and tables as Markdown, for the pages that are written from the program itself."""

import inspect
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

#: Characters that would end a cell of a table, or begin what is no text.
_MARKUP = str.maketrans({"|": "\\|", "<": "&lt;", "\n": " "})


def as_text(text: str) -> str:
    """Return a text that stays text within a table."""
    return text.strip().translate(_MARKUP)


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of a head and rows of cells."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def as_value(value: Any) -> str:
    """Write a value as a reader of TOML would.

    Examples
    --------
    >>> as_value({"kind": "uniform", "min": 1.0}), as_value(True), as_value(None)
    ('{kind = uniform, min = 1}', 'true', 'not stated')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_value, value)) + "]"
    return "not stated" if value is None else str(value)


def plain(value: Any) -> Any:
    """Return a value as plain data."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value


def first_paragraph(thing: Any) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n", 1)[0].split())

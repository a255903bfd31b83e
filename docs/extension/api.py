"""The reference of the Python interface, written from the package's public names."""

import inspect
from typing import Any

import marketsim
from marketsim.report.markdown import first_paragraph


def describe_api() -> str:
    """List all public names by kind, each with its members, for autodoc to describe."""
    things = {name: getattr(marketsim, name) for name in marketsim.__all__}
    errors = [name for name, thing in things.items() if _is_error(thing)]
    classes = [name for name, thing in things.items() if inspect.isclass(thing)]
    parts = {
        "Functions": [name for name in things if name not in classes],
        "Classes": [name for name in classes if name not in errors],
        "Errors": errors,
    }
    lines = []
    for title, names in parts.items():
        lines += [f"## {title}", _directive(["autosummary", *names])]
        for name in names:
            lines += [f"### {name}", _directive(_described(name, things[name]))]
    return "\n\n".join(lines)


def _is_error(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Exception)


def _directive(lines: list[str]) -> str:
    """Return a directive of reStructuredText: its name, and what it holds."""
    first, *rest = lines
    if first == "autosummary":
        rest = ["", *(f"marketsim.{name}" for name in rest)]
        first = ".. autosummary::"
    body = "\n".join(f"   {line}".rstrip() for line in rest)
    return f"```{{eval-rst}}\n.. currentmodule:: None\n\n{first}\n{body}\n```"


def _described(name: str, thing: Any) -> list[str]:
    assert first_paragraph(thing), f"{name} has no docstring"
    if not inspect.isclass(thing):
        return [f".. autofunction:: marketsim.{name}"]
    if _is_error(thing):
        return [f".. autoexception:: marketsim.{name}"]
    foreign = next(base for base in thing.__mro__ if not base.__module__.startswith("marketsim"))
    return [
        f".. autoclass:: marketsim.{name}",
        ":members:",
        f":inherited-members: {foreign.__name__}",
    ]

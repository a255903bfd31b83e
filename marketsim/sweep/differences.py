"""A folder that holds something else: what differs, and the refusal that says it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from marketsim.scenario.inputs import STATEMENTS, Input
from marketsim.scenario.wording import show
from marketsim.sweep.lock import SweepFolderError

#: Differences of two designs that are listed.
MAX_DIFFERENCES = 10


def refuse_changed(folder: Path, changed: Iterable[tuple[Input, str]]) -> None:
    """Refuse a folder whose runs were made from other files than are there now.

    What a scenario, a design or a file of targets says is compared elsewhere: how it is written
    does not count.

    Parameters
    ----------
    folder : Path
    changed : iterable of (Input, str)
        As `compare_inputs` returns them.

    Raises
    ------
    SweepFolderError
        If there is any.
    """
    if lines := [text for each, text in changed if each.what not in STATEMENTS]:
        what = "its runs were made from other files; put them back, or choose another folder"
        refuse(folder, what, lines)


def refuse(folder: Path, what: str, lines: Sequence[str]) -> NoReturn:
    """Refuse a folder, with what differs there.

    Parameters
    ----------
    folder : Path
    what : str
        Why, and what to do.
    lines : sequence of str
        Fields and files that differ; the first of them are shown.

    Raises
    ------
    SweepFolderError
    """
    more = [f"... and {len(lines) - MAX_DIFFERENCES} more"] * (len(lines) > MAX_DIFFERENCES)
    text = "\n  ".join([*lines[:MAX_DIFFERENCES], *more])
    msg = f"{folder}: {what}\n  {text}"
    raise SweepFolderError(msg)


def list_differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """List what differs in two nested dictionaries, a line for each field.

    Parameters
    ----------
    there, here : dict

    Returns
    -------
    list of str
    """
    theirs, ours = _flat(there), _flat(here)
    lines = []
    for path in dict.fromkeys([*theirs, *ours]):
        one, other = (facts.get(path, "not stated") for facts in (theirs, ours))
        if one != other:
            lines.append(f"{path}: {show(one)} there, {show(other)} here")
    return lines


def _flat(node: Any, *path: str) -> dict[str, Any]:
    """Lay nested dictionaries out: what they hold, by dotted path."""
    if isinstance(node, dict) and node:
        return {p: v for key, value in node.items() for p, v in _flat(value, *path, key).items()}
    return {".".join(path): list(node) if isinstance(node, tuple) else node}

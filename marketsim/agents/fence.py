"""What users' code cannot do to the process it runs in: move it, end it, print into its answers."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

_prints_to_stderr = False


class EndedError(Exception):
    """Users' code tried to end the process."""


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Let what users' code prints go to standard error, so that a command's answer stays whole."""
    global _prints_to_stderr  # noqa: PLW0603
    before, _prints_to_stderr = _prints_to_stderr, True
    try:
        yield
    finally:
        _prints_to_stderr = before


@contextlib.contextmanager
def fenced() -> Iterator[None]:
    """Run users' code.

    It comes back to the folder it began in; ``os._exit`` becomes an error, as ``sys.exit`` is one
    already.

    Raises
    ------
    EndedError
        Where the code called ``os._exit``.
    """
    folder, leave, process = os.getcwd(), os._exit, os.getpid()  # noqa: PTH109

    def refuse(status: int) -> NoReturn:
        if os.getpid() != process:  # a child of the user's ends as it likes
            leave(status)
        raise EndedError(f"os._exit({status}): a strategy must not end the process")

    os._exit = refuse
    prints = contextlib.redirect_stdout(sys.stderr) if _prints_to_stderr else None
    try:
        with prints or contextlib.nullcontext():
            yield
    finally:
        os._exit = leave
        os.chdir(folder)

"""How a command ends: one sentence on standard error and an exit code, never a traceback."""

import contextlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

import typer

from marketsim.agents.fence import prints_to_stderr

#: The run could not be made or written: something broke, or it was interrupted.
FAILURE = 1
#: What the user asked for cannot be done.
BAD_INPUT = 2

#: Set to see the traceback of a failure.
TRACEBACK_VARIABLE = "MARKETSIM_TRACEBACK"


class BadInputError(Exception):
    """An option that is well formed for the parser and still makes no sense."""


def refuse(message: str) -> NoReturn:
    """End the command because of what the user asked for.

    Raises
    ------
    BadInputError
    """
    raise BadInputError(message)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Run a command's body: every way it can end becomes a sentence and an exit code.

    Warnings become sentences too. SIGTERM counts as an interrupt, so that a job killed by a
    cluster's scheduler cleans up after itself.
    """
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with warnings.catch_warnings(), prints_to_stderr():
            # What is meant for the user; a RuntimeWarning is not.
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            yield
    except KeyboardInterrupt:
        _leave("interrupted, nothing was written", FAILURE)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILURE) from None
    except typer.Exit:
        raise
    except Exception as error:
        if isinstance(error, _bad_input()):
            _leave(f"error: {error}", BAD_INPUT)
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        what = str(error) or type(error).__name__
        _leave(
            f"failed: {type(error).__name__}: {what}\n({TRACEBACK_VARIABLE}=1 shows where)",
            FAILURE,
        )
    finally:
        signal.signal(signal.SIGTERM, previous)


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code) from None


def _bad_input() -> tuple[type[Exception], ...]:
    """Return the errors that are the user's to mend; only loaded once something went wrong."""
    from marketsim.results.files import FolderError
    from marketsim.scenario.errors import ScenarioError
    from marketsim.scenario.history import HistoryError
    from marketsim.scenario.inputs import InputChangedError
    from marketsim.sweep.cluster import ClusterError

    return (
        BadInputError,
        ScenarioError,
        HistoryError,
        InputChangedError,
        FolderError,
        ClusterError,
    )


def _interrupt(number: int, frame: Any) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {message}", err=True)

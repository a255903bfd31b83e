"""How a command ends: one sentence on standard error and an exit code, never a traceback."""

import _thread
import contextlib
import errno
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer

from marketsim.agents.fence import prints_to_stderr

#: The run could not be made or written: something broke, or it was interrupted.
FAILURE = 1
#: What the user asked for cannot be done.
BAD_INPUT = 2

#: What the user named cannot be a file there.
_NO_SUCH_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)

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


def refuse_file(out: Path) -> None:
    """End the command if a folder it is to write is there as a file.

    Raises
    ------
    BadInputError
    """
    if out.exists() and not out.is_dir():
        refuse(f"--out {out}: is a file, not a folder")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Run a command's body: every way it can end becomes a sentence and an exit code.

    Warnings become sentences too. SIGTERM counts as an interrupt, so that a job killed by a
    cluster's scheduler cleans up after itself; and so does SIGHUP, the end of a terminal, unless
    it is ignored (`nohup`).
    """
    wanted = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    previous = {number: signal.signal(number, _interrupt) for number in wanted}
    swallowed = _Swallowed()
    try:
        with swallowed, warnings.catch_warnings(), prints_to_stderr():
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
        if swallowed.interrupts:  # what failed is what the interrupt left half done
            _leave("interrupted, nothing was written", FAILURE)
        if isinstance(error, _bad_input()):
            _leave(f"error: {error}", BAD_INPUT)
        if isinstance(error, OSError) and error.errno in _NO_SUCH_NAME:
            _leave(f"error: {error.filename}: {error.strerror}", BAD_INPUT)
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        what = str(error) or type(error).__name__
        _leave(
            f"failed: {type(error).__name__}: {what}\n({TRACEBACK_VARIABLE}=1 shows where)",
            FAILURE,
        )
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Swallowed:
    """Interrupts that come while LLVM, in the midst of compiling, calls Python: it swallows them.

    They are neither shown, as Python would, nor forgotten: they come again a moment later.
    """

    def __init__(self) -> None:
        self.interrupts = 0
        self._show = sys.unraisablehook
        self._again: list[threading.Timer] = []

    def __enter__(self) -> None:
        self._show, sys.unraisablehook = sys.unraisablehook, self._notice

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._show
        for timer in self._again:
            timer.cancel()

    def _notice(self, unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            self._show(unraisable)
            return
        self.interrupts += 1
        self._again.append(threading.Timer(0.05, _thread.interrupt_main))
        self._again[-1].start()


def say(message: str) -> None:
    """Tell the user something on standard error; nothing in it is obeyed by a terminal."""
    from marketsim.scenario.wording import shortened, visible

    lines = [shortened(visible(line)) for line in message.split("\n")]
    typer.echo("\n".join(lines), err=True)


def _leave(message: str, code: int) -> NoReturn:
    say(message)
    raise typer.Exit(code) from None


def _bad_input() -> tuple[type[Exception], ...]:
    """Return the errors that are the user's to mend; only loaded once something went wrong."""
    from marketsim.scenario.errors import ScenarioError
    from marketsim.scenario.history import HistoryError
    from marketsim.scenario.inputs import InputChangedError
    from marketsim.scenario.interventions import InterventionError
    from marketsim.sweep.slurm import ClusterError
    from marketsim.tape.files import FolderError

    return (
        BadInputError,
        ScenarioError,
        HistoryError,
        InputChangedError,
        InterventionError,
        FolderError,
        ClusterError,
    )


def _interrupt(number: int, frame: Any) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"warning: {message}")

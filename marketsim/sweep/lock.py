"""Shards of a sweep, and the locks that keep two drivers from making the same runs."""

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from marketsim.tape.files import FolderError

FOLDER = "locks"
#: Held while a driver looks at the others' locks, so that two cannot miss each other.
DOOR = "door.lock"


class SweepFolderError(FolderError):
    """A sweep's folder cannot be used: another design's, taken, damaged, or not to be written."""


@dataclass(frozen=True)
class Shard:
    """Every `count`-th run of a plan, from the `number`-th on; 1 of 1 is all of them."""

    number: int = 1
    count: int = 1

    @property
    def label(self) -> str:
        """Name of this shard in files."""
        return f"{self.number}-of-{self.count}"


def parse_shard(text: str) -> Shard:
    """Read a shard as users write it, numbered from 1.

    Parameters
    ----------
    text : str
        "i/n".

    Returns
    -------
    Shard

    Raises
    ------
    ValueError

    Examples
    --------
    >>> parse_shard("2/3").label
    '2-of-3'
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        msg = f"{text}: must read i/n with i from 1 to n, such as 2/3"
        raise ValueError(msg)
    return Shard(int(found[1]), int(found[2]))


def choose_shard(text: str | None, variables: Mapping[str, str]) -> Shard:
    """Return the shard a user states, or a scheduler does, or all of the sweep.

    Parameters
    ----------
    text : str, optional
        "i/n"; "/n" states only their number, for schedulers that do not tell it.
    variables : mapping
        Environment.

    Returns
    -------
    Shard

    Raises
    ------
    ValueError
    """
    if text is None:
        return shard_of_job(variables) or Shard()
    if not text.startswith("/"):
        return parse_shard(text)
    count = parse_shard(f"1{text}").count
    found = shard_of_job(variables, count)
    if found is None:
        msg = f"{text}: without a job array this must read i/n, such as 1{text}"
        raise ValueError(msg)
    return found


def shard_of_job(variables: Mapping[str, str], count: int | None = None) -> Shard | None:
    """Read the shard a scheduler gave this job: SLURM's job arrays, Kubernetes' indexed jobs.

    Parameters
    ----------
    variables : mapping
        Environment.
    count : int, optional
        Number of shards, for schedulers that do not tell.

    Returns
    -------
    Shard or None
        None outside an array of jobs.

    Raises
    ------
    ValueError
        If the job is in an array whose length is not known, or beyond it.
    """
    if "SLURM_ARRAY_TASK_ID" in variables:
        names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
        first = _number(variables, "SLURM_ARRAY_TASK_MIN", 0)
    elif "JOB_COMPLETION_INDEX" in variables:
        names = ("JOB_COMPLETION_INDEX", "JOB_COMPLETION_COUNT")
        first = 0
    else:
        return None
    index = _number(variables, names[0]) - first
    of = count if count is not None else _number(variables, names[1])
    if not 0 <= index < of:
        msg = f"{names[0]} = {variables[names[0]]}: there are {of} shards, counted from {first}"
        raise ValueError(msg)
    return Shard(index + 1, of)


def _number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = variables.get(name)
    if text is None and default is not None:
        return default
    if text is None:
        msg = f"{name} is not set: state the number of shards with --shard /n"
        raise ValueError(msg)
    if not text.strip().isdecimal():
        msg = f"{name} = {text}: must be a whole number"
        raise ValueError(msg)
    return int(text)


@contextlib.contextmanager
def locked(folder: Path, shard: Shard) -> Iterator[None]:
    """Hold a shard of a sweep's folder; the system lets go of it when the driver ends or dies.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    shard : Shard

    Raises
    ------
    SweepFolderError
        If another driver has the shard, or has divided the sweep otherwise.
    """
    locks = folder / FOLDER
    locks.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with (locks / DOOR).open("a+") as door:
            _lock(door, wait=True)
            for other, about in active_drivers(folder):
                if other.count != shard.count or other == shard:
                    who = f"process {about.get('process')} on {about.get('host')}"
                    part = "" if other.count == 1 else f"shard {other.number}/{other.count} of "
                    msg = (
                        f"{folder}: {who} is at work on {part}this sweep; wait for it, or "
                        f"share the runs out with --shard 1/2, --shard 2/2 ..."
                    )
                    raise SweepFolderError(msg)
            held = stack.enter_context((locks / f"{shard.label}.lock").open("a+"))
            _lock(held)
            held.truncate(0)
            held.write(json.dumps({"host": platform.node(), "process": os.getpid()}))
            held.flush()
        yield


def active_drivers(folder: Path) -> list[tuple[Shard, dict[str, Any]]]:
    """List the shards that a driver holds now, and who it is.

    Parameters
    ----------
    folder : Path
        Of the sweep.

    Returns
    -------
    list of (Shard, dict)
        With ``host`` and ``process``.
    """
    found = []
    for file in sorted((folder / FOLDER).glob("*-of-*.lock")):
        number, _, count = file.stem.partition("-of-")
        with file.open("r+") as stream:
            if not _lock(stream):
                text = stream.read()
                about = json.loads(text) if text else {}
                found.append((Shard(int(number), int(count)), about))
    return found


def _lock(stream: IO[str], *, wait: bool = False) -> bool:
    """Take the lock of an open file, until it is closed; tell whether it was free."""
    try:
        import fcntl
    except ImportError as error:
        msg = "sweeps lock their folder, which this operating system has no means for"
        raise SweepFolderError(msg) from error
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        msg = f"{stream.name}: this file system has no locks ({error.strerror}); use another"
        raise SweepFolderError(msg) from error
    return True

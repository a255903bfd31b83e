"""Shards of a sweep, and the locks that keep two drivers from making the same runs."""

import contextlib
import json
import os
import platform
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from marketsim.tape.files import FolderError

FOLDER = "locks"
#: Held while a driver looks at the others' locks, so that two cannot miss each other.
DOOR = "door.lock"
#: How a user states that a driver takes what no other has taken.
ANY = "any"
#: Variables that tell a job its place in an array: SLURM's job arrays, Kubernetes' indexed jobs.
ARRAY_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")
#: Characters of a host's name that go into the names of files.
HOST_LENGTH = 40
#: Names this machine as long as it is up, even where two machines have the same host name.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
        return f"{self.number}-of-{self.count}" if self.count else ANY

    @property
    def is_shared(self) -> bool:
        """Whether this is no fixed part, but what no other driver has taken."""
        return self.count == 0

    def numbers(self, num_runs: int) -> Any:
        """Return the numbers of a plan's runs that a driver of this shard may make."""
        return np.arange(num_runs)[max(self.number - 1, 0) :: max(self.count, 1)]


#: What no other driver has taken.
SHARED = Shard(0, 0)


def parse_shard(text: str) -> Shard:
    """Read a shard as users write it, numbered from 1.

    Parameters
    ----------
    text : str
        "i/n", or "any" for whatever no other driver has taken.

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
    if text.strip() == ANY:
        return SHARED
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        msg = f"{text}: must read i/n with i from 1 to n, such as 2/3, or {ANY}"
        raise ValueError(msg)
    return Shard(int(found[1]), int(found[2]))


def choose_shard(text: str | None, variables: Mapping[str, str]) -> Shard:
    """Return the shard a user states; by default all of the sweep, or in an array what is left.

    The jobs of an array take runs as they go, so that any array serves: with gaps, a part of one
    submitted again, one whose jobs are cancelled or requeued.

    Parameters
    ----------
    text : str, optional
        See `parse_shard`.
    variables : mapping
        Environment.

    Returns
    -------
    Shard

    Raises
    ------
    ValueError
    """
    if text is not None:
        return parse_shard(text)
    return SHARED if any(name in variables for name in ARRAY_VARIABLES) else Shard()


def job_name(variables: Mapping[str, str]) -> str:
    """Return the number of the SLURM job a driver runs in, "" outside: 12, of an array 12_3.

    Parameters
    ----------
    variables : mapping
        Environment.

    Returns
    -------
    str
    """
    array, task = (variables.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    return f"{array}_{task}" if array and task else variables.get("SLURM_JOB_ID", "")


class Seat:
    """A driver's place in a sweep's folder, held by its lock.

    Attributes
    ----------
    label : str
        Begins the name of every file that the driver writes: its shard, its host and a unique id.
        So two drivers that cannot see each other's locks never touch the same file.
    """

    def __init__(self, label: str, stream: IO[str]) -> None:
        self.label = label
        self._stream = stream
        self.tell()

    def tell(self, **facts: Any) -> None:
        """Write down who the driver is, and what else `active_drivers` is to say of it."""
        note = {
            "host": platform.node(),
            "process": os.getpid(),
            "job": job_name(os.environ),
            "machine": _machine(),
        }
        self._stream.seek(0)
        self._stream.truncate()
        self._stream.write(json.dumps(note | facts))
        self._stream.flush()


@contextlib.contextmanager
def locked(folder: Path, shard: Shard) -> Iterator[Seat]:
    """Hold a shard of a sweep's folder; the system lets go of it when the driver ends or dies.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    shard : Shard

    Yields
    ------
    Seat
        A new one, or that of an earlier driver of this shard on this machine.

    Raises
    ------
    SweepFolderError
        If another driver has the shard, or has divided the sweep otherwise.
    """
    locks = folder / FOLDER
    locks.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with (locks / DOOR).open("a+") as door:
            take_lock(door, wait=True)
            for other, about in _active(folder):
                if shard.is_shared and other.is_shared:
                    break  # it would not be there beside a driver of another kind
                if other.count != shard.count or other == shard:
                    raise SweepFolderError(f"{folder}: {_taken(other, about)}")
            seat = _take_seat(locks, shard, stack)
        yield seat


def _taken(other: Shard, about: Mapping[str, Any]) -> str:
    who = f"process {about.get('process')} on {about.get('host')}"
    part = f"shard {other.number}/{other.count} of " if other.count > 1 else ""
    others = " with others" if other.is_shared else ""
    return (
        f"{who} is at work on {part}this sweep{others}; wait for it, or share the runs out: all "
        f"drivers with --shard {ANY}, or with --shard 1/2, --shard 2/2 ..."
    )


def _take_seat(locks: Path, shard: Shard, stack: contextlib.ExitStack) -> Seat:
    """Take the seat of a driver of this machine that has ended, or a new one."""
    host = re.sub(r"[^\w-]", "-", platform.node())[:HOST_LENGTH]
    for file in sorted(locks.glob(f"{shard.label}.{host}-*.lock")):
        stream = file.open("r+")
        if _note(stream).get("machine") == _machine() and take_lock(stream):
            return Seat(file.stem, stack.enter_context(stream))
        stream.close()
    label = f"{shard.label}.{host}-{uuid.uuid4().hex[:8]}"
    stream = stack.enter_context((locks / f"{label}.lock").open("w+"))
    take_lock(stream, wait=True)  # who looks who is at work may hold it for a moment
    return Seat(label, stream)


def _machine() -> str:
    """Name the machine on which locks are certain to be seen."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"{uuid.getnode():x}"


def _note(stream: IO[str]) -> dict[str, Any]:
    stream.seek(0)
    try:
        return dict(json.loads(stream.read()))
    except ValueError:  # its driver is writing it, or was killed as it did
        return {}


def active_drivers(folder: Path) -> list[tuple[Shard, dict[str, Any]]]:
    """List the drivers at work now, and what each says of itself.

    Parameters
    ----------
    folder : Path
        Of the sweep.

    Returns
    -------
    list of (Shard, dict)
        With ``host``, ``process`` and ``job``, and what the driver has told of its workers.
    """
    return list(_active(folder))


def _active(folder: Path) -> Iterator[tuple[Shard, dict[str, Any]]]:
    for file in sorted((folder / FOLDER).glob("*.*.lock")):
        with file.open("r+") as stream:
            if not take_lock(stream):
                yield shard_of(file.stem), _note(stream)


def array_jobs(folder: Path) -> set[str]:
    """List the SLURM arrays whose jobs are or were drivers of a sweep.

    Parameters
    ----------
    folder : Path
        Of the sweep.

    Returns
    -------
    set of str
    """
    found = set()
    for file in (folder / FOLDER).glob("*.*.lock"):
        with file.open() as stream:
            array, _, task = str(_note(stream).get("job", "")).partition("_")
            found |= {array} if task else set()
    return found


def shard_of(label: str) -> Shard:
    """Return the shard of a driver by its label."""
    number, _, count = label.partition(".")[0].partition("-of-")
    return Shard(int(number), int(count)) if count else SHARED


def take_lock(stream: IO[str], *, wait: bool = False) -> bool:
    """Take the lock of an open file, until it is closed; tell whether it was free.

    Parameters
    ----------
    stream : file
    wait : bool, optional
        Wait until it is free.

    Returns
    -------
    bool

    Raises
    ------
    SweepFolderError
        If there are no locks here.
    """
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

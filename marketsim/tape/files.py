"""Files of results: written whole or not at all, and read only if they hold what was written.

Every table is known by the hash of its file, which stands in a record (JSON) beside it; a record
carries the hash of its own content. So a flipped bit, a file of another run or one cut short is
found before it is read as data.
"""

import contextlib
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

#: How tables are written: each page of a Parquet file has a checksum that any reader can verify.
PARQUET: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
#: The field of a record that holds the hash of all others.
SEAL = "hash"
#: How the name of a file ends that is not written yet; a killed process leaves it behind.
UNFINISHED = ".tmp"
#: Bytes of a hash; twice as many hexadecimal digits.
HASH_BYTES = 16
#: Bytes of a file that are hashed at a time.
PIECE = 2**20


class FolderError(Exception):
    """A folder of results cannot be read or written."""


class RunFolderError(FolderError):
    """A run folder cannot be written, or is not one, or is damaged."""


@contextlib.contextmanager
def atomic(file: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears complete, on disk, or not at all.

    Raises
    ------
    FolderError
        If the disk is full or cannot be written, or what is there is no file.
    """
    with _explained(file):
        _check_replaceable(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        staging = _staging(file, file.parent)
        try:
            with staging.open("w+b") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            staging.replace(file)
        except BaseException:
            staging.unlink(missing_ok=True)
            raise


def check_writable(file: Path) -> None:
    """Make sure, before long work, that `atomic` can write a file.

    Raises
    ------
    FolderError
        If it cannot.
    """
    with _explained(file):
        _check_replaceable(file)
        parent = next(each for each in file.absolute().parents if os.path.lexists(each))
        staging = _staging(file, parent)
        staging.touch()
        staging.unlink()


def _staging(file: Path, folder: Path) -> Path:
    return folder / f".{file.name}.{uuid.uuid4().hex}{UNFINISHED}"  # another host may write it too


def _check_replaceable(file: Path) -> None:
    """Refuse a folder, a device or a pipe: to put a file in its place would destroy it."""
    if file.exists() and not file.is_file():
        what = "a folder" if file.is_dir() else "a device or a pipe"
        raise FolderError(f"{file}: is {what}, which no file replaces: choose another name")


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise FolderError(f"{file.parent}: disk full") from error
        raise FolderError(f"{file}: cannot be written: {error.strerror or error}") from error


def hash_file(stream: IO[bytes]) -> str:
    """Hash all that an open file holds.

    Parameters
    ----------
    stream : file
        Readable; left at its end.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    stream.seek(0)
    while piece := stream.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


def open_verified(file: Path, expected: str, error: Callable[[str], FolderError]) -> IO[bytes]:
    """Open a file that must hold what was written.

    Parameters
    ----------
    file : Path
    expected : str
        Its hash, as `hash_file` returned it then.
    error : callable
        Turns a sentence into what is raised.

    Returns
    -------
    file
        Open, at its beginning.

    Raises
    ------
    FolderError
        If the file is missing, cannot be read, or holds anything else.
    """
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(file.open("rb"))
            found = hash_file(stream)
            stream.seek(0)
        except FileNotFoundError as fault:
            raise error(f"{file}: missing, the folder is damaged") from fault
        except OSError as fault:
            raise error(f"{file}: cannot be read: {fault.strerror or fault}") from fault
        if found != expected:
            raise error(f"{file}: damaged, or not the file that was written here")
        stack.pop_all()
        return stream


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """Add the hash of a record to it."""
    return record | {SEAL: _hash_record(json.loads(json.dumps(record)))}


def is_sealed(record: dict[str, Any]) -> bool:
    """Say whether a record that was read is as it was sealed."""
    return record.get(SEAL) == _hash_record(record)


def _hash_record(record: dict[str, Any]) -> str:
    """Hash what a record says, whatever the order and the blanks of its JSON."""
    content = {name: value for name, value in record.items() if name != SEAL}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).hexdigest()


def read_record(file: Path, error: Callable[[str], FolderError]) -> dict[str, Any]:
    """Read a record, sealed or not.

    Parameters
    ----------
    file : Path
    error : callable
        Turns a sentence into what is raised.

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such file.
    FolderError
        If it cannot be read, or is no JSON object.
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except RecursionError as fault:
        raise error(f"{file}: damaged, nested too deeply") from fault
    except (OSError, ValueError) as fault:
        raise error(f"{file}: cannot be read, damaged: {fault}") from fault
    if not isinstance(record, dict):
        raise error(f"{file}: damaged, not a JSON object")
    return record

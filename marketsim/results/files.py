"""Files of results: what goes wrong with their folders, and writing whole or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


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
        If the disk is full or cannot be written.
    """
    staging = file.parent / f".{file.name}.{os.getpid()}.tmp"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with staging.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            staging.replace(file)
        except BaseException:
            staging.unlink(missing_ok=True)
            raise
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        what = "disk full" if full else f"cannot be written: {error.strerror or error}"
        msg = f"{file.parent}: {what}"
        raise FolderError(msg) from error

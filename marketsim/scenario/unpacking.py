"""A file that a user names, opened: what its first bytes say it is, and what is packed in it.

The name's ending is not asked: a zip renamed to ``.csv`` is a zip. A file is never read whole here,
so one of a gigabyte takes no more memory than a small one.
"""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd
import pyarrow as pa

from marketsim.scenario.errors import nearest
from marketsim.scenario.inputs import open_input
from marketsim.scenario.wording import shortened, visible

#: So many bytes at the beginning of a file say what it is.
HEAD = 2**18
ZIP, PARQUET, ARROW, FEATHER_1, ARROW_STREAM = (
    b"PK\x03\x04",
    b"PAR1",
    b"ARROW1",
    b"FEA1",
    b"\xff\xff\xff\xff",
)
#: What one stream is packed by, from its first bytes.
PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
#: What cannot be read, from its first bytes, and what to do about it.
FOREIGN = {
    b"\xd0\xcf\x11\xe0": ("an Excel workbook (.xls)", "save it as 'CSV UTF-8' in the spreadsheet"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it and name the file in it"),
    b"Rar!": ("a RAR archive", "unpack it and name the file in it"),
    b"%PDF": ("a PDF", "ask where it comes from for a CSV"),
    b"\x89HDF": ("an HDF5 file", "write it as Parquet, as pandas.read_hdf(FILE).to_parquet does"),
    b"\x93NUMPY": ("a NumPy array", "write it as CSV, with a column of times"),
    b"\x80\x04\x95": (
        "a pickle",
        "write it as Parquet, as pandas.read_pickle(FILE).to_parquet does",
    ),
    b"\x80\x05\x95": (
        "a pickle",
        "write it as Parquet, as pandas.read_pickle(FILE).to_parquet does",
    ),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"ORC": ("an ORC file", "write it as Parquet"),
    b"PK\x05\x06": ("an empty zip", "pack the file once more"),
}
#: Files that packing programs add.
LITTER = ("__MACOSX/", ".DS_Store", "desktop.ini")


class HistoryError(ValueError):
    """A file of prices or rates cannot be used; the message names file, row, column and what to do.

    Parameters
    ----------
    message : str
    lines : sequence of str, optional
        First lines of the file as they were read, shown below the message.
    """

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        shown = [shortened(visible(message))]
        if lines:
            shown += ["first lines as read:", *(f"  {visible(line)}" for line in lines)]
        super().__init__("\n".join(shown))


class _View(io.RawIOBase):
    """Reads an open file at its own place; the file stays open when the view is closed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            offset += self._file.seek(0, io.SEEK_END)
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._at += count
        return count


class Packed(NamedTuple):
    """An open file and what it is packed by."""

    path: Path
    file: IO[bytes]
    packings: tuple[str, ...]  #: outermost first
    member: str | None  #: of a zip

    def open(self) -> IO[bytes]:
        """Return the content from its beginning, unpacked."""
        stream: IO[bytes] = io.BufferedReader(_View(self.file))
        for packing in self.packings:
            stream = _unpacked(stream, packing, self.member)
        return stream

    def head(self) -> bytes:
        """Return the first bytes of the content."""
        return self.open().read(HEAD)


@contextmanager
def open_packed(path: Path, what: str, option: str) -> Iterator[Packed]:
    """Open a file that holds one table, however it is packed.

    Parameters
    ----------
    path : Path
    what : str
        What it is as an input, see `marketsim.scenario.inputs`.
    option : str
        The option that names it, for the error.

    Yields
    ------
    Packed

    Raises
    ------
    HistoryError
        If it is missing, no file, nothing that holds a table, or damaged.
    """
    with _explained(path, option), open_input(what, path) as file:
        packings: list[str] = []
        member = None
        while True:
            packed = Packed(path, file, tuple(packings), member)
            head = packed.head()
            if head.startswith(ZIP):
                if "zip" in packings:
                    raise HistoryError(f"{path}: a zip within a zip; unpack it")
                member = _only_member(path, packed)
                packings.append("zip")
                continue
            found = next((name for magic, name in PACKINGS.items() if head.startswith(magic)), None)
            if found is None:
                break
            packings.append(found)
        _refuse_foreign(path, head)
        yield packed


@contextmanager
def _explained(path: Path, option: str) -> Iterator[None]:
    """Turn what reading a file can raise into one sentence."""
    try:
        yield
    except HistoryError:
        raise
    except FileNotFoundError:
        if path.is_dir():
            msg = f"{path}: a folder; name a file in it with {option}"
            raise HistoryError(msg) from None
        if path.exists():
            msg = f"{path}: a device or a pipe; save what it gives as a file and set {option}"
            raise HistoryError(msg) from None
        others = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, others)
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        msg = f"{path}: there is no such file{where}{near}; set {option}"
        raise HistoryError(msg) from None
    except (
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        lzma.LZMAError,
        zipfile.BadZipFile,
        pa.ArrowException,
        pd.errors.ParserWarning,
    ) as problem:
        lines = str(problem).strip().splitlines()
        reason = lines[0] if lines else "no reason given"
        raise HistoryError(f"{path}: cannot be read as a table: {reason}") from problem


def _unpacked(stream: IO[bytes], packing: str, member: str | None) -> Any:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if packing == "bzip2":
        return bz2.BZ2File(stream)
    if packing == "xz":
        return lzma.LZMAFile(stream)
    if packing == "zstd":
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"))
    return zipfile.ZipFile(stream).open(str(member))


def _only_member(path: Path, packed: Packed) -> str:
    """Return the name of the one file in a zip."""
    stream = packed.open()
    if not stream.seekable():
        raise HistoryError(f"{path}: a zip within {packed.packings[-1]}; unpack it")
    with zipfile.ZipFile(stream) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    names = [info.filename for info in infos]
    if any(name.startswith("xl/") for name in names) or "mimetype" in names:
        kind = "an Excel workbook (.xlsx)" if "mimetype" not in names else "a spreadsheet (.ods)"
        msg = f"{path}: {kind}; save it as 'CSV UTF-8' in the spreadsheet and name that file"
        raise HistoryError(msg)
    infos = [info for info in infos if not any(part in info.filename for part in LITTER)]
    if len(infos) != 1:
        shown = ", ".join(info.filename for info in infos[:5]) + ("..." if len(infos) > 5 else "")
        held = f"{len(infos)} files ({shown})" if infos else "no file"
        msg = f"{path}: a zip file with {held}; unpack it and name the one to read"
        raise HistoryError(msg)
    if infos[0].flag_bits & 1:
        msg = f"{path}: an encrypted zip file; unpack it with its password and name the file in it"
        raise HistoryError(msg)
    return infos[0].filename


def _refuse_foreign(path: Path, head: bytes) -> None:
    for magic, (what, fix) in FOREIGN.items():
        if head.startswith(magic):
            raise HistoryError(f"{path}: {what}; {fix}")
    if head[257:262] == b"ustar":
        raise HistoryError(f"{path}: a tar archive; unpack it and name the file in it")
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise HistoryError(
            f"{path}: a web page or XML, not a table; perhaps an error page was saved in its "
            "place: load the file again, as CSV"
        )
    if not head.strip():
        raise HistoryError(f"{path}: the file is empty")

"""Data in one file: numbers, texts, arrays and what is made of them, and no code.

A file begins with a line that says what it is; then come the length of a header, the header, which
is sealed JSON, and the bytes of the arrays as they lie in memory. The header tells what the arrays
are, where they belong, and the checksum of them all.
"""

import ast
import contextlib
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from marketsim.run.room import as_bytes, blank
from marketsim.tape.files import FolderError, atomic, is_sealed, seal

#: The first line of a file; the number is that of the format.
FORMAT = 1
TITLE = b"marketsim saved "
#: Digits of the header's length.
DIGITS = 12
#: Bytes that are written, read and summed up at a time.
PIECE = 2**24

#: Lists, tuples and dicts within each other, of a user's data.
MAX_DEPTH = 100

#: What stands for itself in JSON.
PLAIN = (type(None), bool, int, float, str)
#: Kinds of NumPy types that are data: truth, numbers, times, texts, bytes, records of these.
KINDS = "biufcmMUSV"


class SavedMarketError(FolderError):
    """A saved market cannot be read, or does not fit what is here; or a market cannot be saved."""


class NoDataError(TypeError):
    """Something is no data; says where it stands, and what it is."""


#: Of a class: how its objects become data, and how they are made of it again.
Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def pack(value: Any, arrays: list[Any], codecs: Mapping[type, Codec], where: str = "") -> Any:
    """Turn data into JSON; arrays are put on a list, and their numbers stand for them.

    Parameters
    ----------
    value : object
        None, truth, numbers, text, arrays, and lists, tuples and dicts of these.
    arrays : list
        Gets the arrays.
    codecs : mapping
        Of the classes whose objects are taken too.
    where : str, optional
        What the value is, for the error.

    Raises
    ------
    NoDataError
        If it is anything else.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list or kind is tuple:
        items = [pack(each, arrays, codecs, f"{where}[{n}]") for n, each in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is dict:
        pairs = [
            [pack(key, arrays, codecs, where), pack(each, arrays, codecs, f"{where}[{key!r}]")]
            for key, each in value.items()
        ]
        return {"dict": pairs}
    if (kind is np.ndarray or isinstance(value, np.generic)) and _is_data(value.dtype):
        arrays.append(np.asarray(value))
        return {"array" if kind is np.ndarray else "number": len(arrays) - 1}
    if kind in codecs:
        return {kind.__name__: pack(codecs[kind][0](value), arrays, codecs, where)}
    raise NoDataError(f"{where} is {_name(value)}")


def check_nesting(value: Any, where: str, above: tuple[int, ...] = ()) -> None:
    """Refuse what no file holds: what contains itself, or is nested too deeply.

    Parameters
    ----------
    value : object
    where : str
        What it is, for the error.
    above : tuple of int, optional
        The ids of the lists, tuples and dicts that it is within.

    Raises
    ------
    NoDataError
    """
    if type(value) not in (list, tuple, dict):
        return
    if id(value) in above:
        raise NoDataError(f"{where} contains itself")
    if len(above) == MAX_DEPTH:
        raise NoDataError(f"{where} is nested more than {MAX_DEPTH} deep")
    for each in (*value, *value.values()) if type(value) is dict else value:
        check_nesting(each, where, (*above, id(value)))


def unpack(value: Any, arrays: list[Any], codecs: Mapping[type, Codec]) -> Any:
    """Turn JSON into what it was made of."""
    if type(value) is list:
        return [unpack(each, arrays, codecs) for each in value]
    if type(value) is not dict:
        return value
    ((what, content),) = value.items()
    if what == "tuple":
        return tuple(unpack(each, arrays, codecs) for each in content)
    if what == "dict":
        return {unpack(k, arrays, codecs): unpack(v, arrays, codecs) for k, v in content}
    if what == "array":
        return arrays[content]
    if what == "number":
        return arrays[content][()]
    make = {each.__name__: codec[1] for each, codec in codecs.items()}[what]
    return make(unpack(content, arrays, codecs))


def _is_data(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in KINDS and not dtype.hasobject


def _name(value: Any) -> str:
    if type(value) is np.ndarray:
        return f"an array of {value.dtype}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def write_data(file: Path, header: Mapping[str, Any], arrays: list[Any]) -> None:
    """Write a header and arrays as one file, completely or not at all.

    Raises
    ------
    FolderError
        If the disk is full or cannot be written.
    """
    blocks = [_block(array) for array in arrays]
    checksum = 0
    for block in blocks:
        checksum = zlib.crc32(block, checksum)
    record = {**header, "arrays": [_describe(array) for array in arrays], "checksum": checksum}
    text = json.dumps(seal(record), separators=(",", ":")).encode()
    with atomic(file) as stream:
        stream.write(b"%s%d\n%0*d\n" % (TITLE, FORMAT, DIGITS, len(text)))
        stream.write(text)
        for block in blocks:
            for start in range(0, len(block), PIECE):  # between two pieces Ctrl-C is heard
                stream.write(block[start : start + PIECE])


def read_header(file: Path, stream: IO[bytes]) -> dict[str, Any]:
    """Read the header of a file; leaves the stream where the arrays begin.

    Raises
    ------
    SavedMarketError
        If it is no such file, of another format, or damaged.
    """
    title = stream.readline(len(TITLE) + 10)
    if not title.startswith(TITLE):
        raise SavedMarketError(f"{file}: not a saved market")
    if title != b"%s%d\n" % (TITLE, FORMAT):
        found = title.removeprefix(TITLE).decode(errors="replace").strip()
        raise SavedMarketError(f"{file}: saved in format {found}, this version reads {FORMAT}")
    try:
        length = min(int(stream.read(DIGITS + 1)), file.stat().st_size)  # a damaged one may be any
        header = json.loads(stream.read(max(length, 0)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not is_sealed(header):
        raise SavedMarketError(f"{file}: damaged, its header is not what was written")
    return header


def read_arrays(file: Path, stream: IO[bytes], header: Mapping[str, Any]) -> list[Any]:
    """Read the arrays that a header tells of.

    Raises
    ------
    SavedMarketError
        If they are not what was written.
    """
    with complete(file):
        kinds = [(_dtype(each), tuple(each["shape"]), each["fortran"]) for each in header["arrays"]]
        needed = sum(dtype.itemsize * math.prod(shape) for dtype, shape, _ in kinds)
        expected = header["checksum"]
    here = file.stat().st_size - stream.tell()
    if here != needed:
        problem = "cut short" if here < needed else "too long"
        raise SavedMarketError(f"{file}: damaged, {problem}: {here:,} bytes of {needed:,}")
    arrays = []
    checksum = 0
    for dtype, shape, is_fortran in kinds:
        array = blank(dtype, *shape)
        block = as_bytes(array)
        for start in range(0, len(block), PIECE):
            piece = block[start : start + PIECE]
            stream.readinto(piece)  # type: ignore[attr-defined]  # of every file that is opened
            checksum = zlib.crc32(piece, checksum)
        arrays.append(array.T if is_fortran else array)
    if checksum != expected:
        raise SavedMarketError(f"{file}: damaged, its arrays are not what was written")
    return arrays


@contextlib.contextmanager
def complete(file: Path) -> Iterator[None]:
    """Read what the header of a file states.

    Raises
    ------
    SavedMarketError
        If it is not there, or cannot be what was written.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        what = f"{type(error).__name__}: {error}"
        raise SavedMarketError(f"{file}: damaged, its header is not complete: {what}") from error


def _block(array: Any) -> Any:
    """Return the bytes of an array; of one in Fortran's order, of its transpose."""
    return as_bytes(np.ascontiguousarray(array.T if _is_fortran(array) else array))


def _is_fortran(array: Any) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _describe(array: Any) -> dict[str, Any]:
    """Say what an array is; `_dtype` makes its type of that again."""
    dtype = array.dtype
    is_fortran = _is_fortran(array)
    return {
        "dtype": repr(np.lib.format.dtype_to_descr(dtype)),
        "aligned": bool(dtype.isalignedstruct),
        "records": issubclass(dtype.type, np.record),
        "shape": list(array.shape[::-1] if is_fortran else array.shape),
        "fortran": is_fortran,
    }


def _dtype(described: Mapping[str, Any]) -> np.dtype[Any]:
    dtype = np.lib.format.descr_to_dtype(ast.literal_eval(described["dtype"]))
    if described["aligned"]:
        fields: Any = dtype.fields
        layout = {
            "names": list(fields),
            "formats": [field[0] for field in fields.values()],
            "offsets": [field[1] for field in fields.values()],
            "itemsize": dtype.itemsize,
        }
        dtype = np.dtype(layout, align=True)  # type: ignore[call-overload]
    return np.dtype((np.record, dtype)) if described["records"] else dtype

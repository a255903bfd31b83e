"""The bytes of a recording: a header in JSON and arrays of numbers, one message after the other.

A message is: `MAGIC` and the length of the header (two little-endian uint32), the header (UTF-8
JSON padded with spaces to a multiple of 8 bytes), the arrays one after the other, each padded to 8
bytes. The header's ``arrays`` say of each its name, type, shape and place. The script that draws
them, `marketsim/report/page/wire.js`, reads the same.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

#: "MSIM".
MAGIC = 0x4D53494D
_START = struct.Struct("<II")
_LENGTH = struct.Struct("<I")

#: Types of arrays by their names on the wire.
TYPES = {
    name: np.dtype(f"<{name}" if name[1] != "1" else name)
    for name in ("i1", "i4", "i8", "u1", "u2", "u4", "f4", "f8")
}
_NAMES = {dtype: name for name, dtype in TYPES.items()}


class WireError(ValueError):
    """Bytes that are no message."""


class Message(NamedTuple):
    """What goes to the script in one piece."""

    header: dict[str, Any]  #: at least its ``kind``
    arrays: Mapping[str, Any] = {}  #: by name, each of one of `TYPES`
    #: names of arrays of integers that are sent as differences along their first axis
    delta: Sequence[str] = ()


def pack(message: Message) -> bytes:
    """Return the bytes of a message.

    Differences wrap in the type of their array, so that adding them up in it gives back what was.
    """
    entries, parts, place = [], [], 0
    for name, values in message.arrays.items():
        array = np.ascontiguousarray(values)
        entry = {"name": name, "type": _NAMES[array.dtype], "shape": list(array.shape), "at": place}
        if name in message.delta and len(array):
            array = np.concatenate([array[:1], array[1:] - array[:-1]])
            entry["delta"] = True
        data = array.tobytes()
        data += bytes(-len(data) % 8)
        entries.append(entry)
        parts.append(data)
        place += len(data)
    text = json.dumps({**message.header, "arrays": entries}, allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([_START.pack(MAGIC, len(text)), text, *parts])


def unpack(data: bytes) -> Message:
    """Read the bytes of a message.

    Raises
    ------
    WireError
        If they are none.
    """
    try:
        magic, length = _START.unpack_from(data)
        header = json.loads(data[_START.size : _START.size + length])
    except (struct.error, ValueError) as error:
        raise WireError(f"no message: {error}") from None
    if magic != MAGIC:
        raise WireError("no message: it does not begin as one")
    start = _START.size + length
    arrays, delta = {}, []
    for entry in header.pop("arrays"):
        dtype, shape = TYPES[entry["type"]], entry["shape"]
        place = start + entry["at"]
        array = np.frombuffer(data, dtype, math.prod(shape), place).reshape(shape)
        if entry.get("delta"):
            delta.append(entry["name"])
            array = np.cumsum(array, axis=0, dtype=dtype)
        arrays[entry["name"]] = array
    return Message(header, arrays, tuple(delta))


def join(messages: Sequence[bytes]) -> bytes:
    """Put messages in one string of bytes, each after its length (uint32)."""
    return b"".join(part for data in messages for part in (_LENGTH.pack(len(data)), data))


def split(data: bytes) -> list[bytes]:
    """Take the messages that `join` put together apart."""
    found, place = [], 0
    while place < len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        found.append(data[place : place + length])
        place += length
    return found

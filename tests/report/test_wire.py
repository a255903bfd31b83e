"""Messages come back as they were sent, and what is none is refused."""

import json
import struct

import numpy as np
import pytest

from marketsim.report.wire import MAGIC, Message, WireError, join, pack, split, unpack


def numbers() -> dict:
    return {
        "step": np.arange(5, 25, 5, dtype=np.int32),
        "price": np.array([[1.5, np.nan], [2.5, 0.0]], np.float32),
        "level": np.array([250, 3, 255, 0], np.uint8),
        "worth": np.array([1, 65_535, 0], np.uint16),
        "fund": np.array([1e12]),
        "atoms": np.array([2**52, -(2**52)]),
        "none": np.zeros((0, 3), np.int32),
    }


@pytest.mark.parametrize("delta", [(), ("step", "level", "worth", "atoms", "none")])
def test_arrays_come_back_as_they_were(delta):
    arrays = numbers()
    back = unpack(pack(Message({"kind": "frames", "lane": 1}, arrays, delta)))
    assert back.header == {"kind": "frames", "lane": 1}
    assert list(back.arrays) == list(arrays)
    for name, array in arrays.items():
        assert back.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(back.arrays[name], array)


def test_every_array_lies_on_eight_bytes():
    data = pack(Message({"kind": "frames", "who": "é<"}, numbers()))
    magic, length = struct.unpack_from("<II", data)
    assert magic == MAGIC
    assert length % 8 == 0
    assert len(data) % 8 == 0
    header = json.loads(data[8 : 8 + length])
    assert all(entry["at"] % 8 == 0 for entry in header["arrays"])


@pytest.mark.parametrize("data", [b"", b"abc", bytes(16), struct.pack("<II", 7, 2) + b"{}"])
def test_what_is_no_message_is_refused(data):
    with pytest.raises(WireError):
        unpack(data)


def test_messages_joined_are_split_again():
    messages = [b"one", b"", b"three" * 100]
    assert split(join(messages)) == messages


def test_a_number_that_json_does_not_know_is_not_sent():
    with pytest.raises(ValueError, match="JSON"):
        pack(Message({"kind": "status", "speed": float("nan")}))

"""A hash of a run's results: equal digests mean equal numbers, to the last bit, in every table."""

import hashlib
from dataclasses import fields
from typing import Any

import numpy as np

from marketsim.tape.result import ABSENT, LEFT_OUT, RunResult

#: Kinds of NumPy types that hold numbers: truth, integers, floats, times.
NUMBERS = "biufmM"


def digest_result(result: RunResult) -> str:
    """Hash what was simulated: every field of a result but those that say why they are left out.

    These are the arrays behind all tables of a run folder, so no table need be made. What a
    scenario asks to be recorded is part of it; timings, notes, paths and names are not: the same
    market with a renamed population, or a table with a renamed column, has the same digest.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    TypeError
        If a field holds something else than numbers and does not say that it is left out.
    """
    digest = hashlib.blake2b(digest_size=16)
    for each in fields(result):
        value = getattr(result, each.name)
        is_absent = ABSENT in each.metadata and len(value) == 0
        if LEFT_OUT not in each.metadata and not is_absent:
            _add(digest, value, each.name)
    return digest.hexdigest()


def _add(digest: Any, value: Any, name: str) -> None:
    """Add a value, not its name: a tuple part by part, a record type field by field."""
    if value is None:
        digest.update(b"none;")
        return
    if isinstance(value, tuple):
        digest.update(f"{len(value)};".encode())
        for part, each in zip(getattr(value, "_fields", range(len(value))), value, strict=True):
            _add(digest, each, f"{name}.{part}")
        return
    array = np.asarray(value)
    if array.dtype.names:
        # One by one: a record type may hold padding bytes that mean nothing.
        for column in array.dtype.names:
            _add(digest, array[column], f"{name}.{column}")
        return
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"{name}: {array.dtype} is no number: say why it is left out of the digest")
    digest.update(f"{array.dtype.str}{array.shape};".encode())
    digest.update(array.tobytes())

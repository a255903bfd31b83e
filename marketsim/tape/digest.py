"""A hash of a run's results: equal digests mean equal numbers, to the last bit."""

import hashlib
from typing import Any

import numpy as np

from marketsim.tape.result import RunResult


def digest_result(result: RunResult) -> str:
    """Hash what was simulated: series, events and accounts, in a fixed order.

    Timings, notes, paths and the scenario's wording do not enter: the same market with a renamed
    population has the same digest.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    arrays: dict[str, Any] = {
        "series": result.series,
        "deviation": result.deviation,
        "steps": result.steps,
        "funding": result.funding,
        "liquidation": result.liquidation,
        "deleverage": result.deleverage,
        "fill": result.fill,
        "wealth": result.wealth,
        "exposure": result.exposure,
        "population": result.population,
        "deposit": result.deposit,
        "outcome": result.outcome,
    }
    for step, snapshot in ((0, result.start), *result.snapshots, (-1, result.end)):
        arrays |= {f"{step}.{name}": array for name, array in snapshot._asdict().items()}
    for name, array in arrays.items():
        # Field by field: a record type may hold padding bytes that mean nothing.
        for column in array.dtype.names or (None,):
            values = np.ascontiguousarray(array[column] if column else array)
            digest.update(f"{name}.{column}:{values.dtype.str}{values.shape}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()

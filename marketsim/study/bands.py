"""Bands of real markets: what a statistic is over windows as long as a run.

A file of bands is JSON with a table ``bands``: by statistic its ``role``, the number of windows
``n`` and of different ``periods``, and ``min``, ``p10``, ``median``, ``p90``, ``max``. A table
``windows`` (each statistic's value by window) or ``ceilings`` says how real windows themselves do.
The one shipped is what `reduced` leaves of ``targets_90d.json``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from marketsim.scenario.coercion import at_home

Role = Literal["input", "emergent"]
ROLES: tuple[Role, ...] = ("input", "emergent")
#: Windows, and different periods of time, below which a band is weak and counts in no verdict.
FEWEST_WINDOWS, FEWEST_PERIODS = 8, 4
EDGES = ("min", "p10", "median", "p90", "max")


class BandError(ValueError):
    """A file of bands cannot be used."""


@dataclass(frozen=True)
class Band:
    """A statistic over real windows."""

    name: str
    role: Role
    n: int
    periods: int
    min: float
    p10: float
    median: float
    p90: float
    max: float

    @property
    def is_strong(self) -> bool:
        """Whether it rests on windows enough to be held against."""
        return self.n >= FEWEST_WINDOWS and self.periods >= FEWEST_PERIODS


@dataclass(frozen=True)
class Bands:
    """All of a file."""

    of: Mapping[str, Band]
    #: by role: shares of real windows inside [p10, p90] and [min, max] of the others
    ceilings: Mapping[str, tuple[float, float]]


def shipped_bands() -> Bands:
    """Return the bands that come with the package: windows of 90 days, 2020 to 2025."""
    text = files("marketsim.study").joinpath("bands_90d.json").read_text(encoding="utf-8")
    return parse_bands(json.loads(text), "bands_90d.json")


def load_bands(path: str | Path) -> Bands:
    """Read a file of bands.

    Raises
    ------
    BandError
        If it cannot be read, holds no bands, or one lacks a figure.
    """
    try:
        content = json.loads(at_home(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BandError(f"{path}: cannot be read as JSON: {error}") from None
    return parse_bands(content, str(path))


def parse_bands(content: Any, source: str) -> Bands:
    """Check what a file of bands holds.

    Parameters
    ----------
    content : Any
        As read from JSON.
    source : str
        For the error.
    """
    stated = content.get("bands") if isinstance(content, dict) else None
    if not isinstance(stated, dict) or not stated:
        raise BandError(f"{source}: no table `bands`")
    of = {name: _band(name, fields, source) for name, fields in stated.items()}
    windows = content.get("windows")
    if isinstance(windows, dict):
        return Bands(of, _ceilings(of, windows))
    ceilings = content.get("ceilings", {})
    return Bands(of, {role: (pair[0], pair[1]) for role, pair in ceilings.items()})


def _band(name: str, fields: Any, source: str) -> Band:
    wanted = ("role", "n", "periods", *EDGES)
    for field in wanted:
        value = fields.get(field) if isinstance(fields, dict) else None
        is_right = value in ROLES if field == "role" else _is_number(value)
        if not is_right:
            raise BandError(
                f"{source}: bands.{name}.{field} = {value!r}: a band needs {', '.join(wanted)}; "
                f"a role is {' or '.join(ROLES)}, the rest are numbers"
            )
    return Band(name, fields["role"], *(fields[field] for field in wanted[1:]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ceilings(of: Mapping[str, Band], windows: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Hold every real window against the band of the others, over the strong statistics."""
    shares: dict[str, list[tuple[float, float]]] = {}
    for band in of.values():
        if band.is_strong and band.name in windows:
            values = np.array(list(windows[band.name].values()), np.float64)
            held = [_place(value, np.delete(values, number)) for number, value in enumerate(values)]
            inside, within = np.mean(held, axis=0)
            shares.setdefault(band.role, []).append((float(inside), float(within)))
    means = {role: np.mean(pairs, axis=0) for role, pairs in shares.items()}
    return {role: (float(mean[0]), float(mean[1])) for role, mean in means.items()}


def _place(value: float, others: Any) -> tuple[bool, bool]:
    low, high = np.quantile(others, [0.1, 0.9])
    return bool(low <= value <= high), bool(others.min() <= value <= others.max())


def reduced(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shipped of a file of bands: the bands and the ceilings, no single window."""
    bands = parse_bands(content, "bands")
    fields = ("role", "n", "periods", *EDGES)
    return {
        "ceilings": {role: [round(x, 4) for x in pair] for role, pair in bands.ceilings.items()},
        "bands": {
            name: {field: getattr(band, field) for field in fields}
            for name, band in bands.of.items()
        },
    }

"""The vectors: where they are, what units they are in, when a case passes."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from marketsim.engine.state import ONE

SHARED = Path(__file__).resolve().parents[3] / "shared"
#: Those that `MARKETSIM_VECTORS` names (written as in `PATH`), or those beside the repository.
NAMED = os.environ.get("MARKETSIM_VECTORS")
FOLDERS = (
    [Path(name) for name in NAMED.split(os.pathsep)]
    if NAMED
    else [SHARED / "vectors", SHARED / "cases" / "vectors"]
)
#: Why a test of the vectors is skipped.
MISSING = f"no conformance vectors in {' or '.join(map(str, FOLDERS))}"

Case = dict[str, Any]


def load_cases() -> list[Case]:
    """All cases of the folders, file by file; none where there is no folder."""
    cases: list[Case] = []
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.json")):
            cases += json.loads(path.read_text(encoding="utf-8"))
    return cases


def unit(values: Iterable[Fraction], largest: int = 12, finest: int = -18) -> Fraction:
    """The largest power of ten in which all values are whole numbers, within two exponents."""
    values = list(values)
    power = Fraction(10) ** largest
    while power > Fraction(10) ** finest and any((v / power).denominator != 1 for v in values):
        power /= 10
    return power


def common(values: Iterable[Fraction]) -> Fraction:
    """The largest number of which all values are whole multiples."""
    found = Fraction(0)
    for value in values:
        shared = found.denominator * value.denominator
        found = Fraction(math.gcd(int(found * shared), int(value * shared)), shared)
    return found or Fraction(1)


def whole(value: Fraction, in_unit: Fraction) -> int:
    """A value in whole units (to the nearest, where the unit is too coarse)."""
    return round(value / in_unit)


def parts(fraction: Fraction) -> int:
    """A plain fraction in the engine's units of 1e-9."""
    return whole(fraction, Fraction(1, ONE))


def numbers(inputs: Mapping[str, Any], *names: str) -> list[Fraction]:
    """The named inputs as exact numbers."""
    return [Fraction(inputs[name]) for name in names]


def optional(inputs: Mapping[str, Any], name: str, default: int = 0) -> Fraction:
    """An input that may be left out or null, as an exact number."""
    return Fraction(default if inputs.get(name) is None else inputs[name])


def differences(case: Case, got: Mapping[str, Any]) -> list[str]:
    """Where the answers leave the case's tolerance; a case passes if nowhere."""
    tolerance = case["tolerance"]
    found: list[str] = []
    for field, expected in case["expected"].items():
        allowed = Fraction(tolerance.get("fields", {}).get(field, tolerance["abs"]))
        if field not in got:
            found.append(f"{field}: no answer")
        else:
            _compare(field, expected, got[field], allowed, Fraction(tolerance["rel"]), found)
    return found


def _compare(
    where: str, expected: Any, got: Any, allowed: Fraction, relative: Fraction, found: list[str]
) -> None:
    """Compare names and truths exactly, numbers within the tolerance, and what they nest in."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            _compare(f"{where}.{key}", value, got.get(key), allowed, relative, found)
    elif isinstance(expected, list):
        expected, got = (sorted(rows, key=_market) for rows in (expected, got))
        if len(expected) != len(got):
            found.append(f"{where}: got {got}, expected {expected}")
            return
        for k, (row, answer) in enumerate(zip(expected, got, strict=True)):
            _compare(f"{where}[{k}]", row, answer, allowed, relative, found)
    elif isinstance(got, Fraction | int | float) and not isinstance(expected, bool):
        number = Fraction(expected)
        room = allowed + relative * abs(number)
        if not math.isfinite(got) or abs(Fraction(got) - number) > room:
            found.append(f"{where}: got {float(got)!r}, expected {expected}")
    elif got is None or got != expected:
        found.append(f"{where}: got {got}, expected {expected}")


def _market(row: Any) -> str:
    """Positions are listed in any order, everything else in its own."""
    return row.get("market", "") if isinstance(row, dict) else ""

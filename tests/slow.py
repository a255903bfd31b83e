"""Cases of a test that are left to the slow tests."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow(cases: Iterable[Any]) -> list[Any]:
    """Mark cases as those that the quick tests leave out."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]

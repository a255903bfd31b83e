"""How many examples a property is tried on.

The examples are the same in every run. ``MARKETSIM_EXPLORE=20`` tries twenty times as many, new
ones each time.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

EXPLORE = int(os.environ.get("MARKETSIM_EXPLORE", "0"))


def tried(examples: int) -> Callable[[Any], Any]:
    """Set the number of examples of a property (decorator)."""
    return settings(
        max_examples=examples * max(EXPLORE, 1),
        derandomize=EXPLORE == 0,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

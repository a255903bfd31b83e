"""How many examples a property is tried on.

The examples are the same in every run. ``MARKETSIM_EXPLORE=20`` tries twenty times as many, new
ones each time; 0.25 a quarter as many, but at least 25, the same ones in every run.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

EXPLORE = float(os.environ.get("MARKETSIM_EXPLORE", "1"))
#: Nothing is tried on fewer, unless it always is.
FEWEST = 25


def tried(examples: int) -> Callable[[Any], Any]:
    """Set the number of examples of a property (decorator)."""
    return settings(
        max_examples=max(round(examples * EXPLORE), min(examples, FEWEST)),
        derandomize=EXPLORE <= 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

"""What the report makes of a run, told by the report, which stands above.

Set by `marketsim/__init__.py`, which stands above all rooms.
"""

from collections.abc import Callable
from typing import Any

#: Given a run, returns its figures: an object with a method for each kind.
plots: Callable[[Any], Any]

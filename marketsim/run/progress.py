"""What long work tells whoever watches it."""

from collections.abc import Callable
from typing import TypeAlias

#: Called now and then with what is done and what was asked for: steps, cells, runs, figures.
Progress: TypeAlias = Callable[[int, int], None]

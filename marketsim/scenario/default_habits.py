"""The habits a population has by its strategy, told by the strategies, which stand above."""

from collections.abc import Callable, Mapping
from typing import Any

#: Given what a population calls its strategy, returns those habits of its traders that differ from
#: the defaults of `Population`. Set by `marketsim/__init__.py`, which stands above all rooms.
of_strategy: Callable[[str], Mapping[str, Any]]

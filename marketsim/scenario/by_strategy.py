"""What a population's strategy says of it, told by the strategies, which stand above.

Set by `marketsim/__init__.py`, which stands above all rooms.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marketsim.scenario.errors import Problem

#: Given what a population calls its strategy, returns those habits of its traders that differ from
#: the defaults of `Population`.
default_habits: Callable[[str], Mapping[str, Any]]
#: Given that name and the parameters stated, lists what is wrong with these. A user's own class
#: may not be known yet when a scenario is read; it is asked when a run is opened.
parameter_problems: Callable[[str, Mapping[str, Any]], "list[Problem]"]
#: Given that name, returns the JSON schema of the parameters; None for a user's own class.
parameter_schema: Callable[[str], dict[str, Any] | None]

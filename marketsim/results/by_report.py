"""What the report makes of a run, told by the report, which stands above.

Set by `marketsim/__init__.py`, which stands above all rooms.
"""

from collections.abc import Callable
from typing import Any

#: Given a run, returns its figures: an object with a method for each kind.
plots: Callable[[Any], Any]
#: Given a run, an account's statement or explanation, or a live market, returns what a notebook
#: shows of it, HTML.
html: Callable[[Any], str]
#: Given live markets, returns the replay of what they have done, to be shown in a notebook.
show: Callable[..., Any]

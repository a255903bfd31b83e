"""What marks a formula that no run uses: venues have the rule, this exchange has not."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Terms = ParamSpec("Terms")
Value = TypeVar("Value")

#: Names of the formulas asked since the list was last cleared.
asked: list[str] = []


def beside(formula: Callable[Terms, Value]) -> Callable[Terms, Value]:
    """Note when a formula is asked, so that the cases it answers can be told from a run's own."""

    @wraps(formula)
    def noting(*terms: Terms.args, **named: Terms.kwargs) -> Value:
        asked.append(formula.__name__)
        return formula(*terms, **named)

    return noting

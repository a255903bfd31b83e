"""What a run draws once: fields of a scenario that differ from seed to seed."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from marketsim.scenario.distributions import Distribution, Part
from marketsim.scenario.errors import Problem, ScenarioError, first_text, nearest
from marketsim.scenario.paths import set_field
from marketsim.streams import Stream, field_key, uniform

T = TypeVar("T", bound=Part)

#: Tables a drawn field may lie in: what describes the market, and no time or name of it.
TABLES = ("markets", "venue", "spot", "populations")
#: Quantiles at which a field must be allowed for every run to be: the median, and about the least
#: and the largest of a million runs.
TRIED = (0.5, 1e-6, 1.0 - 1e-6)
#: Seeds in a row, from 1 on, that share a law out among them.
TOGETHER = 10


def settle(scenario: T, laws: Mapping[str, Distribution], seed: int) -> T:
    """Return the scenario of one run: what is drawn has its value, and nothing is left to draw.

    A field's draw depends on the seed and its path alone, so one more is nobody else's luck. Of ten
    seeds in a row (1 to 10, 11 to 20, ...) each draws from another tenth of the law, in an order
    that chance decides field by field: such ten runs cover what a field can be.

    Parameters
    ----------
    scenario : Scenario
    laws : mapping
        Its table `drawn`.
    seed : int
        Of the run.

    Returns
    -------
    Scenario
        The given one if it draws nothing.

    Raises
    ------
    ScenarioError
        If a value that was drawn is not allowed; the message names it.

    References
    ----------
    M. McKay, R. Beckman and W. Conover, "A comparison of three methods for selecting values of
    input variables in the analysis of output from a computer code", Technometrics 21 (1979): the
    Latin hypercube.
    """
    if not laws:
        return scenario
    drawn = {path: _value(law, _quantile(seed, field_key(path))) for path, law in laws.items()}
    try:
        return _with_values(scenario, drawn)
    except ValidationError as error:
        values = ", ".join(f"{path} = {value:.6g}" for path, value in drawn.items())
        line = f"seed {seed} has {values}: {first_text(error)}; state min and max"
        raise ScenarioError([line], "drawn") from None


def draw_problems(scenario: Part, laws: Mapping[str, Distribution]) -> Iterator[Problem]:
    """List the drawn fields that there are not, or that may not have the values they can draw."""
    tables = scenario.model_dump(mode="json") if laws else {}
    for path, law in laws.items():
        place = f"drawn.{path}"
        missing = _missing(tables, path.split("."))
        if missing:
            yield Problem(place, missing)
            continue
        for quantile in TRIED:
            value = _value(law, quantile)
            try:
                _with_values(scenario, {path: value})
            except ValidationError as error:
                yield Problem(place, f"may draw {value:.6g}: {first_text(error)}")
                break


def _quantile(seed: int, key: int) -> float:
    """Draw the quantile of a field: the rank of the seed among its ten says from which tenth."""
    place = (seed - 1) % TOGETHER
    row = [uniform((seed - place + n) % 2**63, Stream.DRAWN, key, 0, 0) for n in range(TOGETHER)]
    tenth = sum(other < row[place] for other in row)
    return (tenth + uniform(seed, Stream.DRAWN, key, 1, 0)) / TOGETHER


def _value(law: Distribution, quantile: float) -> float:
    """Return a quantile; whole numbers as such, for fields that take no others."""
    value = float(law.quantile(np.array([quantile]))[0])
    return int(value) if value.is_integer() else value


def _with_values(scenario: T, values: Mapping[str, float]) -> T:
    tables = scenario.model_dump(mode="json", exclude_none=True)
    tables["drawn"] = {}
    for path, value in values.items():
        set_field(tables, path.split("."), value)
    return type(scenario).model_validate(tables)


def _missing(tables: dict[str, Any], keys: list[str]) -> str:
    """Say which part of a path there is not; "" if it leads to a field that may be drawn."""
    if keys[0] not in TABLES:
        return f"cannot be drawn: only what lies in {', '.join(TABLES)}"
    node: Any = tables
    for place, key in enumerate(keys):
        where = ".".join(keys[:place])
        if isinstance(node, list):
            if not key.isdecimal() or int(key) >= len(node):
                return f"{where} has {len(node)} entries, numbered from 0"
            node = node[int(key)]
        elif isinstance(node, dict):
            if keys[place - 1] == "parameters":  # what these may be, the strategy knows
                return ""
            if key not in node:
                return f"there is no '{key}' in {where or 'a scenario'}{nearest(key, node)}"
            node = node[key]
        else:
            return f"{where} is a value, it has no field {key}"
    return "" if not isinstance(node, list) else "is a list: name one of its entries"

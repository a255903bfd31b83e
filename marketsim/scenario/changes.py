"""Changes of a scenario while it runs: which are allowed, and what it is after them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from pydantic import ValidationError

from marketsim.scenario import by_strategy
from marketsim.scenario.errors import Problem, explain
from marketsim.scenario.interventions import Change, Intervention, InterventionError, Stated
from marketsim.scenario.live import RESET, acts, unknown_key
from marketsim.scenario.paths import set_field
from marketsim.scenario.population import Population
from marketsim.scenario.shocks import Shock
from marketsim.scenario.venue import NO_OTHER_PRESET
from marketsim.scenario.wording import show


class Changeable(Stated, Protocol):
    """A scenario as far as it is needed to change it."""

    @property
    def populations(self) -> Mapping[str, Population]:
        """The traders, by name of population."""

    @property
    def shocks(self) -> Sequence[Shock]:
        """What happens at a stated time."""

    @property
    def interventions(self) -> Sequence[Intervention]:
        """What is done to the running market from outside."""

    def with_rule(self, field: str, value: Any) -> Self:
        """Return the scenario with one rule of the venue or of a market changed."""

    def model_dump(self, *, exclude_none: bool, exclude: set[str]) -> dict[str, Any]:
        """Return its tables."""

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """Read tables."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of its tables."""


S = TypeVar("S", bound=Changeable)


def changed(scenario: S, change: Change) -> S:
    """Return a scenario with one field changed, without its shocks and interventions.

    Parameters
    ----------
    scenario : Changeable
    change : Change
        Of some traders only: it is checked as if it were of all.

    Raises
    ------
    InterventionError
        If there is no such field, it does not act on a running market, or may not be so.
    """
    keys = change.path.split(".")
    data = scenario.model_dump(exclude_none=True, exclude={"shocks", "interventions"})
    try:
        if not change.is_rule:
            _check_acts(scenario, keys, data)
            _check_share(scenario, keys, change.share)
            set_field(data, keys, change.value)
        if change.is_rule or keys[0] in ("venue", "markets"):
            return scenario.with_rule(change.path, change.value)
        return type(scenario).model_validate(data)
    except ValidationError as error:
        found = explain(error, data, _schema(type(scenario)), "state it in the value")
        text = "; ".join(line for _, lines in found for line in lines)
        if not text.startswith(change.path):
            text = f"{change.path} = {show(change.value)}: {text}"
        raise InterventionError(text) from None
    except (ValueError, LookupError, TypeError) as error:
        text = f"{change.path} = {show(change.value)}: {error.args[0]}"
        raise InterventionError(text) from None


def chosen_count(share: float, count: int) -> int:
    """Return how many of so many traders a share means."""
    return round(share * count)


#: Tables of ``[spot]`` that only a factor model reads.
_PROCESS = (["factor"], ["own"], ["markets"])

#: Changes to come: step, where they are stated, what changes; of one step in order.
Steps: TypeAlias = list[tuple[int, str, Change]]

#: Changes for a share of a population, by what they say: some traders have that.
Held: TypeAlias = dict[str, Change]


def intervention_problems(scenario: Changeable) -> Iterator[Problem]:
    """List what is wrong with a scenario's interventions, as far as it is known before it runs."""
    steps: Steps = []
    for index, entry in enumerate(scenario.interventions):
        place = f"interventions.{index}"
        for problem in entry.problems(scenario):
            yield problem.below(place)
        if entry.change is not None:
            steps.append((entry.at_step, place, entry.change))
    if steps:
        for place, error in refused_changes(scenario, [*scheduled_changes(scenario), *steps]):
            yield Problem(place, str(error))


def scheduled_changes(scenario: Changeable) -> Steps:
    """List the changes of rules that a scenario's shocks bring."""
    return [
        (
            shock.first_step(scenario.step_minutes),
            f"shocks.{index}",
            Change(*shock.rule, is_rule=True),
        )
        for index, shock in enumerate(scenario.shocks)
        if shock.rule is not None
    ]


def refused_changes(
    scenario: S, steps: Steps, made: Iterable[Change] = ()
) -> Iterator[tuple[str, InterventionError]]:
    """Try changes one after the other, as they will come; list those that would be refused.

    Parameters
    ----------
    scenario : Changeable
        As changes for everybody have left it.
    steps : Steps
    made : iterable of Change
        Those that have been made, earliest first.

    Yields
    ------
    place : str
        Where the change is stated.
    error : InterventionError
    """
    held: Held = {}
    for change in made:
        _hold(held, change)
    for _, place, change in sorted(steps, key=lambda step: step[0]):
        try:
            then = changed(scenario, change)
            still = dict(held)
            _hold(still, change)
            _check_held(then, change, still)
        except InterventionError as error:
            yield place, error
        else:
            held = still
            scenario = then if change.share == 1.0 else scenario


def _hold(held: Held, change: Change) -> None:
    """Note what a share of a population receives, and forget what has become everybody's."""
    habit = change.path.split(".")[:3]
    if change.share < 1.0:
        held[f"{change.path} = {change.value!r}"] = change
        return
    for key in [key for key, each in held.items() if each.path.split(".")[:3] == habit]:
        del held[key]


def _check_held(then: Changeable, change: Change, held: Held) -> None:
    """Refuse a change of what traders may have, if some of them have more already."""
    keys = change.path.split(".")
    for each in held.values():
        if change.share < 1.0 or (keys[0] != "markets" and keys[:2] != each.path.split(".")[:2]):
            continue
        try:
            changed(then, each)
        except InterventionError as error:
            stated = f"{change.path} = {show(change.value)}"
            raise InterventionError(f"{stated}: some traders have {error}") from None


def _check_acts(scenario: Changeable, keys: list[str], data: dict[str, Any]) -> None:
    """Refuse a field that is not there, or whose change does not act on a running market."""
    schema = _schema(type(scenario))
    named = {name: {} for name in scenario.markets} | data["spot"]["markets"]
    seen = {**data, "spot": {**data["spot"], "markets": named}}
    own = keys[3:] if keys[0] == "populations" and keys[2:3] == ["parameters"] else []
    shared = keys[: len(keys) - len(own)]
    missing = unknown_key(schema, shared, seen)
    if missing is not None:
        raise ValueError(missing)
    said = acts(schema, shared, data)
    if shared[2:] == ["parameters"]:
        said = _parameter_acts(scenario.populations[keys[1]].strategy, own)
    if keys[:1] == ["spot"] and keys[1:2] in _PROCESS and data["spot"]["kind"] != "factor":
        raise ValueError("acts only where spot.kind = 'factor'")
    if said is False:
        raise ValueError("is a name or a text and acts on no market: change it in the scenario")
    if keys == ["venue", "preset"]:
        raise ValueError(NO_OTHER_PRESET)
    if said == RESET:
        raise ValueError(
            "acts only when a market starts, and a running one keeps what it started with: change "
            "it in the scenario and start anew"
        )
    if said is None:
        raise ValueError("is a table whose fields act at different times: set one of its fields")


def _parameter_acts(strategy: str, keys: list[str]) -> bool | str | None:
    """Say when a strategy's parameter acts; without keys, what holds of all of them."""
    schema = by_strategy.parameter_schema(strategy)
    if schema is None:
        raise ValueError(
            "acts only when a market starts: a class of your own has read its parameters by then"
        )
    if not keys:
        return None
    missing = unknown_key(schema, keys, {})
    if missing is not None:
        raise ValueError(missing)
    said = acts(schema, keys)
    return True if said is None else said


def _check_share(scenario: Changeable, keys: list[str], share: float) -> None:
    if share == 1.0:
        return
    if keys[0] != "populations" or keys[2] in ("groups", "parameters"):
        raise ValueError(f"share = {show(share)}: only habits and margin_mode change for a share")
    count = scenario.populations[keys[1]].count
    if chosen_count(share, count) == 0:
        raise ValueError(f"share = {show(share)}: is none of the population's {count} traders")


@cache
def _schema(kind: type[Changeable]) -> dict[str, Any]:
    return kind.model_json_schema()

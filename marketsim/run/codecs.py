"""The classes whose objects a saved run holds: how they become data, and are made of it again."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from marketsim.agents.base import Traders
from marketsim.engine.state import State
from marketsim.engine.world import World
from marketsim.run.attributes import WHOLE
from marketsim.run.data import Codec
from marketsim.run.loop import Tape
from marketsim.run.room import duplicate, state_rows, tape_rows
from marketsim.scenario.build_world import RuleChange
from marketsim.scenario.inputs import Input
from marketsim.scenario.interventions import KINDS as INTERVENTIONS
from marketsim.scenario.interventions import Intervention
from marketsim.scenario.roster import Roster, SidePools
from marketsim.scenario.schema import Scenario
from marketsim.scenario.writer import resolved_toml
from marketsim.tape.result import Snapshot


def _named_tuple(kind: Any) -> Codec:
    return lambda value: value._asdict(), lambda found: kind(**found)


def _growing(kind: Any, rows_in_use: Callable[[Any], Mapping[str, int]]) -> Codec:
    """Of a group of arrays, some longer than what they hold: of those the rows in use are kept."""

    def take(value: Any) -> dict[str, Any]:
        used = rows_in_use(value)
        return {
            name: (array[: used.get(name, len(array))], len(array))
            for name, array in value._asdict().items()
        }

    def make(found: Mapping[str, Any]) -> Any:
        return kind(
            **{
                name: array if len(array) == length else duplicate(array, length=length)
                for name, (array, length) in found.items()
            }
        )

    return take, make


def _attributes(kind: type, names: tuple[str, ...]) -> Codec:
    """Of a class whose objects are made of these attributes and nothing else."""

    def make(found: Mapping[str, Any]) -> Any:
        made: Any = object.__new__(kind)
        for name in names:
            object.__setattr__(made, name, found[name])
        return made

    return lambda value: {name: getattr(value, name) for name in names}, make


def _fields(entry: Intervention) -> dict[str, Any]:
    return entry.model_dump(exclude_none=True)


CODECS: dict[type, Codec] = {
    Scenario: (resolved_toml, lambda text: Scenario.model_validate(tomllib.loads(text))),
    State: _growing(State, state_rows),
    Tape: _growing(Tape, tape_rows),
    **{each: _named_tuple(each) for each in (World, Traders, SidePools, Snapshot)},
    **{each: _named_tuple(each) for each in (RuleChange, Input)},
    **{each: (_fields, each.model_validate) for each in INTERVENTIONS},
    Roster: _attributes(Roster, tuple(each.name for each in fields(Roster))),
    **{kind: _attributes(kind, names) for kind, names in WHOLE.items()},
    slice: (lambda value: (value.start, value.stop), lambda found: slice(*found)),
}

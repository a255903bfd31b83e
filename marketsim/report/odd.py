"""An ODD description (Grimm et al. 2020) of a scenario, written from what the program runs with.

The prose is `odd.md` beside this file; entities, stages, strategies and parameters are read from
the records, docstrings and fields that define them, so that none can be forgotten.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pkgutil import iter_modules
from string import Template
from typing import Any

from pydantic import BaseModel, RootModel

from marketsim.agents import base
from marketsim.agents.own import own_class
from marketsim.agents.registry import check_strategies, scenario_schema
from marketsim.agents.strategies import STRATEGIES, default_habits
from marketsim.engine import formulas, state, world
from marketsim.engine.records import Record
from marketsim.report.markdown import as_table, as_text, as_value, first_paragraph, plain
from marketsim.run import loop
from marketsim.scenario.distributions import KINDS
from marketsim.scenario.schema import Scenario
from marketsim.scenario.venue import read_preset
from marketsim.streams import Stream

#: What the state consists of, from the venue to the outside world.
ENTITIES: Mapping[str, tuple[type[Record], ...]] = {
    "Market": (state.Market, state.Tier),
    "Venue": (state.Venue, state.Totals),
    "Account": (state.Account, state.Position),
    "Pool": (state.Pool, state.Draw),
    "Order": (state.Order,),
    "Trader": (base.Trader, base.Habits, base.Stay),
    "What every trader sees of a market": (base.Public,),
    "Common factor": (world.Factor, world.Returns),
    "Asset": (world.Asset,),
    "Spot venue": (world.Source,),
}
#: Modules of the stages that open one, in order; the traders decide between index and orders.
_STAGES = ("spot", "index", "orders", "matching", "mark", "margin", "liquidation", "adl", "funding")
_DECIDE = 2


def describe_scenario(scenario: Scenario, stated: Mapping[str, Any], command: str) -> str:
    """Write the ODD description of a scenario.

    Parameters
    ----------
    scenario : Scenario
    stated : mapping
        The tables that were stated, as `marketsim.scenario.loader.read_tables` returns them.
    command : str
        That writes it again.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ScenarioError
        If a strategy of the user's own cannot be loaded.
    """
    chosen = dict(zip(scenario.populations, check_strategies(scenario), strict=True))
    template = Template((files(__package__) / "odd.md").read_text(encoding="utf-8"))
    parameters, used = _parameters(scenario, stated, chosen)
    is_history = scenario.spot.kind == "history"
    return template.substitute(
        title=f"the scenario `{scenario.name}`",
        summary=as_text(scenario.description or "A scenario without a description of its own."),
        command=command,
        version=_version(),
        step="a minute" if scenario.step_minutes == 1 else f"{scenario.step_minutes:g} minutes",
        steps="no end of its own" if scenario.is_open else f"{scenario.num_steps:,} of them",
        network="" if not _has_network(chosen) else " and on the network of whom they imitate",
        entities="\n\n".join(_entity(name, records) for name, records in ENTITIES.items()),
        schedule=_schedule(),
        streams=", ".join(stream.name.lower().replace("_", " ") for stream in Stream),
        insurance_fund=f"{scenario.insurance_fund:,.0f}",
        begins="The first prices are those of the history."
        if is_history
        else "The first prices are the `price` of each market.",
        inputs=_inputs(scenario),
        strategies="\n\n".join(_strategies(scenario, chosen)),
        stages="\n\n".join(_stages()),
        formulas="\n".join(_formulas()),
        parameters=parameters,
        others=_others(used),
    )


def _version() -> str:
    try:
        return version("marketsim-perps")
    except PackageNotFoundError:
        return "from its sources"


def _entity(name: str, records: tuple[type[Record], ...]) -> str:
    rows = [(f"`{field}`", as_text(note)) for record in records for field, note in _notes(record)]
    return (
        f"**{name}.** {first_paragraph(records[0])}\n\n{as_table(('variable', 'what it is'), rows)}"
    )


def _notes(record: type[Record]) -> Iterator[tuple[str, str]]:
    """List a record's own fields with what is noted of each in its source."""
    above: list[str] = []
    for line in inspect.getsource(record).splitlines():
        field = re.match(r"    (\w+): [^#]*(?:#: (.*))?$", line)
        if field:
            note = field[2] or " ".join(above) or field[1].replace("_", " ")
            yield field[1], note
            above = []
        elif line.strip().startswith("#: "):
            above.append(line.strip()[3:])


def _schedule() -> str:
    """List the stages by the first sentences of those who do them."""
    stages = [first_paragraph(import_module(f"marketsim.engine.{name}")) for name in _STAGES]
    stages.insert(_DECIDE, first_paragraph(loop.decide))
    told = [re.sub(r"^Stages? [\d ]+: ", "", text).rstrip(".") for text in stages]
    return "\n".join(f"{n}. {text[0].upper()}{text[1:]}." for n, text in enumerate(told, 1))


def _stages() -> Iterator[str]:
    for name in _STAGES:
        module = import_module(f"marketsim.engine.{name}")
        yield f"*`marketsim/engine/{name}.py`.* " + " ".join((inspect.getdoc(module) or "").split())


def _has_network(chosen: Mapping[str, Any]) -> bool:
    return any(getattr(values, "network", "complete") != "complete" for values in chosen.values())


def _strategies(scenario: Scenario, chosen: Mapping[str, Any]) -> Iterator[str]:
    """Tell what each strategy believes and does, once."""
    told = dict.fromkeys(population.strategy for population in scenario.populations.values())
    for name in told:
        values = next(
            chosen[key] for key, each in scenario.populations.items() if each.strategy == name
        )
        strategy = STRATEGIES.get(name) or own_class(values) or type(values)
        text = inspect.cleandoc(strategy.__doc__ or "No description.")
        text = re.sub(r"^References\n-+\n", "References: ", text, flags=re.M)
        yield f"**{as_text(name)}.** " + text.replace("<", "&lt;")


def _formulas() -> Iterator[str]:
    for info in iter_modules(formulas.__path__):
        module = import_module(f"{formulas.__name__}.{info.name}")
        for name, function in vars(module).items():
            home = inspect.unwrap(getattr(function, "py_func", function))
            if getattr(home, "__module__", None) == module.__name__ and not name.startswith("_"):
                text = inspect.getdoc(function) or ""
                source = re.search(r"References\n-+\n(.*?)(?=\n\n|\Z)", text, flags=re.S)
                cited = f" ({' '.join(source[1].split())})" if source else ""
                yield f"- `{name}`: {first_paragraph(function)}{cited}"


def _inputs(scenario: Scenario) -> str:
    if scenario.spot.history is not None and scenario.spot.kind == "history":
        name = scenario.spot.history.path.name
        told = f"Spot prices are replayed from the file `{as_text(name)}`; no other data enters."
    else:
        told = (
            "No data enters: spot prices are drawn by the model of the outside world, or constant."
        )
    if not scenario.shocks and not scenario.interventions:
        return told + " Nothing is scheduled."
    rows = []
    for n, event in enumerate((*scenario.shocks, *scenario.interventions), 1):
        fields = event.model_dump(exclude_none=True, mode="json")
        when = f"hour {fields.pop('at'):g}" if "at" in fields else f"step {fields.pop('at_step')}"
        kind = fields.pop("kind")
        stated = ", ".join(f"{key} = {as_value(value)}" for key, value in fields.items())
        rows.append((str(n), when, str(kind), as_text(stated)))
    return f"{told} What is scheduled:\n\n{as_table(('', 'when', 'kind', 'fields'), rows)}"


class _Parameters:
    """Collects a scenario's fields with value, meaning and source; notes the tables met."""

    def __init__(self, scenario: Scenario, stated: Mapping[str, Any]) -> None:
        self.used: set[str] = set()
        self.rows: list[tuple[str, ...]] = []
        self._scenario = scenario
        self._stated = stated
        self._preset = read_preset(scenario.venue.preset)

    def add(self, table: BaseModel, path: tuple[str, ...]) -> None:
        """Add a table's fields, and those of the tables in it."""
        self.used.add(type(table).__name__)
        for name, field in type(table).model_fields.items():
            value, here = getattr(table, name), (*path, name)
            entries = value.items() if isinstance(value, dict) else ()
            if isinstance(value, BaseModel) and not _is_distribution(value):
                self.add(value, here)
            elif entries and all(isinstance(entry, BaseModel) for _, entry in entries):
                for key, entry in entries:
                    self.add(entry, (*here, key))
            else:
                told = (f"`{'.'.join(here)}`", as_text(as_value(plain(value))))
                self.rows.append((*told, as_text(field.description or ""), self._source(here)))

    def _source(self, path: tuple[str, ...]) -> str:
        if _is_stated(self._stated, path):
            return "scenario"
        in_market = path[0] == "markets" and path[2] in self._preset["market"]
        if in_market or (path[0] == "venue" and path[1] in self._preset):
            return f"preset {self._scenario.venue.preset}"
        if path[0] == "populations":
            strategy = self._scenario.populations[path[1]].strategy
            if path[2] in default_habits(strategy):
                return "strategy"
        return "default"


def _parameters(
    scenario: Scenario, stated: Mapping[str, Any], chosen: Mapping[str, Any]
) -> tuple[str, set[str]]:
    """Return the tables of all parameters, and the names of the classes they are of."""
    found = _Parameters(scenario, stated)
    found.add(scenario, ())
    for name, values in chosen.items():
        found.add(values, ("populations", name, "parameters"))
        found.used.add(f"{type(values).__name__}Parameters")
    skipped = {f"`populations.{name}.parameters`" for name in chosen}
    rows = [row for row in found.rows if row[0] not in skipped]
    return as_table(("field", "value", "what it is", "source"), rows), found.used


def _is_distribution(value: BaseModel) -> bool:
    return isinstance(value, RootModel) or getattr(value, "kind", None) in KINDS


def _is_stated(stated: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(stated, Mapping) or key not in stated:
            return False
        stated = stated[key]
    return True


def _others(used: set[str]) -> str:
    """List the tables of the schema that are not gone through field by field."""
    parts = []
    for name, table in scenario_schema()["$defs"].items():
        fields = table.get("properties", {})
        if name not in used and fields:
            rows = [
                (f"`{key}`", as_text(node.get("description", ""))) for key, node in fields.items()
            ]
            about = as_text(table.get("description", "").split("\n\n")[0])
            parts.append(f"**{name}.** {about}\n\n{as_table(('field', 'what it is'), rows)}")
    return "\n\n".join(parts) or "None."

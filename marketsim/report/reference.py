"""Reference pages, written from what the program reads and writes: a scenario, a run folder.

A field, table or rule that is added is on its page without further ado.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from marketsim.agents.registry import scenario_schema
from marketsim.agents.strategies import STRATEGIES, default_habits
from marketsim.report.markdown import as_table, as_text, as_value, first_paragraph
from marketsim.results.columns import describe_column, general_name
from marketsim.results.run import Run
from marketsim.results.tables import BUILDERS
from marketsim.scenario.distributions import KINDS
from marketsim.scenario.venue import TABLES, preset_names, read_preset

#: The tables of the schema by the parts of the page; what no part names comes last.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "Markets": ("Market", "Tier"),
    "The venue": ("Venue", "Mark", "Funding", "Margin", "Liquidation"),
    "Spot prices": ("Spot", "Factor", "Own", "MarketSpot", "Jumps", "Source", "History", "Bar"),
    "Populations": ("Population", "Group", "Turnover"),
    "Distributions": ("Constant", "LogNormal", "Pareto", "Uniform", "Choice", "Mixture"),
    "What is recorded": ("Record",),
}
#: Parts by how the names of their tables end.
_ENDINGS = {
    "Parameters": "Strategies and their parameters",
    "Shock": "Shocks",
    "Intervention": "Interventions",
}
#: When a change of a field acts, by what its `live` says.
_ACTS = {True: "at once", False: "never in a market that runs", "at reset": "at the start"}


def describe_fields() -> str:
    """Describe every field of a scenario file: what it may be, its default, when it acts.

    Returns
    -------
    str
        Markdown, a heading of the second level per part.
    """
    schema = scenario_schema()
    tables: Mapping[str, Mapping[str, Any]] = schema["$defs"]
    parts = [f"## The file\n\n{_fields(schema)}"]
    for part, names in _group(tables).items():
        parts.append(f"## {part}")
        for name in names:
            about = tables[name].get("description", "")
            told = [f"### {name}", *about.split("\n\nReferences\n", 1)[0].split("\n\n")]
            if name == "Population":
                told.append(_habits())
            parts += [*map(str.strip, told), _fields(tables[name])]
        if part == "The venue":
            parts.append(_presets())
    return "\n\n".join(part for part in parts if part)


def _group(tables: Iterable[str]) -> dict[str, list[str]]:
    """Sort the tables of the schema into the parts of the page."""
    found = {part: list(names) for part, names in _PARTS.items()}
    named = {name for names in _PARTS.values() for name in names}
    for name in tables:
        if name not in named:
            part = next((part for end, part in _ENDINGS.items() if name.endswith(end)), "Others")
            found.setdefault(part, []).append(name)
    return found


def _fields(table: Mapping[str, Any]) -> str:
    """Return the fields of a table of the schema; nothing where it has none."""
    rows = []
    for name, node in table.get("properties", {}).items():
        default = node.get("default")
        is_table = isinstance(default, dict) and default.get("kind") not in KINDS
        is_told = not is_table and default not in (None, "", [])
        values = [_allowed(node)]
        values += [f"default `{as_value(default)}`"] if is_told else []
        values += ["required"] if name in table.get("required", ()) else []
        values += [f"acts {_ACTS[node['live']]}"] if "live" in node else []
        rows.append((f"`{name}`", as_text(node.get("description", "")), "; ".join(values)))
    head = ("field", "what it is", "values")
    return as_table(head, rows) if rows else _allowed(table)


def _allowed(node: Mapping[str, Any]) -> str:
    """Say in words what a node of the schema allows."""
    if "$ref" in node:
        return _link(node["$ref"].rpartition("/")[2])
    choices = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if choices:
        told = dict.fromkeys(map(_allowed, choices))
        if len(told) >= len(_PARTS["Distributions"]) and _link("LogNormal") in told:
            return "a number, or a [distribution](#distributions)"
        for ending in ("Shock", "Intervention"):
            if all(each.endswith(f"{ending.lower()})") for each in told):
                return f"[{_ENDINGS[ending].lower()}](#{_ENDINGS[ending].lower()})"
        return " or ".join(told)
    if "const" in node or "enum" in node:
        return " or ".join(f"`{as_value(each)}`" for each in node.get("enum", [node.get("const")]))
    kind = node.get("type", "")
    if kind == "array":
        return f"list of {_allowed(node.get('items', {}))}"
    if kind == "object":
        inner = [*node.get("patternProperties", {}).values()]
        other = node.get("additionalProperties")
        inner += [other] if isinstance(other, dict) else []
        return "by name: " + " or ".join(map(_allowed, inner)) if inner else "table"
    words = {"string": "text", "boolean": "`true` or `false`", "null": "left out"}
    return str(words.get(kind, kind)) + _range(node)


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _range(node: Mapping[str, Any]) -> str:
    """Return the bounds of a number."""
    bounds = (
        ("above", "exclusiveMinimum"),
        ("from", "minimum"),
        ("to", "maximum"),
        ("below", "exclusiveMaximum"),
    )
    told = [f"{word} {node[key]:g}" for word, key in bounds if key in node]
    return f" {' '.join(told)}" if told else ""


def _habits() -> str:
    """Return the habits that strategies set otherwise than a population does."""
    rows = [
        (f"`{name}`", ", ".join(f"`{key} = {as_value(value)}`" for key, value in habits.items()))
        for name in STRATEGIES
        if (habits := default_habits(name))
    ]
    told = "Some strategies have defaults of their own for habits that are left out:"
    return f"{told}\n\n{as_table(('strategy', 'defaults'), rows)}"


def _presets() -> str:
    """Return the values of all presets side by side."""
    names = sorted(preset_names(), key=lambda name: (name != "default", name))
    presets = {name: read_preset(name) for name in names}
    parts = [
        "### The presets",
        "`venue.preset` chooses one; any rule stated beside it comes first. Each value's source "
        "stands in the preset's file, `marketsim/engine/venues/NAME.toml`.",
    ]
    for table in (*TABLES, "market"):
        fields = [key for key in presets["default"][table] if key != "tiers"]
        rows = [
            (f"`{key}`", *(as_value(preset[table][key]) for preset in presets.values()))
            for key in fields
        ]
        title = "defaults of a market" if table == "market" else f"`[venue.{table}]`"
        parts += [f"**{title}**", as_table(("field", *names), rows)]
    for name, preset in presets.items():
        tiers = preset["market"]["tiers"]
        cells = [tuple(f"{tier[key]:,g}" for key in tier) for tier in tiers]
        parts += [f"**Margin brackets of {name}**", as_table(tuple(tiers[0]), cells)]
    return "\n\n".join(parts)


def describe_folder(run: Run) -> str:
    """Describe every table of a run folder, column by column.

    Parameters
    ----------
    run : Run
        That has recorded every table there is.

    Returns
    -------
    str
        Markdown, a heading of the second level per table.
    """
    return "\n\n".join(_table(run, table) for table in run.tables)


def _table(run: Run, table: str) -> str:
    about = first_paragraph(BUILDERS[table]).removeprefix("Tabulate ")
    rows = dict(_columns(table, map(str, run.table(table))))
    head = as_table(("column", "unit", "what it says"), list(rows.values()))
    return f"## {table}\n\n{about[0].upper()}{about[1:]}\n\n{head}"


def _columns(table: str, names: Iterable[str]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """List columns once, those of every market as one."""
    for name in names:
        general, column = general_name(table, name), describe_column(table, name)
        yield general, (f"`{general}`", as_text(column.unit), as_text(column.text))

"""The shape of the package: no circles, no overlong file, one meaning for one file name.

Which room may import which is the import contract's to say (``lint-imports``).
"""

import ast
import re
import tomllib
from collections import defaultdict
from itertools import permutations
from pathlib import Path
from typing import TypeGuard

import grimp
import networkx as nx
import pytest

import marketsim

PACKAGE = Path(marketsim.__file__).parent
PROJECT = Path(__file__).parents[1]
MAX_LINES = 500
#: Rooms whose files bear the name of what they are about: a command's, a benchmark's.
NAMED_AFTER_OTHERS = {"cli", "bench"}


@pytest.fixture(scope="module")
def imports() -> nx.DiGraph:
    """Who imports whom, lazily and for type checking included."""
    graph = grimp.build_graph("marketsim", cache_dir=None, exclude_type_checking_imports=False)
    # The package's own `__init__` stands above all floors and shows names of every room.
    inside = graph.modules - {"marketsim"}
    return nx.DiGraph(
        (one, other)
        for one in inside
        for other in graph.find_modules_directly_imported_by(one)
        if other in inside
    )


def test_no_modules_import_each_other_in_a_circle(imports: nx.DiGraph) -> None:
    assert list(nx.simple_cycles(imports)) == []


def test_the_import_contract_overlooks_nothing() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert not settings.get("exclude_type_checking_imports", False)
    for contract in settings["contracts"]:
        assert "ignore_imports" not in contract


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_a_file_name_has_one_meaning_where_rooms_meet(imports: nx.DiGraph) -> None:
    meet = {(room_of(one), room_of(other)) for one, other in imports.edges}
    rooms = defaultdict(set)
    for module in imports:
        if room_of(module) not in NAMED_AFTER_OTHERS:
            rooms[module.rpartition(".")[2]].add(room_of(module))
    twice = {
        (name, one, other)
        for name, found in rooms.items()
        for one, other in permutations(found, 2)
        if (one, other) in meet
    }
    assert twice == set()


def test_only_the_report_draws() -> None:
    """A command opens the console and prints there what the report has laid out."""
    found = {
        (path.relative_to(PACKAGE).parts[0], line.strip())
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(from|import) rich\b", line)
    }
    elsewhere = {(room, line) for room, line in found if room != "report"}
    assert elsewhere == {("cli", "from rich.console import Console")}


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_every_formula_is_used_by_a_rule() -> None:
    folder = PACKAGE / "engine" / "formulas"
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    trees = {
        path: ast.parse(text) for path, text in texts.items() if "formulas" in str(path) + text
    }
    calls = {
        formula.name: {call.func.id for call in ast.walk(formula) if is_call_of_a_name(call)}
        for path, tree in trees.items()
        if path.parent == folder
        for formula in tree.body
        if isinstance(formula, ast.FunctionDef)
    }
    reached: set[str] = set()
    found = {
        name.name
        for path, tree in trees.items()
        if path.parent != folder
        for line in ast.walk(tree)
        if isinstance(line, ast.ImportFrom) and line.module
        if line.module.startswith("marketsim.engine.formulas.")
        for name in line.names
    }
    while found:
        reached |= found
        found = set().union(*(calls[name] & set(calls) for name in found)) - reached
    assert set(calls) - reached == set()


def is_call_of_a_name(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)

"""What of the source decides compiled kernels: code of the files with kernels and behind them."""

import ast
import importlib
import inspect
import json
import shutil
from pathlib import Path

import numba
import pytest

from marketsim.engine import _jit, _sources
from marketsim.engine._sources import (
    PACKAGE,
    digest_code,
    kernel_digest,
    kernel_digests,
    kernel_sources,
)

DOCSTRING = '"""Another docstring."""\n'


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a copy of the package, whose sources decide the digest instead."""
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path / "cache"))
    copy = tmp_path / "src" / "marketsim"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(_sources, "PACKAGE", copy)
    return copy


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def append(path, text):
    path.write_text(path.read_text() + text)


# Which files


def module_of(path):
    names = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imports(path):
    """The package's modules a file imports from, by the names it gives them."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name)
        for alias in node.names
    }


def source_of(module, name):
    """File of ``from module import name``: a submodule, or the module itself."""
    base = PACKAGE.parent.joinpath(*module.split("."))
    for path in (base / f"{name}.py", base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    raise AssertionError(f"no source of {module}")


@pytest.mark.slow
def test_every_module_with_kernels_decides_the_digest():
    sources = set(kernel_sources())
    for path in PACKAGE.rglob("*.py"):
        if {"kernel", "inlined"} & {name for _, name in imports(path).values()}:
            assert path in sources


def functions_behind(function):
    """The functions a kernel reaches through the names in its code, as Python finds them."""
    found = set()
    todo = [function]
    while todo:
        function = todo.pop()
        if function in found:
            continue
        found.add(function)
        names = function.__code__.co_names
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        values = [function.__globals__.get(name) for name in names] + cells
        values += [
            getattr(value, name, None)
            for value in values
            for name in names
            if inspect.ismodule(value) or inspect.isclass(value)
        ]
        todo += [value.py_func for value in values if hasattr(value, "py_func")]
    return found


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")
def test_every_file_a_kernel_reaches_decides_its_digest():
    modules = _sources._Modules()
    followed = 0
    for path in kernel_sources():
        sources = set(modules.behind(path))
        values = list(vars(importlib.import_module(module_of(path))).values())
        values += [getattr(value, "decide", None) for value in values]
        kernels = [value.py_func for value in values if isinstance(value, _jit.Kernel)]
        for kernel in kernels:
            if kernel.__code__.co_filename == str(path):
                for function in functions_behind(kernel):
                    place = Path(function.__code__.co_filename)
                    if place.is_relative_to(PACKAGE):
                        assert place in sources, (path, function)
                        followed += 1
    assert followed > 1000


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")
def test_every_file_a_kernel_takes_a_name_from_decides_its_digest():
    modules = _sources._Modules()
    followed = 0
    for path in kernel_sources():
        sources = set(modules.behind(path))
        taken = imports(path)
        for kernel in vars(importlib.import_module(module_of(path))).values():
            if isinstance(kernel, _jit.Kernel) and kernel.__module__ == module_of(path):
                for name in taken.keys() & set(kernel.py_func.__code__.co_names):
                    assert source_of(*taken[name]) in sources, (path, name)
                    followed += 1
    assert followed > 100


def test_a_digest_depends_on_no_more_than_its_kernels_do():
    def names(start):
        return {path.relative_to(PACKAGE).as_posix() for path in kernel_sources(PACKAGE / start)}

    assert len(names("run/loop.py")) > 50
    rates = names("engine/formulas/rates.py")
    assert "engine/_jit.py" in rates
    assert not {"engine/state.py", "engine/ledger.py", "run/loop.py"} & rates
    assert not {"run/loop.py", "engine/matching.py", "tape/series.py"} & names("engine/ledger.py")


def test_a_module_whose_names_no_kernel_uses_does_not():
    """`desk.py` has kernels, and takes errors for its callers from `own.py`."""
    names = {path.relative_to(PACKAGE).as_posix() for path in kernel_sources()}
    assert {"agents/desk.py", "engine/state.py", "engine/world.py"} <= names
    assert "agents/own.py" not in names
    assert not {name for name in names if name.startswith(("cli/", "sweep/", "results/"))}
    assert "scenario/schema.py" not in names


# Which edits


def test_comments_docstrings_and_lines_change_no_digest(package):
    before = kernel_digest()
    for path in kernel_sources():
        append(path, "\n\n# another comment\n" + DOCSTRING)
    edit(package / "engine" / "state.py", "\nNONE = -1\n", "\n\nNONE = (  # no index\n    -1\n)\n")
    assert kernel_digest() == before


@pytest.mark.slow
def test_a_constant_that_kernels_use_changes_the_digest(package):
    before = kernel_digest()
    edit(package / "engine" / "state.py", "\nNONE = -1", "\nNONE = -2")
    assert kernel_digest() != before


def test_code_of_every_kernel_source_changes_the_digest(package):
    for path in kernel_sources():
        before = digest_code([path])
        append(path, "another = 1\n")
        assert digest_code([path]) != before


@pytest.mark.parametrize(
    "text", ["x = 1", "x = 1.0", "x = True", "y = 1", "x: int = 1", "x = None"]
)
def test_any_other_code_has_another_digest(package, text):
    path = package / "streams.py"
    path.write_text("x = -1")
    before = digest_code([path])
    path.write_text(text)
    assert digest_code([path]) not in (before, digest_code([]))


@pytest.mark.slow
def test_a_new_file_counts_if_it_has_kernels(package):
    before = kernel_digest()
    (package / "engine" / "formulas" / "another.py").write_text("ONE = 1\n")
    assert kernel_digest() == before
    text = "from marketsim.engine._jit import kernel\n\n\n@kernel\ndef one():\n    return 1\n"
    (package / "engine" / "formulas" / "another.py").write_text(text)
    assert kernel_digest() != before


@pytest.mark.slow
def test_the_rest_of_the_package_changes_no_digest(package):
    before = kernel_digest()
    for path in set(package.rglob("*.py")) - set(kernel_sources()):
        append(path, "another = 1\n")
    assert kernel_digest() == before


# What is remembered


def test_a_digest_is_computed_once_for_each_text(package):
    path = package / "streams.py"
    made = []

    def compute():
        made.append(digest_code([path]))
        return made[-1]

    def ask():
        return _sources.remembered([path], compute)

    assert ask() == ask() == made[0]
    assert len(made) == 1
    append(path, "another = 1\n")
    assert ask() == ask() == made[1] != made[0]
    assert len(made) == 2


@pytest.mark.slow
def test_a_broken_note_is_computed_anew_and_old_ones_go(package, tmp_path):
    found = kernel_digest()
    (note,) = (tmp_path / "cache" / "digests").iterdir()
    note.write_text("")
    assert kernel_digest() == found
    assert json.loads(note.read_text()) == kernel_digests()
    for number in range(2 * _sources.KEPT_NOTES):
        append(package / "streams.py", f"x{number} = 1\n")
        _sources.remembered([package / "streams.py"], lambda: found)
    assert len(list(note.parent.iterdir())) == _sources.KEPT_NOTES


@pytest.mark.slow
def test_where_no_note_can_be_kept_digests_are_the_same(package, tmp_path, monkeypatch):
    found = kernel_digest()
    (tmp_path / "occupied").write_text("not a folder")
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path / "occupied"))
    assert kernel_digest() == found


def test_cache_root_follows_the_users_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path / "a"))
    assert _sources.cache_root() == tmp_path / "a"
    monkeypatch.delenv("MARKETSIM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert _sources.cache_root() == tmp_path / "b" / "marketsim" / "kernels"

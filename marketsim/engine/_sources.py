"""The package's own source, as far as it decides a number: code, without comments and docstrings.

Two digests rest on it: that of compiled kernels, see `marketsim.engine._jit`, and that of the model
a sweep was made with.
"""

import ast
import contextlib
import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent

#: Decorators of `marketsim.engine._jit` that make a function a kernel.
DECORATORS = {"kernel", "inlined", "spliced"}

#: Digests remembered: of the last texts that were run.
KEPT_NOTES = 30


def cache_root() -> Path:
    """Return the folder of all kernel caches (``MARKETSIM_CACHE_DIR`` overrides it)."""
    named = os.environ.get("MARKETSIM_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "marketsim" / "kernels"


def kernel_digest() -> str:
    """Hash the code that decides what a compiled kernel does.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    everything = sorted(PACKAGE.rglob("*.py"))
    return remembered(everything, lambda: digest_code(kernel_sources()))


def kernel_sources() -> list[Path]:
    """List the files with kernels, and those of the package they take names from."""
    found: set[Path] = set()
    todo = [path for path in PACKAGE.rglob("*.py") if _holds_kernels(path)]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _taken(path)
    return sorted(found)


def digest_code(files: Iterable[Path]) -> str:
    """Hash what Python and TOML files say: an edit of a comment or a docstring changes nothing.

    Parameters
    ----------
    files : iterable of Path
        Of the package.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        text = path.read_text(encoding="utf-8")
        said = repr(tomllib.loads(text)) if path.suffix == ".toml" else _code(ast.parse(text))
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0{said}\0".encode())
    return digest.hexdigest()


def remembered(files: list[Path], compute: Callable[[], str]) -> str:
    """Return a digest that depends on these files alone; computed once for each text of theirs.

    To parse the package takes .4 s, to look up what was computed last time 5 ms.
    """
    text = hashlib.blake2b(digest_size=16)
    for path in files:
        text.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes())
    with contextlib.suppress(OSError, RuntimeError):
        note = cache_root() / "digests" / text.hexdigest()
        if note.is_file() and re.fullmatch("[0-9a-f]{16}", known := note.read_text()):
            return known
    found = compute()
    with contextlib.suppress(OSError, RuntimeError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(found)
        by_age = sorted(note.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in by_age[:-KEPT_NOTES]:
            old.unlink()
    return found


def _code(node: Any) -> str:
    """Write a syntax tree out, the same from every version of Python, without positions."""
    if isinstance(node, list):
        return "[" + ",".join([_code(item) for item in node if not _is_docstring(item)]) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, getattr(node, name, None)) for name in node._fields]
    # Later versions of Python have more fields, empty where there is nothing to say.
    said = [f"{name}={_code(value)}" for name, value in fields if value is not None and value != []]
    return f"{type(node).__name__}({','.join(said)})"


def _is_docstring(node: Any) -> bool:
    """Tell whether a statement is a string and nothing else."""
    constant = node.value if isinstance(node, ast.Expr) else None
    return isinstance(constant, ast.Constant) and isinstance(constant.value, str)


def _holds_kernels(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    may = any(f"@{name}" in text for name in DECORATORS)  # to parse takes long
    return may and any(_is_kernel(node) for node in ast.walk(ast.parse(text)))


def _is_kernel(node: ast.AST) -> bool:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any(isinstance(name, ast.Name) and name.id in DECORATORS for name in decorators)


def _taken(path: Path) -> list[Path]:
    """List the files a file takes names from: if it has kernels, those the kernels depend on."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # Of a class with kernels those alone: what its other methods use decides no compiled code.
    tops = [part for top in tree.body for part in _parts(top)]
    kernels = [top for top in tops if any(_is_kernel(node) for node in ast.walk(top))]
    names = _names_behind(kernels, tree) if kernels else None
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if names is None or name in names:
                module = node.module if isinstance(node, ast.ImportFrom) else None
                found += _source(f"{module}.{alias.name}" if module else alias.name)
    return found


def _parts(top: ast.stmt) -> list[ast.stmt]:
    return top.body if isinstance(top, ast.ClassDef) else [top]


def _names_behind(tops: list[ast.stmt], tree: ast.Module) -> set[str]:
    """Return the names in statements of a module, and in what defines those names there."""
    definitions: dict[str, list[ast.stmt]] = {}
    for top in tree.body:
        for name in _defined(top):
            definitions.setdefault(name, []).append(top)
    names: set[str] = set()
    todo = list(tops)
    while todo:
        new = {node.id for node in ast.walk(todo.pop()) if isinstance(node, ast.Name)} - names
        names |= new
        todo += [top for name in new for top in definitions.get(name, [])]
    return names


def _defined(top: ast.stmt) -> set[str]:
    """Return the names a statement of a module gives a value, whether in a branch or not."""
    if isinstance(top, ast.FunctionDef | ast.ClassDef):
        return {top.name}
    nodes = list(ast.walk(top))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def _source(name: str) -> list[Path]:
    """Find the file of a module of the package, or of the module that has a name."""
    package, *parts = name.split(".")
    if package != PACKAGE.name:
        return []
    for place in (PACKAGE.joinpath(*parts), PACKAGE.joinpath(*parts[:-1])):
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return [path]
    return []

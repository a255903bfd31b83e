"""The package's own source, as far as it decides a number: code, without comments and docstrings.

Two digests rest on it: that of compiled kernels, see `marketsim.engine._jit`, and that of the model
a sweep was made with.
"""

import ast
import contextlib
import functools
import hashlib
import json
import os
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
    """Hash the code that decides what any compiled kernel does.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    return _hash(*[f"{path} {digest}" for path, digest in kernel_digests().items()])


def kernel_digests() -> dict[str, str]:
    """Hash, for each file with kernels, the code that decides what its kernels do.

    Returns
    -------
    dict of str
        16 hexadecimal digits by file, as a path in the package.
    """
    everything = sorted(PACKAGE.rglob("*.py"))
    found: dict[str, str] = remembered(everything, _compute_digests)
    return found


def _compute_digests() -> dict[str, str]:
    modules = _Modules()
    behind = {path: modules.behind(path) for path in _files_with_kernels()}
    code = {path: digest_code([path]) for path in set().union(*behind.values())}
    _parsed.cache_clear()
    return {
        path.relative_to(PACKAGE).as_posix(): _hash(*[code[source] for source in sources])
        for path, sources in behind.items()
    }


def kernel_sources(path: Path | None = None) -> list[Path]:
    """List the files that decide what the kernels of a file do; by default, of all files."""
    modules = _Modules()
    starts = [path] if path else _files_with_kernels()
    return sorted({source for start in starts for source in modules.behind(start)})


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
    parts = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        said = repr(tomllib.loads(text)) if path.suffix == ".toml" else _code(_parsed(text))
        parts += [path.relative_to(PACKAGE).as_posix(), said]
    return _hash(*parts)


@functools.lru_cache(maxsize=100)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _hash(*parts: str) -> str:
    text = "".join([f"{part}\0" for part in parts])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def remembered(files: list[Path], compute: Callable[[], Any]) -> Any:
    """Return digests that depend on these files alone; computed once for each text of theirs.

    To parse the package takes .4 s, to look up what was computed last time 5 ms.
    """
    text = hashlib.blake2b(digest_size=16)
    for path in files:
        text.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes())
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        note = cache_root() / "digests" / f"{text.hexdigest()}.json"
        if note.is_file():
            return json.loads(note.read_text())
    found = compute()
    with contextlib.suppress(OSError, RuntimeError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(found))
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


def _files_with_kernels() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if _holds_kernels(path))


def _holds_kernels(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    may = any(f"@{name}" in text for name in DECORATORS)  # to parse takes long
    return may and any(_is_kernel(node) for node in ast.walk(_parsed(text)))


def _is_kernel(node: ast.AST) -> bool:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any(isinstance(name, ast.Name) and name.id in DECORATORS for name in decorators)


class _Modules:
    """The files of the package, each parsed once."""

    def __init__(self) -> None:
        self.parsed: dict[Path, _Module] = {}
        self.known: dict[tuple[Path, str], list[tuple[Path, str]]] = {}

    def behind(self, path: Path) -> list[Path]:
        """List the files from which the kernels of one take names, and so on, with itself.

        Of a file only what is taken from it is followed: a kernel that names a constant does not
        depend on what other functions beside the constant need.
        """
        followed: set[tuple[Path, str]] = set()
        todo = [(path, name) for name in self._at(path).kernels]
        while todo:
            taken = todo.pop()
            if taken not in followed:
                followed.add(taken)
                if taken not in self.known:
                    self.known[taken] = self._taken(*taken)
                todo += self.known[taken]
        return sorted({path for path, _ in followed} | {path})

    def _at(self, path: Path) -> "_Module":
        if path not in self.parsed:
            self.parsed[path] = _Module(path)
        return self.parsed[path]

    def _taken(self, path: Path, name: str) -> list[tuple[Path, str]]:
        """List what a name of a file is made of; without a name, all of the file."""
        module = self._at(path)
        found = []
        for used, attribute in module.used_by(name):
            if used in module.definitions:
                found.append((path, used))
            for source, original in module.imported.get(used, []):
                found.append((source, original or attribute))
        # What a file does beside giving names takes place whichever name is taken from it.
        return [*found, (path, EFFECTS)]


#: What is followed of a file beside names: statements that give none. No name of Python's.
EFFECTS = "<effects>"


class _Module:
    """What a file gives names to, and takes from other files of the package."""

    def __init__(self, path: Path) -> None:
        self.tree = _parsed(path.read_text(encoding="utf-8"))
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.effects: list[ast.stmt] = []
        #: Names of the definitions with kernels.
        self.kernels: set[str] = set()
        #: By name: files, and what it is called there; "" for the file itself.
        self.imported: dict[str, list[tuple[Path, str]]] = {}
        for top in self.tree.body:
            names = _defined(top)
            for name in names:
                self.definitions.setdefault(name, []).append(top)
            if any(_is_kernel(node) for node in ast.walk(top)):
                self.kernels |= names
            if not isinstance(top, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign):
                self.effects.append(top)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._take_in(node)

    def _take_in(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if isinstance(node, ast.Import):
                found = [(path, "") for path in _sources(alias.name)]
            elif within := _sources(f"{node.module}.{alias.name}"):
                found = [(path, "") for path in within]
            else:
                found = [(path, alias.name) for path in _sources(node.module or "")]
            self.imported.setdefault(name, []).extend(found)

    def used_by(self, name: str) -> set[tuple[str, str]]:
        """Return the names that what a name is made of uses, each with an attribute of it or ""."""
        if name == EFFECTS:
            return _used(self.effects)
        if name in self.definitions:
            return _used(self.definitions[name])
        if name in self.imported:  # handed on
            return {(name, "")}
        return _used(self.tree.body)


def _used(nodes: Iterable[ast.AST]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add((node.value.id, node.attr))
        elif isinstance(node, ast.Name):
            found.add((node.id, ""))
        else:
            todo += ast.iter_child_nodes(node)
    return found


def _defined(top: ast.stmt) -> set[str]:
    """Return the names a statement of a file gives a value, whether in a branch or not."""
    if isinstance(top, ast.FunctionDef | ast.ClassDef):
        return {top.name}
    nodes = list(ast.walk(top))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def _sources(name: str) -> list[Path]:
    """Find the file of a module of the package, by its whole name."""
    package, *parts = name.split(".")
    place = PACKAGE.joinpath(*parts)
    paths = (place.with_suffix(".py"), place / "__init__.py") if package == PACKAGE.name else ()
    return [path for path in paths if path.is_file()]

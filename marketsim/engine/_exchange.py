"""Kernels that one process has translated and another takes over, through a folder.

On a first run two processes compile at once, see `marketsim.run.beside`. Kernels that both need are
translated by the one and left in a folder, each when it is ready; the other takes what it finds
there, and translates itself what it does not. So nobody waits for anybody.
"""

import contextlib
import functools
import hashlib
import importlib
import io
import pickle
from pathlib import Path
from typing import Any

from llvmlite.binding import parse_bitcode
from numba import _dynfunc
from numba.core.compiler import compile_result
from numba.core.registry import cpu_target
from numba.core.serialize import NumbaPickler

from marketsim.engine._linking import Part

#: What a kernel's code is linked with: a kernel by its names and types, or another function's code.
Need = tuple[str, str, tuple[Any, ...]] | tuple[str, bytes]

#: A kernel's code, what Numba knows of it, its environment and its signature.
Taken = tuple[Part, Any, Any, Any]


class Exchange:
    """A folder of translated kernels.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Functions that are no kernels, by their code: names of them are not unique.
        self._others: dict[bytes, Part] = {}
        #: Kernels taken, by file.
        self._kernels: dict[str, Taken] = {}

    def leave(self, function: Any, result: Any) -> None:
        """Put a kernel into the folder; one that cannot be found by its name is not put there."""
        kinds = tuple(result.signature.args)
        if _dispatcher(function.__module__, function.__qualname__, function) is None:
            return
        needs = [_need(library) for library in result.library._linking_libraries]
        if None in needs:
            return
        result.library.named = (function.__module__, function.__qualname__, kinds)
        fndesc = result.fndesc
        fndesc.typemap = fndesc.calltypes = None  # as Numba does before it keeps them
        content = (fndesc, result.environment, result.signature, needs)
        stream = io.BytesIO()
        pickler = _Pickler(stream, kinds)
        pickler.dump((content, result.library.alone().as_bitcode()))
        path = self.folder / _file_name(function.__module__, function.__qualname__, kinds)
        unfinished = path.with_suffix(".part")
        with contextlib.suppress(OSError):  # who needs it translates it
            unfinished.write_bytes(stream.getvalue())
            unfinished.replace(path)

    def take(self, dispatcher: Any, kinds: tuple[Any, ...]) -> bool:
        """Take a kernel from the folder; tell whether it was there."""
        function = dispatcher.py_func
        taken = self._taken(function.__module__, function.__qualname__, kinds)
        if taken is None:
            return False
        library, fndesc, environment, signature = taken
        target = dispatcher.targetctx
        entry = _dynfunc.make_function(
            fndesc.lookup_module(), function.__name__, "", 0, environment, (library,)
        )
        target.insert_user_function(entry, fndesc, [library])
        dispatcher.add_overload(
            compile_result(
                typing_context=dispatcher.typingctx,
                target_context=target,
                entry_point=entry,
                signature=signature,
                objectmode=False,
                fndesc=fndesc,
                library=library,
                environment=environment,
            )
        )
        return True

    def _taken(self, module: str, name: str, kinds: tuple[Any, ...]) -> Taken | None:
        """Return a kernel's code and what goes with it; None if it is not there."""
        file = _file_name(module, name, kinds)
        if file not in self._kernels:
            try:
                data = (self.folder / file).read_bytes()
            except OSError:
                return None
            (fndesc, environment, signature, needs), code = _Unpickler(data, kinds).load()
            library = _part(fndesc.qualname, code)
            for need in needs:
                if len(need) == 2:
                    library._linking_libraries.append(self._other(*need))
                elif (kernel := self._taken(*need)) is not None:
                    # Not one translated here, though it may be there: its number is another.
                    library._linking_libraries.append(kernel[0])
                else:
                    return None
            self._kernels[file] = library, fndesc, environment, signature
        return self._kernels[file]

    def _other(self, name: str, code: bytes) -> Part:
        if code not in self._others:
            self._others[code] = _part(name, code)
        return self._others[code]


def _need(library: Any) -> Need | None:
    if isinstance(library, Part):
        return library.named
    return library.name, library._get_module_for_linking().as_bitcode()


def _part(name: str, code: bytes) -> Part:
    library = Part(cpu_target.target_context.codegen(), name)
    library._final_module = library._shared_module = parse_bitcode(code)
    library.finalize()
    return library


def _dispatcher(module: str, name: str, function: Any = None) -> Any:
    """Return what compiles a kernel for kernels, by its names; None if it is another function."""
    with contextlib.suppress(AttributeError):
        found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
        if function is None or found.py_func is function:
            return found.lean
    return None


@functools.cache
def _written(kind: Any) -> bytes:
    return hashlib.blake2b(str(kind).encode(), digest_size=16).digest()


def _file_name(module: str, name: str, kinds: tuple[Any, ...]) -> str:
    text = hashlib.blake2b(f"{module}\0{name}".encode(), digest_size=16)
    for kind in kinds:
        text.update(_written(kind))
    return text.hexdigest()


class _Pickler(NumbaPickler):  # type: ignore[misc]  # Numba has no types
    """Writes the types of a kernel's arguments, which are long, as their positions."""

    def __init__(self, stream: io.BytesIO, kinds: tuple[Any, ...]) -> None:
        super().__init__(stream, protocol=5)
        self._position = {id(kind): n for n, kind in enumerate(kinds)}

    def persistent_id(self, value: Any) -> int | None:
        """Return the position of a type of argument, None for all else."""
        return self._position.get(id(value))


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, kinds: tuple[Any, ...]) -> None:
        super().__init__(io.BytesIO(data))
        self._kinds = kinds

    def persistent_load(self, position: int) -> Any:
        """Return the type of an argument."""
        return self._kinds[position]

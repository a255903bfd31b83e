"""How kernels are put together: each is translated once, and optimised only where Python calls it.

Numba optimises a function, and makes machine code of it, for itself and again inside every function
that calls it: for a kernel five calls below `run_steps` six times over. Here a kernel that kernels
call is only translated; the one that Python calls takes in all that it reaches, once, and what
comes of it is optimised and made machine code of as a whole.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from llvmlite.binding import Linkage, parse_assembly
from numba import _dynfunc, types
from numba.core.cgutils import normalize_ir_text
from numba.core.codegen import JITCodeLibrary
from numba.extending import models, register_model

from marketsim.engine._passes import KernelCompiler, settled

#: Called whenever a kernel begins to be compiled, and with True when what Python called is ready,
#: so that a command can tell its user.
listeners: list[Callable[[bool], None]] = []

#: Called with a kernel's compiler and the types of its arguments before it is translated; who
#: knows it already makes it known and returns True. See `marketsim.engine._exchange`.
sources: list[Callable[[Any, tuple[Any, ...]], bool]] = []

#: Called with a function and what its translation gave.
takers: list[Callable[[Any, Any], None]] = []

#: Arguments of a kernel that may be called by its address: see `marketsim.engine._jit`.
NUM_ADDRESSED = 5


def tell(*, ready: bool = False) -> None:
    """Tell the listeners that a kernel is being compiled, or that all are ready."""
    for listener in listeners:
        listener(ready)


class Part(JITCodeLibrary):
    """The code of a kernel that kernels call, without that of those it calls."""

    _shared_module: Any
    #: Module, name and argument types of the kernel, if another process can find it by them.
    named: tuple[str, str, tuple[Any, ...]] | None = None

    def finalize(self) -> None:
        """Leave the code as it was translated."""
        self._finalized = True

    def add_ir_module(self, ir_module: Any) -> None:
        """Take a module as it is; the whole it becomes part of is verified."""
        self._final_module = parse_assembly(normalize_ir_text(str(ir_module)))

    def alone(self) -> Any:
        """Return the module of this kernel alone, fit to be linked several times."""
        if self._shared_module is None:
            self._shared_module = self._final_module
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage == Linkage.external:
                    function.linkage = Linkage.linkonce_odr
        return self._shared_module

    def _get_module_for_linking(self) -> Any:
        """Return a module with all that the kernel reaches, for a function that is no kernel."""
        whole = self.alone().clone()
        for module in _reached(self._linking_libraries):
            whole.link_in(module, preserve=True)
        return whole


class Whole(JITCodeLibrary):
    """The code of a kernel that Python calls, with all that it reaches."""

    def finalize(self) -> None:
        """Take in what is reached, optimise it and make machine code of it."""
        for module in _reached(self._linking_libraries):
            self._final_module.link_in(module, preserve=True)
        self._linking_libraries: list[Any] = []
        super().finalize()


def _reached(libraries: list[Any]) -> list[Any]:
    """Return the module of each library that these reach through parts."""
    modules = []
    seen: set[Any] = set()
    todo = list(libraries)
    while todo:
        library = todo.pop()
        if library in seen:
            continue
        seen.add(library)
        if isinstance(library, Part):
            modules.append(library.alone())
            todo += library._linking_libraries
        else:
            modules.append(library._get_module_for_linking())
    return modules


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Let Python not look for garbage: a compilation makes millions of objects that stay.

    Not afterwards either: to go through them takes a twentieth of the time. What of them is garbage
    comes to some 40 MB, of the 600 that a process takes which compiles.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


class PartCompiler(KernelCompiler):
    """Compiles into a `Part`."""

    def __init__(self, typing: Any, target: Any, *args: Any) -> None:
        with settled(typing, target):  # who calls it has looked
            super().__init__(typing, target, *args)
        del self.state.targetctx.refresh  # a copy

    def compile_extra(self, func: Any) -> Any:
        """Translate a function; what Numba knows it by leads to no machine code."""
        tell()
        self.state.library = Part(self.state.targetctx.codegen(), func.__qualname__)
        self.state.flags.no_compile = True
        result = super().compile_extra(func)
        module, name = result.fndesc.lookup_module(), func.__name__
        library = result.library
        entry = _dynfunc.make_function(module, name, "", 0, result.environment, (library,))
        self.state.targetctx.insert_user_function(entry, result.fndesc, [library])
        result = result._replace(entry_point=entry)
        for taker in takers:
            taker(func, result)
        return result


class WholeCompiler(KernelCompiler):
    """Compiles into a `Whole`."""

    def compile_extra(self, func: Any) -> Any:
        """Compile a function."""
        tell()
        self.state.flags.no_cfunc_wrapper = len(self.state.args) != NUM_ADDRESSED
        self.state.library = Whole(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()
        with _without_collection():
            result = super().compile_extra(func)
        tell(ready=True)
        return result


class KernelType(types.Dispatcher):
    """A kernel as Numba sees it in a call: one version takes constants and integers of any width.

    Numba would compile a function anew for every constant that it is called with.
    """

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:  # noqa: ARG002
        """Return the signature of a call, and compile the kernel for it if it is new."""
        dispatcher: Any = self.dispatcher
        pysig, folded = dispatcher.fold_argument_types(args, kws)
        kinds = tuple([_widened(kind) for kind in folded])
        if kinds not in dispatcher.overloads and not any(
            source(dispatcher, kinds) for source in sources
        ):
            dispatcher.compile(kinds)
        return dispatcher.overloads[kinds].signature.replace(pysig=pysig)


register_model(KernelType)(models.OpaqueModel)


def _widened(kind: Any) -> Any:
    """Return the type an argument is taken as."""
    kind = types.unliteral(kind)
    if isinstance(kind, types.IntEnumMember):
        kind = kind.dtype
    if kind in types.signed_domain:
        return types.int64
    if isinstance(kind, types.Array) and type(kind) is not types.Array:
        return kind.copy()  # an array of a struct is one like any other
    return kind

"""What Numba does to the source of a kernel before it is code: its own passes, less some.

Numba's front end, written in Python, takes most of the time of a first run. Much of it serves what
no kernel uses (closures, `with`, generators, whole-array expressions), looks for the same operator
anew at every place where it stands, or checks what the pass before has left.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from numba import types
from numba.core import typed_passes, untyped_passes
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import PassManager, register_pass

#: Passes for what no kernel has: `with`, closures and comprehensions, exceptions raised with
#: values, `literally`, parallel loops; and one that fuses arithmetic with whole arrays.
UNUSED = {
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.FindLiterallyCalls,
    untyped_passes.LiteralUnroll,
    typed_passes.NopythonRewrites,
    typed_passes.DumpParforDiagnostics,
}


class KernelFlags(Flags):
    """How a kernel is compiled: to who looks up what it calls, the same for all kernels.

    Numba compares all of its flags, some thirty, whenever it looks an operator up, and translates
    what it finds for every set of them. Here they differ in wrappers and inlining alone, which
    changes nothing of what is called.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KernelFlags)

    def __hash__(self) -> int:
        return hash(KernelFlags)


#: Signatures by function and types of arguments.
_calls: dict[tuple[Any, ...], Any] = {}

#: Types by that of a value and the name of its attribute.
_attributes: dict[tuple[Any, str], Any] = {}


class Known:
    """A typing context that remembers what it found, for other kernels that ask the same."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def __getattr__(self, name: str) -> Any:
        """Be in all else the context."""
        return getattr(self.context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        """Return the signature of a call. Kernels look after their own versions."""
        is_operator = getattr(function, "__module__", None) == "_operator"
        if kws or not (is_operator or type(function) is types.Function):
            return self.context.resolve_function_type(function, args, kws)
        key = (function, *args)
        found = _calls.get(key)
        if found is None:
            found = self.context.resolve_function_type(function, args, kws)
            _calls[key] = found
        return found

    def resolve_getattr(self, kind: Any, name: str) -> Any:
        """Return the type of an attribute, or None. Of a module it is what stands there now."""
        if isinstance(kind, types.Module):
            return self.context.resolve_getattr(kind, name)
        found = _attributes.get((kind, name))
        if found is None:
            found = self.context.resolve_getattr(kind, name)
            _attributes[kind, name] = found
        return found


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelTypeInference(typed_passes.NopythonTypeInference):
    """Finds the types of a kernel's variables."""

    _name = "kernel_type_inference"

    def run_pass(self, state: Any) -> bool:
        """Infer, with what is known of calls."""
        context = state.typingctx
        state.typingctx = Known(context)
        try:
            changed: bool = super().run_pass(state)
        finally:
            state.typingctx = context
        return changed


class KernelPasses(PassManager):
    """A sequence of passes, without Numba's analysis of the whole function after each of them."""

    _ENFORCING = False


class KernelCompiler(CompilerBase):
    """Takes a kernel through the passes it needs."""

    def __init__(self, *args: Any) -> None:
        *before, flags, types_of_locals = args
        super().__init__(*before, KernelFlags(flags), types_of_locals)

    def define_pipelines(self) -> list[PassManager]:
        """Return the one sequence of passes."""
        passes = KernelPasses("kernel")
        usual = DefaultPassBuilder.define_nopython_pipeline(self.state)
        for each, purpose in usual.passes:
            if each is typed_passes.NopythonTypeInference:
                passes.add_pass(KernelTypeInference, purpose)
            elif each not in UNUSED:
                passes.add_pass(each, purpose)
        passes.finalize()
        return [passes]


@contextlib.contextmanager
def settled(*contexts: Any) -> Iterator[None]:
    """Let these contexts of Numba not look whether extensions have declared anything new."""
    for context in contexts:
        context.refresh = lambda: None
    try:
        yield
    finally:
        for context in contexts:
            del context.refresh

"""The ``kernel`` decorator: Numba with an on-disk cache that never runs stale code.

Numba's own cache looks at the file that holds a function, not at the files it calls into, so an
edit in ``matching.py`` would leave an old ``step.py`` in use. Here the compiled kernels of a file
lie in a folder named after a digest of its code and of that of all files that these kernels take
names from, directly or not: an edit of any of them starts an empty folder, and leaves those of
other files as they are.
"""

import functools
import os
import re
import shutil
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.core.typing.typeof import Purpose, typeof
from numba.extending import (
    NativeValue,
    infer_getattr,
    intrinsic,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numpy.typing import NDArray

from marketsim.engine._borrowed import Borrowed
from marketsim.engine._linking import KernelType, PartCompiler, WholeCompiler
from marketsim.engine._sources import PACKAGE, cache_root, kernel_digest, kernel_digests

Function = TypeVar("Function", bound=Callable[..., Any])
Struct = TypeVar("Struct", bound=type[tuple[Any, ...]])

KEPT_DIGESTS = 3

#: Hints of `marketsim.engine.near` to compile without; `marketsim.bench.hints` measures them so.
WITHOUT = os.environ.get("MARKETSIM_WITHOUT", "").split()


#: Digest of what decides the kernels of a file, by its path in the package.
DIGESTS = kernel_digests()


def _cache_folder(file: Path) -> Path | None:
    """Make the folder of a file's kernels; None where nothing can be written.

    Of the folders of the same file with other digests, all but the latest go.
    """
    try:
        root = cache_root()
        if WITHOUT:  # other code from the same sources
            root /= "without-" + "-".join(WITHOUT)
        if file.is_relative_to(PACKAGE):
            path = file.relative_to(PACKAGE)
            name, digest = ".".join(path.with_suffix("").parts), DIGESTS.get(path.as_posix())
        else:  # it may call whatever it likes; Numba looks at the file itself
            name, digest = "elsewhere", kernel_digest()
        if digest is None:  # the package is in an archive, and its files are not to be read
            return None
        folder = root / f"{name}-{digest}"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            same = re.compile(re.escape(name) + "-[0-9a-f]{16}")
            ours = [path for path in root.iterdir() if same.fullmatch(path.name)]
            by_age = sorted(ours, key=lambda path: path.stat().st_mtime, reverse=True)
            for old in by_age[KEPT_DIGESTS:]:
                shutil.rmtree(old, ignore_errors=True)
        os.utime(folder)
        return folder if os.access(folder, os.W_OK) else None
    except (OSError, RuntimeError):
        return None


def is_compiled() -> bool:
    """Tell whether the kernels of a run are on disk, compiled from these sources."""
    return bool(is_kept("run/loop.py", "run_steps"))


def is_loaded(function: Any) -> bool:
    """Tell whether a kernel is compiled in this process, or loaded from disk."""
    return bool(function.entry.overloads)


def is_kept(file: str, name: str) -> bool | None:
    """Tell whether a kernel of a file is on disk; None where none can be kept."""
    path = PACKAGE / file
    folder = _cache_folder(path)
    if folder is None:
        return None
    return next(folder.rglob(f"{path.stem}.{name}-*.nbc"), None) is not None


class Kernel:
    """A compiled function, built twice: lean for other kernels, with a wrapper for Python.

    The Python wrapper of a function costs as much to compile as the function; most kernels are
    only ever called by kernels.
    """

    def __init__(self, function: Callable[..., Any], *, inline: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self.lean = numba.njit(
            no_cpython_wrapper=True,
            no_cfunc_wrapper=True,
            forceinline=inline,
            pipeline_class=PartCompiler,
        )(function)
        self.entry = _cached(function)
        self._direct: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def __call__(self, *args: Any) -> Any:
        """Run the kernel from Python.

        A struct's type is known from the last call: Numba would look at each of its arrays again.
        """
        if not (args and isinstance(args[0], Referred)):
            return self.entry(*args)
        key = _kinds(args)
        found = self._direct.get(key)
        if found is not None:
            return found(*args)
        result = self.entry(*args)
        if Any not in key and len(args) == self.py_func.__code__.co_argcount:
            kinds = tuple(typeof(arg, Purpose.argument) for arg in args)
            if kinds in self.entry.overloads:
                self._direct[key] = self.entry.overloads[kinds].entry_point
        return result


def direct(function: Any, *args: Any) -> Callable[..., Any]:
    """Return what runs a kernel on arguments of the kinds of these, and looks at no other's.

    For a kernel that is called over and over; itself, where it never had such arguments.
    """
    if numba.config.DISABLE_JIT:
        return cast(Callable[..., Any], function)
    return cast(Callable[..., Any], function._direct.get(_kinds(args), function))


@typeof_impl.register(Kernel)
def _typeof_kernel(value: Kernel, c: Any) -> Any:  # noqa: ARG001
    return KernelType(value.lean)


def _cached(function: Callable[..., Any]) -> Any:
    """Compile for calls from Python, cached on disk under the digest of what it depends on."""
    folder = _cache_folder(Path(function.__code__.co_filename).resolve())
    # What a function inside another finds there, no digest of files knows.
    if folder is None or function.__closure__:
        return numba.njit(pipeline_class=WholeCompiler)(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        return numba.njit(cache=True, pipeline_class=WholeCompiler)(function)
    except RuntimeError:  # Numba found no place to cache: works, only slower to start
        return numba.njit(pipeline_class=WholeCompiler)(function)
    finally:
        numba.config.CACHE_DIR = before


def kernel(function: Function) -> Function:
    """Compile a function of the engine with Numba (decorator).

    Where no cache folder can be written it is compiled anew in each process.
    """
    if numba.config.DISABLE_JIT:
        return function
    return cast(Function, Kernel(function))


def inlined(function: Function) -> Function:
    """Compile a kernel into each kernel that calls it (decorator).

    For what every order passes through: a call costs as much as a short function's work, and LLVM
    alone takes in hardly any. Not for long functions with many callers: each gets a copy.
    """
    if numba.config.DISABLE_JIT:
        return function
    return cast(Function, Kernel(function, inline=True))


def spliced(function: Function) -> Function:
    """Put a kernel's statements in place of every call to it, before types are known (decorator).

    For a function made by a function, of which there may be many: to compile it by itself would be
    to compile, once more, all that it calls.
    """
    if numba.config.DISABLE_JIT:
        return function
    return cast(Function, numba.njit(inline="always")(function))


if numba.config.DISABLE_JIT:

    def lowest_bit(mask: int) -> int:
        """Return the index of the lowest set bit of a positive integer."""
        return (int(mask) & -int(mask)).bit_length() - 1

    def highest_bit(mask: int) -> int:
        """Return the index of the highest set bit of a positive integer."""
        return int(mask).bit_length() - 1

else:

    @intrinsic
    def lowest_bit(typingctx: Any, mask: Any) -> Any:  # noqa: ARG001
        """Return the index of the lowest set bit of a positive integer."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.cttz(args[0], context.get_constant(types.boolean, False))

        return types.int64(types.int64), codegen

    @intrinsic
    def highest_bit(typingctx: Any, mask: Any) -> Any:  # noqa: ARG001
        """Return the index of the highest set bit of a positive integer."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            zeros = builder.ctlz(args[0], context.get_constant(types.boolean, False))
            return builder.sub(context.get_constant(types.int64, 63), zeros)

        return types.int64(types.int64), codegen


class Referred:
    """A `NamedTuple` of arrays that kernels take by its address; see `by_reference`."""

    @cached_property
    def kind(self: Any) -> "ByReference":
        """Its type to Numba, which is slow to find out and seldom a new one."""
        arrays = (type(self), *_kinds(self))
        kind = _struct_kinds.get(arrays)
        if kind is None:
            kind = ByReference(type(self), tuple(map(typeof, self)))
            if Any not in arrays:
                _struct_kinds[arrays] = kind
        return kind

    @cached_property
    def code(self) -> int:
        """Number of its type."""
        code: int = self.kind._code
        return code

    @cached_property
    def places(self: Any) -> list[int]:
        """Addresses of its arrays, which NumPy is slow to tell: who knows them may set them."""
        return [array.ctypes.data for array in self]

    def _replace(self: Any, **changes: Any) -> Any:
        """Return another with some arrays changed; where the others lie is known."""
        made = super()._replace(**changes)  # type: ignore[misc]  # of the NamedTuple
        if "places" in vars(self):
            made.places = [
                changes[name].ctypes.data if name in changes else place
                for name, place in zip(self._fields, self.places, strict=True)
            ]
        return made

    @cached_property
    def descriptors(self: Any) -> NDArray[np.int64]:
        """What Numba knows of each array, in the order of its `ArrayModel`."""
        words: list[int] = []
        for array, place in zip(self, self.places, strict=True):
            words += (0, 0, array.size, array.itemsize, place, *array.shape, *array.strides)
        return np.array(words, np.int64)

    @cached_property
    def address(self) -> int:
        """Where its arrays are described; they stay where they are as long as it lives."""
        return int(self.descriptors.ctypes.data)

    def __getstate__(self) -> None:
        """Leave out of copies what is known of these arrays only."""


#: Types by class and what its arrays are.
_struct_kinds: dict[tuple[Any, ...], "ByReference"] = {}

#: Numbers whose class says their type to Numba.
_NUMBERS = frozenset((int, float, bool, np.int64, np.float64, np.bool_))


def _kinds(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return what tells the types of values to Numba; `Any` where it takes more than a look."""
    found: list[Any] = []
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            found += (value.dtype, value.ndim, value.flags.num)
        elif kind in _NUMBERS:
            found.append(kind)
        else:
            found.append(value.code if issubclass(kind, Referred) else Any)
    return tuple(found)


if numba.config.DISABLE_JIT:
    #: What a stack of structs holds of each of them.
    STACKED: Any = object

    def stacked(struct: Any) -> Any:
        """Return what a stack holds of a struct."""
        return struct

    def compiled(function: Any, *args: Any) -> Any:  # noqa: ARG001
        """Return what `call_compiled` calls."""
        return function

    def pointed(like: Any, item: Any) -> Any:  # noqa: ARG001
        """Return the struct that a stack holds there."""
        return item

    def call_compiled(function: Any, *args: Any) -> Any:
        """Call what `compiled` gave."""
        return function(*args)

else:
    STACKED = np.int64

    def stacked(struct: Any) -> Any:
        """Return what a stack holds of a struct: its address, good as long as it lives."""
        return struct.address

    def compiled(function: Any, *args: Any) -> Any:
        """Return the address of a kernel that these arguments were given to before.

        A kernel that calls it there is compiled without it: what takes a minute is compiled once.
        """
        found = function.entry.overloads[tuple(typeof(arg, Purpose.argument) for arg in args)]
        return found.library.get_pointer_to_function(found.fndesc.llvm_cfunc_wrapper_name)

    @intrinsic
    def pointed(typingctx: Any, like: Any, address: Any) -> Any:  # noqa: ARG001
        """Return the struct at an address, of the type of another."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[1], context.get_value_type(signature.return_type))

        return like(like, types.int64), codegen

    @intrinsic
    def call_compiled(typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:  # noqa: ARG001
        """Call a kernel of four structs and an integer by its address; it returns an integer."""
        given = (a, b, c, d, types.int64)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            kinds = [context.get_value_type(kind) for kind in given]
            word = context.get_value_type(types.int64)
            pointer = builder.inttoptr(args[0], ir.FunctionType(word, kinds).as_pointer())
            return builder.call(pointer, args[1:])

        return types.int64(types.int64, *given), codegen


class ByReference(types.Type):
    """Numba's view of a `NamedTuple` of arrays: one pointer, whatever the number of arrays.

    Numba passes a tuple to a compiled function as all of its arrays' parts, 119 arguments for
    `State`; compiling the engine that way takes three times as long.
    """

    def __init__(self, struct: type[Any], fields: tuple[Any, ...]) -> None:
        self.struct = struct
        self.fields = dict(zip(struct._fields, map(Borrowed, fields), strict=True))
        self.value_type = types.NamedTuple(fields, struct)
        super().__init__(f"ByReference({self.value_type.name})")

    @property
    def mangling_args(self) -> tuple[str, tuple[()]]:
        """Keep the symbols short: the record layouts would make them ten thousand letters."""
        return self.struct.__name__, ()


@register_model(ByReference)
class ByReferenceModel(models.PrimitiveModel):
    """A pointer to the arrays' descriptors, which the struct keeps."""

    def __init__(self, dmm: Any, fe_type: ByReference) -> None:
        value = dmm.lookup(fe_type.value_type).get_value_type()
        super().__init__(dmm, fe_type, ir.PointerType(value))


@infer_getattr
class ByReferenceAttributes(AttributeTemplate):
    """Fields are typed as the arrays they hold."""

    key = ByReference

    def generic_resolve(self, struct: ByReference, name: str) -> Any:
        """Return the type of a field, or None."""
        return struct.fields.get(name)


@lower_getattr_generic(ByReference)
def _load_field(context: Any, builder: Any, struct: ByReference, value: Any, name: str) -> Any:
    """Load one array's descriptor, as a borrowed array: the caller keeps it alive."""
    position = list(struct.fields).index(name)
    loaded = builder.load(cgutils.gep_inbounds(builder, value, 0, position))
    # No store changes where an array lies, but the compiler cannot know that by itself.
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    model = context.data_model_manager[struct.fields[name]]
    for counted in ("meminfo", "parent"):
        place = model.get_field_position(counted)
        nothing = cgutils.get_null_value(loaded.type.elements[place])
        loaded = builder.insert_value(loaded, nothing, place)
    return loaded


@unbox(ByReference)
def _unbox_reference(struct: ByReference, obj: Any, c: Any) -> NativeValue:
    address = c.pyapi.object_getattr_string(obj, "address")
    pointer = c.pyapi.long_as_voidptr(address)
    c.pyapi.decref(address)
    pointer = c.builder.bitcast(pointer, c.context.get_value_type(struct))
    return NativeValue(pointer, is_error=c.pyapi.c_api_error())


def record_copier(names: tuple[str, ...]) -> Callable[[Any, int, Any, int], None]:
    """Make what copies one record of each of these arrays of a struct into another struct.

    For kernels, which cannot go through a list of names: so the arrays are listed in one place.

    Parameters
    ----------
    names : tuple of str
        Fields of a `by_reference` class. In an array of several dimensions, what has one first
        index is copied.

    Returns
    -------
    callable
        Of (source, index, target, index).
    """
    if numba.config.DISABLE_JIT:

        def copy_plainly(source: Any, index: int, target: Any, place: int) -> None:
            for name in names:
                getattr(target, name)[place] = getattr(source, name)[index]

        return copy_plainly

    @intrinsic
    def copy_records(typingctx: Any, source: Any, index: Any, target: Any, place: Any) -> Any:  # noqa: ARG001
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            for name in names:
                pointers = []
                for n in (0, 2):
                    field = _load_field(context, builder, signature.args[n], args[n], name)
                    kind = signature.args[n].fields[name]
                    view = context.make_array(kind)(context, builder, value=field)
                    stride = cgutils.unpack_tuple(builder, view.strides)[0]
                    start = builder.ptrtoint(view.data, stride.type)
                    byte = builder.add(start, builder.mul(args[n + 1], stride))
                    pointers.append(builder.inttoptr(byte, cgutils.voidptr_t))
                cgutils.raw_memcpy(builder, pointers[1], pointers[0], stride, 1)
            return context.get_dummy_value()

        return types.void(source, types.int64, target, types.int64), codegen

    return cast(Callable[[Any, int, Any, int], None], copy_records)


def by_reference(struct: Struct) -> Struct:
    """Let kernels take a `NamedTuple` of arrays as one pointer (class decorator)."""
    names = ("__module__", "__qualname__", "__doc__", "__annotations__")
    same = {name: getattr(struct, name) for name in names}
    referred: Any = type(struct.__name__, (Referred, struct), same)

    @typeof_impl.register(referred)
    def known(value: Any, c: Any) -> ByReference:  # noqa: ARG001
        kind: ByReference = value.kind
        return kind

    return cast(Struct, referred)

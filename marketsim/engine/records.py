"""Records: each declared once, as a class whose annotations say what its fields are.

::

    class Pool(Record):
        cash: I8  #: atoms
        owner: I8  #: account

An annotation says what a field is to a type checker (an ``int``) and what it is in memory (eight
bytes); the NumPy type, ``Pool.dtype``, follows. Nobody makes a ``Pool``: `records` allocates arrays
of them, and ``array[p]`` reads and writes like one, compiled or not. `Rows`, `Grid` and `Block` say
of an array what its records are, so that a misspelt field is refused before anything runs.
"""

import math
from collections.abc import Iterator
from inspect import get_annotations
from typing import (
    Annotated,
    Any,
    ClassVar,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    overload,
)

import numpy as np
from numpy.typing import NDArray

#: Bytes of a cache line: records met in random order fill one, or half of one.
CACHE_LINE = 64

I8: TypeAlias = Annotated[int, np.int64]
I4: TypeAlias = Annotated[int, np.int32]
I2: TypeAlias = Annotated[int, np.int16]
I1: TypeAlias = Annotated[int, np.int8]
F8: TypeAlias = Annotated[float, np.float64]


class Record:
    """Base of all records; a class's own fields come before those it inherits.

    With ``align=True`` its size is a multiple of its widest field.
    """

    names: ClassVar[tuple[str, ...]]  #: of the fields
    dtype: ClassVar[np.dtype[np.void]]

    def __init_subclass__(cls, *, align: bool = False) -> None:
        """Derive the fields' names and the NumPy type."""
        super().__init_subclass__()
        fields = [
            (name, _memory_type(cls, name, annotation))
            for base in cls.__mro__
            if base is not Record
            for name, annotation in get_annotations(base, eval_str=True).items()
        ]
        cls.names = tuple(name for name, _ in fields)
        cls.dtype = np.dtype(fields, align=align)


def _memory_type(record: type[Record], name: str, annotation: Any) -> Any:
    """Return what a field is in memory, as NumPy wants to be told."""
    if get_origin(annotation) is not Annotated:
        raise TypeError(
            f"{record.__name__}.{name}: {annotation!r} does not say how wide the field is; "
            "use I8, I4, I2, I1, F8 or Annotated[type, what NumPy makes a type of]"
        )
    return get_args(annotation)[1]


R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)
Index: TypeAlias = int | np.integer[Any]


class _Array(Protocol):
    """What arrays of records have in common; all of them are NumPy arrays."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __array__(self) -> NDArray[Any]: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def copy(self) -> Self: ...


class Rows(_Array, Protocol[R_co]):
    """Records in a row."""

    def __iter__(self) -> Iterator[R_co]: ...
    @overload
    def __getitem__(self, key: Index, /) -> R_co: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any], /) -> Self: ...
    @overload
    def __getitem__(self, key: str, /) -> NDArray[Any]: ...


class Grid(_Array, Protocol[R_co]):
    """Records in rows and columns."""

    @overload
    def __getitem__(self, key: tuple[Index, Index], /) -> R_co: ...
    @overload
    def __getitem__(self, key: Index | tuple[slice, Index], /) -> Rows[R_co]: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any], /) -> Self: ...
    @overload
    def __getitem__(self, key: str, /) -> NDArray[Any]: ...
    def reshape(self, length: int, /) -> Rows[R_co]:
        """Lay them in a row, ``-1`` for all."""


class Block(_Array, Protocol[R_co]):
    """Records in three dimensions."""

    @overload
    def __getitem__(self, key: tuple[Index, Index, Index], /) -> R_co: ...
    @overload
    def __getitem__(self, key: Index, /) -> Grid[R_co]: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any], /) -> Self: ...
    @overload
    def __getitem__(self, key: str, /) -> NDArray[Any]: ...


class Indices(Protocol):
    """Integers in a row that say where records are.

    Any array of integers will do. An item of an ``NDArray`` may be anything to a type checker, and
    so would be the record it is the number of.
    """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]: ...
    @overload
    def __getitem__(self, key: int, /) -> int: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any], /) -> "Indices": ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...


class _FieldsFirst(np.record):  # type: ignore[misc]  # np.record itself derives from "final" ones
    """A record whose fields come before NumPy's own attributes (`size`, `round`, ...)."""

    def __getattribute__(self, name: str) -> Any:
        fields = np.void.__getattribute__(self, "dtype").fields
        if fields is not None and name in fields:
            return np.void.__getitem__(self, name)
        return np.record.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        fields = np.void.__getattribute__(self, "dtype").fields
        if fields is not None and name in fields:
            np.void.__setitem__(self, name, value)
        else:
            np.record.__setattr__(self, name, value)


@overload
def records(kind: type[R], length: int, /) -> Rows[R]: ...
@overload
def records(kind: type[R], rows: int, columns: int, /) -> Grid[R]: ...
@overload
def records(kind: type[R], blocks: int, rows: int, columns: int, /) -> Block[R]: ...
def records(kind: type[Record], /, *shape: int) -> Any:
    """Allocate zeroed records whose fields read as attributes, compiled or not."""
    return zeroed(kind.dtype, *shape)


def zeroed(dtype: np.dtype[Any], *shape: int) -> Any:
    """Allocate zeroed records of a NumPy type, the first of them on a cache line.

    So one of 32 or 64 bytes never straddles two.
    """
    memory = np.zeros(math.prod(shape) * dtype.itemsize + CACHE_LINE, np.uint8)
    return laid(memory, -memory.ctypes.data % CACHE_LINE, dtype, *shape)


def laid(memory: NDArray[np.uint8], start: int, dtype: np.dtype[Any], *shape: int) -> Any:
    """Return the array that lies in memory from byte `start` on, its records as `records` are."""
    kind = np.dtype((_FieldsFirst, dtype)) if dtype.names else dtype
    return np.ndarray(shape, kind, memory, start)

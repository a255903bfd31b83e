"""Kernels find the items of a struct's arrays, whatever the index, and do not look at its sign."""

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from marketsim.engine._jit import by_reference, kernel


@by_reference
class Pair(NamedTuple):
    row: Any
    grid: Any


def make_pair() -> Any:
    return Pair(np.arange(5), np.arange(12.0).reshape(3, 4))


@kernel
def read(pair: Pair, k: int, narrow: Any) -> Any:
    return pair.row[k], pair.row[narrow[0]], pair.row[1], pair.grid[k, 1], pair.grid[narrow[0], k]


@kernel
def write(pair: Pair, k: int, narrow: Any) -> Any:
    pair.row[k] = 10
    pair.row[narrow[0]] += 20
    pair.grid[k, narrow[0]] = pair.row[:2].sum()
    pair.grid[0][3] = 30.0


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8])
def test_every_kind_of_index_reads_and_writes_as_in_numpy(kind: Any) -> None:
    pair = make_pair()
    narrow = np.array([1], kind)
    assert read(pair, 2, narrow) == (2, 1, 1, 9.0, 6.0)
    write(pair, 2, narrow)
    assert pair.row.tolist() == [0, 21, 10, 3, 4]
    assert (pair.grid[2, 1], pair.grid[0, 3]) == (21.0, 30.0)


def looks_at_the_sign(function: Any, array: Any) -> bool:
    compiled: Any = kernel(function)
    compiled.lean.compile((numba.typeof(array), numba.int64))
    (made,) = compiled.lean.overloads.values()
    return "select" in str(made.library.alone())


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")
def test_no_index_into_a_struct_is_looked_at_for_its_sign() -> None:
    assert looks_at_the_sign(lambda grid, k: grid[k, k], make_pair().grid)
    assert not looks_at_the_sign(lambda pair, k: pair.grid[k, k], make_pair())

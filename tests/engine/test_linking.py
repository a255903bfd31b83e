"""Kernels are translated once, and work in whatever calls them."""

from enum import IntEnum
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.registry import cpu_target

from marketsim.engine import _jit
from marketsim.engine._jit import kernel

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")


class Side(IntEnum):
    BUY = 1


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(_jit, "_cache_folder", lambda file: None)

    @kernel
    def add(a: int, b: int) -> int:
        return a + b

    @kernel
    def middle(a: int, small: Any) -> int:
        return add(a, 1) + add(a, Side.BUY) + add(small[0], 7)

    @kernel
    def outer(a: int, small: Any) -> int:
        return middle(a, small) + add(a, 2)

    return {"add": add, "middle": middle, "outer": outer}


def test_constants_and_narrow_integers_share_a_version(kernels: dict[str, Any]) -> None:
    assert kernels["outer"](10, np.array([5], np.int32)) == 11 + 11 + 12 + 12
    assert kernels["add"].lean.signatures == [(numba.int64, numba.int64)]


def test_other_kinds_of_number_have_versions_of_their_own(kernels: dict[str, Any]) -> None:
    assert kernels["outer"](0.5, np.array([5], np.int8)) == 1.5 + 1.5 + 12 + 2.5
    assert set(kernels["add"].lean.signatures) == {
        (numba.float64, numba.int64),
        (numba.int64, numba.int64),
    }


def test_a_function_that_is_no_kernel_reaches_all_that_a_kernel_calls(
    kernels: dict[str, Any],
) -> None:
    outer = kernels["outer"]
    small = np.array([5], np.int16)

    @numba.njit  # type: ignore[untyped-decorator]
    def plain(a: int) -> Any:
        return outer(a, small) + 1

    assert plain(10) == 11 + 11 + 12 + 12 + 1


def test_what_kernels_call_is_no_machine_code_of_its_own(kernels: dict[str, Any]) -> None:
    kernels["outer"](1, np.array([5], np.int32))
    library = kernels["middle"].lean.overloads.popitem()[1].library
    code = str(library.alone())
    assert "define" in code
    assert code.count("define") == 1  # add is declared, not taken in


def test_numba_compiles_what_is_no_kernel_as_it_always_does(kernels: dict[str, Any]) -> None:
    kernels["outer"](1, np.array([5], np.int64))
    for context in (cpu_target.typing_context, cpu_target.target_context):
        assert "refresh" not in vars(context)  # looks again for what extensions declare

    @numba.njit  # type: ignore[untyped-decorator]
    def plain(a: Any) -> Any:
        def twice(b: Any) -> Any:
            return b + b

        return twice(a) * a

    assert plain(np.arange(3)).tolist() == [0, 2, 8]


@pytest.mark.parametrize("count", [4, 5])
def test_a_kernel_that_fits_may_be_called_by_its_address(count: int) -> None:
    source = ", ".join("abcde"[:count])
    made: dict[str, Any] = {}
    exec(f"def total({source}): return {source.replace(', ', ' + ')}", made)
    total = kernel(made["total"])
    assert total(*range(count)) == sum(range(count))
    (found,) = total.entry.overloads.values()
    name = found.fndesc.llvm_cfunc_wrapper_name
    assert (name in found.library.get_llvm_str()) == (count == 5)

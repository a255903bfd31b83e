"""Kernels that one process has translated work in another that takes them over."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from marketsim.engine import _jit, _linking
from marketsim.engine._exchange import Exchange
from marketsim.engine._jit import kernel

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")

SMALL = np.arange(1, 3)


@kernel
def add(a: int, b: int) -> int:
    return a + b


@kernel
def middle(a: int, small: Any) -> int:
    spread = np.zeros(len(small) + 1, np.int64)  # a function of Numba's, which is no kernel
    spread[1] = add(a, small[0])
    return int(spread.sum())


@kernel
def outer(a: Any, small: Any) -> Any:
    return middle(a, small) + add(a, 1)


KERNELS = ("add", "middle", "outer")


def lean(function: Any) -> Any:
    """Return what compiles a kernel for other kernels."""
    return function.lean


class Fresh:
    """Kernels as a process has them that has compiled nothing yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_jit, "_cache_folder", lambda file: None)
        for name in KERNELS:
            function = globals()[name].py_func
            monkeypatch.setattr(sys.modules[__name__], name, kernel(function))

    def run(self) -> int:
        """Call what calls all others; return how many kernels were compiled."""
        begun: list[bool] = []
        _linking.listeners.append(begun.append)
        try:
            assert outer(10, SMALL) == 22
        finally:
            _linking.listeners.remove(begun.append)
        return begun.count(False)


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """A folder that holds what another process has translated."""
    folder = tmp_path / "left"
    folder.mkdir()
    _linking.takers.append(taker := Exchange(folder).leave)
    try:
        with monkeypatch.context() as patch:
            assert Fresh(patch).run() == 3
    finally:
        _linking.takers.remove(taker)
    _linking.sources.append(source := (found := Exchange(folder)).take)
    yield found
    _linking.sources.remove(source)


def test_what_is_left_need_not_be_translated(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Fresh(monkeypatch).run() == 1  # what Python calls


def test_a_kernel_translated_here_already_stands_beside_the_one_taken(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Fresh(monkeypatch)
    lean(add).compile((numba.int64, numba.int64))
    assert fresh.run() == 1


@pytest.mark.parametrize("lost", [1, 2])
def test_what_is_missing_is_translated_here(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    fresh = Fresh(monkeypatch)
    by_age = sorted(exchange.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert len(by_age) == 2
    for path in by_age[:lost]:  # what is called is left before what calls it
        path.unlink()
    assert fresh.run() == 3


def test_other_types_are_other_kernels(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    Fresh(monkeypatch)
    assert outer(0.5, np.array([0.5])) == 2.5
    assert not exchange.take(lean(add), (numba.float64, numba.float64))
    assert exchange.take(lean(add), (numba.int64, numba.int64))


def test_nothing_is_left_where_no_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Exchange(tmp_path / "gone")
    monkeypatch.setattr(_linking, "takers", [exchange.leave])
    monkeypatch.setattr(_linking, "sources", [exchange.take])
    assert Fresh(monkeypatch).run() == 3
    assert not exchange.folder.exists()


def test_a_kernel_inside_a_function_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_linking, "takers", [Exchange(tmp_path).leave])

    @kernel
    def inner(a: int) -> int:
        return a + 1

    @kernel
    def around(a: int) -> int:
        return inner(a)

    assert around(1) == 2
    assert not list(tmp_path.iterdir())

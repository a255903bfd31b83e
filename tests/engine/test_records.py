"""Records: NumPy types follow from annotations, and a misspelt field is refused before it runs."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

from marketsim.engine._jit import kernel
from marketsim.engine.records import CACHE_LINE, F8, I1, I2, I4, I8, Indices, Record, Rows, records

PROJECT = Path(__file__).parents[2]


class Plain(Record):
    """Five kinds of numbers."""

    first: I8
    second: I4
    third: I2
    fourth: I1
    fifth: F8


class Padded(Record, align=True):
    """Seven bytes that take eight."""

    first: I1
    second: I4
    third: I2


class Listed(Record):
    """A field that is an array."""

    mask: I8
    child: Annotated[Indices, (np.int32, (3,))]


class Derived(Plain):
    """Fields of its own and those of another."""

    size: I4
    round: I8


def test_the_memory_of_a_record_is_that_of_its_annotations() -> None:
    names = ("first", "second", "third", "fourth", "fifth")
    assert Plain.names == names
    assert Plain.dtype == np.dtype(list(zip(names, ("i8", "i4", "i2", "i1", "f8"), strict=True)))
    assert Plain.dtype.itemsize == 23
    assert not Plain.dtype.isalignedstruct


def test_an_aligned_record_has_its_fields_where_the_machine_wants_them() -> None:
    places = [Padded.dtype.fields[name][1] for name in Padded.names]
    assert places == [0, 4, 8]
    assert Padded.dtype.itemsize == 12
    assert Padded.dtype.isalignedstruct


def test_a_field_may_be_an_array() -> None:
    assert Listed.dtype == np.dtype([("mask", "i8"), ("child", "i4", (3,))])
    row = records(Listed, 2)
    row[1].child[2] = 7
    assert row["child"].tolist() == [[0, 0, 0], [0, 0, 7]]


def test_own_fields_come_before_inherited_ones() -> None:
    assert Derived.names == ("size", "round", *Plain.names)


@pytest.mark.parametrize("annotation", [int, "int", np.int64, list[int]])
def test_an_annotation_that_does_not_say_how_wide_the_field_is_is_refused(annotation) -> None:
    with pytest.raises(TypeError, match=r"^Vague\.cash: .* does not say how wide .* use I8, I4"):
        type("Vague", (Record,), {"__annotations__": {"owner": I8, "cash": annotation}})


def test_records_are_zero_and_begin_on_a_cache_line() -> None:
    for shape in ((5,), (5, 3), (5, 3, 2)):
        block = records(Derived, *shape)
        assert block.shape == shape
        assert block.ctypes.data % CACHE_LINE == 0
        assert not block.tobytes().strip(b"\0")


@kernel
def raise_sizes(rows: Rows[Derived]) -> int:
    for n in range(len(rows)):
        rows[n].size += n
        rows[n].round += 1
    return rows[2].size


def test_fields_named_like_numpy_s_own_are_read_and_written_compiled_or_not() -> None:
    rows = records(Derived, 3)
    rows[2].size = 5
    assert raise_sizes(rows) == rows[2].size == 7
    assert rows["round"].tolist() == [1, 1, 1]
    assert rows[0].dtype == Derived.dtype


KERNEL = """
from marketsim.agents.base import Traders
from marketsim.engine._jit import kernel
from marketsim.engine.state import State


@kernel
def credit(state: State, traders: Traders, p: int, amount: int) -> None:
    state.pool[p].{cash} += amount
    for n in range(len(traders.awake)):
        traders.trader[traders.awake[n]].{leverage} *= 2.0
"""


def complaints(file: Path, cash: str, leverage: str) -> list[str]:
    """What the type checker says of a kernel under the project's settings."""
    file.write_text(KERNEL.format(cash=cash, leverage=leverage), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(file)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [line.removeprefix(f"{file}:") for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_misspelt_field_in_a_kernel_is_refused_by_the_type_checker(tmp_path: Path) -> None:
    file = tmp_path / "credit.py"
    assert complaints(file, "cash", "leverage") == []
    slips = complaints(file, "csh", "levrage")
    assert len(slips) == 2
    assert slips[0].startswith('9: error: "Pool" has no attribute "csh"')
    assert slips[1].startswith('11: error: "Trader" has no attribute "levrage"')
    assert all(slip.endswith("[attr-defined]") for slip in slips)

"""No broken file leaves a traceback, hangs or is refused without a word about its field.

The cases are those of `tests.outside.fuzz`, whose script makes ten times as many and more. The
quick tests take the first, the slow ones those after them.
"""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.outside import fuzz
from tests.outside.fuzz import Case, judge_command, judge_loading, judge_process, run_cases
from tests.sweep.conftest import Inline

SEED = 20_261_017


def wrong(judge: Callable[[Case, Path], str], *numbers: int) -> list[str]:
    return [
        f"{case.number} {case.kind} {case.fields}: {why}"
        for case, why in run_cases(judge, range(*numbers), SEED)
    ]


def test_broken_files_are_refused_by_the_loaders() -> None:
    assert not wrong(judge_loading, 100)


@pytest.fixture(scope="module")
def warm() -> None:
    fuzz.warm_up()


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no workers for what is swept and fitted: they start in processes of the cases' own."""
    for module in ("sweep.runner", "study.calibrate"):
        monkeypatch.setattr(f"marketsim.{module}.WorkerPool", lambda *_: Inline())


@pytest.mark.usefixtures("warm", "_in_this_process")
def test_broken_files_are_refused_by_the_commands() -> None:
    assert not wrong(judge_command, 15)


@pytest.mark.slow
def test_a_tenth_of_the_broken_files_by_the_loaders() -> None:
    assert not wrong(judge_loading, 100, 800)


@pytest.mark.slow
@pytest.mark.usefixtures("warm", "_in_this_process")
def test_a_tenth_of_the_broken_files_by_the_commands() -> None:
    assert not wrong(judge_command, 15, 200)


@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_some_of_the_broken_files_by_processes() -> None:
    assert not wrong(judge_process, len(fuzz.KINDS))


ATOMS = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(fuzz.ODD)
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(("kind", "min", "at")), inner, max_size=3
        )
    ),
    max_leaves=6,
)
BASES = {"design": fuzz.DESIGN, "portfolio": fuzz.PORTFOLIO, "targets": fuzz.TARGETS}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(BASES)), VALUES)
def test_any_value_at_any_place_is_taken_or_refused(data: Any, kind: str, value: Any) -> None:
    tables = copy.deepcopy(BASES[kind])
    above, node, key = data.draw(st.sampled_from(list(fuzz.places(tables))))
    node[key] = value
    content = fuzz.to_toml(tables).encode("utf-8", "surrogatepass")
    within = [str(inner) for _, _, inner in fuzz.places({key: node[key]})]
    with tempfile.TemporaryDirectory() as folder:
        assert not judge_loading(Case(0, kind, content, (above, *within)), Path(folder))


def test_the_judge_sees_what_is_wrong() -> None:
    case = Case(0, "scenario", b"", ("/markets/BTC/price",))
    assert "traceback" in fuzz.judge_end(1, "Traceback (most recent call last):", case)
    assert "exit code 1" in fuzz.judge_end(1, "failed: KeyError: 'kind'", case)
    assert "control characters" in fuzz.judge_end(2, "error: price = \x1b[2J", case)
    assert "none of the fields" in fuzz.judge_end(2, "error: something is wrong", case)
    assert "nothing is said" in fuzz.judge_end(2, "\n", case)
    assert "characters" in fuzz.judge_end(2, "price" * 10_000, case)
    assert fuzz.judge_end(2, "error: markets.BTC.price = true: must be a number", case) == ""
    assert fuzz.judge_end(0, "", case) == ""


def test_a_case_is_made_from_its_number_alone() -> None:
    made = [fuzz.make_case(1, number) for number in range(40)]
    assert made == [fuzz.make_case(1, number) for number in range(40)]
    assert len({case.content for case in made}) > 35
    assert {case.kind for case in made} == set(fuzz.KINDS)

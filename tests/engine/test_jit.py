"""The kernel decorator: what decides the cache, and that an edit takes effect on the next run."""

import ast
import copy
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from marketsim.agents.margins import assess_accounts
from marketsim.engine import _jit, _sources, ledger, mark
from marketsim.engine.allocation import grow
from tests.engine.small import open_venue

compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")


@pytest.fixture
def package(tmp_path):
    """Return a copy of the package."""
    copy = tmp_path / "src" / "marketsim"
    shutil.copytree(_sources.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_only_the_kernel_decorator_compiles():
    for path in _sources.PACKAGE.rglob("*.py"):
        if path != _sources.PACKAGE / "engine" / "_jit.py":
            assert "njit" not in path.read_text(), path


# Next run

SCRIPT = """
from marketsim.engine import _jit, ledger
from marketsim.engine._sources import PACKAGE
from marketsim.engine.allocation import allocate
from marketsim.engine.formulas.rates import premium
from marketsim.engine.formulas.requirements import scaled_initial_fraction as fraction
state = allocate(2, 1, 3)
share = fraction(200_000_000, 500_000_000)
high = premium(101.0, 102.0, 100.0, 1.0)
ledger.move_cash(state, 0, 1, 5)
cash = state.pool["cash"].tolist()
kernels = {"share": fraction, "high": premium, "cash": ledger.move_cash}
loaded = [name for name, kernel in kernels.items()
          if hasattr(kernel, "entry") and sum(kernel.entry.stats.cache_hits.values())]
has_cache = _jit._cache_folder(PACKAGE / "engine" / "ledger.py") is not None
print(repr((_jit.__file__, share, high, cash, has_cache, loaded)))
"""


def run(package, cache, **environment):
    """Run tiny kernels in a new process; return results, and whether a cache is there and used."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA")}
    env |= {"PYTHONPATH": "", "MARKETSIM_CACHE_DIR": str(cache), **environment}
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(
        command, check=False, env=env, cwd=package.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    file, *found = ast.literal_eval(done.stdout)
    assert Path(file).is_relative_to(package)
    return found


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


HIGH, CASH = 0.01, [-5, 5, 0]
TAKEN = "    taken = int(np.int64(size // _ONE * share + rest // _ONE))\n"


# In each the edit is in another file than the kernels that Python calls, and that are kept.


def test_second_run_compiles_nothing_and_an_edit_of_a_called_kernel_takes_effect(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, cache) == [600_000_000, HIGH, CASH, True, []]
    edit(package / "scenario" / "errors.py", "import difflib", "import difflib, ast")  # no kernels
    assert run(package, cache) == [600_000_000, HIGH, CASH, True, ["share", "high", "cash"]]
    edit(package / "engine" / "formulas" / "integers.py", TAKEN, TAKEN + "    taken += 7\n")
    assert run(package, cache) == [600_000_007, HIGH, CASH, True, ["high"]]


@pytest.mark.slow
def test_an_edit_compiles_what_depends_on_it_and_nothing_else(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, cache) == [600_000_000, HIGH, CASH, True, []]
    callee = package / "engine" / "formulas" / "integers.py"
    edit(callee, TAKEN, TAKEN + "    taken += 7\n")
    assert run(package, cache) == [600_000_007, HIGH, CASH, True, ["high"]]
    edit(callee, TAKEN + "    taken += 7\n", TAKEN)
    assert run(package, cache) == [600_000_000, HIGH, CASH, True, ["share", "high", "cash"]]
    state = package / "engine" / "state.py"
    edit(state, "\nONE = 1_000_000_000", "\nONE = 500_000_000")
    assert run(package, cache) == [500_000_000, HIGH, CASH, True, ["high"]]
    edit(state, "    cash: I8  #: atoms: buying", "    spare: I8\n    cash: I8  #: atoms: buying")
    assert run(package, cache) == [500_000_000, HIGH, CASH, True, ["high"]]
    edit(package / "engine" / "formulas" / "rates.py", "sample = 0.0", "sample = 0.5")
    assert run(package, cache)[3:] == [True, ["share", "cash"]]


def test_cache_folder_that_cannot_be_made_leaves_kernels_uncached(package, tmp_path):
    occupied = tmp_path / "occupied"
    occupied.write_text("not a folder")
    assert run(package, occupied)[::3] == [600_000_000, False]
    assert occupied.read_text() == "not a folder"


def test_without_compilation_kernels_are_plain_functions(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, cache, NUMBA_DISABLE_JIT="1")[0] == 600_000_000
    assert not list(cache.rglob("*.nbc"))


# The cache folder


LEDGER = _sources.PACKAGE / "engine" / "ledger.py"


def folders(root):
    """Names of the folders of kernels."""
    return {path.name for path in root.iterdir()} - {"digests"}


def make_folder(root, name, age):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "kernel.nbc").write_text("")
    os.utime(folder, (1e9 - age, 1e9 - age))
    return folder


def test_old_folders_of_a_file_are_pruned(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    for age in range(6):
        make_folder(tmp_path, f"engine.ledger-{age:016x}", age)
        make_folder(tmp_path, f"engine.margin-{age:016x}", age)
    current = _jit._cache_folder(LEDGER)
    kept = {f"engine.ledger-{age:016x}" for age in range(_jit.KEPT_DIGESTS - 1)}
    others = {f"engine.margin-{age:016x}" for age in range(6)}
    assert folders(tmp_path) == kept | {current.name} | others
    assert current.name == f"engine.ledger-{_sources.kernel_digests()['engine/ledger.py']}"


def test_current_folder_is_kept_however_long_ago_it_was_made(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    current = _jit._cache_folder(LEDGER)
    os.utime(current, (1e8, 1e8))
    for age in range(_jit.KEPT_DIGESTS):
        make_folder(tmp_path, f"engine.ledger-{age:016x}", age)
    assert _jit._cache_folder(LEDGER) == current
    assert current.stat().st_mtime > 1e9


def test_code_without_a_hint_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_jit, "WITHOUT", ["slot", "order"])
    assert _jit._cache_folder(LEDGER).parent == tmp_path / "without-slot-order"


def test_kernels_outside_the_package_depend_on_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    assert _jit._cache_folder(Path(__file__)).name == f"elsewhere-{_sources.kernel_digest()}"


@compiled_only
def test_what_a_kernel_inside_a_function_finds_there_is_not_kept():
    def make(number):
        @_jit.kernel
        def plus(a):
            return a + number

        return plus

    assert [make(number)(1) for number in (1, 2, 1)] == [2, 3, 2]
    assert not make(1).entry.stats.cache_path


def test_a_run_is_compiled_once_its_loop_is(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    folder = _jit._cache_folder(_sources.PACKAGE / "run" / "loop.py") / "run_1"
    folder.mkdir()
    (folder / "loop.open_step-273.py311.1.nbc").touch()
    assert not _jit.is_compiled()
    (folder / "loop.run_steps-330.py311.1.nbc").touch()
    assert _jit.is_compiled()


def test_pruning_leaves_foreign_folders_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    names = ["photos", "thesis", "engine.ledger", "engine.ledger-0123456789abcdeg"]
    names += ["0123456789abcdef", "xengine.ledger-0123456789abcdef"]
    foreign = [make_folder(tmp_path, name, 10**8) for name in names]
    _jit._cache_folder(LEDGER)
    assert all((folder / "kernel.nbc").exists() for folder in foreign)


# Calls


@compiled_only
def test_longer_arrays_need_no_new_compilation():
    state = open_venue()
    mark.update_marks(state)
    before = len(mark.update_marks.entry.signatures)
    longer = grow(state, num_orders=5000, num_nodes=5000, num_intents=5000, num_fills=5000)
    mark.update_marks(longer)
    mark.update_marks(open_venue((1.0,) * 50, num_markets=7))
    assert len(mark.update_marks.entry.signatures) == before == 1


def test_kernels_write_to_the_callers_arrays_and_keep_no_reference():
    state = open_venue()
    counts = [sys.getrefcount(array) for array in state]
    for _ in range(100):
        ledger.post(state, 0, 0, 1)
        ledger.account_equity(state)
    assert state.pool[0].cash == 10**9 + 100
    assert [sys.getrefcount(array) for array in state] == counts


@pytest.mark.parametrize(
    "make", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copy_is_taken_by_its_own_arrays(make):
    state = open_venue()
    ledger.post(state, 0, 0, 1)
    other = make(state)
    assert type(other) is type(state)
    is_shared = other.pool is state.pool
    for each in (state, other):
        ledger.post(each, 0, 0, 10)
    expected = 10**9 + (21 if is_shared else 11)
    assert [int(each.pool[0].cash) for each in (state, other)] == [expected] * 2


def test_arrays_of_another_type_are_not_taken_for_those_before():
    account, out = np.array([1, 0]), np.zeros((2, 3))
    state = open_venue((5.0, 7.0))
    for kind in (np.int64, np.int32, np.int64):
        assess_accounts(state, account.astype(kind), 2, out)
        assert out[:, 0].tolist() == [7.0, 5.0]
        out[:] = 0.0
    strided = np.array([1, 9, 0, 9])[::2]
    assess_accounts(state, strided, 2, out)
    assert out[:, 0].tolist() == [7.0, 5.0]


def test_a_kernel_called_directly_takes_other_arrays_of_the_same_kinds():
    states = [open_venue(), open_venue((1.0,) * 50, num_markets=7)]
    for state in states:
        post = _jit.direct(ledger.post, state, 0, 0, 1)
        for each in states:
            post(each, 0, 0, 1)
    assert [int(state.pool[0].cash) for state in states] == [10**9 + 2, 10**6 + 2]
    if not numba.config.DISABLE_JIT:
        assert post is not ledger.post
        assert _jit.direct(ledger.post, states[0], np.int8(0), 0, 1) is ledger.post
